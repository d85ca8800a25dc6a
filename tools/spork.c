// SPDX-License-Identifier: MIT
/*
 * The command-line tool: the table of commands, the parser of their options, and main().
 *
 * A command is a row of `commands` (command.h says what it holds) and lives in a file of its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "tool.h"

#define MAX_OPTIONS 30

const struct command *const commands[] = {
	&run_command,  &inspect_command, &report_command, &sites_command,
	&scan_command, &bench_command,	 &help_command,	  NULL,
};

const struct command *command_find(const char *name)
{
	size_t i;

	for (i = 0; commands[i]; i++)
		if (!strcmp(commands[i]->name, name))
			return commands[i];
	return NULL;
}

/* The letters to change, add, drop or swap with the next to make one word of the other; both shorter than WORD. */
enum { WORD = 32 };

static unsigned distance(const char *left, const char *right)
{
	unsigned row[WORD + 1][WORD + 1];
	size_t i, j;

	for (i = 0; i <= strlen(left); i++)
		row[i][0] = (unsigned)i;
	for (j = 0; j <= strlen(right); j++)
		row[0][j] = (unsigned)j;
	for (i = 1; i <= strlen(left); i++)
		for (j = 1; j <= strlen(right); j++) {
			unsigned least = row[i - 1][j - 1] + (left[i - 1] != right[j - 1]);

			if (row[i - 1][j] + 1 < least)
				least = row[i - 1][j] + 1;
			if (row[i][j - 1] + 1 < least)
				least = row[i][j - 1] + 1;
			if (i > 1 && j > 1 && left[i - 1] == right[j - 2] &&
			    left[i - 2] == right[j - 1] && row[i - 2][j - 2] + 1 < least)
				least = row[i - 2][j - 2] + 1;
			row[i][j] = least;
		}
	return row[strlen(left)][strlen(right)];
}

/* Takes `name` for what was meant by `word` if nothing so far was closer; at most every third letter may differ. */
static void suggestion_look(const char *word, const char *name, const char **suggestion,
			    unsigned *least)
{
	unsigned away;

	if (strlen(word) >= WORD || strlen(name) >= WORD)
		return;
	away = distance(word, name);
	if (away < *least && away <= (strlen(word) + 2) / 3) {
		*least = away;
		*suggestion = name;
	}
}

/* The long option of that name, up to a '=', that may have been meant; NULL: none is close. */
static const char *option_suggest(const struct command *command, const char *name)
{
	const char *suggestion = NULL;
	const struct option_row *row;
	unsigned least = WORD;
	char word[WORD];

	snprintf(word, sizeof(word), "%.*s", (int)strcspn(name, "="), name);
	for (row = command->options; row->id; row++)
		if (row->help)
			suggestion_look(word, row->name, &suggestion, &least);
	suggestion_look(word, "help", &suggestion, &least);
	return suggestion;
}

/* How many options a long one may be short for. */
static unsigned option_count(const struct command *command, const char *name)
{
	size_t length = strcspn(name, "=");
	const struct option_row *row;
	unsigned count = 0;

	for (row = command->options; row->id; row++)
		count += !strncmp(row->name, name, length);
	return count;
}

static int option_complain(const struct command *command, int answer, const char *word)
{
	const char *name = strncmp(word, "--", 2) ? NULL : word + 2, *suggestion;
	unsigned count = name ? option_count(command, name) : 0;

	suggestion = name && !count ? option_suggest(command, name) : NULL;
	if (answer == ':')
		complain("option '%s' needs an argument; see 'spork %s --help'", word,
			 command->name);
	else if (count > 1)
		complain("option '%s' may be several; see 'spork %s --help'", word, command->name);
	else if (count)
		complain("option '%s' takes no argument; see 'spork %s --help'", word,
			 command->name);
	else if (suggestion)
		complain("option '%s' is not known; did you mean '--%s'? See 'spork %s --help'",
			 word, suggestion, command->name);
	else
		complain("option '%s' is not known; see 'spork %s --help'", word, command->name);
	return OPTION_BAD;
}

int command_complain(const char *name)
{
	const char *suggestion = NULL;
	unsigned least = WORD;
	size_t i;

	for (i = 0; commands[i]; i++)
		suggestion_look(name, commands[i]->name, &suggestion, &least);
	if (suggestion)
		complain(
			"there is no command '%s'; did you mean '%s'? 'spork help' lists what there is",
			name, suggestion);
	else
		complain("there is no command '%s'; 'spork help' lists what there is", name);
	return STATUS_FAILED;
}

int option_next(const struct command *command, int argc, char **argv)
{
	struct option longs[MAX_OPTIONS + 2] = { { "help", no_argument, NULL, 'h' } };
	char letters[2 * MAX_OPTIONS + 4], letter[3] = "-", *at = letters;
	const struct option_row *row;
	int answer, count = 1, before = optind ? optind : 1;
	const char *word;

	if (command->operand_first)
		*at++ = '+';
	*at++ = ':';
	*at++ = 'h';
	for (row = command->options; row->id && count <= MAX_OPTIONS; row++, count++) {
		longs[count] = (struct option){
			row->name,
			row->argument ? required_argument : no_argument,
			NULL,
			row->id,
		};
		if (row->id >= OPTION_LONG)
			continue;
		*at++ = (char)row->id;
		if (row->argument)
			*at++ = ':';
	}
	*at = '\0';
	opterr = 0;
	answer = getopt_long(argc, argv, letters, longs, NULL);
	if (answer == -1)
		return OPTION_END;
	if (answer == 'h') {
		help_command_text(stdout, command);
		exit(fflush(stdout) ? STATUS_FAILED : EXIT_SUCCESS);
	}
	if (answer != '?' && answer != ':')
		return answer;
	/* A letter of a cluster is told by optopt; of a long option only the word is there. */
	word = argv[optind > before ? optind - 1 : before];
	letter[1] = (char)optopt;
	if (optopt > 0 && optopt < OPTION_LONG && strncmp(word, "--", 2))
		word = letter;
	return option_complain(command, answer, word);
}

void option_print(FILE *file, const struct option_row *row)
{
	if (row->id < OPTION_LONG)
		fprintf(file, "-%c, ", row->id);
	fprintf(file, "--%s", row->name);
	if (row->argument)
		fprintf(file, " %s", row->argument);
}

/*
 * A descriptor 0 to 2 that we were started without would go to the next file opened, and text for
 * stderr into a box. The stand-ins are closed again in whatever is executed.
 */
static void standard_streams_hold(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	const struct command *command;

	standard_streams_hold();
	if (argc < 2) {
		help_overview(stderr);
		return STATUS_FAILED;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		printf("spork %s\n", SPORK_VERSION);
		return fflush(stdout) ? STATUS_FAILED : EXIT_SUCCESS;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h")) {
		help_overview(stdout);
		return fflush(stdout) ? STATUS_FAILED : EXIT_SUCCESS;
	}
	command = command_find(argv[1]);
	if (!command)
		return command_complain(argv[1]);
	tool_command = command->name;
	return command->run(argc - 1, argv + 1);
}
