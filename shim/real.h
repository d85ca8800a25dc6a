/* SPDX-License-Identifier: MIT */
/*
 * The next definition of every interposed function, and how the assembler finds it.
 */
#ifndef SPORK_REAL_H
#define SPORK_REAL_H

#include <features.h>

enum hook {
#define HOOK(kind, id, symbol, version, trait) HOOK_##id,
#include "hooks.def"
#undef HOOK
	HOOK_COUNT
};

extern void *real_table[HOOK_COUNT];

/*
 * The next definition of a function: cached, looked up on first use (a constructor of another library
 * may call a hook before the shim's own constructor ran). NULL where libc has none.
 */
void *real_find(enum hook hook);

/* Looks all of them up, so that no hook has to do it where that would be unsafe. Constructor only. */
void real_init(void);

static inline void *real_get(enum hook hook)
{
	void *function = __atomic_load_n(&real_table[hook], __ATOMIC_RELAXED);

	return __builtin_expect(!!function, 1) ? function : real_find(hook);
}

#define REAL(id) ((__typeof__(&id))real_get(HOOK_##id))

#endif
