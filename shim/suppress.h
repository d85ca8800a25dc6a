/* SPDX-License-Identifier: MIT */
/*
 * What the user does not want to hear of: the file that the option `suppressions` names.
 */
#ifndef SPORK_SUPPRESS_H
#define SPORK_SUPPRESS_H

#include <stdbool.h>

#include "box.h"

/* Reads the file. What is wrong with it is told on stderr, once in a tree of programs. Once, single-threaded. */
void suppress_init(void);

/*
 * Does a line of the file match? The shim knows no functions by name, but those that a violation names itself, and no
 * source files: what is looked at are the paths of modules, the class of a hidden lock and the functions called. May
 * run anywhere.
 */
bool suppress_wants(const struct box_violation *violation);

#endif
