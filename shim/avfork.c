// SPDX-License-Identifier: MIT
/*
 * avfork(): see avfork.h.
 *
 * The child's stack holds, from the top down, its thread-local storage, what it is to do, and its frames. Nothing
 * frees it: the kernel clears the word that says that it is in use when the child executes or ends.
 */
#include "avfork.h"

#include "avfork_child.h"
#include "child_clone.h"
#include "child_stack.h"
#include "config.h"
#include "hook.h"
#include "thread.h"
#include "thread_copy.h"
#include "undo.h"
#include "window.h"

#include "poison.h"

/* So much of a stack thread-local storage may take. */
#define STORAGE_MAX ((size_t)24 << 10)

_Static_assert(CHILD_STACK_SIZE - STORAGE_MAX >= AVFORK_STACK + 4096, "avfork.h");

/* What the child does; on its stack. */
struct avfork_start {
	struct child_clone clone;
	int (*routine)(void *);
	void *argument;
	uintptr_t from; /* where avfork() returns to */
	sys_sigset mask;
};

/* A cancellation that the caller has coming is not the child's, which has no frames to unwind to. */
static int avfork_child(void *data)
{
	const struct avfork_start *start = data;

	child_clone_begin(&start->clone);
	avfork_enter(start->from);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
	sys_sigmask(start->mask);
	return start->routine(start->argument);
}

/* pid or -errno. Signals are blocked. */
static long start_child(int (*routine)(void *), void *argument, uintptr_t from, sys_sigset mask)
{
	struct child_stack stack;
	struct thread_copy copy;
	struct avfork_start *start;
	uintptr_t high;
	long pid;

	if (!child_stack_take(&stack))
		return -ENOMEM;
	high = stack.low + CHILD_STACK_SIZE;
	if (!thread_copy(high - STORAGE_MAX, high, &copy)) {
		child_stack_give(&stack);
		return -ENOTSUP;
	}
	start = (struct avfork_start *)(copy.low - ((sizeof(*start) + 63) & ~63UL));
	*start = (struct avfork_start){
		.clone = { .running = stack.running,
			   .tid = copy.tid,
			   .storage = copy.pointer,
			   .low = stack.low,
			   .high = (uintptr_t)start,
			   .exit_signal = SIGCHLD },
		.routine = routine,
		.argument = argument,
		.from = from,
		.mask = mask,
	};
	pid = child_clone(&start->clone, avfork_child, start);
	if (pid < 0)
		child_stack_give(&stack);
	return pid;
}

EXPORT pid_t avfork(int (*routine)(void *), void *argument)
{
	struct spawn_record spawn = { .call = BOX_CALL_AVFORK, .tier = BOX_TIER_VFORK };
	int error = errno;
	sys_sigset mask;
	long pid = -EINVAL;

	if (hook_is_passive()) {
		errno = ENOSYS;
		return -1;
	}
	hook_enter(HOOK_clone, NULL);
	spawn.start_ns = sys_now();
	if (routine) {
		/* From now on memory may change while a window is open. */
		undo_not_alone();
		if (config.strict)
			thread_watch_all();
		mask = sys_sigmask(SYS_SIGNALS_ALL);
		pid = start_child(routine, argument, CALLER, mask);
		sys_sigmask(mask);
	}
	errno = pid < 0 ? (int)-pid : error;
	spawn.pid = pid < 0 ? -1 : pid;
	window_record(&spawn);
	return (pid_t)spawn.pid;
}
