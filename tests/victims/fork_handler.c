/* SPDX-License-Identifier: MIT */
/*
 * fork_handler WHAT [COUNT [FROM]]: children print what they were given. Before the FROMth one (the first,
 * unless told) a handler is registered that, in the child: `umask` sets the umask, `close` closes
 * descriptor 7, `environ` puts a variable into the environment, `own` does nothing that the program sees.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#include "victim.h"

static char *const args[] = { "/bin/sh", "-c",
			      "umask; [ -e /proc/self/fd/7 ] && echo open; echo $FORK_HANDLER",
			      NULL };
static const char *what;
static volatile int own;

static void in_child(void)
{
	if (!strcmp(what, "umask"))
		umask(027);
	else if (!strcmp(what, "close"))
		close(7);
	else if (!strcmp(what, "environ"))
		putenv("FORK_HANDLER=child");
	else
		own = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int main(int argc, char **argv)
{
	int count = number_argument(argc, argv, 2, 8), from = number_argument(argc, argv, 3, 0), i;

	what = string_argument(argc, argv, 1, "own");
	setvbuf(stdout, NULL, _IONBF, 0);
	umask(022);
	setenv("FORK_HANDLER", "parent", 1);
	if (dup2(1, 7) < 0)
		return 99;
	for (i = 0; i < count; i++) {
		pid_t pid;

		if (i == from)
			pthread_atfork(NULL, NULL, in_child);
		pid = xfork();
		if (pid == 0) {
			execv(args[0], args);
			_exit(127);
		}
		print_status("child", i, wait_for(pid));
	}
	return 0;
}
