/* SPDX-License-Identifier: MIT */
/* A child of avfork() that makes a call that it must not make: avfork_unsafe exit|malloc|thread|map|none. */
#include <sys/mman.h>

#include "avfork.h"

static void at_exit(void)
{
	puts("exit handler");
}

static void *thread_main(void *argument)
{
	return argument;
}

static int child(void *argument)
{
	const char *call = argument;
	pthread_t thread;
	void *volatile block;

	if (!strcmp(call, "exit"))
		exit(4);
	if (!strcmp(call, "malloc")) {
		block = malloc(16);
		free(block);
	}
	if (!strcmp(call, "thread") && pthread_create(&thread, NULL, thread_main, NULL))
		return 5;
	if (!strcmp(call, "map") && mprotect(NULL, 0, PROT_NONE))
		return 6;
	return 4;
}

int main(int argc, char **argv)
{
	int status;

	if (argc < 2)
		return 95;
	atexit(at_exit);
	/* Buffered: a child that flushes would write it first. */
	printf("parent writes\n");
	status = wait_for(start(child, argv[1]));
	print_status("child", 1, status);
	return 0;
}
