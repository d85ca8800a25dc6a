/* SPDX-License-Identifier: MIT */
/*
 * What a window of the program's own vfork() keeps besides: see vfork.h.
 */
#ifndef SPORK_VFORK_WINDOW_H
#define SPORK_VFORK_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "undo.h"

/* Static data that is copied whole to be compared: so many stretches of it. */
#define VFORK_SEGMENTS 64
/* So many places that a child wrote are told one by one, and put back. */
#define VFORK_WRITES 16
/* So many reports are written by the parent. */
#define VFORK_REPORTS 24

struct vfork_write {
	uintptr_t address;
	uint32_t size;
};

struct vfork_window {
	/* Of the function that called vfork(), and what it returns to; zero: not known. */
	uintptr_t frame_end, frame_return;
	struct arch_variables pid;

	/* The child's exit signal is 0 until it executes: no wait() shall see one that gives way to a real fork. */
	bool hidden;
	bool entered;  /* by a child whose stores are seen here */
	bool returned; /* the child, from the function that called vfork() */
	bool effects;  /* what it did can be seen from outside, so that it cannot start over */
	bool failed;   /* the child ended with a status that says so: what it wrote may be why */
	bool unmapped; /* static data may be gone: it has changed the memory map, or unloaded a library */
	/* It went on with what is not safe: what it wrote belongs together with what cannot be put back. */
	bool entangled;
	bool compared;	  /* what it wrote before the first exec, or its end */
	bool environment; /* it has replaced environ */
	bool exec_failed; /* what it has written since is for its parent to read */

	uint32_t reports;
	uint64_t report[VFORK_REPORTS]; /* hashes */

	/* In memory of its own; `copy` zero: not this time. */
	uintptr_t copy;
	size_t copy_size;
	uint32_t segments;
	struct {
		uintptr_t start, end;
		size_t at;
	} segment[VFORK_SEGMENTS];
	uint32_t writes; /* found in static data */
	struct vfork_write write[VFORK_WRITES];
};

/* The units of the saved stack that were written before an exec failed: a bit each. */
struct vfork_stack {
	uint8_t written[UNDO_STACK / WRITE_UNIT / 8];
};

#endif
