/* SPDX-License-Identifier: MIT */
/*
 * fork_leak WHERE [GOOD [THREADS]]: GOOD children only execute; those after them first store, with no call
 * that tells of it, into static data, the heap, thread-local storage, the frame of main(), or environ; or
 * nowhere: none.
 */
#include <pthread.h>

#include "victim.h"

static char *const args[] = { "/bin/true", NULL };
static char *empty[] = { NULL };
static volatile int data[2048] = { 1 };
static __thread volatile int own = 1;

static void *idle(void *unused)
{
	(void)unused;
	for (;;)
		pause();
	return NULL;
}

int main(int argc, char **argv)
{
	const char *where = string_argument(argc, argv, 1, "none");
	int good = number_argument(argc, argv, 2, 6), threads = number_argument(argc, argv, 3, 0),
	    i;
	volatile int *heap = calloc(4096, 1);
	volatile int frame[64] = { 0 };
	pthread_t thread;
	pid_t pid;

	setvbuf(stdout, NULL, _IONBF, 0);
	for (i = 0; i < threads; i++)
		if (pthread_create(&thread, NULL, idle, NULL))
			return 99;
	for (i = 0; i <= good; i++) {
		pid = xfork();
		if (pid == 0) {
			if (i == good) {
				if (!strcmp(where, "static"))
					data[1024] = 9;
				else if (!strcmp(where, "heap"))
					heap[512] = 9;
				else if (!strcmp(where, "thread"))
					own = 9;
				else if (!strcmp(where, "frame"))
					frame[32] = 9;
				else if (!strcmp(where, "environ"))
					environ = empty;
			}
			execv(args[0], args);
			_exit(127);
		}
		print_status("child", i, wait_for(pid));
	}
	expect(data[1024] + heap[512] + frame[32] == 0 && own == 1 && environ != empty,
	       "the parent's memory is its own");
	return victim_faults != 0;
}
