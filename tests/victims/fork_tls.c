/* SPDX-License-Identifier: MIT */
/*
 * fork_tls [COUNT [PROGRAM]]: the child writes thread-local variables before exec, of the program's main
 * thread, then of another one; the parent's thread keeps its own.
 */
#include <pthread.h>

#include "victim.h"

static __thread volatile long first = 7;
static __thread volatile char large[600];
static __thread volatile int last;

static char *program = "/bin/true";
static int count;

static void *spawn_all(void *unused)
{
	char *args[] = { program, NULL };
	int i;

	(void)unused;
	for (i = 0; i < count; i++) {
		pid_t pid;

		last = i;
		errno = EDOM;
		pid = xfork();
		if (pid == 0) {
			first = -1;
			large[300] = 1;
			last = -1;
			errno = ERANGE;
			execv(program, args);
			_exit(127);
		}
		expect(errno == EDOM, "errno is the child's");
		print_status("child", i, wait_for(pid));
		expect(first == 7 && !large[300] && last == i, "a variable is the child's");
	}
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	count = number_argument(argc, argv, 1, 8);
	program = argc > 2 ? argv[2] : program;
	setvbuf(stdout, NULL, _IONBF, 0);
	spawn_all(NULL);
	if (pthread_create(&thread, NULL, spawn_all, NULL) || pthread_join(thread, NULL))
		return 1;
	return victim_faults != 0;
}
