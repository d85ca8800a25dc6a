/* SPDX-License-Identifier: MIT */
/*
 * Locks that a fork left locked for good in its child, because their holders stayed behind in the parent.
 */
#ifndef SPORK_ORPHAN_H
#define SPORK_ORPHAN_H

#include <stdbool.h>
#include <stdint.h>

#include "held.h"

struct hidden_function;
struct inherited;

struct orphan {
	struct held held; /* of a hidden lock: `lock` stands for it, `handler` is an enum hidden_id */
	uint32_t holder;     /* thread id in the parent */
	uint32_t fork;	     /* which of the forks above this process left it */
	uintptr_t stack_end; /* of its stack; zero: not known */
	bool ended;	     /* the holder had ended before the fork */
	bool told;	     /* as orphaned-lock */
	bool nobody;	     /* the lock does not say that the holder had it, nor anybody else */
	bool gone;	     /* initialised anew, or destroyed, or repaired */
	uint16_t asked;	     /* of a hidden lock: the enum hook that the child called */
};

/*
 * First thing in the child of a real fork, before any handler: finds what the other threads held. Where the fork
 * was, thread_words.fork_from and fork_site tell.
 */
void orphan_find(void);

/* Did it, for the fork that is being made? One that ran no handlers has not. */
bool orphan_found(void);

/*
 * The caller is about to wait for `lock`, as `kind`. If it is an orphan still, and nobody is left to give it
 * back: reports it, and does what on_orphan says.
 */
void orphan_check(void *lock, enum held_kind kind);

/* The same for a function that takes hidden locks, and the first six words that it is called with. */
void orphan_check_hidden(const struct hidden_function *function, const long arguments[6]);

/* The lock is initialised anew, or destroyed: no orphan any more. */
void orphan_forget(const void *lock);

/* The caller has got `lock`, as `kind`: those that keep no owner are no orphans any more. */
void orphan_taken(const void *lock, enum held_kind kind);

/* It has given back a lock that it did not take. The same. */
void orphan_given(const void *lock);

/*
 * The records of the parent's threads are about to be used for others: copies what the child needs of them. Cheap
 * where there is nothing to copy.
 */
void orphan_settle(void);

/* The orphan with this address, or NULL. */
struct orphan *orphan_of(const void *lock);

/* Is it one still? */
bool orphan_stands(struct orphan *orphan);

/* All that are in the table; and the generation of threads whose locks are not there yet, zero: none. */
void orphan_each(void (*each)(struct orphan *orphan, void *data), void *data);
uint32_t orphan_pending(void);

/* What another thread held when that fork was made, as it stands in the table. */
struct orphan orphan_new(const struct inherited *one, uint32_t fork);

/* Tells where the table is. */
void orphan_expose(struct exposed *exposed);

#endif
