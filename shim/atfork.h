/* SPDX-License-Identifier: MIT */
/*
 * The registry of atfork handlers, kept here so that a fast tier can run them too.
 */
#ifndef SPORK_ATFORK_H
#define SPORK_ATFORK_H

/* Whose fork is glibc running handlers for? Per thread, in thread_words.atfork_mode. */
enum atfork_mode {
	ATFORK_FULL,	 /* a fork of the program: all handlers */
	ATFORK_PREPARED, /* a fast tier that fell back: prepare handlers already ran */
	ATFORK_UPGRADE,	 /* a child in its window: prepare handlers ran in its parent, whose parent
			    handlers run there; only the child handlers are missing */
};

/* Registers the one set of handlers that stands for all others with glibc. */
void atfork_init(void);

/* For a fast tier, which glibc does not see: the handlers around it, in POSIX order. */
void atfork_prepare(void);
void atfork_parent(void);

/* For a child that an upgrade made: the child handlers, once the child is itself. */
void atfork_after_upgrade(void);

#endif
