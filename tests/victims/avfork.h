/* SPDX-License-Identifier: MIT */
/*
 * What the victims share that use avfork(): the functions, found in the shim that is preloaded.
 */
#ifndef AVFORK_VICTIM_H
#define AVFORK_VICTIM_H

#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../shim/avfork.h"
#include "victim.h"

/* In the shim that is preloaded, or, where AVFORK_LIBRARY names it, loaded now. Exits with 77 where neither is so. */
HELPER void *avfork_find(const char *name)
{
	const char *library = getenv("AVFORK_LIBRARY");
	void *found = dlsym(library ? dlopen(library, RTLD_NOW) : RTLD_DEFAULT, name);

	if (!found) {
		printf("no %s\n", name);
		exit(77);
	}
	return found;
}

#define AVFORK_FIND(name) ((__typeof__(&name))avfork_find(#name))

HELPER pid_t start(int (*routine)(void *), void *argument)
{
	static __typeof__(&avfork) call;
	pid_t pid;

	if (!call)
		call = AVFORK_FIND(avfork);
	pid = call(routine, argument);
	if (pid < 0) {
		printf("avfork: %s\n", strerror(errno));
		exit(96);
	}
	return pid;
}

/* Lines of /proc/self/maps. */
HELPER int mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	int lines = 0, c;

	while (maps && (c = getc(maps)) != EOF)
		lines += c == '\n';
	if (maps)
		fclose(maps);
	return lines;
}

#endif
