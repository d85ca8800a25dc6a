/* SPDX-License-Identifier: MIT */
/*
 * wrapper_mixed [COUNT [PROGRAM]]: one xfork() serves two callers: children of `spawner` execute, those
 * of `worker` never do, and change what they inherited.
 */
#include "victim.h"

static volatile int jobs;

HELPER int spawner(char *program)
{
	char *args[] = { program, NULL };
	pid_t pid = xfork();

	if (pid == 0) {
		execv(program, args);
		_exit(127);
	}
	return wait_for(pid);
}

HELPER int worker(int job)
{
	pid_t pid = xfork();

	if (pid == 0) {
		jobs += job + 1;
		_exit(jobs);
	}
	return wait_for(pid);
}

int main(int argc, char **argv)
{
	int count = number_argument(argc, argv, 1, 10);
	char *program = argc > 2 ? argv[2] : "/bin/true";
	int i;

	setvbuf(stdout, NULL, _IONBF, 0);
	for (i = 0; i < count; i++) {
		print_status("spawned", i, spawner(program));
		print_status("worked", i, worker(i));
		expect(jobs == 0, "a worker's write is seen");
	}
	return victim_faults != 0;
}
