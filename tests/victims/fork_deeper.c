/* SPDX-License-Identifier: MIT */
/*
 * fork_deeper [COUNT]: the child does what glib's, CPython's and Ruby's do and a site may still be fast for: it
 * executes from a buffer on its stack, below the stack pointer with which fork() returned, and sorts a few
 * things, which ends in free(NULL).
 */
#include <alloca.h>

#include "victim.h"

static int ascending(const void *a, const void *b)
{
	return *(const int *)a - *(const int *)b;
}

int main(int argc, char **argv)
{
	int count = number_argument(argc, argv, 1, 10);
	int i;

	setvbuf(stdout, NULL, _IONBF, 0);
	for (i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			int order[] = { 3, 1, 2 };
			char *command = alloca(200);

			qsort(order, 3, sizeof(*order), ascending);
			memset(command, ' ', 200);
			strcpy(command + 100, "exit 3");
			execl("/bin/sh", "sh", "-c", command + 100 * (order[0] == 1), NULL);
			_exit(127);
		}
		print_status("child", i, wait_for(pid));
	}
	return victim_faults != 0;
}
