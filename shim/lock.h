/* SPDX-License-Identifier: MIT */
/*
 * What the hooks of locks look at besides the lock: one word, zero as a rule.
 */
#ifndef SPORK_LOCK_H
#define SPORK_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "held.h"

enum lock_attention {
	ATTEND_GATE = 1,    /* a fork waits for the other threads: gate.h */
	ATTEND_ORPHANS = 2, /* this process has locks whose holders a fork left behind: orphan.h */
	ATTEND_ORDER = 4,   /* the order in which locks are taken is kept: order.h */
	ATTEND_HANDLER = 8, /* this process is a child that runs atfork handlers: handler.h */
	ATTEND_CHILD =
		16, /* it is a forked child, of which there is to tell unless it only executes a program */
};

extern uint32_t lock_attention __attribute__((visibility("hidden")));

/* Sets or clears one of them. */
void lock_attention_set(enum lock_attention which, bool on);

static inline __attribute__((always_inline)) bool lock_attended(void)
{
	return UNLIKELY(__atomic_load_n(&lock_attention, __ATOMIC_RELAXED) != 0);
}

/*
 * The entry at `at` was pushed, and somebody wants to know before the lock is asked for; `waits`: until it is
 * there. Returns the entry's index, which may be another after a wait at the gate.
 */
uint32_t lock_attend(uint32_t at, void *lock, enum held_kind kind, struct held_caller caller,
		     bool waits);

/* Sets the hooks up once the options are known: with locks=off they are libc's functions. */
void lock_init(void);

/* ATTEND_CHILD is set, and the child does something with locks, or ends; or does execute a program. */
void lock_child_goes_on(void);
void lock_child_executes(void);

/* A forked child: nobody holds the gate, and its own handlers are over. */
void lock_after_fork(void);

#endif
