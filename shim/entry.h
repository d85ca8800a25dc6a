/* SPDX-License-Identifier: MIT */
/*
 * What entry_ARCH.S offers to C.
 */
#ifndef SPORK_ENTRY_H
#define SPORK_ENTRY_H

#include <stdint.h>

/* The function that the entry of a call (enum spork_call) is to go on to at once; NULL: it opens a window. */
extern void *entry_next[] __attribute__((visibility("hidden")));

/*
 * Clones a silent twin of the calling process: it holds its memory as it is now and touches none of it,
 * shares the table of descriptors so that it keeps none open, blocks what signals the caller blocks,
 * cannot be seen by wait(), and ends when the calling thread does or after two seconds. `pid` is the
 * caller's own. pid or -errno.
 */
long entry_twin(long pid);

/*
 * Runs `function(argument)` in a child that shares memory, with the calling thread suspended, on the
 * stack below the caller's frame; the function must not return. The child's exit signal is SIGCHLD.
 * pid or -errno.
 */
long entry_vfork_call(void (*function)(void *), void *argument);

/* A system call that makes a process: clone3, or clone with its arguments in this machine's order. */
struct entry_clone {
	uint64_t number;
	uint64_t argument[5];
};

/*
 * Makes the system call, which gives its child a stack of its own; the child runs `function(argument)` there, and ends
 * (exit_group) with what it returns. pid or -errno.
 */
long entry_clone(const struct entry_clone *call, int (*function)(void *), void *argument);

#endif
