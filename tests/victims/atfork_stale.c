/* SPDX-License-Identifier: MIT */
/*
 * atfork_stale WHAT: handlers in a plugin that is unloaded before the fork.
 *
 *   stale    main registered them on the plugin's behalf: libc keeps them
 *   old      they were registered by pthread_atfork@GLIBC_2.2.5, which knows no object
 *   parent   only a parent handler is stale
 *   clean    the plugin registered its own: they went with it
 *   loaded   as stale, but the plugin is still there, and another one was unloaded
 *   again    as stale, but the plugin is loaded again, where it was
 *   code     made at run time, in memory of no object; the plugin was unloaded meanwhile
 */
#include <sys/mman.h>

#include "atfork.h"

typedef void handler(void);

#if defined(__x86_64__)
int old_atfork(handler *, handler *, handler *);
__asm__(".symver old_atfork, pthread_atfork@GLIBC_2.2.5");
#define HAS_OLD 1
#else
#define HAS_OLD 0
#define old_atfork pthread_atfork
#endif

static handler *find(void *plugin, const char *name)
{
	return (handler *)dlsym(plugin, name);
}

static handler *make_code(void)
{
#if defined(__x86_64__)
	static const unsigned char code[] = { 0xc3 };
#else
	static const unsigned char code[] = { 0xc0, 0x03, 0x5f, 0xd6 };
#endif
	void *memory = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		exit(95);
	memcpy(memory, code, sizeof(code));
	mprotect(memory, 4096, PROT_READ | PROT_EXEC);
	return (handler *)memory;
}

HANDLERS(a, 'A', 'a', '1')

int main(int argc, char **argv)
{
	const char *what = string_argument(argc, argv, 1, "stale");
	handler *prepare, *parent, *child;
	void *plugin = plugin_open();

	setvbuf(stdout, NULL, _IONBF, 0);
	prepare = find(plugin, "plugin_prepare");
	parent = find(plugin, "plugin_parent");
	child = find(plugin, "plugin_child");
	REGISTER(a);
	if (!strcmp(what, "clean")) {
		plugin_register(plugin);
	} else if (!strcmp(what, "old")) {
		if (!HAS_OLD)
			return 77;
		old_atfork(prepare, parent, child);
	} else if (!strcmp(what, "code")) {
		pthread_atfork(make_code(), make_code(), make_code());
		note('m');
	} else if (!strcmp(what, "parent")) {
		pthread_atfork(NULL, parent, NULL);
	} else {
		pthread_atfork(prepare, parent, child);
	}
	if (strcmp(what, "loaded"))
		dlclose(plugin);
	else
		dlclose(dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL));
	if (!strcmp(what, "again") && find(plugin_open(), "plugin_prepare") != prepare)
		return 77;
	fork_once();
	fork_once();
	return victim_faults;
}
