// SPDX-License-Identifier: MIT
/*
 * Programs that use vfork() in the ways that the world does, and must find it as it is bare:
 *
 *   frame      another thread posts a semaphore, and its result, in the frame that calls vfork()
 *   mask       a child of the child executes: with the mask and the handlers of the program
 *   answer     a child that cannot go where it should tells errno in a local and a static, and ends
 *   excuse     the same after an exec has failed, with perror(), and by exit()
 *   strangers  another thread waits for any child while children are made that use the heap
 *   daemon     a child that uses the heap makes one of its own, which stays, and ends
 *   close      a child that uses the heap closes all descriptors before it executes: its group is there then
 *   group      a signal for the whole group, which the program handles, while execs fail
 *   traced     with another thread alive, children that their parent traces cannot execute, and end; others can: each
 *              end is told of by one SIGCHLD
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <time.h>

#include "victim.h"

static char *const quick[] = { (char *)"true", NULL };
static int told;

struct job {
	sem_t done;
	int result;
};

static void *work(void *data)
{
	struct job *job = data;

	usleep(20000);
	job->result = 42;
	sem_post(&job->done);
	return NULL;
}

static __attribute__((noinline)) void frame(void)
{
	pthread_t thread;
	struct job job = { .result = 0 };
	pid_t pid;

	sem_init(&job.done, 0, 0);
	pthread_create(&thread, NULL, work, &job);
	pid = vfork();
	if (!pid) {
		usleep(60000);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	sem_wait(&job.done);
	printf("result %d\n", job.result);
	pthread_join(thread, NULL);
}

static void handler(int signal)
{
	(void)signal;
}

static __attribute__((noinline)) void mask(void)
{
	static char *const grep[] = { (char *)"grep", (char *)"Sig[BI]",
				      (char *)"/proc/self/status", NULL };
	int status;
	pid_t pid;

	signal(SIGINT, handler);
	signal(SIGTERM, handler);
	signal(SIGUSR1, handler);
	pid = vfork();
	if (!pid) {
		pid_t inner = vfork();

		if (!inner)
			execve("/bin/grep", grep, environ);
		waitpid(inner, &status, 0);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	printf("status %x\n", status);
}

static __attribute__((noinline)) void answer(void)
{
	volatile int failed = 0;
	int status;
	pid_t pid = vfork();

	if (!pid) {
		if (chdir("/nonexistent/folder")) {
			failed = errno;
			told = errno;
			_exit(1);
		}
		_exit(0);
	}
	waitpid(pid, &status, 0);
	printf("status %x local %s static %s\n", status, strerror(failed), strerror(told));
}

static __attribute__((noinline)) void excuse(void)
{
	volatile int failed = 0;
	int status;
	pid_t pid;

	printf("a line that is written once\n");
	pid = vfork();
	if (!pid) {
		execve("/nonexistent/program", quick, environ);
		failed = errno;
		perror("child");
		exit(127);
	}
	waitpid(pid, &status, 0);
	printf("status %x local %s\n", status, strerror(failed));
}

static pid_t use_heap(const char *program)
{
	pid_t pid = vfork();

	if (!pid) {
		void *volatile block = malloc(100);

		free(block);
		execve(program, quick, environ);
		_exit(127);
	}
	return pid;
}

static int reaped[100], reaped_count;
static volatile int stop;

static void *reap(void *unused)
{
	(void)unused;
	while (reaped_count < 50 && !stop) {
		pid_t pid = waitpid(-1, NULL, WNOHANG);

		if (pid > 0)
			reaped[reaped_count++] = pid;
	}
	return NULL;
}

static __attribute__((noinline)) void strangers(void)
{
	pid_t made[50];
	pthread_t thread;
	int i, j, known = 0;

	pthread_create(&thread, NULL, reap, NULL);
	for (i = 0; i < 50; i++)
		made[i] = use_heap("/bin/true");
	usleep(300000);
	stop = 1;
	pthread_join(thread, NULL);
	for (i = 0; i < reaped_count; i++)
		for (j = 0; j < 50; j++)
			known += reaped[i] == made[j];
	printf("strangers %d\n", reaped_count - known);
}

static __attribute__((noinline)) void daemon_stays(void)
{
	struct timespec before, after;
	pid_t pid;

	clock_gettime(CLOCK_MONOTONIC, &before);
	pid = vfork();
	if (!pid) {
		void *volatile block = malloc(100);

		free(block);
		if (!fork()) {
			close(0), close(1), close(2);
			sleep(4);
			_exit(0);
		}
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	clock_gettime(CLOCK_MONOTONIC, &after);
	printf("waited for the daemon: %s\n", after.tv_sec - before.tv_sec >= 3 ? "yes" : "no");
}

static __attribute__((noinline)) void close_all(void)
{
	struct rlimit limit = { 256, 256 };
	volatile int early = 0, i;

	setrlimit(RLIMIT_NOFILE, &limit);
	for (i = 0; i < 50; i++) {
		pid_t pid = vfork();

		if (!pid) {
			void *volatile block = malloc(100);
			int fd;

			free(block);
			for (fd = 3; fd < 1024; fd++)
				close(fd);
			setpgid(0, 0);
			execve("/bin/true", quick, environ);
			_exit(127);
		}
		early += kill(-pid, 0) != 0;
		waitpid(pid, NULL, 0);
	}
	printf("too early %d\n", early);
}

static __attribute__((noinline)) void group(void)
{
	volatile int i, killed = 0;
	int status;
	pid_t sender, parent = getpid();

	setpgid(0, 0);
	signal(SIGUSR1, handler);
	sender = fork();
	if (!sender)
		for (;;) {
			kill(-parent, SIGUSR1);
			usleep(50);
		}
	for (i = 0; i < 200; i++) {
		pid_t pid = vfork();

		if (!pid) {
			int tries;

			for (tries = 0; tries < 10; tries++)
				execve("/nonexistent/program", quick, environ);
			_exit(5);
		}
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
		killed += WIFSIGNALED(status);
	}
	kill(sender, SIGKILL);
	while (waitpid(sender, NULL, 0) < 0 && errno == EINTR)
		;
	printf("killed %d\n", killed);
}

static void *stay(void *unused)
{
	sigset_t all;

	(void)unused;
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, NULL);
	pause();
	return NULL;
}

/* `how` 0: the child ends; 1: it is killed; 2: it executes, which stops it. */
static pid_t trace(int how)
{
	pid_t pid = vfork();

	if (!pid) {
		if (ptrace(PTRACE_TRACEME, 0, 0, 0))
			_exit(98);
		execve(how == 2 ? "/bin/true" : "/nonexistent/program", quick, environ);
		if (how == 1)
			kill(getpid(), SIGKILL);
		_exit(127);
	}
	return pid;
}

