/* SPDX-License-Identifier: MIT */
/*
 * vfork_exit FAULT PLACE: the vfork child calls exit(3).
 *
 *   status   with status 7
 *   failed   with 127, after an exec that failed: the usual way
 *   wide     with a status of which wait() shows 8 bits
 *   twin     _exit(7)
 *
 * Bare, the parent's atexit handler runs in the child, and not in the parent: the list of them is used up. The text
 * that the parent has buffered is written by the child.
 */
#include "vfork.h"

FAULT(status, exit(7))
FAULT(failed, execv("/nonexistent/program", program_args); exit(127))
FAULT(wide, exit(0x1ff))

static const struct fault faults[] = {
	ROW(status, NULL),
	ROW(failed, NULL),
	ROW(wide, NULL),
};

static pid_t main_pid;
static char pending[BUFSIZ];

static void say(const char *text)
{
	if (write(1, text, strlen(text)) < 0)
		_exit(96);
}

static void handler(void)
{
	say(getpid() == main_pid ? "handler in the parent\n" : "handler in the child\n");
}

static void child_twin(void)
{
	_exit(7);
}

static const struct fault *find(const char *name)
{
	int i;

	for (i = 0; i < COUNT(faults); i++)
		if (!strcmp(faults[i].name, name))
			return &faults[i];
	return NULL;
}

int main(int argc, char **argv)
{
	const struct fault *fault = find(string_argument(argc, argv, 1, "twin"));
	int status;
	pid_t pid;

	program = quick_program();
	main_pid = getpid();
	atexit(handler);
	setvbuf(stdout, pending, _IOFBF, sizeof(pending));
	printf("pending text\n");
	if (!fault)
		pid = start(child_twin);
	else
		pid = strcmp(string_argument(argc, argv, 2, "same"), "same") ? fault->callee() :
									       fault->same();
	status = wait_for(pid);
	dprintf(1, "child exit %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	return 0;
}
