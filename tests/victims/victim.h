/* SPDX-License-Identifier: MIT */
/*
 * What the victims share: a fork() in a helper that returns to its caller, and words for a wait status.
 * All they print is the same from run to run, so that a run under the shim can be compared with a bare
 * one byte for byte; stdout is unbuffered unless a victim is about buffers.
 */
#ifndef VICTIM_H
#define VICTIM_H

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define HELPER static __attribute__((noinline, unused))

/* The usual wrapper: the child returns from the function that forked. */
HELPER pid_t xfork(void)
{
	pid_t pid = fork();

	if (pid < 0) {
		perror("fork");
		_exit(99);
	}
	__asm__ volatile("" ::: "memory"); /* no tail call */
	return pid;
}

HELPER int wait_for(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0) {
		if (errno == EINTR)
			continue;
		printf("waitpid: %s\n", strerror(errno));
		exit(98);
	}
	return status;
}

/* To one process, whatever went wrong before: kill(-1) would reach all there are. */
HELPER int kill_one(pid_t pid, int signal)
{
	if (pid <= 1) {
		printf("FAULT: no process to signal\n");
		exit(97);
	}
	return kill(pid, signal);
}

HELPER void print_status(const char *what, int number, int status)
{
	if (WIFSIGNALED(status))
		printf("%s %d: signal %d\n", what, number, WTERMSIG(status));
	else if (WIFEXITED(status))
		printf("%s %d: exit %d\n", what, number, WEXITSTATUS(status));
	else
		printf("%s %d: status %#x\n", what, number, status);
}

/* Says what went wrong and counts it; a victim's exit status is whether this ever ran. */
static int victim_faults __attribute__((unused));

HELPER void expect(int truth, const char *what)
{
	if (truth)
		return;
	victim_faults++;
	printf("FAULT: %s\n", what);
}

HELPER int number_argument(int argc, char **argv, int index, int standard)
{
	return argc > index ? atoi(argv[index]) : standard;
}

HELPER const char *string_argument(int argc, char **argv, int index, const char *standard)
{
	return argc > index ? argv[index] : standard;
}

#endif