static __attribute__((noinline)) void traced(void)
{
	const struct timespec now = { 0, 0 };
	pthread_t thread;
	sigset_t child;
	int i;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	pthread_create(&thread, NULL, stay, NULL);
	for (i = 0; i < 9; i++) {
		siginfo_t news;
		int status, ends = 0;
		pid_t pid = trace(i % 3);

		while (waitpid(pid, &status, __WALL) == pid) {
			if (WIFSTOPPED(status)) {
				printf("stopped by signal %d\n", WSTOPSIG(status));
				sigtimedwait(&child, NULL, &now);
				ptrace(PTRACE_CONT, pid, 0, 0);
				continue;
			}
			/* It is sent before the end can be seen. */
			ends += sigtimedwait(&child, &news, &now) == SIGCHLD && news.si_pid == pid;
			printf("status %x, told %d\n", status, ends);
		}
	}
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} ways[] = { { "frame", frame },     { "mask", mask },		 { "answer", answer },
		     { "excuse", excuse },   { "strangers", strangers }, { "daemon", daemon_stays },
		     { "close", close_all }, { "group", group },	 { "traced", traced } };
	size_t i;

	for (i = 0; i < sizeof(ways) / sizeof(*ways); i++)
		if (argc > 1 && !strcmp(argv[1], ways[i].name)) {
			ways[i].run();
			return 0;
		}
	return 2;
}
