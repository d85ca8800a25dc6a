/* SPDX-License-Identifier: MIT */
/*
 * Stacks for children that share memory and do not run on their caller's. They are kept, so that a spawn maps none.
 */
#ifndef SPORK_CHILD_STACK_H
#define SPORK_CHILD_STACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHILD_STACK_SIZE ((size_t)64 << 10)

/*
 * `running` is not zero as long as the stack is in use. It is given to clone() as the address that CLONE_CHILD_CLEARTID
 * clears: the kernel does so when the child executes or ends, after its last use of the stack (mm_release(),
 * kernel/fork.c), and wakes who waits there. The stack grows down from `low` + CHILD_STACK_SIZE; a guard page lies below.
 */
struct child_stack {
	uint32_t *running;
	uintptr_t low;
};

/*
 * Takes one that nobody uses, or maps one; false: there is none. Wait-free, may run in any context but that of a forked
 * child that has not come to child_stack_after_fork(). Who takes one makes a child that runs on it, or gives it back.
 */
bool child_stack_take(struct child_stack *stack);
void child_stack_give(const struct child_stack *stack);

/*
 * The child that is about to run on it executes soon, and its parent does not wait. child_stack_settle() waits, up to a
 * second, until there is none of those: while the parent changes its credentials none may have its own.
 */
void child_stack_executes_soon(const struct child_stack *stack);
void child_stack_settle(void);

/* In a forked child: the children that ran on them were its parent's. */
void child_stack_after_fork(void);

#endif
