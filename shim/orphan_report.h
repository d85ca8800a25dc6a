/* SPDX-License-Identifier: MIT */
/*
 * What is said of orphans: of each fork's once, and of each that somebody is about to wait for.
 */
#ifndef SPORK_ORPHAN_REPORT_H
#define SPORK_ORPHAN_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "box.h"
#include "orphan.h"

/*
 * Notes the fork that is being made, of which thread_words.fork_from and fork_site tell where it is. Returns which of
 * the forks above this process it is.
 */
uint32_t orphan_fork(void);

/* Has what the last fork left been told already, or found not worth it? */
bool orphan_reported(void);

/* Its holder had ended before the fork: keeps its name, which is in its record. */
void orphan_holder_ended(const struct thread *holder);

/* Reports it; `violation` is what there is room in. */
void orphan_tell(struct orphan *orphan, struct box_violation *violation);

/* The same for a caller that is about to block on it, and what it gets: by the option, orphan_remedy(). */
void orphan_tell_deadlock(struct orphan *orphan, struct box_violation *violation,
			  enum spork_remedy remedy);
enum spork_remedy orphan_remedy(void);

/* After the child's handlers: those that are still held are due to be reported, or with strict=1 are. */
void orphan_report(void);

/* The child does something with locks, or ends: reports them. Or there is nothing to report: it executes a program. */
void orphan_tell_due(void);
void orphan_forget_due(void);

#endif
