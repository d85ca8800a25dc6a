/* SPDX-License-Identifier: MIT */
/*
 * fork_paths PATHS [THREADS]: one child for each letter of PATHS, all of one call of fork(). A: dup2, execv.
 * B: chdir, a store to static data, execv. C: dup2, chdir, execv. D: malloc, execv. The parent's data stays
 * its own.
 */
#include <pthread.h>

#include "victim.h"

static char *const args[] = { "/bin/true", NULL };
static volatile int flag = 5;

static void *idle(void *unused)
{
	(void)unused;
	for (;;)
		pause();
	return NULL;
}

static void child(char path)
{
	if (path == 'A' || path == 'C')
		dup2(1, 9);
	if (path == 'B' || path == 'C') {
		if (chdir("/"))
			_exit(126);
	}
	if (path == 'B')
		flag = 99;
	if (path == 'D' && !malloc(100))
		_exit(125);
	execv(args[0], args);
	_exit(127);
}

int main(int argc, char **argv)
{
	const char *paths = string_argument(argc, argv, 1, "AAAAAABBCC");
	int threads = number_argument(argc, argv, 2, 0), i;
	pthread_t thread;
	pid_t pid;

	setvbuf(stdout, NULL, _IONBF, 0);
	for (i = 0; i < threads; i++)
		if (pthread_create(&thread, NULL, idle, NULL))
			return 99;
	for (i = 0; paths[i]; i++) {
		pid = xfork();
		if (pid == 0)
			child(paths[i]);
		print_status("child", i, wait_for(pid));
		expect(flag == 5, "the parent's flag is its own");
	}
	return victim_faults != 0;
}
