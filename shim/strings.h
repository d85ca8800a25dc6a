/* SPDX-License-Identifier: MIT */
/*
 * Copies of argument vectors, for children that outlive the call they were made by.
 */
#ifndef SPORK_STRINGS_H
#define SPORK_STRINGS_H

#include <stddef.h>

/* Bytes that a copy of the vector and its strings takes, a multiple of 8; more than `most`: some number above that. */
size_t strings_size(char *const *vector, size_t most);

/* Copies both into `room`. The copy. */
char **strings_copy(char *const *vector, void *room);

#endif
