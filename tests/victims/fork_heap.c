/* SPDX-License-Identifier: MIT */
/*
 * fork_heap [COUNT [PROGRAM]]: the child writes memory from malloc before exec, without calling malloc;
 * the parent must keep its own.
 */
#include "victim.h"

int main(int argc, char **argv)
{
	int count = number_argument(argc, argv, 1, 10);
	char *program = argc > 2 ? argv[2] : "/bin/true";
	char *args[] = { program, NULL };
	volatile int *small = calloc(4, sizeof(*small));
	volatile char *large = calloc(1, 1 << 20);
	int i;

	setvbuf(stdout, NULL, _IONBF, 0);
	if (!small || !large)
		return 1;
	for (i = 0; i < count; i++) {
		pid_t pid = xfork();

		if (pid == 0) {
			small[2] = small[2] + 1;
			large[12345] = 1;
			execv(program, args);
			_exit(127);
		}
		print_status("child", i, wait_for(pid));
		expect(small[2] == 0, "the child's write to a small block is seen");
		expect(large[12345] == 0, "the child's write to a large block is seen");
	}
	printf("heap %d\n", small[2]);
	return victim_faults != 0;
}
