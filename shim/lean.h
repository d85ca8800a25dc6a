/* SPDX-License-Identifier: MIT */
/*
 * The tier "lean": a real fork whose large private mappings are left out. Its child fetches pages from its parent when
 * it touches them, and its parent's calling thread is held meanwhile, until the child executes or ends.
 *
 *  lean.c         the parent: the fork
 *  lean_hold.c    how long it waits for the child
 *  lean_serve.c   what it answers meanwhile
 *  lean_map.c     what to leave out
 *  lean_need.c    what children of a site needed of it
 *  lean_keeper.c  a copy of the parent that serves a child which takes too long, so that the parent can go on
 *  lean_child.c   the child: from its first instruction to exec, or to the end of the tier
 *  lean_fetch.c   what it lacks, and fetching it
 *  lean_call.c    the child's system calls, whose arguments the kernel cannot fetch
 *  lean_argument.c  where those lie
 *  lean_signal.c  SIGSEGV and SIGSYS, which are the shim's in the child, and what the program believes of them
 *
 * The child's part is for machines with ARCH_DISPATCH.
 */
#ifndef SPORK_LEAN_H
#define SPORK_LEAN_H

#include <signal.h>

#include "box.h"
#include "sys.h"

/* Left out of one fork at most, the largest first; and what a child may make of them by unmapping parts. */
#define LEAN_RANGES 32
#define LEAN_PIECES 64

struct lean;

/* What became of a child while its parent was held. */
struct lean_outcome {
	bool left_out; /* there was anything to leave out: or else it was an ordinary fork, and nobody waited */
	enum spork_reason refused; /* why nothing was */
	bool executed;		   /* a program, as far as can be told */
	enum spork_reason
		ended;	/* why it became an ordinary child before; BOX_REASON_NONE: it did not */
	bool kept;	/* the parent went on before, so as not to keep its other threads waiting */
	uint64_t pages; /* that it fetched */
};

/*
 * Why no child of this process can be lean now, or why it would not pay. BOX_REASON_NONE: it can, and `resident` is how
 * many pages the process has of its own.
 */
enum spork_reason lean_refuses(uint64_t *resident);

/*
 * The program makes this system call, with these three arguments. Does it tell the kernel what its children are to inherit,
 * or make memory that is not like any other, or have children in another pid namespace, none of them is lean from then on.
 */
void lean_notice(long number, const long *value);

/* What a child of the site may have to know of the program; NULL: there is no room. For the calling thread's next fork. */
struct lean *lean_open(uintptr_t stack, const void *site);

/*
 * Around each system call that copies the process; the child calls nothing. For a lean one, `leaves_out`, what is to be
 * left out is marked in between, no other thread is let in, and signals are blocked. Not if other threads run that may
 * change what the child has yet to fetch: the gate must be closed for as long as it stays so.
 */
void lean_fork_begin(bool leaves_out);
void lean_fork_end(void); /* of a lean one signals stay blocked, up to the end of lean_hold() */

/* The same around a look at what the process does on a signal, or a change of it: a lean fork borrows SIGSEGV meanwhile. */
static inline void lean_action_begin(int signal)
{
	if (signal == SIGSEGV)
		lean_fork_begin(false);
}

static inline void lean_action_end(int signal)
{
	if (signal == SIGSEGV)
		lean_fork_end();
}

/* The first thing in the child of a fork() of libc's, ahead of what its atfork handlers do. False: it is not lean. */
bool lean_child(void);

/* Before the process ends or executes: waits, for a while, for children that still fetch from it. */
void lean_wait_children(void);

/* In the parent: serves the child, and returns when it has executed, ended, or become an ordinary one. errno is kept. */
struct lean_outcome lean_hold(struct lean *lean, long pid);

/* Gives it back: in the parent. */
void lean_close(struct lean *lean);

/* Is the calling process a lean child, still? */
bool lean_is_child(void);

/* It becomes an ordinary one: fetches all that is left. Where signal handlers may run. */
void lean_end(enum spork_reason reason);

/* A forked child that is not lean: its parent's children are none of its own. */
void lean_after_fork(void);

#endif
