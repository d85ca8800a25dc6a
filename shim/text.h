/* SPDX-License-Identifier: MIT */
/*
 * A violation as text. The shim and the tools print the same words; they differ in how an address is
 * shown (module+offset, or function, file and line), so that part is the caller's.
 * Pure: no state, no libc beyond memory reads; may run anywhere.
 */
#ifndef SPORK_TEXT_H
#define SPORK_TEXT_H

#include <stddef.h>

#include "box.h"

struct text {
	void (*put)(struct text *text, const char *bytes, size_t size);
	/* A code address, without newline: "cache_get cache.c:88 (app+0x1234)" or "app+0x1234". */
	void (*code)(struct text *text, const struct box_frame *frame);
	/*
	 * The lines of a stack for a code address, from "    #NUMBER " on: functions that were inlined have one each. The
	 * number of the next. NULL: there is one, with what `code` writes.
	 */
	uint32_t (*lines)(struct text *text, const struct box_frame *frame, uint32_t number);
	/* A data address, without newline: "0x55d0c8 (cache_lock)". */
	void (*data)(struct text *text, const struct box_frame *frame);
	/* What a violation's `local` says was written: "local 'status' in run_hook hook.c:31", or the frame's code. */
	void (*local)(struct text *text, const struct box_violation *violation);
	/* A code address for the last line: "cache.c:88 in cache_get" or "app+0x1234". */
	void (*summary)(struct text *text, const struct box_frame *frame);
};

/* A sink that keeps what fits into memory of the caller's and drops the rest. */
struct text_buffer {
	struct text text;
	char *bytes;
	size_t size, capacity;
};

void text_buffer_put(struct text *text, const char *bytes, size_t size);

void text_string(struct text *text, const char *string);
void text_bounded(struct text *text, const char *string, size_t size); /* ends at NUL or size */
void text_decimal(struct text *text, uint64_t value);
void text_hex(struct text *text, uint64_t value); /* with 0x */

/* One sentence without newline: what happened. */
void text_message(struct text *text, const struct box_violation *violation);

/* The whole report, from the line of = signs to its twin. */
void text_violation(struct text *text, const struct box_violation *violation);

#endif
