/* SPDX-License-Identifier: MIT */
/*
 * Signal masks and handlers across a shared window.
 *
 * No handler of the parent may run in a child that shares its memory: all signals are blocked around the
 * clone, and the clone itself sets every handler to its default in the child (CLONE_CLEAR_SIGHAND). The
 * child nevertheless sees the mask and the handlers that a forked child would have.
 */
#ifndef SPORK_SIGNAL_WINDOW_H
#define SPORK_SIGNAL_WINDOW_H

#include <signal.h>
#include <stdbool.h>

#include "sys.h"

/* A window's part. `mask` and `handlers` are what the child believes in. */
struct signal_window {
	sys_sigset parent_mask;
	sys_sigset mask;
	sys_sigset real;     /* the one that the child has, as far as the shim knows */
	sys_sigset handlers; /* signals that still have the parent's handler */
	sys_sigset own;	     /* signals that have a handler of the child's own */
	bool stale; /* a vfork() child has changed its real mask by a call that is not followed */
};

/* Signals that the program has a handler for. */
sys_sigset signal_caught(void);

/* In the parent: blocks all signals, notes what the child is to see. */
void signal_open(struct signal_window *window);

/* In the parent, after the child let it go. */
void signal_close(const struct signal_window *window);

/* In the child, first of all, where the clone did not do it: no handler of the parent's is left. */
void signal_reset(const struct signal_window *window);

/*
 * In a child that the program made by vfork(): lets through what would be let through in a child of fork(), but for
 * signals that the parent has a handler for.
 */
void signal_hold(struct signal_window *window);

/* That child may have changed its mask by calls that are not followed: `mask` is what it believes in again. */
void signal_catch_up(struct signal_window *window);

/* The parent's handler for it: of a child that has not set one of its own. */
void *signal_handler(int signal);

/* In a process that a vfork() child has made: its mask and handlers are those that the child believed in. */
void signal_inherit(const struct signal_window *window);

/* In the child, before exec: the mask becomes real. */
void signal_exec(struct signal_window *window);
/* In the child, when it ends: the signals that wait for it. */
sys_sigset signal_pending(void);

/* In the real fork that starts over. */
void signal_raise(sys_sigset signals);

/* Reads the handlers anew at the next window: something may have set them behind the hooks. */
void signal_forget(void);

#endif
