/* SPDX-License-Identifier: MIT */
/*
 * fork_exec [COUNT [PROGRAM]]: a clean spawn. The child returns from the function that forked, changes
 * locals of main, and executes PROGRAM; the parent's locals must not change.
 */
#include "victim.h"

int main(int argc, char **argv)
{
	int count = number_argument(argc, argv, 1, 10);
	char *program = argc > 2 ? argv[2] : "/bin/true";
	char *args[] = { program, NULL };
	volatile long guard[4] = { 11, 22, 33, 44 };
	volatile int round;

	setvbuf(stdout, NULL, _IONBF, 0);
	for (round = 0; round < count; round++) {
		volatile int here = round;
		pid_t pid = xfork();

		if (pid == 0) {
			guard[0] = guard[1] = guard[2] = guard[3] = -1;
			here = -1;
			round = count;
			execv(program, args);
			_exit(127);
		}
		expect(here == round, "a local of the loop changed");
		print_status("child", here, wait_for(pid));
	}
	expect(guard[0] == 11 && guard[1] == 22 && guard[2] == 33 && guard[3] == 44,
	       "a local of main changed");
	expect(round == count, "the loop ended early");
	printf("%d spawns\n", count);
	return victim_faults != 0;
}
