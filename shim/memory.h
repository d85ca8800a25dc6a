/* SPDX-License-Identifier: MIT */
/*
 * The shim's own private memory: mapped in chunks, never given back, so that an audit can tell it from
 * the program's.
 */
#ifndef SPORK_MEMORY_H
#define SPORK_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Zeroed memory, 64-byte aligned; NULL when there is none. `size` is at most MEMORY_CHUNK. Takes a spin
 * lock.
 */
void *memory_take(size_t size);

/* Does the address lie in the shim's image or in its own memory? */
bool memory_owns(uintptr_t address);

/* The next stretch of that memory, the image aside, in [at, end); from `end` on: there is none. */
struct memory_range {
	uintptr_t low, high;
};
struct memory_range memory_next(uintptr_t at, uintptr_t end);

/* Copies memory that another thread may unmap meanwhile. False: not all of it is there. */
bool memory_copy(const void *at, void *copy, size_t size);

/* A forked child: no other thread is in here any more. */
void memory_after_fork(void);

#define MEMORY_CHUNK ((size_t)1 << 20)

#endif
