/* SPDX-License-Identifier: MIT */
/*
 * A slot of a pool, as the parent has it: who waits there, and the socket to it. Any thread, also in signal handlers.
 */
#ifndef SPORK_AVFORK_SLOT_H
#define SPORK_AVFORK_SLOT_H

#include "avfork_pool.h"

/* The first child, in a pool that nobody else knows yet. 0 or -errno. */
int slot_start(struct slot *slot);

/* Claims a slot where a child waits, for slot_send(); NULL: there is none. */
struct slot *slot_take(struct avfork_pool *pool);

/* The seat of the child that waits. */
static inline struct seat *slot_seat(const struct slot *slot)
{
	return slot->seat[__atomic_load_n(&slot->turn, __ATOMIC_ACQUIRE)];
}

/* Gives the job in the seat, with `count` descriptors, to the child that waits. Negative: -errno, and it waits on. */
long slot_send(struct slot *slot, const int *fds, unsigned count);

/* Ends the child that waits; and returns when nobody sits there any more. Nobody else uses the slot. */
void slot_close(struct slot *slot);
void slot_end(struct slot *slot);

#endif
