/* SPDX-License-Identifier: MIT */
/*
 * Waiting for a word that the kernel clears: see CLONE_CHILD_CLEARTID in clone(2).
 */
#ifndef SPORK_FUTEX_H
#define SPORK_FUTEX_H

#include <linux/futex.h>

#include "sys.h"

/*
 * Returns when the word has another value. The kernel wakes one waiter, on the word as processes share it (no
 * FUTEX_PRIVATE_FLAG); a second one looks again after a while.
 */
static inline void futex_wait_changed(uint32_t *word, uint32_t value)
{
	struct timespec again = { .tv_nsec = 20000000 };

	while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == value)
		SYS(futex, word, FUTEX_WAIT, value, &again, NULL, 0);
}

#endif
