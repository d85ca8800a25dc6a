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

/*
 * A process that calls nothing of interest pays for nothing: the constructor reads the options, and only the first
 * hook that needs more than its real call sets the rest up. Before that no lock is tracked and no record made. In a
 * child that was forked, behind the shim's back, while another thread did so, nobody will: HOOK_GIVEN_UP.
 * HOOK_PASSIVE: it is never set up, and every hook is its real call.
 */
enum hook_state { HOOK_NEW, HOOK_SETTING_UP, HOOK_READY, HOOK_GIVEN_UP, HOOK_PASSIVE };
extern uint32_t hook_state __attribute__((visibility("hidden")));

static inline bool hook_ready(void)
{
	return __builtin_expect(__atomic_load_n(&hook_state, __ATOMIC_ACQUIRE) == HOOK_READY, 1);
}

/* The first step alone: what the program was started with. Once, while the process has one thread. */
void hook_start(void);
void hook_set_up(void);

/* For bodies of hooks: sets the shim up unless it is. May run anywhere but in a window; errno is kept. */
static inline void hook_init(void)
{
	if (!hook_ready())
		hook_set_up();
}

/* The same, and: does the process do without? */
static inline bool hook_is_passive(void)
{
	if (hook_ready())
		return false;
	hook_set_up();
	return __atomic_load_n(&hook_state, __ATOMIC_RELAXED) == HOOK_PASSIVE;
}

/* In the body of a hook, first of all. */
#define HOOK_UNLESS_PASSIVE(call)                                                                  \
	do {                                                                                       \
		if (hook_is_passive())                                                             \
			return call;                                                               \
	} while (0)

/* The same for a row of kind stub, hot or lock that is called before: some can do without. */
void hook_first(enum hook hook);

#endif
