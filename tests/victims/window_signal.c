/* SPDX-License-Identifier: MIT */
/*
 * window_signal WHAT [COUNT]: COUNT spawns at one site while signals come in.
 *
 * parent    real-time signals to the parent, numbered: its handler sees each once, in order, and no
 *           child ever runs it
 * group     the same to the process group: what the children get is their own affair
 * handled   each child gets a signal in its window that its parent catches: it executes nevertheless
 * blocked   each child gets signals that it blocks: the program finds them pending
 * ignored   each child gets signals that are ignored
 * unblocked each child gets a blocked signal and unblocks it before exec: it dies of it
 * own       the child sets a handler of its own, blocks, asks what there was, before exec
 * pause     the child is stopped in its window and goes on
 */
#include <sched.h>

#include "window.h"

#define NUMBERS 4000

static struct {
	volatile pid_t child, parent;
	volatile int sent, quit, sending, go;
	volatile int seen_by_child; /* times that a handler ran in a window */
	volatile int wrong;
} * shared;

static const char *what;
static char *program;
static volatile int expected; /* the next number */

static int is(const char *name)
{
	return !strcmp(what, name);
}

static void on_number(int signal, siginfo_t *info, void *context)
{
	int self = (int)raw_call(SYS_getpid, 0, 0, 0, 0, 0);

	(void)signal;
	(void)context;
	if (self != shared->parent) {
		/* in a child with memory of its own it may: it inherited the handler */
		shared->seen_by_child += in_window();
		return;
	}
	if (info->si_value.sival_int != expected)
		shared->wrong++;
	expected++;
}

static void on_other(int signal)
{
	(void)signal;
	if (raw_call(SYS_getpid, 0, 0, 0, 0, 0) != shared->parent)
		shared->seen_by_child += in_window();
}

/* What the sender does for each child, or all the time. */
static void send_to_child(pid_t child)
{
	if (is("handled")) {
		kill_one(child, SIGUSR1);
	} else if (is("blocked") || is("unblocked")) {
		kill_one(child, SIGUSR2);
		kill_one(child, SIGRTMIN + 2);
	} else if (is("ignored")) {
		kill_one(child, SIGPIPE);
		kill_one(child, SIGCHLD);
	} else if (is("pause")) {
		kill_one(child, SIGSTOP);
		usleep(1000);
		kill_one(child, SIGCONT);
	}
}

/* A process that is nobody's child. */
static void start_sender(void)
{
	union sigval value = { 0 };
	pid_t pid = fork(), child;

	if (pid) {
		wait_for(pid);
		return;
	}
	if (fork())
		_exit(0);
	alarm(60);
	signal(SIGUSR1, SIG_IGN);
	while (!shared->quit) {
		if (is("parent") && shared->go && value.sival_int < NUMBERS) {
			if (!sigqueue(shared->parent, SIGRTMIN, value))
				value.sival_int++;
			else
				usleep(100);
			shared->sending = value.sival_int;
			if (value.sival_int % 16 == 0)
				usleep(50);
			continue;
		}
		if (is("group") && shared->go && value.sival_int < NUMBERS) {
			if (shared->parent > 1)
				kill(-shared->parent, SIGUSR1);
			shared->sending = ++value.sival_int;
			usleep(20);
			continue;
		}
		child = shared->child;
		if (child && !shared->sent) {
			send_to_child(child);
			shared->sent = 1;
		}
		usleep(20);
	}
	_exit(0);
}

/* Waits here, in the window, until the sender has sent. */
static void meet(void)
{
	shared->child = (pid_t)raw_call(SYS_getpid, 0, 0, 0, 0, 0);
	while (!shared->sent)
		cpu_relax();
}

