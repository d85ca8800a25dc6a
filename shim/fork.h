/* SPDX-License-Identifier: MIT */
/*
 * The tier "fork": a child whose memory is its own.
 */
#ifndef SPORK_FORK_H
#define SPORK_FORK_H

#include "window.h"

/*
 * A fork whose memory is its own; audited if its site is to be learned; `pending` signals are the child's.
 * Returns twice.
 */
long fork_real(const struct entry_registers *registers, struct spawn_record *spawn, bool audit,
	       sys_sigset pending);

/*
 * The same, of the tier "lean": see lean.h. Returns twice; the parent when the child has executed or ended, or has taken
 * too long. `resident`: pages of the process's own.
 */
long fork_lean(const struct entry_registers *registers, struct spawn_record *spawn,
	       uint64_t resident);

/*
 * Under a filter that the program has added, which may end it for any call but those that glibc's fork makes:
 * the call site is not looked up, and no orphaned lock looked for. Returns twice.
 */
long fork_confined(const struct entry_registers *registers, struct spawn_record *spawn);

#endif
