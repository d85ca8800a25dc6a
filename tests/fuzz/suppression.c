// SPDX-License-Identifier: MIT
/*
 * Fuzz target: a file of suppressions, read by the tool and, line by line, by the reader that shim and tool share. What
 * a pattern matches is compared with a second matcher, which is short, slow and nobody's but this file's.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "fuzz.h"
#include "shim/suppression.h"
#include "tools/tool.h"

static char with_box[2][128]; /* what is asked of `report`, in both formats */

static void write_at(int fd, const void *record, size_t size, uint64_t at)
{
	if (pwrite(fd, record, size, (off_t)at) != (ssize_t)size)
		abort();
}

/* A box with a violation of each kind. */
static void box_make(void)
{
	struct box_module module = { .ready = 1, .path = "/opt/app/libplugin.so.1" };
	struct box_violation violation = { .ready = 1,
					   .count = 1,
					   .stack_frames = 1,
					   .stack = { { 0x1234, 0x34, 1, 0 } },
					   .text = "malloc",
					   .held_in = "tzset" };
	int fd = memfd_create("box", 0);
	struct box_header header;

	if (fd < 0 || box_create(fd, 0, false) || pread(fd, &header, sizeof(header), 0) < 0)
		abort();
	header.table[BOX_TABLE_MODULE].used = 1;
	write_at(fd, &module, sizeof(module), header.table[BOX_TABLE_MODULE].offset);
	for (violation.kind = 0; violation.kind < BOX_VIOLATION_COUNT; violation.kind++)
		write_at(fd, &violation, sizeof(violation),
			 header.table[BOX_TABLE_VIOLATION].offset +
				 (uint64_t)violation.kind * sizeof(violation));
	header.table[BOX_TABLE_VIOLATION].used = BOX_VIOLATION_COUNT;
	write_at(fd, &header, sizeof(header), 0);
	snprintf(with_box[0], sizeof(with_box[0]),
		 "report --suppressions FILE -O /dev/null /proc/self/fd/%d", fd);
	snprintf(with_box[1], sizeof(with_box[1]),
		 "report -f json --suppressions FILE -O /dev/null /proc/self/fd/%d", fd);
}

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
	if (!with_box[0][0])
		box_make();
	fuzz_spork(with_box[0]);
	fuzz_spork(with_box[1]);
	return 0;
}
