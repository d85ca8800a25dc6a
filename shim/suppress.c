// SPDX-License-Identifier: MIT
/*
 * Owns the lines of the suppressions file, as they were read when the program started. Nothing is built from
 * them: there are few, and a violation is matched but once, before it is recorded.
 */
#include "suppress.h"

#include "config.h"
#include "file.h"
#include "record.h"
#include "report.h"
#include "suppression.h"
#include "sys.h"

#include "poison.h"

static char bytes[SUPPRESSIONS_SIZE + 1];
static size_t bytes_size;

/* NULL, or what the problem is. */
static const char *file_read(const char *path)
{
	long fd = SYS(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY), got;
	const char *problem = NULL;
	struct stat status;

	if (fd < 0)
		return "cannot be opened";
	if (!sys_stat((int)fd, "", AT_EMPTY_PATH, &status) || !S_ISREG(status.st_mode))
		problem = "is not a regular file";
	else
		problem = file_problem(&status, true);
	while (!problem) {
		got = SYS(read, fd, bytes + bytes_size, sizeof(bytes) - bytes_size);
		if (got == -EINTR)
			continue;
		if (got < 0)
			problem = "cannot be read";
		if (got <= 0)
			break;
		bytes_size += (size_t)got;
		if (bytes_size > SUPPRESSIONS_SIZE)
			problem = "is larger than 64 KiB";
	}
	SYS(close, fd);
	if (problem)
		bytes_size = 0;
	return problem;
}

/* Number of the first line that is none, or zero. */
static uint32_t bad_line(void)
{
	struct suppression_lines lines = { bytes, bytes + bytes_size, 0 };
	struct suppression suppression;
	enum suppression_line found;

	do
		found = suppression_next(&lines, &suppression);
	while (found == SUPPRESSION_FOUND);
	return found == SUPPRESSION_BAD ? lines.line : 0;
}

void suppress_init(void)
{
	const char *path = config.suppressions, *problem;
	char where[CONFIG_PATH_SIZE + 16];
	struct text_buffer buffer = { { .put = text_buffer_put }, where, 0, sizeof(where) - 1 };
	uint32_t line = 0;

	if (!strcmp(path, "none"))
		return;
	/* A relative one would mean another file to each program that is executed elsewhere. */
	problem = *path == '/' ? file_read(path) : "is not an absolute path";
	text_string(&buffer.text, path);
	if (!problem && (line = bad_line())) {
		problem = "is not of the form kind:pattern";
		text_string(&buffer.text, ":");
		text_decimal(&buffer.text, line);
	}
	if (!problem)
		return;
	where[buffer.size] = 0;
	bytes_size = 0;
	report_problem("suppressions", where, problem, "nothing is suppressed");
	/* A tree of programs says it once. */
	config_drop("suppressions");
}

static bool matches_module(const struct suppression *suppression, uint32_t index)
{
	const struct box_module *module = record_at(BOX_TABLE_MODULE, index);

	return module && suppression_matches_path(suppression, module->path, sizeof(module->path));
}

static bool matches_frames(const struct suppression *suppression, const struct box_frame *frame,
			   uint32_t frames)
{
	uint32_t i;

	for (i = 0; i < frames; i++)
		/* Most frames of a stack have the module of the one before. */
		if ((!i || frame[i].module != frame[i - 1].module) &&
		    matches_module(suppression, frame[i].module))
			return true;
	return false;
}

static bool matches_text(const struct suppression *suppression, const char *text, size_t size)
{
	return *text && suppression_matches(suppression, text, size);
}

static bool matches(const struct suppression *suppression, const struct box_violation *violation)
{
	const struct box_order *order = &violation->order;

	if (suppression->kind != BOX_VIOLATION_COUNT && suppression->kind != violation->kind)
		return false;
	/* "*" is for all, even for what has no name. */
	return suppression_matches(suppression, "", 0) ||
	       matches_frames(suppression, violation->stack, violation->stack_frames) ||
	       matches_frames(suppression, violation->acquired, violation->acquired_frames) ||
	       matches_frames(suppression, violation->fork, violation->fork_frames) ||
	       matches_frames(suppression, order->stack, order->stack_frames) ||
	       matches_frames(suppression, &violation->lock, 1) ||
	       matches_frames(suppression, &violation->origin, 1) ||
	       matches_frames(suppression, &violation->handler, 1) ||
	       matches_text(suppression, violation->text, sizeof(violation->text)) ||
	       matches_text(suppression, violation->held_in, sizeof(violation->held_in)) ||
	       matches_text(suppression, violation->asked_in, sizeof(violation->asked_in));
}

bool suppress_wants(const struct box_violation *violation)
{
	struct suppression_lines lines = { bytes, bytes + bytes_size, 0 };
	struct suppression suppression;

	while (suppression_next(&lines, &suppression) == SUPPRESSION_FOUND)
		if (matches(&suppression, violation))
			return true;
	return false;
}
