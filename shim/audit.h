/* SPDX-License-Identifier: MIT */
/*
 * Learning by audit: what did this child of a real fork write before exec, byte for byte?
 */
#ifndef SPORK_AUDIT_H
#define SPORK_AUDIT_H

#include "window.h"

/*
 * Before the fork of an audited child, `why` it is to be audited: the same, or why it cannot be.
 */
enum spork_reason audit_refuses(enum spork_reason why);

/*
 * In a fresh child of a real fork, before it returns to the program: makes its silent twin. Where it
 * cannot, the site is told why.
 */
void audit_begin(struct window *window);

/* Before an exec: compares with the twin, tells the site, ends the twin. */
void audit_end(struct window *window);

/*
 * The child did something that refuses its site: it called `function` from `where` (NULL: none), or wrote
 * there. Ends the twin and the window.
 */
void audit_refuse(struct window *window, enum spork_reason reason, const char *function,
		  uintptr_t where);

#endif
