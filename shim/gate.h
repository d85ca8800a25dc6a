/* SPDX-License-Identifier: MIT */
/*
 * The gate: before a fork, the other threads are led out of their critical sections, so that the child inherits
 * no lock that nobody will give back.
 *
 * While it is closed a thread that holds nothing stops before its next lock; one that holds locks goes on until
 * it has given them back. Nobody waits for anybody without a limit: a program whose handlers wait for its threads
 * loses no more than the time of the option `gate`.
 */
#ifndef SPORK_GATE_H
#define SPORK_GATE_H

#include <stdbool.h>
#include <stdint.h>

/* Makes the kernel ready for the gate, which is fast while the process has one thread: before it makes another. */
void gate_prepare(void);

/*
 * The calling thread is about to fork: closes the gate, before its prepare handlers, and waits for the others
 * until they hold nothing, or the limit is reached. Does nothing where the process has one thread, where the caller
 * has closed it already, or where another fork has: that one's wait serves both.
 */
void gate_close(void);

/*
 * After the prepare handlers, which may have waited for other threads: waits for them again, and takes the mutexes
 * of those that wait for a condition, which come back to them without passing the gate.
 */
void gate_settle(void);

/* Will it be closed for a fork of the caller's, as far as can be known before? */
bool gate_serves(void);

/* Has the caller closed it, and do the others hold nothing? But for what they have held for too long to be waited for. */
bool gate_is_quiet(void);

/*
 * In the parent after the fork: it stays closed. After how many nanoseconds, by the option, the caller must open it;
 * zero: it is not quiet.
 */
uint64_t gate_stay(void);

/* In the parent after the fork, before its handlers. */
void gate_open(void);

/* In the child: gives back what gate_settle() took; the gate is open. */
void gate_after_fork(void);

/* The caller has come back from a wait for a condition, and its entry says so. */
void gate_return(void);

/* Does the gate stop the caller, which holds nothing? Not one that forks itself. */
bool gate_stops(void);

/* Waits until it is open, or the limit is reached. The caller has no entry for what it is about to take. */
void gate_wait(void);

#endif
