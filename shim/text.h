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

/* Names of the enumerations in box.h; "?" where the value is out of range. */
const char *box_call_name(uint32_t call);
const char *box_tier_name(uint32_t tier);
const char *box_site_state_name(uint32_t state);
const char *box_reason_name(uint32_t reason);
const char *box_reason_text(uint32_t reason);
const char *box_violation_name(uint32_t kind);
const char *box_violation_when(uint32_t kind);
uint32_t box_violation_severity(uint32_t kind);	  /* enum spork_severity */
const char *box_severity_name(uint32_t severity); /* "note", "warning", "error" */
const char *box_lock_type_name(uint32_t type);
const char *box_phase_name(uint32_t phase);
const char *box_signal_name(uint32_t signal); /* "SIGINT"; "" where it has only a number */

void text_string(struct text *text, const char *string);
void text_bounded(struct text *text, const char *string, size_t size); /* ends at NUL or size */
void text_decimal(struct text *text, uint64_t value);
void text_hex(struct text *text, uint64_t value); /* with 0x */

/* One sentence without newline: what happened. */
void text_message(struct text *text, const struct box_violation *violation);

/* The whole report, from the line of = signs to its twin. */
void text_violation(struct text *text, const struct box_violation *violation);

#endif
