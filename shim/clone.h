/* SPDX-License-Identifier: MIT */
/*
 * clone3(), where the kernel and the sandbox have it.
 */
#ifndef SPORK_CLONE_H
#define SPORK_CLONE_H

#include <stdbool.h>
#include <stdint.h>

/* linux/sched.h; Linux 5.5 */
#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif

/* struct clone_args of linux/sched.h, as long as it was at first. */
struct clone_arguments {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
};

/* Is it there? Asked of the kernel once, without making a child. Not under seccomp_confined(). */
bool clone3_works(void);

/* The call has returned `error`, -errno. Does that say that it is not there, or not as it is needed? */
bool clone3_failed(long error);

#endif
