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

extern void *real_table[HOOK_COUNT] __attribute__((visibility("hidden")));

/*
 * Where the hot rows of hooks.def jump: `stub_hot` is the table in force, of the next definitions or, while
 * a window is open, of the ways into stub_check. Switched by thread_window() alone.
 */
extern void *stub_hot_next[] __attribute__((visibility("hidden")));
extern void *stub_hot_slow[] __attribute__((visibility("hidden")));
extern void **stub_hot __attribute__((visibility("hidden")));

/* Looks the next definition of a function up, and keeps it; NULL where libc has none. May run anywhere. */
void *real_find(enum hook hook);

/* What a call of the program's goes on to: the body of a row of kind `lock`, or the next definition, or NULL. */
void *real_target(enum hook hook);

/* The rows of kind `lock` jump to the next definition from now on. While the process has one thread. */
void real_without_bodies(void);

/* The symbol of a row. */
const char *real_name(enum hook hook);

/* The address of a variable of libc; NULL: there is none of that name. May run anywhere. */
const void *real_data(const char *symbol);

/*
 * Looks up what forked children had to, whose findings die with them: so that the next one need not.
 */
void real_find_wanted(void);

static inline void *real_get(enum hook hook)
{
	void *function = __atomic_load_n(&real_table[hook], __ATOMIC_RELAXED);

	return __builtin_expect(!!function, 1) ? function : real_find(hook);
}

#define REAL(id) ((__typeof__(&id))real_get(HOOK_##id))

#endif
