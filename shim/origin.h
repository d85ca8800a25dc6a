/* SPDX-License-Identifier: MIT */
/*
 * Where locks were initialised, by address; and what semaphores are used for. A lock that was initialised in
 * place (PTHREAD_MUTEX_INITIALIZER) is not here: its symbol names it.
 *
 * No function here takes a lock or waits. A full table forgets what comes, and counts it.
 */
#ifndef SPORK_ORIGIN_H
#define SPORK_ORIGIN_H

#include <stdbool.h>
#include <stdint.h>

#include "held.h"

/* `lock` was initialised by the call that returns to `where`; `value` is a semaphore's, 1 for all else. */
void origin_note(const void *lock, uintptr_t where, unsigned value);

/* It was destroyed. */
void origin_forget(const void *lock);

/* The return address of the call that initialised it; zero: not known. */
uintptr_t origin_of(const void *lock);

/*
 * Is it a lock that a thread holds and others wait for: of a semaphore, was it seen used so? Streams, which fork()
 * opens, and hidden locks are others' affair.
 */
bool origin_is_lock(enum held_kind kind, const void *lock);

/* What the semaphore is used for; and that it was seen used so. A signal it stays. */
enum origin_use origin_use(const void *semaphore);
void origin_used(const void *semaphore, enum origin_use use);

/*
 * For order.c: what tells apart the calls that led to the initialisation, and a number of its own for each time that
 * a lock was initialised. Zero: not known.
 */
struct origin_context {
	uint64_t made;
	uint32_t number;
};

/* After origin_note(). */
void origin_context_note(const void *lock, uint64_t made);
struct origin_context origin_context(const void *lock);

/* Tells where the table is. */
void origin_expose(struct exposed *exposed);

#endif
