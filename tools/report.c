// SPDX-License-Identifier: MIT
/*
 * `spork report BOX`: what a box holds. Works on a box that is still being written, and on what a
 * crash left of one; exits 125 only when nothing can be read.
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "tool.h"

enum { OPTION_SUPPRESSIONS = OPTION_OWN, OPTION_GENERATE };

static const struct option_row options[] = {
	{ 'k', "kind", "KIND", "show only violations of that kind; may be repeated" },
	{ 'p', "pid", "PID", "show only what process PID did" },
	{ OPTION_SUPPRESSIONS, "suppressions", "FILE",
	  "leave out violations that a line of FILE matches; may be repeated" },
	{ OPTION_GENERATE, "gen-suppressions", NULL,
	  "print, instead of each violation, a line for such a file that matches it" },
	OUTPUT_OPTIONS_OF(
		"standard output", "text|json|folded|dot|html",
		"print text (the default), json (one object a line), folded (stacks for flame "
		"graphs), dot (for graphviz) or html (one file for a browser)"),
	SYMBOL_OPTIONS,
	{ 0 },
};

static const char *const description[] = {
	"Prints the violations that a box holds, with functions, files and lines, and a summary: "
	"the processes, the spawns by call and by tier, the sites and why they are not promoted.",
	"The box may still be in use, and may have been left by a process that was killed. What is "
	"missing of a damaged box is said on one line of standard error, and the rest is shown.",
	"--kind and --pid choose the violations and processes that are shown; the summary always "
	"counts everything.",
	"With --format json there is a line for the session, one for each process, site and "
	"violation, and one for the summary. Addresses are strings in hexadecimal, times are in "
	"nanoseconds and count from the start of the session. The summary has the places of locks that "
	"held up a fork up to the limit of the gate: how often, and whether it has been given up to wait "
	"for them (given_up).",
	"With --format folded there is a line for each stack that spawned, outermost function first, with "
	"the call, the tier and the microseconds that callers were held; with --kind for each "
	"violation of that kind, with how often it was found. With --format dot the processes are drawn, "
	"from parent to child with the tier, and the locks of lock-order violations. With --format "
	"html there is one file that needs no network: a timeline, latencies, violations and sites.",
	"A function that was inlined has a line of its own in a stack, before the function that it is in, which has "
	"the address; in JSON it has the same addr and inlined, true. symbol is as people read it, linkage_name as "
	"the linker has it, where that is another.",
	"Names come from the files that ran, told by their build-ids, and from their debug files, wherever "
	"gdb(1) would find them: in .debug and /usr/lib/debug, by build-id or by link. A file that was replaced or "
	"deleted since is not asked, which is said on standard error, once for each; its debug file is, where "
	"there is one.",
	"A line of a --suppressions FILE is KIND:PATTERN. KIND is one of spork-violations(7), or * for all. "
	"PATTERN is looked for in the names of the functions, modules and source files of a violation's "
	"stacks, in the class of a hidden lock and in the name of the function called; * stands for "
	"anything, ^ at the start and $ at the end tie it to those of the name, and paths are tried as "
	"a whole and by their last component. Lines that start with # are comments. What is suppressed "
	"is counted in the summary, and only there. The shim's option suppressions, see "
	"spork-options(5), takes the same file, but knows functions by name only where they are what the "
	"violation is about, and no source files.",
	NULL,
};

static const struct note environment[] = {
	{ "NO_COLOR", "If set and not empty, there is no colour unless --color asks for it." },
	{ "DEBUGINFOD_URLS", "Servers to ask, with --debuginfod only." },
	{ 0 },
};

static const struct note exits[] = {
	{ "0", "The box was read." },
	{ "125",
	  "It could not be read, has nothing of the process that --pid asks for, or the command line is wrong." },
	{ 0 },
};

static const struct note examples[] = {
	{ "spork report -k orphan-deadlock app.box", "Show one kind of violation." },
	{ "spork report -f html -O app.html app.box", "See it in a browser." },
	{ "spork report -f folded app.box | flamegraph.pl >app.svg",
	  "See who waits for spawns, and how long." },
	{ "spork report --gen-suppressions app.box >known; spork run --suppressions known ./app",
	  "From now on, hear only of what is new." },
	{ "spork report -f json app.box | jq 'select(.type == \"violation\")'",
	  "Hand the violations to another program." },
	{ 0 },
};

static int kind_choose(const char *name, bool *kinds)
{
	char names[1024] = "";
	uint32_t kind;

	for (kind = 0; kind < BOX_VIOLATION_COUNT; kind++) {
		if (!strcmp(name, box_violation_name(kind))) {
			kinds[kind] = true;
			return 0;
		}
		strncat(names, kind ? " " : "", sizeof(names) - strlen(names) - 1);
		strncat(names, box_violation_name(kind), sizeof(names) - strlen(names) - 1);
	}
	complain("--kind %s: there is no such kind; there are %s", name, names);
	return STATUS_FAILED;
}

static int pid_choose(const char *text, uint32_t *pid)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(text, &end, 10);
	if (errno || *text < '0' || *text > '9' || *end || !value || value > 0x7fffffff) {
		complain("--pid %s: is not a process id; give a number", text);
		return STATUS_FAILED;
	}
	*pid = (uint32_t)value;
	return 0;
}

static void report_print(const struct view *view)
{
	view_print_violations(view);
	view_print_summary(view);
}

/* Lines that silence the violations that are shown, each once. */
static void suppressions_print(const struct view *view)
{
	char *lines[BOX_CAPACITY_VIOLATION];
	size_t count = 0, at;
	uint32_t i;

	for (i = 0; i < view->box->slots[BOX_TABLE_VIOLATION]; i++) {
		char *line = view_violation(view, i) ? suppression_make(view, i) : NULL;

		if (!line)
			continue;
		for (at = 0; at < count && strcmp(lines[at], line); at++)
			;
		if (at < count) {
			free(line);
			continue;
		}
		lines[count++] = line;
		fprintf(view->output->file, "%s\n", line);
	}
	while (count)
		free(lines[--count]);
}

