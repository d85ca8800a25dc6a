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

static const struct option_row options[] = {
	{ 'k', "kind", "KIND", "show only violations of that kind; may be repeated" },
	{ 'p', "pid", "PID", "show only what process PID did" },
	OUTPUT_OPTIONS("standard output"),
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
	NULL,
};

static const struct note exits[] = {
	{ "0", "The box was read." },
	{ "125", "It could not be read, or the command line is wrong." },
	{ 0 },
};

static const struct note examples[] = {
	{ "spork report -k orphan-deadlock app.box", "Show one kind of violation." },
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

static int report_main(int argc, char **argv)
{
	struct output output = { 0 };
	bool kinds[BOX_VIOLATION_ROOM] = { false };
	struct view view = { .output = &output };
	int option, status = 0;

	while (!status && (option = option_next(&report_command, argc, argv)) != OPTION_END) {
		if (option == 'k') {
			status = kind_choose(optarg, kinds);
			view.kinds = kinds;
		} else if (option == 'p') {
			status = pid_choose(optarg, &view.pid);
		} else {
			status = option == OPTION_BAD ? STATUS_FAILED :
							output_option(&output, option, optarg);
		}
	}
	if (status)
		return status;
	return view_show(&view, "report", argc, argv, report_print, view_json);
}

const struct command report_command = {
	.name = "report",
	.summary = "show what a box holds",
	.operands = "BOX",
	.options = options,
	.description = description,
	.exits = exits,
	.examples = examples,
	.run = report_main,
};
