/* SPDX-License-Identifier: MIT */
/*
 * Held locks, and what a fork makes of them.
 */
#ifndef SPORK_LOCK_H
#define SPORK_LOCK_H

#include <stdint.h>

/*
 * In the child of a real fork, after its atfork handlers and before thread_after_fork(): finds the locks
 * that other threads held, and reports them. `from` is the return address of the fork,
 * `site` its index in the box plus one.
 */
void lock_after_fork(uintptr_t from, uint32_t site);

#endif
