/* SPDX-License-Identifier: MIT */
/*
 * Atfork handlers whose object is no longer loaded: calling one would end the process, or run what lies there now.
 */
#ifndef SPORK_STALE_H
#define SPORK_STALE_H

#include <stdbool.h>
#include <stdint.h>

#include "atfork.h"

/* The object that a function lay in when it was registered. */
struct stale_place {
	uint64_t object; /* of its key and bias; zero: in none, as code made at run time */
	uintptr_t bias;
	uint32_t index; /* in the box, plus one */
};

/* Fills the place of a function; NULL has none. */
void stale_note(uintptr_t function, struct stale_place *place);

/* Has that object gone from the function's address, and nothing there can run on its behalf? */
bool stale_is(uintptr_t function, const struct stale_place *place);

void stale_report(uintptr_t function, const struct stale_place *place, enum atfork_phase phase);

#endif
