/* SPDX-License-Identifier: MIT */
/*
 * Children that were made without the atfork handlers, by _Fork(), clone() or a bare system call: told where one
 * goes on as if it had come from fork().
 *
 * Such a child is in a window of its own, WINDOW_BARE, from its first instruction to exec, or to its first call of
 * what handlers are there for: the heap, stdio, locks, threads, exit handlers. What is safe in a signal handler is
 * safe without them.
 */
#ifndef SPORK_BYPASS_H
#define SPORK_BYPASS_H

#include <stdbool.h>
#include <stdint.h>

#include "box.h"
#include "real.h"

struct window;

/* Where a child was made. */
struct bypass {
	uint32_t call; /* enum spork_call */
	uint32_t frames;
	struct box_frame frame[BOX_STACK_FRAMES];
};

/* Notes the stack from the return address `from` on. */
void bypass_note(struct bypass *bypass, uint32_t call, uintptr_t from);

/* The calling process is such a child, and no window is open in it: opens the window, if there are handlers. */
void bypass_open(const struct bypass *bypass);

/* Both, and what else a child forgets of its parent: the first thing in one that `call` returns in, to `from`. */
void bypass_child(uint32_t call, uintptr_t from);

/* In it: this call is about to be made; `reason` is its trait, where that is one of the box's. */
void bypass_call(struct window *window, enum hook hook, enum spork_reason reason);

#endif
