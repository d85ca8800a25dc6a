/* SPDX-License-Identifier: MIT */
/*
 * fork_signals [COUNT]: what the executed program inherits of signals: the handler of SIGUSR1 becomes the
 * default, SIGUSR2 stays blocked, SIGPIPE ignored; the child also unblocks SIGHUP and ignores SIGINT for
 * itself. The parent's own must be as before.
 */
#include "victim.h"

static void handler(int signal)
{
	(void)signal;
}

int main(int argc, char **argv)
{
	int count = number_argument(argc, argv, 1, 8);
	char *args[] = { "grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status", NULL };
	struct sigaction action = { .sa_handler = handler }, now;
	sigset_t blocked, hangup, after;
	int i;

	setvbuf(stdout, NULL, _IONBF, 0);
	sigaction(SIGUSR1, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&hangup);
	sigaddset(&hangup, SIGHUP);
	blocked = hangup;
	sigaddset(&blocked, SIGUSR2);
	sigprocmask(SIG_SETMASK, &blocked, NULL);
	for (i = 0; i < count; i++) {
		pid_t pid = xfork();

		if (pid == 0) {
			sigprocmask(SIG_UNBLOCK, &hangup, NULL);
			signal(SIGINT, SIG_IGN);
			execv("/bin/grep", args);
			_exit(127);
		}
		print_status("child", i, wait_for(pid));
		sigprocmask(SIG_SETMASK, NULL, &after);
		expect(sigismember(&after, SIGHUP) && sigismember(&after, SIGUSR2) &&
			       !sigismember(&after, SIGTERM) && !sigismember(&after, SIGCHLD),
		       "the parent's mask changed");
		sigaction(SIGINT, NULL, &now);
		expect(now.sa_handler == SIG_DFL, "the parent's SIGINT changed");
		sigaction(SIGUSR1, NULL, &now);
		expect(now.sa_handler == handler, "the parent's handler changed");
	}
	return victim_faults != 0;
}
