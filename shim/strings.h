/* SPDX-License-Identifier: MIT */
/*
 * Copies of argument vectors, for children that outlive the call they were made by.
 */
#ifndef SPORK_STRINGS_H
#define SPORK_STRINGS_H

#include <stdbool.h>
#include <stddef.h>

/* Where copies go: `next` is 8-byte aligned. */
struct strings_room {
	char *next, *end;
};

/*
 * Copies the vector and its strings; NULL: there is no room for them. No vector is an empty one, as for the kernel.
 * Another thread may change the strings meanwhile, or put fewer into the vector.
 */
char **strings_copy(struct strings_room *room, char *const *vector);

#endif
