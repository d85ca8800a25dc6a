/* SPDX-License-Identifier: MIT */
/*
 * fork_blocks [COUNT [PROGRAM]]: the child waits for its parent before exec: it reads a byte that the
 * parent writes after fork() returned. With its memory shared and its caller held this would never end.
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
		int ends[2];
		pid_t pid;

		if (pipe(ends))
			return 1;
		pid = xfork();
		if (pid == 0) {
			char byte;

			close(ends[1]);
			if (read(ends[0], &byte, 1) != 1)
				_exit(1);
			execv(program, args);
			_exit(127);
		}
		close(ends[0]);
		expect(write(ends[1], "x", 1) == 1, "the pipe is broken");
		close(ends[1]);
		print_status("child", i, wait_for(pid));
	}
	return victim_faults != 0;
}
