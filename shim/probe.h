/* SPDX-License-Identifier: MIT */
/*
 * A throw-away process: a copy of the caller that runs one function, to see whether that ends or blocks.
 */
#ifndef SPORK_PROBE_H
#define SPORK_PROBE_H

#include <stdint.h>

enum probe_end {
	PROBE_ENDED,
	PROBE_BLOCKED, /* waits for a futex, without a limit, in memory that no other process has */
	PROBE_FAILED,  /* it was killed, or gave up, before the function came back */
	PROBE_UNDECIDED, /* nothing of all that, until the limit */
	PROBE_NONE,	 /* it could not be made */
};

/*
 * Runs `function(argument)` in it. `word`: the address of the futex, zero: not known. Nothing that the function
 * does to memory or descriptors comes back. The caller has blocked all signals, and so has the probe; no wait() of
 * the program's sees it.
 */
enum probe_end probe_run(void (*function)(void *), void *argument, uintptr_t *word);

#endif
