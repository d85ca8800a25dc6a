/* SPDX-License-Identifier: MIT */
/*
 * The grammar of suppression files, for the shim and the tools: lines of "kind:pattern". A kind is one of
 * violation.def, or "*" for all. A pattern is looked for anywhere in a name; "^" at its start and "$" at its end tie
 * it to the name's, and "*" stands for anything, as in LeakSanitizer's. "#" starts a line of comment.
 * Pure, as text.h is: no state, may run anywhere.
 */
#ifndef SPORK_SUPPRESSION_H
#define SPORK_SUPPRESSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the longest file that is read. */
#define SUPPRESSIONS_SIZE (64U << 10)

struct suppression {
	uint32_t kind; /* BOX_VIOLATION_COUNT: all */
	const char *pattern;
	size_t size;
};

/* A walk over the lines of a file. */
struct suppression_lines {
	const char *at, *end;
	uint32_t line; /* number of the last one read, from 1 */
};

enum suppression_line { SUPPRESSION_END, SUPPRESSION_FOUND, SUPPRESSION_BAD };

/* Reads on to the next line that is neither empty nor a comment. */
enum suppression_line suppression_next(struct suppression_lines *lines,
				       struct suppression *suppression);

/*
 * Does a name of at most `size` bytes, which ends at NUL too, match? Takes no longer than the product of the two
 * lengths.
 */
bool suppression_matches(const struct suppression *suppression, const char *name, size_t size);

/* The same for a path: as a whole, or its last component. */
bool suppression_matches_path(const struct suppression *suppression, const char *path, size_t size);

#endif
