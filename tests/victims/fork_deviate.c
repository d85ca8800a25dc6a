/* SPDX-License-Identifier: MIT */
/*
 * fork_deviate HOW [GOOD]: GOOD children at one site only execute; the next does HOW first. Whatever that
 * is, it happens once, in the child alone, and the parent sees the end that it always saw.
 */
#include <fcntl.h>
#include <pwd.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

#include "victim.h"

static char *const args[] = { "/bin/true", NULL };
static const char *how;
static int pipe_ends[2];
static volatile int *shared;
static int flag;
static int *volatile nowhere;
static volatile int handlers_ran;
/* Whether it is this child's turn: read anew each time, so that there is one call of fork(). */
static volatile int turn;

static void on_fault(int signal)
{
	(void)signal;
	handlers_ran = 1;
	_exit(42);
}

static void at_parents_exit(void)
{
	printf("exit handler\n");
}

static void child_at_exit(void)
{
	printf("the child's own exit handler\n");
}

static void tell_pid(void)
{
	pid_t self = getpid();

	if (write(pipe_ends[1], &self, sizeof(self)) != sizeof(self))
		_exit(97);
}

/* True: goes on to exec. */
static int deviate(void)
{
	time_t now = 0;
	struct tm *tm;

	if (!strcmp(how, "pid-exit")) {
		tell_pid();
		_exit(5);
	} else if (!strcmp(how, "pid-missing")) {
		tell_pid();
		execl("/nonexistent", "nonexistent", NULL);
		_exit(errno == ENOENT ? 6 : 96);
	} else if (!strcmp(how, "fault")) {
		*nowhere = 1;
	} else if (!strcmp(how, "setenv")) {
		setenv("DEVIATE", "child", 1);
	} else if (!strcmp(how, "localtime")) {
		tm = localtime(&now);
		return tm != NULL;
	} else if (!strcmp(how, "getpwnam")) {
		return getpwnam("root") != NULL;
	} else if (!strcmp(how, "alarm")) {
		alarm(1);
		pause();
	} else if (!strcmp(how, "atexit")) {
		atexit(child_at_exit);
		exit(7);
	} else if (!strcmp(how, "spin")) {
		while (!*shared)
			__asm__ volatile("" ::: "memory");
	} else if (!strcmp(how, "create")) {
		return open("fork_deviate.created", O_CREAT | O_EXCL | O_WRONLY, 0600) >= 0;
	} else if (!strcmp(how, "flag")) {
		flag = 0;
	} else if (!strcmp(how, "lazy")) {
		return getppid() > 0;
	} else if (!strcmp(how, "write")) {
		return write(1, "the child wrote\n", 16) == 16;
	}
	return 1;
}

int main(int argc, char **argv)
{
	int good = number_argument(argc, argv, 2, 6), i, status;
	struct sigaction action = { .sa_handler = on_fault };
	struct rlimit no_core = { 0, 0 };
	pid_t pid, told = 0;

	how = string_argument(argc, argv, 1, "none");
	setvbuf(stdout, NULL, _IONBF, 0);
	setrlimit(RLIMIT_CORE, &no_core);
	sigaction(SIGSEGV, &action, NULL);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || pipe2(pipe_ends, O_CLOEXEC))
		return 99;
	unlink("fork_deviate.created");
	if (!strcmp(how, "main"))
		atexit(at_parents_exit);
	/* Binds what the other children call, so that this one's call is the first to be bound in a child. */
	if (!strcmp(how, "lazy"))
		execv("/nonexistent", args);
	for (i = 0; i <= good + 1; i++) {
		turn = i == good;
		*shared = 0;
		if (i == good)
			flag = 5;
		pid = xfork();
		if (pid == 0) {
			if (!strcmp(how, "main") && turn)
				return 8;
			/* This one does the same every time: what it stores is there already. */
			if (!strcmp(how, "flag"))
				flag = 0;
			if ((!turn || deviate()) && !execv(args[0], args))
				continue;
			_exit(127);
		}
		if (!strcmp(how, "spin"))
			*shared = 1;
		status = wait_for(pid);
		print_status("child", i, status);
		if (i == good && !strncmp(how, "pid-", 4))
			expect(read(pipe_ends[0], &told, sizeof(told)) == sizeof(told) &&
				       told == pid,
			       "the child's pid is what fork() returned");
		expect(i < good || flag == 5, "the parent's flag is its own");
		expect(!handlers_ran, "no handler ran in the parent");
		expect(!setenv("DEVIATE_PARENT", "works", 1),
		       "the parent may change its environment");
		expect(!getenv("DEVIATE"), "the parent's environment is its own");
		expect(getpwnam("root") != NULL, "the parent's user database works");
	}
	unlink("fork_deviate.created");
	return victim_faults != 0;
}
