/* SPDX-License-Identifier: MIT */
/*
 * fork_environ [COUNT]: as libuv does it, the child points `environ` at its own array and executes
 * env(1) through execvp. The parent's pointer and its environment must stay.
 */
#include "victim.h"

extern char **environ;

int main(int argc, char **argv)
{
	int count = number_argument(argc, argv, 1, 8);
	char *args[] = { "env", NULL };
	char **before = environ;
	int i;

	setvbuf(stdout, NULL, _IONBF, 0);
	setenv("VICTIM_OF", "parent", 1);
	before = environ;
	for (i = 0; i < count; i++) {
		char *own[] = { "PATH=/usr/bin:/bin", "VICTIM_OF=child", NULL };
		pid_t pid = xfork();

		if (pid == 0) {
			environ = own;
			execvp(args[0], args);
			_exit(127);
		}
		print_status("child", i, wait_for(pid));
		expect(environ == before, "environ changed in the parent");
		expect(!strcmp(getenv("VICTIM_OF"), "parent"), "getenv changed in the parent");
	}
	return victim_faults != 0;
}
