/* SPDX-License-Identifier: MIT */
/*
 * With strict=1, handlers of signals by way of the shim: the kernel is given a wrapper for each, and the program is told
 * of its own. Flags and mask are in the kernel as the program gave them, so that all they do, it does.
 *
 * Left alone are handlers that were set by a raw system call, and those that a child sets which shares its parent's
 * memory, where the table is: such a child has handlers of its own.
 */
#ifndef SPORK_SIGNAL_WRAP_H
#define SPORK_SIGNAL_WRAP_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* While one handler is being set. */
struct signal_wrap {
	uintptr_t before; /* what the wrapper stood for */
	uintptr_t given;  /* what it stands for now; zero: the table was left as it is */
	bool locked;
};

/*
 * What to give the kernel for the program's handler; SIG_DFL and the like for itself. `masks`: the call in between
 * looks at the thread's signal mask, or changes it, which therefore stays as it is; else all signals are blocked.
 */
sighandler_t signal_wrap_begin(struct signal_wrap *wrap, int signal, sighandler_t handler,
			       bool masks);

/* It was given, or not; returns what to tell the program for the handler that it replaced. */
sighandler_t signal_wrap_end(struct signal_wrap *wrap, int signal, bool failed, sighandler_t old);

/* The handler that is there, as the program knows it. */
sighandler_t signal_wrap_own(int signal, sighandler_t handler);

/* A forked child has the table for itself. */
void signal_wrap_after_fork(void);

#endif