static const struct {
	const char *name;
	void (*print)(const struct view *view);
} drawn[] = { { "folded", view_folded }, { "dot", view_dot }, { "html", view_html } };

static int format_choose(struct view *view, const char *name,
			 void (**print)(const struct view *view))
{
	size_t i;

	view->output->json = !strcmp(name, "json");
	view->events = false;
	*print = report_print;
	if (view->output->json || !strcmp(name, "text"))
		return 0;
	view->events = true;
	for (i = 0; i < sizeof(drawn) / sizeof(*drawn); i++) {
		if (!strcmp(name, drawn[i].name)) {
			*print = drawn[i].print;
			return 0;
		}
	}
	complain("--format %s: there is no such format; use text, json, folded, dot or html", name);
	return STATUS_FAILED;
}

static int report_main(int argc, char **argv)
{
	void (*print)(const struct view *view) = report_print;
	struct output output = { 0 };
	bool kinds[BOX_VIOLATION_ROOM] = { false }, generate = false;
	struct view view = { .output = &output };
	int option, status = 0;

	while (!status && (option = option_next(&report_command, argc, argv)) != OPTION_END) {
		switch (option) {
		case OPTION_BAD:
			status = STATUS_FAILED;
			break;
		case 'k':
			status = kind_choose(optarg, kinds);
			view.kinds = kinds;
			break;
		case 'p':
			status = pid_choose(optarg, &view.pid);
			break;
		case OPTION_SUPPRESSIONS:
			status = suppressions_read(&view.suppressions, optarg);
			break;
		case OPTION_GENERATE:
			generate = true;
			break;
		case 'f':
			status = format_choose(&view, optarg, &print);
			break;
		default:
			status = display_option(&output, option, optarg);
		}
	}
	if (!status && generate && (output.json || print != report_print)) {
		complain("--gen-suppressions: has a format of its own; leave --format out");
		status = STATUS_FAILED;
	}
	if (!status)
		status = view_show(&view, "report", argc, argv,
				   generate ? suppressions_print : print, view_json);
	suppressions_free(view.suppressions);
	return status;
}

const struct command report_command = {
	.name = "report",
	.summary = "show what a box holds",
	.operands = "BOX",
	.options = options,
	.description = description,
	.environment = environment,
	.exits = exits,
	.examples = examples,
	.run = report_main,
};
