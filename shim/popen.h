/* SPDX-License-Identifier: MIT */
/*
 * popen() of the program.
 */
#ifndef SPORK_POPEN_H
#define SPORK_POPEN_H

#include <stdbool.h>
#include <stdint.h>

/* In a forked child. */
void popen_after_fork(void);

/* Is it the shim's, and not libc's? */
bool popen_is_own(void);

/*
 * In a forked child: the address of the lock that another thread held at the fork, in popen(); zero: none did. libc's
 * would stay taken; the shim's, which takes its place, is open again.
 */
uintptr_t popen_orphan(void);

#endif
