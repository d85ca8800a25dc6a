/* SPDX-License-Identifier: MIT */
/*
 * What the shim says: violations, and one-line messages about its own set-up. May run anywhere.
 */
#ifndef SPORK_REPORT_H
#define SPORK_REPORT_H

#include "box.h"
#include "text.h"

/* A message of one line to stderr, "spork: ...", in one write. */
struct report_line {
	struct text_buffer buffer;
	char bytes[2048];
};

/* The sink for the line's words. */
struct text *report_line_begin(struct report_line *line);
void report_line_end(struct report_line *line);

/* "spork: what: where problem; consequence". */
void report_problem(const char *what, const char *where, const char *problem,
		    const char *consequence);

/*
 * Records a violation and, the first time, writes its text where `log` says; of a vfork() child its parent does. The caller fills kind, lock,
 * holder, stacks and fork; who and when is added here.
 */
void report_violation(struct box_violation *violation);

/* The text of one that a vfork() child has recorded: by its parent, whose stderr is not the child's. */
void report_of_child(uint64_t hash);

#endif
