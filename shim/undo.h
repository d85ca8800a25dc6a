/* SPDX-License-Identifier: MIT */
/*
 * What a shared window's child may change in its parent, saved before and put back after.
 */
#ifndef SPORK_UNDO_H
#define SPORK_UNDO_H

#include <stddef.h>
#include <stdint.h>

#include "box.h"

#define UNDO_STACK ((size_t)128 << 10)
#define UNDO_BYTES ((size_t)16 << 10)

struct undo {
	uintptr_t stack; /* lowest address saved */
	size_t stack_size;
	char **environment;
	int error;
	uint32_t ranges;
	struct {
		uintptr_t address;
		uint32_t size, at;
	} range[BOX_SITE_WRITES];
	uint8_t bytes[UNDO_BYTES];
	uint64_t stack_words[UNDO_STACK / 8];
};

/*
 * Saves errno, environ, `stack_size` bytes from `stack` up, and the ranges that the site's children are
 * known to write. BOX_REASON_NONE, or why it cannot.
 */
enum spork_reason undo_save(struct undo *undo, const struct box_site *site, uintptr_t stack,
			    size_t stack_size);

/* Puts back what differs. The calling frame must lie below what was saved. */
void undo_restore(const struct undo *undo);

#endif
