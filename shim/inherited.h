/* SPDX-License-Identifier: MIT */
/*
 * What the other threads held when this process was forked: their records are in the memory that it inherited, as they
 * were then.
 */
#ifndef SPORK_INHERITED_H
#define SPORK_INHERITED_H

#include <stdbool.h>
#include <stdint.h>

#include "held.h"
#include "thread.h"

/* Is it the thread's? NOBODY: of a lock that names no owner it is only known that the thread is one of few. */
enum claim { CLAIM_NONE, CLAIM_HELD, CLAIM_NOBODY };

struct inherited {
	const struct held *held;
	const struct thread *thread;
	enum claim claim;
};

/*
 * Calls `each` for what the threads of that generation, the caller aside, hold still, until it returns false: locks,
 * and the functions that take hidden ones. Those that nobody may have come last: whoever is known to have one was seen
 * before. In a child's one thread only.
 */
void inherited_walk(uint32_t generation, bool (*each)(const struct inherited *one, void *data),
		    void *data);

#endif
