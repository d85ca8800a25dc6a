/* SPDX-License-Identifier: MIT */
/*
 * fork_execfail [GOOD [PROGRAM]]: GOOD children at one site execute PROGRAM, then two execute a path that
 * does not exist, by execv and by execvp: each prints the error through stdio, counts it in static data,
 * and ends with 127.
 */
#include "victim.h"

static volatile int failures;

int main(int argc, char **argv)
{
	int good = number_argument(argc, argv, 1, 5);
	char *program = argc > 2 ? argv[2] : "/bin/true";
	int i;

	setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
	for (i = 0; i < good + 2; i++) {
		char *path = i < good  ? program :
			     i == good ? "/nonexistent/program" :
					 "no-such-program-anywhere";
		char *args[] = { path, NULL };
		pid_t pid = xfork();

		if (pid == 0) {
			execvp(path, args);
			failures = failures + 1;
			printf("%s: %s\n", path, strerror(errno));
			fflush(stdout);
			_exit(127);
		}
		print_status("child", i, wait_for(pid));
		expect(failures == 0, "the child's count of failures is seen");
	}
	return victim_faults != 0;
}
