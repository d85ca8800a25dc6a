/* SPDX-License-Identifier: MIT */
/*
 * The window automaton: which interposed call followed which in the children of a site. A call is told by
 * its function and its return address as (module, offset), so what was learned holds in other processes.
 */
#ifndef SPORK_AUTOMATON_H
#define SPORK_AUTOMATON_H

#include <stdbool.h>
#include <stdint.h>

#include "box.h"
#include "real.h"

struct window;

/* In an audited child: the call of `hook` that returns to `where` comes next. */
void automaton_note(struct window *window, enum hook hook, uintptr_t where);

/*
 * In a child that shares memory: moves on, or false: no audited child of the site made this call after its
 * last one.
 */
bool automaton_knows(struct window *window, enum hook hook, uintptr_t where);

/* In an audited child: did it leave the paths that its site's children are known to take? */
bool automaton_is_new(const struct window *window);

/* Is there room in its site for what an audited child noted? */
bool automaton_fits(const struct window *window);

/* Adds it, once all that such a child writes is known to the site. */
void automaton_learn(struct window *window);

#endif
