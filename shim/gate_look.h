/* SPDX-License-Identifier: MIT */
/*
 * What the other threads are at, as the entries of their records tell a fork that has closed the gate. The entries
 * change meanwhile, so the locks that they name are only ever copied by the kernel: the memory may be gone.
 */
#ifndef SPORK_GATE_LOOK_H
#define SPORK_GATE_LOOK_H

#include <stdbool.h>

#include "held.h"
#include "thread.h"

/* The fork waits while another thread is busy; one that is exempt holds its lock for good. */
enum gate_state { GATE_LOOK_QUIET, GATE_LOOK_BUSY, GATE_LOOK_EXEMPT };

/* `closely`: asks the kernel, too, about calls that were left without an end. */
enum gate_state gate_look(const struct thread *self, bool closely);

/* Notes the places that the fork waits for now. */
void gate_look_wait(const struct thread *self);

/* Has it the mutex again that its entry says it waits for a condition without, at a place that is waited for? */
bool gate_look_returned(const struct thread *thread, const struct held *held);

/*
 * The limit has come for that entry: counts its place. Who waits for a lock is not to blame, nor who would go on if there
 * were a processor for it.
 */
void gate_look_blame(const struct thread *thread, const struct held *held);

/* The limit has come: counts the places where what is held still was taken. */
void gate_look_limit(const struct thread *self);

/* The wait is over, `left`: before the limit. Who was slow on a busy machine is no one who holds a lock for good. */
void gate_look_forgive(bool left);

/*
 * The fork is over. What it saw of the threads says nothing to the next: they give the same locks back again and
 * again.
 */
void gate_look_over(void);

#endif
