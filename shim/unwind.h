/* SPDX-License-Identifier: MIT */
/*
 * Call stacks, without locks or allocation.
 */
#ifndef SPORK_UNWIND_H
#define SPORK_UNWIND_H

#include <stdint.h>

#include "box.h"

struct unwind_frame {
	uintptr_t pc;	 /* return address */
	uintptr_t stack; /* stack pointer in that frame, at the call */
};

/*
 * Frames of the calling thread from the one whose return address is `from`, innermost first; `from` zero:
 * from the first frame outside the shim. Returns how many.
 */
unsigned unwind(uintptr_t from, struct unwind_frame *frame, unsigned capacity);

/*
 * The stack pointer of the innermost frame that is at or above `stack`: everything between the two
 * belonged to frames that have returned. UINTPTR_MAX where the stack cannot be walked that far.
 */
uintptr_t unwind_above(uintptr_t stack);

/* As unwind(), as frames of the box, at most BOX_STACK_FRAMES. */
uint32_t unwind_box(uintptr_t from, struct box_frame *frame);

/* Lets the unwinder set itself up while the process has one thread. */
void unwind_init(void);

#endif
