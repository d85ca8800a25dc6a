/* SPDX-License-Identifier: MIT */
/*
 * A command of the tool as a row of data. Parsing, `spork help`, `--help` and the manual pages are
 * all made from the same row, so that none of them can tell something else than the others.
 */
#ifndef SPORK_COMMAND_H
#define SPORK_COMMAND_H

#include <stdbool.h>
#include <stdio.h>

/*
 * An option. `id` is its letter, or OPTION_LONG and up where it has none; a row without `help` is
 * not shown anywhere. Tables end with a row of zeros; -h/--help needs no row.
 */
struct option_row {
	int id;
	const char *name;
	const char *argument; /* NULL: takes none; completion.c tells what its words mean */
	const char *help;
};

enum {
	OPTION_END = -1,
	OPTION_BAD = -2,
	OPTION_LONG = 256,
	OPTION_COLOR = OPTION_LONG,
	OPTION_DEBUG_DIR,
	OPTION_NO_DEMANGLE,
	OPTION_DEBUGINFOD,
	OPTION_OWN
};

/* A term and what it means; tables end with a row of zeros. */
struct note {
	const char *term, *text;
};

struct command {
	const char *name;
	const char *summary;  /* one line, no full stop */
	const char *operands; /* as in the usage line, after the options */
	bool operand_first;   /* options end at the first operand */
	const struct option_row *options;
	const char *const *description; /* paragraphs, ends with NULL */
	const struct note *environment, *exits, *examples;
	int (*run)(int argc,
		   char **argv); /* argv[0] is the command's name; returns the exit status */
};

extern const struct command run_command, inspect_command, report_command, sites_command,
	scan_command, bench_command, help_command;

/* All commands, in the order of help; ends with NULL. */
extern const struct command *const commands[];

const struct command *command_find(const char *name);
/* One line of error: there is none of that name, and which may have been meant. STATUS_FAILED. */
int command_complain(const char *name);

/*
 * The next option's id, its argument in `optarg`; OPTION_END when optind is at the first operand;
 * OPTION_BAD after a line of error. Handles --help itself and does not return then.
 */
int option_next(const struct command *command, int argc, char **argv);

/* "-o, --box FILE" */
void option_print(FILE *file, const struct option_row *row);

/* help.c */
void help_overview(FILE *file);
void help_command_text(FILE *file, const struct command *command);

/* completion.c: for "bash", "zsh" or "fish". Returns 0, or -1 for another shell. */
int completion_print(FILE *file, const char *shell);

/* manual.c: mdoc source of a page ("spork", "spork-run", "spork-options", "spork-violations").
 * Returns 0, or -1 where there is no such page. */
int manual_print(FILE *file, const char *page);

#endif
