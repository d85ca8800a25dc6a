/* SPDX-License-Identifier: MIT */
/*
 * The profile: what was learned of call sites, kept in a file from one run to the next.
 */
#ifndef SPORK_PROFILE_H
#define SPORK_PROFILE_H

#include <stdbool.h>

/* Do the options name a file? */
bool profile_is_named(void);

/* Adds what the file that the options name knows to the box's sites. Once, after record_init(). */
void profile_init(void);

/*
 * Writes the file anew if something was learned since; does nothing in a window. For a process that ends.
 * May run in a signal handler. errno is kept.
 */
void profile_save(void);

/* The same where execve() or _exit() is about to run; not in forked children, which do so on the way. */
void profile_save_leaving(void);

/* The same for those that go on: seldom enough not to be noticed. */
void profile_save_soon(void);

/* In a forked child: a thread that was saving stayed with the parent. */
void profile_after_fork(void);

#endif
