/* SPDX-License-Identifier: MIT */
/*
 * fork_daemon [COUNT]: a child whose own children outlive it, while the parent spawns COUNT others at one
 * site: the orphans are nobody's business here, and wait() ends when the parent's own children have.
 */
#include "victim.h"

int main(int argc, char **argv)
{
	int count = number_argument(argc, argv, 1, 200), i, strangers = 0;
	char *args[] = { "/bin/true", NULL };
	pid_t maker, pid;

	setvbuf(stdout, NULL, _IONBF, 0);
	maker = fork();
	if (maker == 0) {
		for (i = 0; i < 200; i++) {
			pid_t between = fork();

			if (between == 0) {
				if (fork() == 0) {
					usleep(1000);
					_exit(0);
				}
				_exit(0);
			}
			wait_for(between);
		}
		_exit(0);
	}
	for (i = 0; i < count; i++) {
		pid = xfork();
		if (pid == 0) {
			execv(args[0], args);
			_exit(127);
		}
		wait_for(pid);
	}
	while ((pid = wait(NULL)) > 0)
		strangers += pid != maker;
	expect(strangers == 0, "only the parent's own children were waited for");
	printf("%d children\n", count);
	return victim_faults != 0;
}
