/* SPDX-License-Identifier: MIT */
/*
 * Keeping the shim in the environment of executed programs (follow=1), or out of it (follow=0).
 */
#ifndef SPORK_ENVIRONMENT_H
#define SPORK_ENVIRONMENT_H

#include <stddef.h>

#include <stdbool.h>

/* Remembers what the shim was loaded with, or takes it out of environ. Once, single-threaded. */
void environment_init(bool follow);

/* Room that environment_keep() may need on the caller's stack, in bytes; zero: nothing to add. */
size_t environment_room(char *const *environment);

/* The environment with the shim in it, built in `room`; it points into the original's strings. */
char *const *environment_keep(char *const *environment, void *room);

/* `environment`, with the shim kept in it; the copy, if any, lives in the calling function's frame. */
#define ENVIRONMENT_KEEP(environment)                                                              \
	({                                                                                         \
		size_t room_size = environment_room(environment);                                  \
		room_size ? environment_keep(environment, __builtin_alloca(room_size)) :           \
			    (environment);                                                         \
	})

#endif
