/* SPDX-License-Identifier: MIT */
/*
 * What sigaction() and its kin tell is what was set; and what was set takes place: each flag, one-shot handlers, masks,
 * real-time signals with their values, handlers across fork(), vfork() and exec. No handler here calls anything unsafe.
 */
#include <sys/syscall.h>

#include "victim.h"

static volatile sig_atomic_t came, depth, deepest, value;
static char *self;

static void on_one(int signal)
{
	came = came * 100 + signal;
}

static void on_other(int signal)
{
	came = -signal;
}

static void on_value(int signal, siginfo_t *info, void *context)
{
	came = signal;
	value = context ? info->si_value.sival_int : 0;
}

static void on_deep(int signal)
{
	depth++;
	if (depth > deepest)
		deepest = depth;
	if (came++ < 2)
		raise(signal);
	depth--;
}

static void on_set(int signal)
{
	struct sigaction action = { .sa_handler = on_one };

	came = -1;
	sigaction(signal, &action, NULL);
}

typedef void handler_function(int);

static handler_function *asked(int signal)
{
	struct sigaction action;

	expect(!sigaction(signal, NULL, &action), "ask");
	return action.sa_handler;
}

static void told(void)
{
	struct sigaction action = { .sa_handler = on_one,
				    .sa_flags = SA_RESTART | SA_NODEFER | SA_ONSTACK },
			 old, *volatile same = &action;

	sigaddset(&action.sa_mask, SIGTERM);
	sigaddset(&action.sa_mask, SIGRTMAX);
	expect(!sigaction(SIGUSR1, &action, &old) && old.sa_handler == SIG_DFL, "first");
	expect(!sigaction(SIGUSR1, NULL, &old) && old.sa_handler == on_one, "handler");
	expect((old.sa_flags & ~0x4000000) == action.sa_flags, "flags");
	expect(sigismember(&old.sa_mask, SIGTERM) && sigismember(&old.sa_mask, SIGRTMAX) &&
		       !sigismember(&old.sa_mask, SIGINT),
	       "mask");
	/* The same struct both ways. */
	action.sa_handler = on_other;
	expect(!sigaction(SIGUSR1, same, same) && action.sa_handler == on_one, "both ways");
	expect(!sigaction(SIGUSR1, same, same) && action.sa_handler == on_other, "back");
	expect(signal(SIGUSR1, SIG_IGN) == on_one, "signal() of sigaction()");
	expect(signal(SIGUSR1, on_other) == SIG_IGN && signal(SIGUSR1, on_one) == on_other,
	       "signal()");
	expect(asked(SIGUSR1) == on_one, "sigaction() of signal()");
	expect(sigaction(SIGKILL, &action, NULL) == -1 && errno == EINVAL, "refused");
	expect(sigaction(4711, &action, NULL) == -1 && errno == EINVAL, "no signal");
	expect(signal(SIGSTOP, on_one) == SIG_ERR && errno == EINVAL, "refused too");
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
static void kin(void)
{
	sigset_t set;

	expect(sigset(SIGUSR2, on_one) == SIG_DFL && sigset(SIGUSR2, SIG_HOLD) == on_one, "sigset");
	raise(SIGUSR2);
	expect(!came, "held");
	expect(sigset(SIGUSR2, on_other) == SIG_HOLD, "was held");
	expect(came == -SIGUSR2, "sigset() lets it come");
	sigprocmask(SIG_SETMASK, NULL, &set);
	expect(!sigismember(&set, SIGUSR2), "sigset() unblocks");
	expect(asked(SIGUSR2) == on_other, "sigset");
	expect(!sigignore(SIGUSR2) && asked(SIGUSR2) == SIG_IGN, "sigignore");
	came = 0;
	expect(sysv_signal(SIGUSR2, on_one) == SIG_IGN, "sysv_signal");
	raise(SIGUSR2);
	expect(came == SIGUSR2 && asked(SIGUSR2) == SIG_DFL, "one shot");
}
#pragma GCC diagnostic pop

static void works(void)
{
	struct sigaction action = { .sa_handler = on_deep, .sa_flags = SA_NODEFER };
	union sigval sent = { .sival_int = 4711 };

	sigaction(SIGUSR1, &action, NULL);
	came = 0;
	raise(SIGUSR1);
	expect(deepest == 3, "SA_NODEFER");
	came = deepest = 0;
	action.sa_flags = 0;
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
	expect(deepest == 1, "no SA_NODEFER");
	action.sa_handler = on_other;
	action.sa_flags = (int)SA_RESETHAND;
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
	expect(came == -SIGUSR1 && asked(SIGUSR1) == SIG_DFL, "SA_RESETHAND");
	action.sa_flags = SA_SIGINFO;
	action.sa_sigaction = on_value;
	sigaction(SIGRTMAX, &action, NULL);
	sigqueue(getpid(), SIGRTMAX, sent);
	expect(came == SIGRTMAX && value == 4711, "value");
	came = 0;
	signal(SIGUSR1, on_set);
	raise(SIGUSR1);
	expect(came == -1 && asked(SIGUSR1) == on_one, "set by itself");
	came = 0;
	raise(SIGUSR1);
	expect(came == SIGUSR1, "the one that it set");
}

static void children(void)
{
	char number[16];
	pid_t pid;

	signal(SIGUSR1, on_one);
	signal(SIGUSR2, SIG_IGN);
	pid = xfork();
	if (!pid) {
		came = 0;
		raise(SIGUSR1);
		expect(came == SIGUSR1 && asked(SIGUSR1) == on_one, "inherited");
		signal(SIGUSR1, on_other);
		_exit(victim_faults);
	}
	expect(!wait_for(pid) && asked(SIGUSR1) == on_one, "fork");
	pid = vfork();
	if (!pid) {
		signal(SIGUSR1, on_other);
		signal(SIGUSR2, on_other);
		_exit(0);
	}
	expect(!wait_for(pid), "vfork");
	expect(asked(SIGUSR1) == on_one && asked(SIGUSR2) == SIG_IGN,
	       "a vfork child's are its own");
	came = 0;
	raise(SIGUSR1);
	expect(came == SIGUSR1, "mine");
	snprintf(number, sizeof(number), "%d", SIGUSR1);
	pid = xfork();
	if (!pid) {
		execl(self, self, number, (char *)NULL);
		_exit(99);
	}
	expect(!wait_for(pid), "exec resets");
}

/* As the kernel has it, with what no library sees. */
static void raw(void)
{
	struct {
		handler_function *handler;
		unsigned long flags;
		void *restorer;
		unsigned long mask;
	} action;

	signal(SIGUSR1, on_one);
	expect(!syscall(SYS_rt_sigaction, SIGUSR1, NULL, &action, 8), "raw");
	/* Who gives back what it got from the kernel finds what was there. */
	expect(!syscall(SYS_rt_sigaction, SIGUSR1, &action, NULL, 8), "raw");
	expect(asked(SIGUSR1) == on_one, "given back");
	expect(signal(SIGUSR1, action.handler) == on_one, "given to signal()");
	came = 0;
	raise(SIGUSR1);
	expect(came == SIGUSR1, "called once");
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	self = argv[0];
	if (argc > 1)
		return asked(atoi(argv[1])) != SIG_DFL;
	told();
	came = 0;
	kin();
	works();
	children();
	raw();
	printf("done\n");
	return victim_faults;
}
