/* SPDX-License-Identifier: MIT */
/*
 * What the atfork victims share: letters that handlers note, a process each for itself, and the plugin.
 */
#ifndef ATFORK_H
#define ATFORK_H

#include <dlfcn.h>
#include <pthread.h>

#include "victim.h"

static char noted[512];
static size_t noted_count;

static void note(char letter)
{
	if (noted_count < sizeof(noted) - 1)
		noted[noted_count++] = letter;
}

/* "who: letters", and starts over. */
HELPER void print_noted(const char *who)
{
	dprintf(1, "%s: %.*s\n", who, (int)noted_count, noted);
	noted_count = 0;
}

/* Handlers that note a letter each. */
#define HANDLERS(name, in_prepare, in_parent, in_child)                                            \
	static void name##_prepare(void)                                                           \
	{                                                                                          \
		note(in_prepare);                                                                  \
	}                                                                                          \
	static void name##_parent(void)                                                            \
	{                                                                                          \
		note(in_parent);                                                                   \
	}                                                                                          \
	static void name##_child(void)                                                             \
	{                                                                                          \
		note(in_child);                                                                    \
	}

#define REGISTER(name) pthread_atfork(name##_prepare, name##_parent, name##_child)

/* Loads the plugin that lies beside this program. */
HELPER void *plugin_open(void)
{
	char path[4096];
	ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 32);
	void (**plugin_note)(char);
	void *plugin;

	path[size < 0 ? 0 : size] = 0;
	strcpy(strrchr(path, '/') + 1, "atfork_plugin");
	plugin = dlopen(path, RTLD_NOW);
	plugin_note = plugin ? dlsym(plugin, "plugin_note") : NULL;
	if (!plugin_note) {
		printf("no plugin\n");
		exit(96);
	}
	*plugin_note = note;
	return plugin;
}

HELPER void plugin_register(void *plugin)
{
	int (*add)(void) = (int (*)(void))dlsym(plugin, "plugin_register");

	expect(add && !add(), "plugin_register");
}

/* One fork; parent and child say what they noted. */
HELPER void fork_once(void)
{
	pid_t pid = xfork();

	if (pid == 0) {
		print_noted("child");
		_exit(0);
	}
	print_status("child", 0, wait_for(pid));
	print_noted("parent");
}

#endif
