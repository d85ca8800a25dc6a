/* SPDX-License-Identifier: MIT */
/*
 * The short way of unwind().
 */
#ifndef SPORK_WALK_H
#define SPORK_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "unwind.h"

/* Where to start, and what is known of the memory there. */
struct walk_start {
	uintptr_t pc;		 /* the return address of the first frame */
	uintptr_t stack;	 /* stack pointer in that frame, after the call */
	uintptr_t frame_pointer; /* in that frame */
	uintptr_t stack_end;	 /* from `stack` up to here is one thread's own stack */
};

/*
 * Frames from `start` on, innermost first, exactly as unwind() gives them. Returns how many; `complete` false: one of
 * them is not of the plain sort, or not one at all, and it ends there. Lock-free.
 */
unsigned walk_stack(const struct walk_start *start, struct unwind_frame *frame, unsigned capacity,
		    bool *complete);

#endif
