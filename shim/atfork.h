/* SPDX-License-Identifier: MIT */
/*
 * The registry of atfork handlers, kept here so that a fast tier can run them too.
 */
#ifndef SPORK_ATFORK_H
#define SPORK_ATFORK_H

#include <stdbool.h>
#include <stdint.h>

/* What has run already of the fork that this thread makes: thread_words.atfork_mode. */
enum atfork_mode {
	ATFORK_FULL,	 /* nothing */
	ATFORK_PREPARED, /* the prepare handlers, for a window that gave way to a real fork */
	ATFORK_HELD,	 /* nothing; but the parent's handlers wait for the child: see lean.h */
	ATFORK_DEFERRED, /* all but those */
};

/* Whose handlers the calling thread runs: thread_words.atfork_phase. */
enum atfork_phase { ATFORK_NONE, ATFORK_PREPARE, ATFORK_PARENT, ATFORK_CHILD, ATFORK_PHASES };

/* Of a fork that is audited: thread_words.atfork_watch. */
enum atfork_watch {
	ATFORK_IGNORED,
	ATFORK_WATCHED, /* notice what the child's handlers do */
	ATFORK_MATTERS, /* they change what an executed program inherits */
};

/* Registers the one set of handlers that stands for all others with glibc. */
void atfork_init(void);

/* For a fast tier, which glibc does not see: the handlers around it, in POSIX order. */
void atfork_prepare(void);
void atfork_parent(void);

/*
 * Of a fork with ATFORK_HELD, once its child has been waited for: opens the gate, runs the parent's handlers. Or sooner,
 * where a signal handler forks that came before: the prepare handlers are not to run twice in a row.
 */
void atfork_parent_deferred(void);

/* A hash of the handlers that run in children, equal in processes that have registered the same. */
uint64_t atfork_key(void);

/* Has anybody registered any? */
bool atfork_registered(void);

/* The prepare handler at this place, as in struct held's `handler`; zero: not known. */
uintptr_t atfork_prepare_of(uint32_t place);

void atfork_after_fork(void);

#endif
