/* SPDX-License-Identifier: MIT */
/*
 * What the victims of the vfork rules share. Each is called with the name of a fault and where it is committed: `same`,
 * in the function that calls vfork(), or `callee`, in a function that it calls; with `twin` and perhaps a name it runs
 * a child that does nothing wrong. The functions are named after the fault: same_X() calls vfork() and is at fault;
 * callee_X() calls vfork() and child_X() is at fault. How the child ended and what the parent sees afterwards is
 * printed, and is what a correct program prints wherever the rules are enforced.
 *
 * No fault needs memory on the caller's frame but those that are about it, so that each is of one kind.
 */
#ifndef VFORK_VICTIM_H
#define VFORK_VICTIM_H

#include <stdint.h>

#include "window.h"

/* No store before it is dropped or moved behind it, and no call before it is a tail call. */
#define KEEP() __asm__ volatile("" ::: "memory")

#if defined(__clang__)
#define UNOPTIMIZED __attribute__((optnone))
#else
#define UNOPTIMIZED __attribute__((optimize("O0")))
#endif

static char *program; /* ends at once, with 0 */
static char *const program_args[] = { (char *)"quick", NULL };

/* How a correct child ends. It returns to nobody, but is not said to: the calls of it stay calls. */
HELPER void execute(void)
{
	execv(program, program_args);
	_exit(127);
}

/* A fault as statements, committed in either place; then a program is executed. */
#define FAULT(id, ...)                                                                             \
	HELPER pid_t same_##id(void)                                                               \
	{                                                                                          \
		pid_t pid = vfork();                                                               \
                                                                                                   \
		if (pid == 0) {                                                                    \
			__VA_ARGS__;                                                               \
			KEEP();                                                                    \
			execute();                                                                 \
		}                                                                                  \
		KEEP();                                                                            \
		return pid;                                                                        \
	}                                                                                          \
	HELPER void child_##id(void)                                                               \
	{                                                                                          \
		__VA_ARGS__;                                                                       \
		KEEP();                                                                            \
		execute();                                                                         \
		KEEP();                                                                            \
	}                                                                                          \
	HELPER pid_t callee_##id(void)                                                             \
	{                                                                                          \
		pid_t pid = vfork();                                                               \
                                                                                                   \
		if (pid == 0)                                                                      \
			child_##id();                                                              \
		KEEP();                                                                            \
		return pid;                                                                        \
	}

/* `look` prints what the parent sees after its child; may be NULL. */
struct fault {
	const char *name;
	pid_t (*same)(void), (*callee)(void);
	void (*look)(void);
};

#define ROW(id, look)                                                                              \
	{                                                                                          \
#id, same_##id, callee_##id, look                                                  \
	}

/* Runs a child that does as `child` says. */
HELPER pid_t start(void (*child)(void))
{
	pid_t pid = vfork();

	if (pid == 0) {
		child();
		_exit(125);
	}
	KEEP();
	return pid;
}

HELPER void print_child(int status)
{
	if (WIFSIGNALED(status))
		printf("child signal %d\n", WTERMSIG(status));
	else if (WIFEXITED(status))
		printf("child exit %d\n", WEXITSTATUS(status));
	else
		printf("child status %#x\n", status);
}

HELPER void finish(pid_t pid)
{
	if (pid < 0) {
		printf("vfork: %s\n", strerror(errno));
		exit(98);
	}
	print_child(wait_for(pid));
}

HELPER void setup(void)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	program = quick_program();
}

/* Called when vfork() has returned in the parent. */
static void (*came_back)(void) __attribute__((unused));

/* Commits the fault of those two names. */
HELPER int commit(const struct fault *faults, int count, int argc, char **argv)
{
	const char *name = string_argument(argc, argv, 1, "");
	const char *place = string_argument(argc, argv, 2, "same");
	pid_t pid;
	int i;

	for (i = 0; i < count; i++) {
		if (strcmp(faults[i].name, name))
			continue;
		pid = strcmp(place, "same") ? faults[i].callee() : faults[i].same();
		if (came_back)
			came_back();
		finish(pid);
		if (faults[i].look)
			faults[i].look();
		return 0;
	}
	printf("no fault %s\n", name);
	return 99;
}

HELPER int is_twin(int argc, char **argv)
{
	return !strcmp(string_argument(argc, argv, 1, ""), "twin");
}

/*
 * A child that another thread of its parent meets: it tells its pid and waits for a byte. Both through pipes, and
 * in a frame of its own.
 */
static int told[2], released[2];

HELPER void meet_setup(void)
{
	if (pipe(told) || pipe(released))
		exit(97);
}

HELPER char meet(void)
{
	pid_t self = getpid();
	char byte = 0;

	if (write(told[1], &self, sizeof(self)) != sizeof(self))
		_exit(96);
	while (read(released[0], &byte, 1) < 0 && errno == EINTR)
		;
	return byte;
}

/* The other side of it. */
HELPER pid_t met(void)
{
	pid_t pid = 0;

	while (read(told[0], &pid, sizeof(pid)) < 0 && errno == EINTR)
		;
	return pid;
}

HELPER void release(char byte)
{
	if (write(released[1], &byte, 1) != 1)
		_exit(96);
}

#endif
