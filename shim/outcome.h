/* SPDX-License-Identifier: MIT */
/*
 * What became of the child of a shared window.
 */
#ifndef SPORK_OUTCOME_H
#define SPORK_OUTCOME_H

#include "window.h"

/*
 * In the parent, once the child has let it go: did it exec, end, or give way? One that ended
 * without exec was never visible to wait(): a real fork starts over, or, for one that somebody killed, a
 * process with the same status takes its place. Returns a pid or -errno; or 0, and the window says why a
 * real fork is due.
 */
long outcome_of(struct window *window, long pid);

/* The same for a child of vfork(): one that ended without executing is replaced by another that ends so. */
long outcome_hidden(long pid);

#endif
