/* SPDX-License-Identifier: MIT */
/*
 * vfork_signal_handler FAULT PLACE: a handler of the parent is due in the vfork child. It counts, in the parent's memory.
 *
 *   self    the child signals itself, and executes a program
 *   exits   the child signals itself, and ends
 *   group   the child signals its process group: the parent's turn comes too, once
 *   sent    another thread of the parent signals the child while that waits
 *   twin    the child has reset the signal, as it should
 *   twin blocked   the signal is blocked from before vfork() until it is reset
 *
 * Bare, the parent has counted what it never got.
 */
#include "vfork.h"

static volatile sig_atomic_t handled;

FAULT(self, kill(getpid(), SIGURG))
FAULT(exits, kill(getpid(), SIGUSR1); _exit(5))
FAULT(group, kill(0, SIGWINCH))
FAULT(sent, _exit(meet()))

static void handler(int signal)
{
	(void)signal;
	handled++;
}

static void look(void)
{
	printf("parent handled %d\n", (int)handled);
}

static const struct fault faults[] = {
	ROW(self, look),
	ROW(exits, look),
	ROW(group, look),
	ROW(sent, look),
};

static void *send(void *unused)
{
	kill_one(met(), SIGUSR1);
	usleep(50000);
	release(3);
	return unused;
}

static void child_twin(void)
{
	signal(SIGURG, SIG_DFL);
	signal(SIGUSR1, SIG_IGN);
	kill(getpid(), SIGURG);
	kill(getpid(), SIGUSR1);
	execute();
}

static void child_blocked(void)
{
	struct sigaction action = { .sa_handler = SIG_IGN };
	sigset_t none;

	kill(getpid(), SIGUSR1);
	sigaction(SIGUSR1, &action, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	execute();
}

int main(int argc, char **argv)
{
	static const int signals[] = { SIGURG, SIGUSR1, SIGWINCH };
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };
	sigset_t all, old;
	pthread_t thread;
	int i;

	setup();
	setpgid(0, 0);
	meet_setup();
	for (i = 0; i < COUNT(signals); i++)
		sigaction(signals[i], &action, NULL);
	if (!strcmp(string_argument(argc, argv, 1, ""), "sent") &&
	    pthread_create(&thread, NULL, send, NULL))
		return 97;
	if (!is_twin(argc, argv))
		return commit(faults, COUNT(faults), argc, argv);
	if (!strcmp(string_argument(argc, argv, 2, ""), "blocked")) {
		sigfillset(&all);
		sigprocmask(SIG_SETMASK, &all, &old);
		finish(start(child_blocked));
		sigprocmask(SIG_SETMASK, &old, NULL);
	} else {
		finish(start(child_twin));
	}
	look();
	return 0;
}
