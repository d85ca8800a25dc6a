/* SPDX-License-Identifier: MIT */
/*
 * The next definition of every interposed function, and how the assembler finds it.
 */
#ifndef SPORK_REAL_H
#define SPORK_REAL_H

#include <features.h>
#include <stdbool.h>
#include <stdint.h>

enum hook {
#define HOOK(kind, id, symbol, version, trait) HOOK_##id,
#include "hooks.def"
#undef HOOK
	HOOK_COUNT
};

extern void *real_table[HOOK_COUNT] __attribute__((visibility("hidden")));

/*
 * Where the hot rows of hooks.def jump: `stub_hot` is the table in force, of the next definitions or, while a window
 * is open and before real_hot_begin(), of the ways into stub_check. Both hold distances from their own start.
 * Switched by thread_window() from then on.
 */
extern intptr_t stub_hot_next[] __attribute__((visibility("hidden")));
extern const intptr_t stub_hot_slow[] __attribute__((visibility("hidden")));
extern const intptr_t *stub_hot __attribute__((visibility("hidden")));

/* Puts the table of next definitions into force. More than once does nothing; while the process has one thread. */
void real_hot_begin(void);

/* Looks the next definition of a function up, and keeps it; NULL where libc has none. May run anywhere. */
void *real_find(enum hook hook);

/* What a call of the program's goes on to: the body of a row of kind `lock`, or the next definition, or NULL. */
void *real_target(enum hook hook);

/* Is it a row of kind `lock`? */
bool real_has_body(enum hook hook);

/* The rows of kind `lock` jump to the next definition from now on. While the process has one thread. */
void real_without_bodies(void);

/* Looks every row up, so that no thread has to. While the process has one thread. */
void real_find_all(void);

/* The symbol of a row. */
const char *real_name(enum hook hook);

/*
 * Does libc come before the shim in the search order, so that the program's calls do not come through the hooks? May
 * run anywhere.
 */
bool real_is_passed_by(void);

/*
 * The address of a variable or function that comes after the shim's, so that other preloaded libraries stay in the chain;
 * of libc's own, whoever wraps it; of the first in the process, the vDSO included, the shim's aside. NULL: there is none
 * of that name. May run anywhere.
 */
const void *real_address(const char *symbol);
const void *real_libc(const char *symbol);
const void *real_first(const char *symbol);

/* libc's function, or NULL. What is called by its name instead is looked up at each start of each program. */
#define REAL_LIBC(name) ((__typeof__(&name))(uintptr_t)real_libc(#name))

/* Does the program or a library have one of these, the shim's aside? */
bool real_any(const char *const *symbols, unsigned count);

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
