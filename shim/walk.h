/* SPDX-License-Identifier: MIT */
/*
 * The short way of unwind().
 */
#ifndef SPORK_WALK_H
#define SPORK_WALK_H

#include <stdbool.h>
#include <stdint.h>

#include "unwind.h"

/*
 * Frames from `start` on, innermost first, exactly as unwind() gives them. Returns how many; `complete` false: one of
 * them is not of the plain sort, or not one at all, and it ends there. Lock-free.
 */
unsigned walk_stack(const struct walk_start *start, struct unwind_frame *frame, unsigned capacity,
		    bool *complete);

#endif
