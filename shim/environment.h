/* SPDX-License-Identifier: MIT */
/*
 * Keeping the shim in the environment of executed programs (follow=1), or out of it (follow=0).
 */
#ifndef SPORK_ENVIRONMENT_H
#define SPORK_ENVIRONMENT_H

#include <stdbool.h>
#include <stddef.h>

/* Remembers what the shim was loaded with, or takes it out of environ. Once, single-threaded. */
void environment_init(bool follow);

/* What environment_keep() needs: another thread may change the environment meanwhile, and what counts is this. */
struct environment_room {
	size_t size;	  /* bytes on the caller's stack; zero: there is nothing to add */
	size_t count;	  /* variables */
	const char *list; /* LD_PRELOAD, or NULL */
	size_t list_size;
};

struct environment_room environment_room(char *const *environment);

/* The environment with the shim in it, built at `to`; it points into the original's strings. */
char *const *environment_keep(char *const *environment, const struct environment_room *room,
			      void *to);

/* `environment`, with the shim kept in it; the copy, if any, lives in the calling function's frame. */
#define ENVIRONMENT_KEEP(environment)                                                              \
	({                                                                                         \
		char *const *kept_of = (environment);                                              \
		struct environment_room kept_room = environment_room(kept_of);                     \
		kept_room.size ?                                                                   \
			environment_keep(kept_of, &kept_room, __builtin_alloca(kept_room.size)) :  \
			kept_of;                                                                   \
	})

#endif
