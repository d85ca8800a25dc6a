/* SPDX-License-Identifier: MIT */
/*
 * window_wait HOW [COUNT]: COUNT children at one site, of which some end or give way in another manner, seen HOW: by a thread in wait(-1) or waitid(), by a SIGCHLD handler that waits for any child, by
 * signalfd, or not at all because SIGCHLD is ignored (ignore, nocldwait). Each child is seen once, by the
 * pid that fork() returned, and none besides; each finds its own pid and its parent's as it should.
 */
#include <pthread.h>
#include <sys/signalfd.h>

#include "window.h"

#define MOST 4096
#define LEARNED 8

struct seen {
	volatile pid_t pid, self, parent;
	volatile int status;
};

static struct {
	volatile int used;
	struct seen child[MOST];
} * told; /* by the children themselves */

static pid_t forked[MOST];
static struct {
	volatile int count;
	pid_t pid[MOST];
	int status[MOST];
} reaped;

static const char *how;
static char *program, own_program[PATH_MAX];
static volatile int forks_done;
static volatile int row;
static int expected_status[24] = { 0, 7, 0, 9, 0, 127, 0, 3 };

/* What child `i` does: the first ones all the same, while the site is learned. */
static int row_of(int i)
{
	return i < LEARNED ? 0 : i % 24;
}

static int is(const char *name)
{
	return !strcmp(how, name);
}

static void tell(void)
{
	struct seen *child = &told->child[__atomic_fetch_add(&told->used, 1, __ATOMIC_SEQ_CST)];

	child->self = (pid_t)raw_call(SYS_getpid, 0, 0, 0, 0, 0);
	child->parent = (pid_t)raw_call(SYS_getppid, 0, 0, 0, 0, 0);
}

static void note(pid_t pid, int status)
{
	int at = reaped.count;

	if (at == MOST)
		abort();
	reaped.pid[at] = pid;
	reaped.status[at] = status;
	reaped.count = at + 1;
}

static int reap_all(int flags)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, flags)) > 0)
		note(pid, status);
	return pid;
}

static void *reaper(void *unused)
{
	siginfo_t info;

	for (;;) {
		int done = forks_done;

		if (is("waitid")) {
			memset(&info, 0, sizeof(info));
			if (!waitid(P_ALL, 0, &info, WEXITED))
				note(info.si_pid, info.si_code == CLD_EXITED ? info.si_status << 8 :
									       info.si_status);
			else if (errno == ECHILD && done)
				return unused;
		} else if (reap_all(0) == -1 && errno == ECHILD && done) {
			return unused;
		}
	}
}

static void on_child(int signal)
{
	int error = errno;

	(void)signal;
	reap_all(WNOHANG);
	errno = error;
}

static void child(void)
{
	char *const args[] = { "true", NULL };
	char *const self[] = { "window_wait", "told", NULL };
	pid_t pid;
	int status;

	switch (row) {
	case 1:
		_exit(7);
	case 3:
		raw_call(SYS_kill, raw_call(SYS_getpid, 0, 0, 0, 0, 0), SIGKILL, 0, 0, 0);
		_exit(1);
	case 5:
		execv("/nonexistent", args);
		_exit(127);
	case 7: /* as glib, with a child of its own */
		pid = fork();
		if (pid == 0)
			_exit(3);
		_exit(waitpid(pid, &status, 0) == pid ? WEXITSTATUS(status) : 3);
	default:
		execv(own_program, self);
		_exit(1);
	}
}

static int count_of(pid_t pid)
{
	int i, count = 0;

	for (i = 0; i < reaped.count; i++)
		count += reaped.pid[i] == pid;
	return count;
}

/* The executed program: tells who it is. */
static int be_told(void)
{
	printf("%d %d\n", (int)getpid(), (int)getppid());
	return 0;
}

