/* SPDX-License-Identifier: MIT */
/*
 * fork_atfork [COUNT [PROGRAM]]: handlers A and B note when they run; the parent prints what it saw. A
 * child that does not execute (the last) prints what it saw itself.
 */
#include <pthread.h>

#include "victim.h"

static char order[256];
static size_t length;

static void note(char letter)
{
	if (length < sizeof(order) - 1)
		order[length++] = letter;
}

static void prepare_a(void)
{
	note('A');
}

static void parent_a(void)
{
	note('a');
}

static void child_a(void)
{
	note('1');
}

static void prepare_b(void)
{
	note('B');
}

static void parent_b(void)
{
	note('b');
}

static void child_b(void)
{
	note('2');
}

int main(int argc, char **argv)
{
	int count = number_argument(argc, argv, 1, 8);
	char *program = argc > 2 ? argv[2] : "/bin/true";
	char *args[] = { program, NULL };
	int i;

	setvbuf(stdout, NULL, _IONBF, 0);
	pthread_atfork(prepare_a, parent_a, child_a);
	pthread_atfork(prepare_b, parent_b, child_b);
	for (i = 0; i <= count; i++) {
		pid_t pid;

		memset(order, 0, sizeof(order));
		length = 0;
		pid = xfork();
		if (pid == 0) {
			if (i < count)
				execv(program, args);
			printf("child saw %s\n", order);
			_exit(0);
		}
		print_status("child", i, wait_for(pid));
		printf("parent saw %s\n", order);
	}
	return 0;
}
