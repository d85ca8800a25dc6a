/* SPDX-License-Identifier: MIT */
/*
 * fork_killed GOOD SIGNAL: GOOD children at one site execute, then one dies there by SIGNAL before exec
 * (11: by a store to address zero), then one more executes. The parent sees each end once, by wait and
 * by SIGCHLD.
 */
#include <sys/resource.h>

#include "victim.h"

static volatile sig_atomic_t signals;
static int *volatile nowhere;

static void on_child(int signal)
{
	(void)signal;
	signals++;
}

int main(int argc, char **argv)
{
	int good = number_argument(argc, argv, 1, 5);
	int deadly = number_argument(argc, argv, 2, SIGKILL);
	struct sigaction action = { .sa_handler = on_child, .sa_flags = SA_RESTART };
	struct rlimit no_core = { 0, 0 };
	char *args[] = { "/bin/true", NULL };
	int i;

	setvbuf(stdout, NULL, _IONBF, 0);
	setrlimit(RLIMIT_CORE, &no_core);
	sigaction(SIGCHLD, &action, NULL);
	for (i = 0; i < good + 2; i++) {
		pid_t pid = xfork();

		if (pid == 0) {
			if (i == good && deadly == SIGSEGV)
				*nowhere = 1;
			else if (i == good)
				kill(getpid(), deadly);
			execv(args[0], args);
			_exit(127);
		}
		print_status("child", i, wait_for(pid));
	}
	printf("%d children, %d SIGCHLD\n", good + 2, (int)signals);
	errno = 0;
	expect(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "a child is left");
	expect(signals == good + 2, "SIGCHLD does not match the children");
	return victim_faults != 0;
}
