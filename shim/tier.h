/* SPDX-License-Identifier: MIT */
/*
 * Which tier a fork takes.
 */
#ifndef SPORK_TIER_H
#define SPORK_TIER_H

#include "box.h"
#include "site.h"

/* Does the user allow forked children to share memory? */
bool tier_shares(void);

/* Why no child of this process may share its memory now; BOX_REASON_NONE: it may. */
enum spork_reason tier_process_refuses(void);

/* The same for the rules of a vfork() of the program's own. */
enum spork_reason tier_vfork_refuses(const struct site_visit *visit);

/* Why no child of this site may, this time. */
enum spork_reason tier_site_refuses(const struct site_visit *visit);

/*
 * Is it 5.16 or later? Before, a child that shares memory and dumps core takes its parent with it (coredump: Limit
 * coredumps to a single thread group).
 */
bool tier_kernel_serves(void);

/* Does the kernel hand cores to a program, which a limit of 0 does not prevent? core(5) */
bool tier_cores_are_piped(void);

/* Valgrind preloads a library of its own, whatever its tool. */
bool tier_under_valgrind(void);

/* An action of the whole process rules out shared memory from now on. */
void tier_forbid(enum spork_reason reason);

#endif
