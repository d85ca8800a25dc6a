/* SPDX-License-Identifier: MIT */
/*
 * fork_static [COUNT [PROGRAM]]: the child writes static data before exec; the parent must keep its own.
 */
#include "victim.h"

static volatile int children;	    /* bss */
static volatile long last_pid = 42; /* data */

int main(int argc, char **argv)
{
	int count = number_argument(argc, argv, 1, 10);
	char *program = argc > 2 ? argv[2] : "/bin/true";
	char *args[] = { program, NULL };
	int i;

	setvbuf(stdout, NULL, _IONBF, 0);
	for (i = 0; i < count; i++) {
		pid_t pid = xfork();

		if (pid == 0) {
			children = children + 1;
			last_pid = -1;
			execv(program, args);
			_exit(127);
		}
		print_status("child", i, wait_for(pid));
		expect(children == 0, "the child's write to bss is seen");
		expect(last_pid == 42, "the child's write to data is seen");
	}
	printf("static %d %ld\n", children, last_pid);
	return victim_faults != 0;
}