static void check(int i)
{
	int at;

	expect(count_of(forked[i]) == 1, "a child was not seen exactly once");
	for (at = 0; at < reaped.count && reaped.pid[at] != forked[i]; at++)
		;
	if (at < reaped.count)
		expect((WIFSIGNALED(reaped.status[at]) ?
				WTERMSIG(reaped.status[at]) :
				WEXITSTATUS(reaped.status[at])) == expected_status[row_of(i)],
		       "a child ended otherwise");
}

int main(int argc, char **argv)
{
	int count = number_argument(argc, argv, 2, 200), fd = -1, pipe_ends[2], out, each_waits;
	volatile int i; /* not known to the compiler, which else makes two calls of one */
	pid_t pid, self, parent;
	pthread_t thread;
	char line[64];
	FILE *pipe_in;
	sigset_t set;

	how = string_argument(argc, argv, 1, "thread");
	if (is("told"))
		return be_told();
	if (count > MOST / 2)
		return 1;
	setvbuf(stdout, NULL, _IONBF, 0);
	program = quick_program();
	if (readlink("/proc/self/exe", own_program, sizeof(own_program) - 1) < 0)
		return 1;
	told = shared_memory(sizeof(*told));
	/* What the executed programs tell comes through a pipe in place of stdout. */
	out = dup(1);
	if (pipe(pipe_ends) || dup2(pipe_ends[1], 1) != 1 || !(pipe_in = fdopen(pipe_ends[0], "r")))
		return 1;
	if (is("handler"))
		sigaction(SIGCHLD,
			  &(struct sigaction){ .sa_handler = on_child, .sa_flags = SA_RESTART },
			  NULL);
	if (is("ignore"))
		signal(SIGCHLD, SIG_IGN);
	if (is("nocldwait"))
		sigaction(SIGCHLD,
			  &(struct sigaction){ .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT },
			  NULL);
	if (is("signalfd")) {
		sigemptyset(&set);
		sigaddset(&set, SIGCHLD);
		sigprocmask(SIG_BLOCK, &set, NULL);
		fd = signalfd(-1, &set, SFD_CLOEXEC);
	}
	each_waits = is("handler") || is("signalfd");
	if (is("thread") || is("waitid"))
		pthread_create(&thread, NULL, reaper, NULL);
	for (i = 0; i < count; i++) {
		row = row_of(i);
		pid = xfork();
		if (pid == 0) {
			if (row != 3)
				tell();
			child();
		}
		forked[i] = pid;
		while (i < LEARNED && !each_waits && !kill(pid, 0))
			usleep(50);
		/* One at a time for those that take turns in one signal. */
		while (each_waits && reaped.count <= i) {
			struct signalfd_siginfo info;

			if (!is("signalfd"))
				usleep(50);
			else if (read(fd, &info, sizeof(info)) == sizeof(info)) {
				expect((pid_t)info.ssi_pid == forked[i], "SIGCHLD of another");
				reap_all(WNOHANG);
			}
		}
	}
	forks_done = 1;
	if (is("thread") || is("waitid"))
		pthread_join(thread, NULL);
	else
		while (waitpid(-1, NULL, 0) > 0)
			;
	/* Those that executed, in order. */
	dup2(out, 1);
	close(out);
	close(pipe_ends[1]);
	for (out = 0; fgets(line, sizeof(line), pipe_in); out++) {
		expect(sscanf(line, "%d %d", &self, &parent) == 2 && parent == getpid(),
		       "a program's parent is another");
		for (i = 0; i < count && forked[i] != self; i++)
			;
		expect(i < count, "a program's pid was never returned");
	}
	printf("%d programs\n", out);
	if (!is("ignore") && !is("nocldwait")) {
		printf("%d seen\n", reaped.count);
		for (i = 0; i < count; i++)
			check(i);
	}
	for (i = 0; i < told->used; i++)
		expect(told->child[i].parent == getpid(), "a child's parent is another");
	errno = 0;
	expect(waitpid(-1, NULL, __WALL | WNOHANG) == -1 && errno == ECHILD, "a child is left");
	return victim_faults != 0;
}