static void child(void)
{
	char *const args[] = { program, NULL };
	char *const status[] = { "grep", "-E", "^(Sig(Blk|Ign|Cgt)|ShdPnd)", "/proc/self/status",
				 NULL };
	struct sigaction action = { .sa_handler = on_other }, old;
	sigset_t set;

	if (is("own")) {
		sigaction(SIGUSR1, &action, &old);
		if (old.sa_sigaction != on_number || !(old.sa_flags & SA_SIGINFO))
			_exit(51);
		if (signal(SIGUSR1, SIG_IGN) != on_other || signal(SIGTERM, on_other) != SIG_DFL)
			_exit(52);
		sigemptyset(&set);
		sigaddset(&set, SIGWINCH);
		sigprocmask(SIG_BLOCK, &set, NULL);
		pthread_sigmask(SIG_BLOCK, NULL, &set);
		if (!sigismember(&set, SIGWINCH) || !sigismember(&set, SIGUSR2) ||
		    sigismember(&set, SIGTERM))
			_exit(53);
		if (sigprocmask(99, &set, NULL) != -1 || errno != EINVAL)
			_exit(54);
		if (sigaction(SIGKILL, &action, NULL) != -1 || errno != EINVAL)
			_exit(55);
	} else if (!is("parent") && !is("group")) {
		meet();
	}
	if (is("unblocked")) {
		sigemptyset(&set);
		sigaddset(&set, SIGUSR2);
		sigprocmask(SIG_UNBLOCK, &set, NULL);
	}
	if (is("parent") || is("group"))
		execv(program, args);
	execv("/bin/grep", status);
	_exit(127);
}

int main(int argc, char **argv)
{
	int count = number_argument(argc, argv, 2, 12), i, total;
	struct sigaction action = { .sa_sigaction = on_number,
				    .sa_flags = SA_SIGINFO | SA_RESTART };
	struct sigaction now;
	sigset_t set, before, after;

	what = string_argument(argc, argv, 1, "parent");
	setvbuf(stdout, NULL, _IONBF, 0);
	program = quick_program();
	shared = shared_memory(sizeof(*shared));
	if (is("group"))
		setpgid(0, 0);
	shared->parent = getpid();
	start_sender();
	sigaction(SIGRTMIN, &action, NULL);
	if (is("group"))
		action.sa_sigaction = (void (*)(int, siginfo_t *, void *))(void *)on_other;
	sigaction(SIGUSR1, &action, NULL);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigaddset(&set, SIGRTMIN + 2);
	sigprocmask(SIG_SETMASK, &set, &before);
	for (i = 0; i < count || (is("parent") && shared->sending < NUMBERS); i++) {
		pid_t pid;
		int status;

		/* While the site is learned nothing is sent. */
		shared->go = i >= 4;
		shared->child = 0;
		shared->sent = !shared->go;
		pid = xfork();
		if (pid == 0)
			child();
		status = wait_for(pid);
		/* one that comes after exec is deadly */
		if (!is("group"))
			is("parent") ? expect(status == 0, "the child ran") :
				       print_status("child", i, status);
		sigprocmask(SIG_SETMASK, NULL, &after);
		expect(!memcmp(&after, &set, sizeof(int)), "the parent's mask changed");
		sigaction(SIGTERM, NULL, &now);
		expect(now.sa_handler == SIG_DFL, "a disposition of the parent changed");
		sigaction(SIGUSR1, NULL, &now);
		expect(now.sa_sigaction == action.sa_sigaction, "the parent's handler changed");
		while (shared->child && !shared->sent)
			usleep(20);
	}
	if (is("parent")) {
		for (total = 0; total < 1000 && expected < NUMBERS; total++)
			usleep(1000);
		printf("%d of %d signals\n", expected, NUMBERS);
		expect(!shared->wrong, "a signal came twice, out of order or not at all");
	}
	shared->quit = 1;
	expect(!shared->seen_by_child, "a handler of the parent ran in a window");
	sigemptyset(&set);
	sigpending(&set);
	expect(!sigismember(&set, SIGUSR2), "a child's signal came to the parent");
	return victim_faults != 0;
}
