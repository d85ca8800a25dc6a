/* SPDX-License-Identifier: MIT */
/*
 * libc's hidden locks: kept by the public functions that take them. A thread inside such a function has an entry
 * of kind HELD_HIDDEN, whose `lock` is the function: it may hold the locks that hidden.def lists. Whether it does
 * only a forked child can tell, by a trial, and does before it enters one that takes such a lock: see orphan.c.
 */
#ifndef SPORK_HIDDEN_H
#define SPORK_HIDDEN_H

#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "held.h"
#include "lock.h"

enum hidden_lock {
	LOCK_NONE,
#define LOCK(id, ...) LOCK_##id,
#define HIDDEN(...)
#define HIDDEN_ELSEWHERE(...)
#include "hidden.def"
	LOCK_COUNT
};

enum hidden_id {
#define LOCK(...)
#define HIDDEN(trial, condition, type, id, ...) HIDDEN_##id,
#define HIDDEN_ELSEWHERE(trial, id, ...) HIDDEN_##id,
#include "hidden.def"
	HIDDEN_COUNT
};

#define HIDDEN_LOCKS 3

struct hidden_function {
	uint16_t hook;		     /* enum hook */
	uint8_t trial;		     /* enum hidden_trial_by */
	uint8_t held;		     /* enum held_flag of its entries */
	uint8_t holds[HIDDEN_LOCKS]; /* enum hidden_lock */
	uint8_t takes[HIDDEN_LOCKS];
};

extern const struct hidden_function hidden_functions[HIDDEN_COUNT]
	__attribute__((visibility("hidden")));

/* Is it what an entry of that kind has for its lock, and not one that was just being written at a fork? */
static inline bool hidden_is(const void *lock)
{
	uintptr_t offset = (uintptr_t)lock - (uintptr_t)hidden_functions;

	return offset < sizeof(hidden_functions) && offset % sizeof(hidden_functions[0]) == 0;
}

/* A call of such a function: its entry. */
struct hidden_call {
	uint32_t at;
	const struct hidden_function *function;
};

/* Drops entries of calls that were left by a jump: their frames lay below `stack`. */
void hidden_drop_stale(uintptr_t stack);

/*
 * The call's entry was pushed, and somebody wants to know before it goes on: see lock_attend(). `arguments`: what
 * the function is called with, its first six.
 */
void hidden_attend(struct hidden_call *call, struct held_caller caller, const long arguments[6]);

static inline __attribute__((always_inline)) struct hidden_call
hidden_enter(enum hidden_id id, struct held_caller caller)
{
	const struct hidden_function *function = &hidden_functions[id];
	const struct thread *self = thread_words.self;
	struct hidden_call call = { HELD_NONE, function };
	const struct held *top;

	if (LIKELY(self != NULL)) {
		top = &self->held[(size_t)self->held_count - 1];
		if (UNLIKELY(top->kind == HELD_HIDDEN && top->stack <= caller.stack))
			hidden_drop_stale(caller.stack);
	}
	call.at = held_push((void *)(uintptr_t)function, HELD_HIDDEN, caller);
	if (LIKELY(call.at != HELD_NONE))
		thread_words.self->held[call.at].flags = function->held;
	return call;
}

/* Also run as a cleanup of the hooks: errno is kept. */
static inline __attribute__((always_inline)) void hidden_leave(const struct hidden_call *call)
{
	if (LIKELY(call->at != HELD_NONE))
		held_pop(call->at + 1, call->function);
}

#define HIDDEN_LONGS_7(none, a, b, c, d, e, f, ...)                                                \
	((const long[6]){ (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f) })
#define HIDDEN_LONGS(...) HIDDEN_LONGS_7(0, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

/* The rest of the block, which must not jump out of it, is a call of this function. */
#define HIDDEN_SCOPE(id, wanted, ...) HIDDEN_SCOPE_OF(id, wanted, HIDDEN_LONGS(__VA_ARGS__))
#define HIDDEN_SCOPE_OF(id, wanted, arguments)                                                     \
	struct held_caller hidden_caller = HELD_CALLER;                                            \
	struct hidden_call hidden_call __attribute__((cleanup(hidden_leave))) =                    \
		(wanted) ? hidden_enter(HIDDEN_##id, hidden_caller) :                              \
			   (struct hidden_call){ HELD_NONE, NULL };                                \
                                                                                                   \
	if (lock_attended() && hidden_call.function)                                               \
	hidden_attend(&hidden_call, hidden_caller, arguments)

/* For hooks that are not of kind `lock`, and run with locks=off as well. */
#define HIDDEN_BODY(id, ...) HIDDEN_SCOPE(id, hook_ready() && config.locks, ##__VA_ARGS__)

/* The program calls exit() without a hook, by returning from main(). */
void hidden_exit(uintptr_t where, uintptr_t stack, int status);

const char *hidden_class(enum hidden_lock lock);
const char *hidden_name(enum hidden_id id);

enum hidden_verdict {
	HIDDEN_FREE,	/* the lock can be taken */
	HIDDEN_PASSES,	/* it cannot, but this call goes by without it */
	HIDDEN_BLOCKED, /* proven: the call would wait for it for ever */
	HIDDEN_UNKNOWN, /* there was no way to find out */
};

/*
 * In a forked child, with all signals blocked: would this call wait for ever for the lock? Tried out in a
 * throw-away process. `word`: the address that it would wait on, zero: not known.
 */
enum hidden_verdict hidden_try(const struct hidden_function *function, enum hidden_lock lock,
			       const long arguments[6], uintptr_t *word);

/* Makes the lock that has this word unlocked. False: it does not look like such a lock. */
bool hidden_remake(enum hidden_lock lock, uintptr_t word);

#endif
