/* SPDX-License-Identifier: MIT */
/*
 * fork_noexec [COUNT]: the child never executes anything. It computes, and ends with status 7.
 */
#include "victim.h"

static volatile unsigned sum;

int main(int argc, char **argv)
{
	int count = number_argument(argc, argv, 1, 10);
	int i;

	setvbuf(stdout, NULL, _IONBF, 0);
	for (i = 0; i < count; i++) {
		pid_t pid = xfork();

		if (pid == 0) {
			unsigned n;

			for (n = 0; n < 100000; n++)
				sum += n;
			_exit(sum == 704982704 ? 7 : 1);
		}
		print_status("child", i, wait_for(pid));
	}
	expect(sum == 0, "the child's sum is seen");
	return victim_faults != 0;
}
