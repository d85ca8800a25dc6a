/* SPDX-License-Identifier: MIT */
/*
 * Children that share memory with a caller that runs on: the clone, and the child's first steps.
 */
#ifndef SPORK_CHILD_CLONE_H
#define SPORK_CHILD_CLONE_H

#include <stdbool.h>
#include <stdint.h>

#include "sys.h"

struct child_clone {
	uint64_t flags;	   /* further ones */
	uint32_t *running; /* as CLONE_CHILD_CLEARTID has it */
	uint32_t *tid;	   /* where libc notes the thread id; or NULL */
	uintptr_t storage; /* the thread pointer; zero: the caller's, whom the child must not get into the way of */
	uintptr_t low, high; /* its stack */
	int exit_signal;
	bool handlers_left; /* set by child_clone(): see child_clone_begin() */
};

/*
 * Makes the child, which runs `function(argument)` and ends with what that returns. pid or -errno. All signals are
 * blocked. `clone` is read by the child, if it reads it at all, after the caller has returned: it lies where it stays.
 */
long child_clone(struct child_clone *clone, int (*function)(void *), void *argument);

/* The signals that the caller ignores; and changes that, for those in `changed`, to what `ignored` says. */
sys_sigset child_ignored(void);
void child_ignore(sys_sigset changed, sys_sigset ignored);

/* The child's first call. Signals are blocked: where the clone could not do it, handlers go here. */
void child_clone_begin(const struct child_clone *clone);

#endif
