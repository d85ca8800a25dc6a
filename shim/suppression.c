// SPDX-License-Identifier: MIT
/*
 * Suppressions: lines into patterns, patterns against names. Linked into the shim and into the tools.
 */
#include "suppression.h"

#include "box.h"
#include "name.h"

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\r';
}

static bool equal(const char *name, const char *bytes, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		if (!name[i] || name[i] != bytes[i])
			return false;
	return !name[size];
}

static bool kind_read(const char *bytes, size_t size, uint32_t *kind)
{
	if (size == 1 && *bytes == '*') {
		*kind = BOX_VIOLATION_COUNT;
		return true;
	}
	for (*kind = 0; *kind < BOX_VIOLATION_COUNT; ++*kind)
		if (equal(box_violation_name(*kind), bytes, size))
			return true;
	return false;
}

/* Nothing but anchors would match whatever is there, or what has no name. */
static bool says_something(const char *bytes, size_t size)
{
	if (size && *bytes == '^') {
		bytes++;
		size--;
	}
	return size > 1 || (size && *bytes != '$');
}

static bool line_read(const char *start, const char *end, struct suppression *suppression)
{
	const char *colon = start, *at;

	while (colon < end && *colon != ':')
		colon++;
	if (colon == end || !kind_read(start, (size_t)(colon - start), &suppression->kind))
		return false;
	suppression->pattern = colon + 1;
	suppression->size = (size_t)(end - colon - 1);
	for (at = start; at < end; at++)
		if (!*at)
			return false;
	return says_something(suppression->pattern, suppression->size);
}

enum suppression_line suppression_next(struct suppression_lines *lines,
				       struct suppression *suppression)
{
	while (lines->at < lines->end) {
		const char *start = lines->at, *end = start;

		while (end < lines->end && *end != '\n')
			end++;
		lines->at = end < lines->end ? end + 1 : end;
		lines->line++;
		while (start < end && is_blank(*start))
			start++;
		while (end > start && is_blank(end[-1]))
			end--;
		if (start == end || *start == '#')
			continue;
		return line_read(start, end, suppression) ? SUPPRESSION_FOUND : SUPPRESSION_BAD;
	}
	return SUPPRESSION_END;
}

bool suppression_matches(const struct suppression *suppression, const char *name, size_t size)
{
	const char *pattern = suppression->pattern, *end = pattern + suppression->size;
	/* Where the last "*" was left, and what of the name it stands for so far. */
	const char *star = NULL, *past = name, *stop = name + size;
	bool tied = false;

	if (end > pattern && end[-1] == '$') {
		tied = true;
		end--;
	}
	if (pattern < end && *pattern == '^')
		pattern++;
	else
		star = pattern;
	for (;;) {
		if (pattern == end && (!tied || name == stop || !*name))
			return true;
		if (pattern < end && *pattern == '*') {
			star = ++pattern;
			past = name;
			continue;
		}
		if (pattern < end && name < stop && *name && *name == *pattern) {
			pattern++;
			name++;
			continue;
		}
		if (!star || past == stop || !*past)
			return false;
		pattern = star;
		name = ++past;
	}
}

bool suppression_matches_path(const struct suppression *suppression, const char *path, size_t size)
{
	const char *base = path;
	size_t i;

	for (i = 0; i < size && path[i]; i++)
		if (path[i] == '/')
			base = path + i + 1;
	return suppression_matches(suppression, path, size) ||
	       suppression_matches(suppression, base, size - (size_t)(base - path));
}
