/* SPDX-License-Identifier: MIT */
/*
 * vfork_wrote_memory FAULT PLACE: the vfork child changes static data.
 *
 *   data     an int of .data
 *   bss      the flag `in_child` of .bss, as programs have it whose die() asks
 *   byte     one byte in the middle of a large table
 *   wide     eight bytes
 *   inner    a variable static in a function
 *   environ  the variable, assigned
 *   library_data, library_bss   of a shared library, directly and by a function of it
 *   twin     the child reads them all, and writes to memory that is meant for both
 *
 * Bare, the parent finds the child's value: it takes itself for the child, or has lost its environment.
 */
#include <dlfcn.h>

#include "vfork.h"

static volatile int counter = 7;
static volatile int in_child;
static volatile char table[256 << 10];
static volatile long wide = 7;
static char *no_environment[] = { NULL };

static volatile int *library_data;
static void (*library_set)(int);
static int (*library_get)(void);

HELPER int count_call(int more)
{
	static volatile int calls = 3;

	calls += more;
	KEEP();
	return calls;
}

FAULT(data, counter = 8)
FAULT(bss, in_child = 1)
FAULT(byte, table[sizeof(table) / 2 + 1] = 1)
FAULT(wide, wide = 0x0123456789abcdef)
FAULT(inner, count_call(1))
FAULT(environ, environ = no_environment)
FAULT(library_data, *library_data = 8)
FAULT(library_bss, library_set(1))

static void look(void)
{
	volatile char any = 0;
	unsigned i;

	for (i = 0; i < sizeof(table); i++)
		any |= table[i];
	printf("parent sees counter %d in_child %d table %d wide %ld calls %d environ %s library %d %d\n",
	       counter, in_child, any, wide, count_call(0), getenv("PARENT") ? "whole" : "lost",
	       *library_data, library_get());
}

static const struct fault faults[] = {
	ROW(data, look),  ROW(bss, look),     ROW(byte, look),	       ROW(wide, look),
	ROW(inner, look), ROW(environ, look), ROW(library_data, look), ROW(library_bss, look),
};

static volatile int *shared;

static void child_twin(void)
{
	*shared =
		counter + in_child + count_call(0) + library_get() + table[9] + !!getenv("PARENT");
	execute();
}

static void *library_open(void)
{
	char path[PATH_MAX];
	ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 32);

	path[size > 0 ? size : 0] = 0;
	strcpy(strrchr(path, '/') + 1, "vfork_library");
	return dlopen(path, RTLD_NOW);
}

int main(int argc, char **argv)
{
	void *library;

	setup();
	setenv("PARENT", "1", 1);
	library = library_open();
	library_data = library ? dlsym(library, "library_data") : NULL;
	if (!library_data) {
		printf("no library\n");
		return 96;
	}
	*(void **)&library_set = dlsym(library, "library_set");
	*(void **)&library_get = dlsym(library, "library_get");
	if (!is_twin(argc, argv))
		return commit(faults, COUNT(faults), argc, argv);
	shared = shared_memory(sizeof(*shared));
	finish(start(child_twin));
	look();
	printf("parent sees %d\n", *shared);
	return 0;
}
