/* SPDX-License-Identifier: MIT */
/*
 * What every hook does first.
 */
#ifndef SPORK_HOOK_H
#define SPORK_HOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "real.h"
#include "thread.h"

#define CALLER ((uintptr_t)__builtin_return_address(0))

/* Where a call returns to, and its caller's stack pointer after that. */
struct hook_caller {
	uintptr_t where, stack;
};

#define HOOK_CALLER ((struct hook_caller){ CALLER, (uintptr_t)__builtin_dwarf_cfa() })

/* The integer arguments of a stubbed call, as the assembler saved them. */
struct hook_arguments {
	long value[6];
};

/*
 * In a window: applies the trait of this row, which may refuse the site, or end the calling child so that
 * a real fork starts over in its place; and so does a call that is out of its learned order. `arguments` may
 * be NULL where the trait does not look at them.
 * errno is kept.
 */
void hook_in_window(enum hook hook, const struct hook_arguments *arguments,
		    struct hook_caller caller);

/* For the body of a hook itself: its return address tells where it was called. */
static inline __attribute__((always_inline)) void hook_enter(enum hook hook,
							     const struct hook_arguments *arguments)
{
	if (__builtin_expect(thread_words.window != NULL, 0))
		hook_in_window(hook, arguments, HOOK_CALLER);
}

/* Sets the shim up: once, from its constructor or from the first hook that needs more than its real call. */
void hook_init(void);

#endif
