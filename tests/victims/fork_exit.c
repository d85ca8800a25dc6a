/* SPDX-License-Identifier: MIT */
/*
 * fork_exit [GOOD]: GOOD children at one site execute, the next one calls exit(3) there: its exit
 * handlers run and its stdio is flushed, in it and only in it. stdout is buffered on purpose.
 */
#include "victim.h"

static pid_t parent;

static void handler(void)
{
	printf("exit handler of the %s\n", getpid() == parent ? "parent" : "child");
}

int main(int argc, char **argv)
{
	int good = number_argument(argc, argv, 1, 0);
	char *args[] = { "/bin/true", NULL };
	int i;

	setvbuf(stdout, NULL, _IOFBF, BUFSIZ);
	parent = getpid();
	atexit(handler);
	for (i = 0; i <= good; i++) {
		pid_t pid;

		fflush(stdout);
		pid = xfork();
		if (pid == 0) {
			if (i < good)
				execv(args[0], args);
			exit(3);
		}
		print_status("child", i, wait_for(pid));
	}
	return victim_faults != 0;
}
