// SPDX-License-Identifier: MIT
/*
 * `spork help`: the overview, and the text of a command, both made from the command table. `spork
 * help --man PAGE`, which no help shows, prints the source of a manual page for the Makefile.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "tool.h"

#define WIDTH 79

enum { OPTION_COMPLETION = OPTION_OWN };

static const struct option_row options[] = {
	{ OPTION_COMPLETION, "completion", "bash|zsh|fish",
	  "print, instead, what completes the words of spork's commands in that shell" },
	{ 'm', "man", "PAGE", NULL },
	{ 0 },
};

static const char *const description[] = {
	"Prints what spork can do, or how COMMAND is used.",
	NULL,
};

static const struct note exits[] = {
	{ "0", "The text was printed." },
	{ "125", "There is no such command." },
	{ 0 },
};

/* As wide as a terminal is, but no wider than lines are read easily. */
static int width_of(FILE *file)
{
	int width = output_width(file);

	return width && width < WIDTH ? width : WIDTH;
}

static void wrap(FILE *file, const char *text, int indent, int column)
{
	output_wrap(file, text, indent, column, width_of(file));
}

void help_overview(FILE *file)
{
	size_t i;

	fprintf(file, "usage: spork COMMAND [OPTION]... [ARGUMENT]...\n\n"
		      "Finds what goes wrong around fork(), and makes it faster.\n\n");
	for (i = 0; commands[i]; i++)
		fprintf(file, "  spork %-8s %s\n", commands[i]->name, commands[i]->summary);
	fprintf(file,
		"\n'spork COMMAND --help' tells more; 'spork --version' prints the version.\n");
}

static void notes_print(FILE *file, const char *title, const struct note *notes, int indent)
{
	if (!notes)
		return;
	fprintf(file, "\n%s:\n", title);
	for (; notes->term; notes++) {
		int column = fprintf(file, "  %s", notes->term);

		/* A term that is too long has its line for itself. */
		if (column >= indent) {
			fputc('\n', file);
			column = 0;
		}
		wrap(file, notes->text, indent, column);
	}
}

static void options_print(FILE *file, const struct command *command)
{
	static const struct option_row help = { 'h', "help", NULL, "print this text" };
	const struct option_row *row = command->options;

	fprintf(file, "\nOptions:\n");
	for (;;) {
		const struct option_row *shown = row->id ? row : &help;

		if (shown->help) {
			fprintf(file, shown->id < OPTION_LONG ? "  " : "      ");
			option_print(file, shown);
			fputc('\n', file);
			wrap(file, shown->help, 10, 0);
		}
		if (!row->id)
			return;
		row++;
	}
}

void help_command_text(FILE *file, const struct command *command)
{
	size_t i;

	fprintf(file, "usage: spork %s [OPTION]... %s\n", command->name, command->operands);
	for (i = 0; command->description[i]; i++) {
		fputc('\n', file);
		wrap(file, command->description[i], 0, 0);
	}
	options_print(file, command);
	notes_print(file, "Environment", command->environment, 18);
	notes_print(file, "Exit status", command->exits, 8);
	notes_print(file, "Examples", command->examples, 6);
}

static int help_main(int argc, char **argv)
{
	const struct command *command;
	const char *page = NULL, *shell = NULL;
	int option;

	while ((option = option_next(&help_command, argc, argv)) != OPTION_END) {
		if (option == OPTION_BAD)
			return STATUS_FAILED;
		if (option == OPTION_COMPLETION)
			shell = optarg;
		else
			page = optarg;
	}
	if (shell && completion_print(stdout, shell)) {
		complain("--completion %s: use bash, zsh or fish", shell);
		return STATUS_FAILED;
	}
	if (shell)
		return fflush(stdout) ? STATUS_FAILED : EXIT_SUCCESS;
	if (page) {
		if (!manual_print(stdout, page))
			return fflush(stdout) ? STATUS_FAILED : EXIT_SUCCESS;
		complain("there is no page '%s'", page);
		return STATUS_FAILED;
	}
	if (optind == argc) {
		help_overview(stdout);
		return fflush(stdout) ? STATUS_FAILED : EXIT_SUCCESS;
	}
	command = command_find(argv[optind]);
	if (!command)
		return command_complain(argv[optind]);
	help_command_text(stdout, command);
	return fflush(stdout) ? STATUS_FAILED : EXIT_SUCCESS;
}

const struct command help_command = {
	.name = "help",
	.summary = "tell how a command is used",
	.operands = "[COMMAND]",
	.options = options,
	.description = description,
	.exits = exits,
	.run = help_main,
};
