/* SPDX-License-Identifier: MIT */
/*
 * Orphans among libc's hidden locks (hidden.h): only a trial tells whether one is locked.
 */
#ifndef SPORK_ORPHAN_HIDDEN_H
#define SPORK_ORPHAN_HIDDEN_H

#include <stdbool.h>

#include "hidden.h"
#include "orphan.h"

/* Makes it the orphan of the lock that this function, which its holder was in, has as its `which`th. */
void orphan_hide(struct orphan *orphan, const struct hidden_function *function, unsigned which);

/* What a report says of its lock, and of who was in it. */
void orphan_describe_hidden(const struct orphan *orphan, struct box_violation *violation);

void orphan_hidden_after_fork(void);

#endif
