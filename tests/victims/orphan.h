/* SPDX-License-Identifier: MIT */
/*
 * What the orphan victims share: a thread named 'worker' that reaches a point and stays there until it is
 * told to go on, and a parent that waits for its child for a bounded time. Pipes and not locks, so that
 * the victim's own lock is the only one in play.
 */
#ifndef ORPHAN_H
#define ORPHAN_H

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int reached[2], go_on[2];
static pthread_t worker_thread;

/* In the worker: tells main, and waits until main says so, or for at most `ms`. */
static __attribute__((noinline, unused)) void worker_stay(int ms)
{
	struct pollfd wake = { .fd = go_on[0], .events = POLLIN };

	if (write(reached[1], "x", 1) != 1)
		abort();
	poll(&wake, 1, ms);
}

static void *worker_start(void *body)
{
	pthread_setname_np(pthread_self(), "worker");
	((void (*)(void))body)();
	return NULL;
}

/* In main: returns once `body`, in the worker, has called worker_stay(). */
static __attribute__((unused)) void worker_run(void (*body)(void))
{
	char byte;

	if (pipe(reached) || pipe(go_on) ||
	    pthread_create(&worker_thread, NULL, worker_start, (void *)body) ||
	    read(reached[0], &byte, 1) != 1)
		abort();
}

static __attribute__((unused)) void worker_end(void)
{
	if (write(go_on[1], "x", 1) != 1)
		abort();
	pthread_join(worker_thread, NULL);
}

/*
 * Waits for the child for at most `ms` and says what became of it; kills it when it hangs. Returns the
 * victim's exit status: 0 finished, 3 hung, 4 anything else.
 */
static __attribute__((unused)) int child_verdict(pid_t child, int ms)
{
	struct pollfd pidfd = { .fd = (int)syscall(SYS_pidfd_open, child, 0), .events = POLLIN };
	int status, hung;

	hung = poll(&pidfd, 1, ms) != 1;
	close(pidfd.fd);
	if (hung)
		kill(child, SIGKILL);
	waitpid(child, &status, 0);
	if (hung)
		printf("child hung\n");
	else if (WIFSIGNALED(status))
		printf("child killed by signal %d\n", WTERMSIG(status));
	else if (WEXITSTATUS(status))
		printf("child exited with %d\n", WEXITSTATUS(status));
	else
		printf("child finished\n");
	return hung ? 3 : status ? 4 : 0;
}

static __attribute__((unused)) int patience(int argc, char **argv)
{
	return argc > 1 ? atoi(argv[1]) : 3000;
}

#endif
