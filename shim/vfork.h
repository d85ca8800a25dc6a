/* SPDX-License-Identifier: MIT */
/*
 * The program's own vfork(): its child shares memory by the program's will, and has rules to keep.
 *
 * The child is the one that the program asked for, with its pid, its signals and its end. It is watched: what it calls
 * (hooks), where its stack is at each call (has it returned?), and what it wrote, by comparing at its first exec or at
 * its end. What it wrote against the rules is put back, but not what it writes after an exec has failed: so programs
 * tell their parent why. A call that is not safe makes it a real fork that starts over, as long as nothing that it did
 * can be seen from outside.
 */
#ifndef SPORK_VFORK_H
#define SPORK_VFORK_H

#include "hook.h"
#include "window.h"

/*
 * In the parent, for a vfork() at this site, whose innermost frames are these. Fills `window`, which is fresh, and
 * leaves it open. False: its child is let through without rules, for lack of memory or of a stack that is known.
 */
bool vfork_open(struct window *window, const struct entry_registers *registers,
		const struct site_visit *visit, const struct unwind_frame *frame, unsigned frames);

/* In the child, first of all. */
void vfork_enter(struct window *window);

/*
 * The child makes a call: one that ends it does not return here. `reason` is what its trait makes of it, `arguments`
 * may be NULL.
 */
void vfork_call(struct window *window, enum hook hook, enum spork_reason reason,
		const struct hook_arguments *arguments, struct hook_caller caller);

/*
 * Which rule does a child that shares memory break by this call? BOX_VIOLATION_COUNT: none. `number` is that of a raw
 * system call, or -1.
 */
enum spork_violation vfork_forbids(enum hook hook, enum spork_reason reason, long number);

/* A vfork() child of the child of `outer`, which may be NULL, is about to execute. */
void vfork_inner_executes(const struct window *outer);

/* The child is about to execute, `failed`: it could not. */
void vfork_exec_begin(struct window *window);
void vfork_exec_failed(struct window *window);

/* Is the caller the child of a vfork() window? Then its parent writes the text of the violation with this hash. */
bool vfork_defer(uint64_t hash);

/*
 * In the child, whose stack differs: has it returned from the function that called vfork()? Reports it, once.
 */
bool vfork_returned(struct window *window);

/* Where the vfork was, and where the child is, into a violation. */
void vfork_describe(const struct window *window, struct box_violation *violation);

/*
 * In the parent, when the clone returned `pid` or -errno: puts back what is to be put back. Returns `pid`, or zero:
 * the window gave way, and a real fork is to start over.
 */
long vfork_close(struct window *window, long pid);

#endif
