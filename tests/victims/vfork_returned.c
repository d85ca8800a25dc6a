/* SPDX-License-Identifier: MIT */
/*
 * vfork_returned HOW: the vfork child returns from the function that called vfork().
 *
 *   same     start_same() is `return vfork()`; its caller executes the program
 *   callee   after a callee of start_callee() has set the child up
 *   deep     from two functions
 *   exits    and its caller ends it by _exit(9)
 *   thread   as same, in a thread
 *   twin     what start_same() should have done: the child executes the program there; a callee of it comes back first
 *
 * Bare, the frame that the parent resumes in is gone: caller_X() has called another function meanwhile, whose frame
 * lies there. The parent crashes, or finds another return address and goes on in its child's path.
 */
#include "vfork.h"

#define CANARY 0x5eed

static volatile int canary_seen;

HELPER void clobber(void)
{
	volatile char bytes[1024];
	unsigned i;

	for (i = 0; i < sizeof(bytes); i++)
		bytes[i] = 0x5a;
}

/* A function with something of its own in its frame. In the child it must not be left. */
#define START(id, ...)                                                                             \
	HELPER pid_t start_##id(void)                                                              \
	{                                                                                          \
		volatile int canary = CANARY;                                                      \
		pid_t pid;                                                                         \
                                                                                                   \
		KEEP();                                                                            \
		pid = vfork();                                                                     \
		if (pid == 0) {                                                                    \
			__VA_ARGS__;                                                               \
		} else {                                                                           \
			canary_seen = canary;                                                      \
		}                                                                                  \
		KEEP();                                                                            \
		return pid;                                                                        \
	}

#define CALLER(id, begin, ...)                                                                     \
	HELPER pid_t caller_##id(void)                                                             \
	{                                                                                          \
		pid_t pid = begin();                                                               \
                                                                                                   \
		if (pid == 0) {                                                                    \
			clobber();                                                                 \
			__VA_ARGS__;                                                               \
		}                                                                                  \
		KEEP();                                                                            \
		return pid;                                                                        \
	}

HELPER void child_setup(void)
{
	setpgid(0, 0);
	signal(SIGUSR1, SIG_DFL);
}

START(same, (void)0)
CALLER(same, start_same, execute())

START(callee, child_setup())
CALLER(callee, start_callee, execute())

START(deep, (void)0)
HELPER pid_t middle_deep(void)
{
	volatile int canary = CANARY;
	pid_t pid;

	KEEP();
	pid = start_deep();
	if (pid > 0 && canary != CANARY)
		canary_seen = canary;
	KEEP();
	return pid;
}
CALLER(deep, middle_deep, execute())

START(exits, (void)0)
CALLER(exits, start_exits, _exit(9))

START(thread, (void)0)
CALLER(thread, start_thread, execute())

START(twin, child_setup(); execute())
CALLER(twin, start_twin, (void)0)

static void *run_thread(void *unused)
{
	finish(caller_thread());
	return unused;
}

int main(int argc, char **argv)
{
	const char *how = string_argument(argc, argv, 1, "twin");
	pthread_t thread;

	setup();
	if (!strcmp(how, "same")) {
		finish(caller_same());
	} else if (!strcmp(how, "callee")) {
		finish(caller_callee());
	} else if (!strcmp(how, "deep")) {
		finish(caller_deep());
	} else if (!strcmp(how, "exits")) {
		finish(caller_exits());
	} else if (!strcmp(how, "thread")) {
		if (pthread_create(&thread, NULL, run_thread, NULL))
			return 97;
		pthread_join(thread, NULL);
	} else {
		finish(caller_twin());
	}
	printf("parent sees its frame %s\n", canary_seen == CANARY ? "whole" : "damaged");
	return 0;
}
