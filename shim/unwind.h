/* SPDX-License-Identifier: MIT */
/*
 * Call stacks, without locks or allocation.
 */
#ifndef SPORK_UNWIND_H
#define SPORK_UNWIND_H

#include <stdbool.h>
#include <stdint.h>

#include "box.h"

/* Where to start, and what is known of the memory there. */
struct walk_start {
	uintptr_t pc;		 /* the return address of the first frame */
	uintptr_t stack;	 /* stack pointer in that frame, after the call */
	uintptr_t frame_pointer; /* in that frame */
	uintptr_t stack_end; /* from `stack` up to here is one thread's own stack; zero: not known */
};

struct unwind_frame {
	uintptr_t pc;	 /* return address */
	uintptr_t stack; /* stack pointer in that frame, at the call */
	uintptr_t end; /* of that frame: stack pointer in its caller after its return; zero: not known */
};

/*
 * Frames of the calling thread from the one whose return address is `from`, innermost first; `from` zero:
 * from the first frame outside the shim. Returns how many.
 */
unsigned unwind(uintptr_t from, struct unwind_frame *frame, unsigned capacity);

/* The same from where start->pc returns to, the short way (walk.h) where it leads. */
unsigned unwind_from(const struct walk_start *start, struct unwind_frame *frame, unsigned capacity);

/*
 * In a child that may have returned from the function that forked, and called others since: the stack
 * pointer of the innermost frame that it has from its parent. Everything below belonged to frames that
 * have returned. `original` reads a word of the stack as it was at the fork; false: not known. Such a
 * frame is known by its return address being where, and what, it was. UINTPTR_MAX where there is none, or
 * where it cannot be told: not every architecture's frames say where they keep it.
 */
uintptr_t unwind_returned(bool (*original)(void *data, uintptr_t address, uintptr_t *word),
			  void *data);

/*
 * The stack of another thread, as this process has it since its fork: from a call which returns to start->pc. The
 * frames after the first are a guess where the function that made the call has returned since. At least one.
 */
uint32_t unwind_left(const struct walk_start *start, struct box_frame *frame, uint32_t capacity);

/* As unwind() and unwind_from(), as frames of the box, at most BOX_STACK_FRAMES. */
uint32_t unwind_box(uintptr_t from, struct box_frame *frame);
uint32_t unwind_box_from(const struct walk_start *start, struct box_frame *frame);

/* Does the address lie in a frame of the shim's own that the calling thread is in? False where it cannot be told. */
bool unwind_inside(uintptr_t address);

/* Lets the unwinder set itself up while the process has one thread. */
void unwind_init(void);

#endif
