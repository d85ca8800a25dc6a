// SPDX-License-Identifier: MIT
/*
 * Suppressions, from the tool's side: with names, source files and modules of each frame of a violation. The
 * grammar is the shim's own, suppression.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "suppression.h"
#include "tool.h"

struct suppressions {
	char **text; /* of each file; patterns point into them */
	size_t texts;
	struct suppression *line;
	size_t lines;
	/* What was found for each slot: slots are filled once. */
	enum { SLOT_UNKNOWN, SLOT_SHOWN, SLOT_SUPPRESSED } slot[BOX_CAPACITY_VIOLATION];
};

static void *grown(void *array, size_t size)
{
	array = realloc(array, size);
	if (!array)
		abort();
	return array;
}

/* The bytes of a regular file that is not too large, to be freed; NULL after a line of error. */
static char *file_read(const char *path, size_t *size)
{
	/* O_NONBLOCK: a pipe would hang. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	const char *problem = fd < 0 ? strerror(errno) : NULL;
	char *text = grown(NULL, SUPPRESSIONS_SIZE + 1);
	struct stat status;
	ssize_t got = 0;

	*size = 0;
	if (fd >= 0 && (fstat(fd, &status) || !S_ISREG(status.st_mode)))
		problem = "is not a regular file";
	while (!problem && *size <= SUPPRESSIONS_SIZE) {
		got = read(fd, text + *size, SUPPRESSIONS_SIZE + 1 - *size);
		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		*size += (size_t)got;
	}
	if (!problem && got < 0)
		problem = strerror(errno);
	else if (!problem && *size > SUPPRESSIONS_SIZE)
		problem = "is larger than 64 KiB";
	if (fd >= 0)
		close(fd);
	if (!problem)
		return text;
	complain("--suppressions %s: %s", path, problem);
	free(text);
	return NULL;
}

int suppressions_read(struct suppressions **suppressions, const char *path)
{
	struct suppressions *all = *suppressions;
	struct suppression_lines lines = { 0 };
	struct suppression line;
	enum suppression_line found;
	size_t size;
	char *text = file_read(path, &size);

	if (!text)
		return STATUS_FAILED;
	if (!all) {
		all = *suppressions = grown(NULL, sizeof(*all));
		memset(all, 0, sizeof(*all));
	}
	all->text = grown(all->text, (all->texts + 1) * sizeof(*all->text));
	all->text[all->texts++] = text;
	lines.at = text;
	lines.end = text + size;
	while ((found = suppression_next(&lines, &line)) == SUPPRESSION_FOUND) {
		all->line = grown(all->line, (all->lines + 1) * sizeof(*all->line));
		all->line[all->lines++] = line;
	}
	if (found == SUPPRESSION_END)
		return 0;
	complain(
		"%s:%u: is not of the form kind:pattern; kinds are in spork-violations(7), * is all",
		path, lines.line);
	return STATUS_FAILED;
}

void suppressions_free(struct suppressions *suppressions)
{
	if (!suppressions)
		return;
	while (suppressions->texts)
		free(suppressions->text[--suppressions->texts]);
	free(suppressions->text);
	free(suppressions->line);
	free(suppressions);
}

/* The names that a violation goes by. They live as long as the symbols and the box. */
#define NAMES (4 * BOX_STACK_FRAMES + 16)

struct names {
	struct {
		const char *name;
		bool path;
	} all[3 * NAMES];
	size_t count;
};

static void names_add(struct names *names, const char *name, bool path)
{
	size_t i;

	if (!name || !*name || names->count == sizeof(names->all) / sizeof(*names->all))
		return;
	/* Frames share modules and files, and so the very strings. */
	for (i = 0; i < names->count; i++)
		if (names->all[i].name == name)
			return;
	names->all[names->count].name = name;
	names->all[names->count++].path = path;
}

static void names_place(struct names *names, const struct place *place)
{
	for (; place; place = place->outer) {
		names_add(names, place->symbol, false);
		names_add(names, place->linkage, false);
		names_add(names, place->module, true);
		names_add(names, place->file, true);
	}
}

static void names_frames(struct names *names, const struct view *view,
			 const struct box_frame *frame, uint32_t frames)
{
	uint32_t i;

	for (i = 0; i < frames && i < BOX_STACK_FRAMES; i++) {
		struct place place = symbols_code(view->symbols, &frame[i]);

		names_place(names, &place);
	}
}

static void names_collect(struct names *names, const struct view *view,
			  const struct box_violation *violation)
{
	struct place place = symbols_data(view->symbols, &violation->lock);

	/* One that is empty: "*" is for all, even for what has no name. */
	names->all[0].name = "";
	names->all[0].path = false;
	names->count = 1;
	names_place(names, &place);
	names_frames(names, view, violation->stack, violation->stack_frames);
	names_frames(names, view, violation->acquired, violation->acquired_frames);
	names_frames(names, view, violation->fork, violation->fork_frames);
	names_frames(names, view, violation->order.stack, violation->order.stack_frames);
	names_frames(names, view, &violation->origin, 1);
	names_frames(names, view, &violation->handler, 1);
	names_add(names, violation->text, false);
	names_add(names, violation->held_in, false);
	names_add(names, violation->asked_in, false);
}

static bool names_match(const struct names *names, const struct suppression *line)
{
	size_t i;

	for (i = 0; i < names->count; i++) {
		const char *name = names->all[i].name;

		if (names->all[i].path ? suppression_matches_path(line, name, strlen(name)) :
					 suppression_matches(line, name, strlen(name)))
			return true;
	}
	return false;
}

static bool look_up(const struct view *view, const struct box_violation *violation)
{
	const struct suppressions *suppressions = view->suppressions;
	struct names names;
	size_t i;

	names_collect(&names, view, violation);
	for (i = 0; i < suppressions->lines; i++) {
		const struct suppression *line = &suppressions->line[i];

		if ((line->kind == BOX_VIOLATION_COUNT || line->kind == violation->kind) &&
		    names_match(&names, line))
			return true;
	}
	return false;
}

bool suppressions_match(const struct view *view, uint32_t slot)
{
	struct suppressions *suppressions = view->suppressions;

	if (!suppressions || slot >= BOX_CAPACITY_VIOLATION || !view->box->violation[slot].ready)
		return false;
	if (suppressions->slot[slot] == SLOT_UNKNOWN)
		suppressions->slot[slot] =
			look_up(view, &view->box->violation[slot]) ? SLOT_SUPPRESSED : SLOT_SHOWN;
	return suppressions->slot[slot] == SLOT_SUPPRESSED;
}

/* Frames there say how something is done, not who wants it done. */
static bool is_plumbing(const char *path)
{
	static const char *const bases[] = { "libc.so",	    "libc-",	  "ld-linux",
					     "libspork.so", "libpthread", "libstdc++.so" };
	size_t i;

	for (i = 0; i < sizeof(bases) / sizeof(*bases); i++)
		if (!strncmp(path_base(path), bases[i], strlen(bases[i])))
			return true;
	return false;
}

/* "kind:^name$"; what cannot stand in a line becomes "*". */
static char *line_of(const char *kind, const char *name)
{
	char *line, *at;

	if (asprintf(&line, "%s:^%s$", kind, name) < 0)
		abort();
	for (at = line; *at; at++)
		if ((unsigned char)*at < 0x20 || (unsigned char)*at >= 0x7f)
			*at = '*';
	return line;
}

/* Whether the line says it, as the reader of a file would find. */
static bool line_holds(const struct names *names, const char *line)
{
	struct suppression_lines lines = { line, line + strlen(line), 0 };
	struct suppression suppression;

	return suppression_next(&lines, &suppression) == SUPPRESSION_FOUND &&
	       names_match(names, &suppression);
}

/* The innermost function that is the program's own, by a name that the shim knows as well. */
static const char *function_of(const struct view *view, const struct box_frame *frame,
			       uint32_t frames)
{
	uint32_t i;

	for (i = 0; i < frames && i < BOX_STACK_FRAMES; i++) {
		struct place place = symbols_code(view->symbols, &frame[i]);

		/* The shim knows nothing of those that were inlined. */
		while (place.outer)
			place = *place.outer;
		if (place.symbol && place.module && !is_plumbing(place.module))
			return place.linkage ? place.linkage : place.symbol;
	}
	return NULL;
}

char *suppression_make(const struct view *view, uint32_t slot)
{
	const struct box_violation *violation = &view->box->violation[slot];
	const char *kind = box_violation_name(violation->kind), *tries[3];
	struct names names;
	char *line;
	size_t i;

	if (violation->kind >= BOX_VIOLATION_COUNT)
		return NULL;
	tries[0] = function_of(view, violation->stack, violation->stack_frames);
	tries[1] = function_of(view, violation->acquired, violation->acquired_frames);
	tries[2] = function_of(view, violation->fork, violation->fork_frames);
	names_collect(&names, view, violation);
	for (i = 0; i < 3 + names.count; i++) {
		const char *name = i < 3 ? tries[i] : names.all[i - 3].name;

		line = name && *name ? line_of(kind, name) : NULL;
		if (line && line_holds(&names, line))
			return line;
		free(line);
	}
	if (asprintf(&line, "%s:*", kind) < 0)
		abort();
	return line;
}
