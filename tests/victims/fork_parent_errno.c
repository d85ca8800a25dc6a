/* SPDX-License-Identifier: MIT */
/*
 * fork_parent_errno [COUNT [PROGRAM]]: a fork() that succeeds leaves errno alone, and what the child does
 * to its errno is not seen.
 */
#include "victim.h"

int main(int argc, char **argv)
{
	int count = number_argument(argc, argv, 1, 8);
	char *program = argc > 2 ? argv[2] : "/bin/true";
	char *args[] = { program, NULL };
	int i;

	setvbuf(stdout, NULL, _IONBF, 0);
	for (i = 0; i < count; i++) {
		int seen;
		pid_t pid;

		errno = 1234;
		pid = xfork();
		seen = errno;
		if (pid == 0) {
			if (seen == 1234) {
				close(-1);
				execv(program, args);
			}
			_exit(1);
		}
		printf("errno %d\n", seen);
		expect(seen == 1234, "errno changed in the parent");
		print_status("child", i, wait_for(pid));
	}
	return victim_faults != 0;
}
