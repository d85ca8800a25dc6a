// SPDX-License-Identifier: MIT
/*
 * Fuzz target: a file of suppressions, read by the tool and, line by line, by the reader that shim and tool share. What
 * a pattern matches is compared with a second matcher, which is short, slow and nobody's but this file's.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "shim/suppression.h"

/* `at` and `end`: of the pattern, without its anchors. `tied`: the name must end with it. */
static bool glob(const char *at, const char *end, const char *name, bool tied)
{
	if (at == end)
		return !tied || !*name;
	if (*at == '*')
		return glob(at + 1, end, name, tied) || (*name && glob(at, end, name + 1, tied));
	return *name && *name == *at && glob(at + 1, end, name + 1, tied);
}

static bool slow_matches(const struct suppression *suppression, const char *name)
{
	const char *at = suppression->pattern, *end = at + suppression->size;
	bool tied = end > at && end[-1] == '$';

	end -= tied;
	if (at < end && *at == '^')
		return glob(at + 1, end, name, tied);
	do
		if (glob(at, end, name, tied))
			return true;
	while (*name++);
	return false;
}

/* Few stars: the slow matcher takes as many turns as there are ways to cut the name. */
static bool is_small(const struct suppression *suppression)
{
	size_t stars = 0, i;

	for (i = 0; i < suppression->size; i++)
		stars += suppression->pattern[i] == '*';
	return stars < 5;
}

static void line_check(const struct suppression *suppression)
{
	static const char *const names[] = { "",	   "a",	   "ab",
					     "aab$",	   "main", "aaaaaaaaaaaa",
					     "libfoo.so.1" };
	char own[24];
	size_t size = suppression->size < sizeof(own) ? suppression->size : sizeof(own) - 1, i;

	/* A name that is much like the pattern. */
	memcpy(own, suppression->pattern, size);
	own[size] = '\0';
	for (i = 0; i <= sizeof(names) / sizeof(*names); i++) {
		const char *name = i < sizeof(names) / sizeof(*names) ? names[i] : own;

		if (suppression_matches(suppression, name, strlen(name)) !=
			    suppression_matches(suppression, name, strlen(name) + 1) ||
		    (is_small(suppression) &&
		     suppression_matches(suppression, name, strlen(name)) !=
			     slow_matches(suppression, name)))
			abort();
		suppression_matches_path(suppression, name, strlen(name));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct suppression_lines lines;
	struct suppression suppression;
	char *copy = malloc(size + 1);

	if (!copy)
		return 0;
	memcpy(copy, bytes, size);
	lines = (struct suppression_lines){ copy, copy + size, 0 };
	while (suppression_next(&lines, &suppression) == SUPPRESSION_FOUND)
		line_check(&suppression);
	free(copy);
	fuzz_file(bytes, size);
	fuzz_spork("report --suppressions FILE -O /dev/null tests/corpus/box/good");
	fuzz_spork("report -f json --suppressions FILE -O /dev/null tests/corpus/box/hostile");
	return 0;
}
