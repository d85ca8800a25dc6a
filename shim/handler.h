/* SPDX-License-Identifier: MIT */
/*
 * What atfork handlers do with locks, one handler at a time.
 *
 * While the prepare handlers run, the entries of the forking thread are marked with who took them (struct held's
 * `handler`); what becomes of each is checked while the parent and child handlers run, and after them. A fork that
 * a handler makes itself runs all handlers too, but is not checked: it would change the marks of the one around it.
 */
#ifndef SPORK_HANDLER_H
#define SPORK_HANDLER_H

#include <stdbool.h>
#include <stdint.h>

#include "atfork.h"
#include "held.h"

/* struct held's `handler`: its thread had it before the prepare handlers. */
#define HANDLER_BEFORE UINT16_MAX

/* One run of one handler, in its thread. */
struct handler_run {
	uint32_t phase;	    /* enum atfork_phase; ATFORK_NONE: none runs */
	uintptr_t function; /* of the handler */
	uintptr_t frame;    /* the stack above it: a handler that jumped out is known by it */
};

/* Before the handlers of this phase, and after them: the latter reports what they left undone. */
void handler_begin(enum atfork_phase phase);
void handler_over(enum atfork_phase phase);

/* Around one handler: `outer` keeps what ran in this thread before it, `place` is the handler's in the order, plus one. */
void handler_enter(struct handler_run *outer, enum atfork_phase phase, uintptr_t function);
void handler_leave(const struct handler_run *outer, uint16_t place);

/*
 * The caller is about to give back `lock`, which it does not hold as far as is known (`at` is HELD_NONE), or
 * while lock_attention is set. A rwlock's kind is HELD_READ. True: it is done, and the real call must not be made.
 */
bool handler_release(uint32_t at, void *lock, enum held_kind kind);

/* Reports what the caller of fork() held and holds still, in the child; or there is nothing to report: it executes. */
void handler_tell_own(void);
void handler_forget_own(void);

/* A child that was made without handlers: what is known here is of its parent. */
void handler_after_fork(void);

/* The caller has initialised the lock of its entry at `at` anew. */
void handler_made(uint32_t at);

#endif
