/* SPDX-License-Identifier: MIT */
/*
 * Thread-local storage for a child that shares memory and does not hold its caller: a copy of the calling thread's, so
 * that both have an errno, a locale and a thread id of their own.
 */
#ifndef SPORK_THREAD_COPY_H
#define SPORK_THREAD_COPY_H

#include <stdbool.h>
#include <stdint.h>

struct thread_copy {
	uintptr_t pointer; /* the thread pointer, for CLONE_SETTLS */
	uintptr_t low;	   /* what lies below is free; 64-byte aligned */
	uint32_t *tid;	   /* libc's note of the thread id, for CLONE_PARENT_SETTID */
};

/*
 * Makes the copy in memory that ends at `high`, and uses no more than down to `low`: libc's descriptor of the thread,
 * static thread-local storage and the vector that finds it by module. What in the first and the last points into what is
 * copied points into the copy. Thread-local storage that libc allocates on first use, that of libraries loaded by dlopen(), stays the
 * caller's.
 *
 * False: libc does not tell how it lays out a thread, or there is no room. Signals are blocked. Calls nothing that the
 * caller could hold a lock of.
 */
bool thread_copy(uintptr_t low, uintptr_t high, struct thread_copy *copy);

#endif
