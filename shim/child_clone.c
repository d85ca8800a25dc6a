// SPDX-License-Identifier: MIT
/*
 * See child_clone.h. clone3() clears the handlers and makes the child in one step; where a sandbox knows clone() alone
 * the child clears them, with all signals blocked, before anything else.
 */
#include "child_clone.h"

#include <sched.h>

#include "clone.h"
#include "entry.h"
#include "lean.h"
#include "seccomp.h"

#include "poison.h"

static long clone_new(struct child_clone *clone, int (*function)(void *), void *argument)
{
	struct clone_arguments arguments = {
		.flags = clone->flags | CLONE_CLEAR_SIGHAND,
		.exit_signal = (unsigned)clone->exit_signal,
		.child_tid = (uintptr_t)clone->running,
		.parent_tid = (uintptr_t)clone->tid,
		.stack = clone->low,
		.stack_size = clone->high - clone->low,
		.tls = clone->storage,
	};
	struct entry_clone call = {
		.number = SYS_clone3,
		.argument = { (uintptr_t)&arguments, sizeof(arguments) },
	};

	return entry_clone(&call, function, argument);
}

static long clone_old(struct child_clone *clone, int (*function)(void *), void *argument)
{
	struct entry_clone call = {
		.number = SYS_clone,
		.argument = { clone->flags | (unsigned)clone->exit_signal, clone->high,
			      (uintptr_t)clone->tid },
	};

	call.argument[ARCH_CLONE_CHILD_TID] = (uintptr_t)clone->running;
	call.argument[ARCH_CLONE_STORAGE] = clone->storage;
	return entry_clone(&call, function, argument);
}

long child_clone(struct child_clone *clone, int (*function)(void *), void *argument)
{
	long pid;

	lean_end(BOX_REASON_SPAWN);
	clone->flags |= CLONE_VM | CLONE_CHILD_CLEARTID | (clone->tid ? CLONE_PARENT_SETTID : 0) |
			(clone->storage ? CLONE_SETTLS : 0);
	clone->handlers_left = seccomp_confined() || !clone3_works();
	if (!clone->handlers_left) {
		pid = clone_new(clone, function, argument);
		if (!clone3_failed(pid))
			return pid;
		clone->handlers_left = true;
	}
	return clone_old(clone, function, argument);
}

sys_sigset child_ignored(void)
{
	struct sys_action action;
	sys_sigset ignored = 0;
	int signal;

	for (signal = 1; signal <= 64; signal++)
		if (!sys_action(signal, NULL, &action) && action.handler == (uintptr_t)SIG_IGN)
			ignored |= 1ULL << (signal - 1);
	return ignored;
}

void child_ignore(sys_sigset changed, sys_sigset ignored)
{
	int signal;

	while ((signal = sys_signal_next(&changed)))
		sys_action_set(signal, ignored & 1ULL << (signal - 1) ? SIG_IGN : SIG_DFL);
}

void child_clone_begin(const struct child_clone *clone)
{
	struct sys_action action;
	int signal;

	for (signal = 1; clone->handlers_left && signal <= 64; signal++)
		if (!sys_action(signal, NULL, &action) && action.handler != (uintptr_t)SIG_DFL &&
		    action.handler != (uintptr_t)SIG_IGN)
			sys_action_set(signal, SIG_DFL);
}
