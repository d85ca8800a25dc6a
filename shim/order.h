/* SPDX-License-Identifier: MIT */
/*
 * The order in which locks are taken (locks=order): two threads that take the same locks in opposite orders may
 * wait for each other for ever, even if they never did so far.
 *
 * What is ordered are classes of locks: one in static data is a class of its own, others are told by the calls
 * that led to their initialisation (origin.h), and by their address where there was none. Of two locks of one class the
 * addresses count. Mutexes, rwlocks and spin locks take part, and semaphores that were seen in use as locks.
 */
#ifndef SPORK_ORDER_H
#define SPORK_ORDER_H

#include <stdint.h>

#include "held.h"

/* The caller initialised `lock`. */
void order_made(const void *lock);

/*
 * The caller is about to wait for `lock`, for which it has the entry at `at`. Reports it if that closes a cycle
 * which was not reported yet.
 */
void order_ask(uint32_t at, const void *lock, enum held_kind kind);

/* A forked child goes on with the graph of its parent. */
void order_after_fork(void);

#endif
