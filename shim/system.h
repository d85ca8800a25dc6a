/* SPDX-License-Identifier: MIT */
#ifndef SPORK_SYSTEM_H
#define SPORK_SYSTEM_H

/* In a forked child: the threads that were in system() are its parent's. */
void system_after_fork(void);

#endif
