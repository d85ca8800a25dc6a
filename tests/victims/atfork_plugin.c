/* flags: -shared -fPIC */
/* SPDX-License-Identifier: MIT */
/*
 * What atfork_order and atfork_stale load: handlers that say so when they run, as x in prepare, y in the parent, z in
 * the child.
 */
#include <pthread.h>

void (*plugin_note)(char);

void plugin_prepare(void)
{
	plugin_note('x');
}

void plugin_parent(void)
{
	plugin_note('y');
}

void plugin_child(void)
{
	plugin_note('z');
}

int plugin_register(void)
{
	return pthread_atfork(plugin_prepare, plugin_parent, plugin_child);
}
