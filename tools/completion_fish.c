// SPDX-License-Identifier: MIT
/*
 * Completion for fish 3.
 */
#include <string.h>

#include "completion.h"

static void fish_names(FILE *file, const char *names)
{
	static const char *const calls[] = {
		[CLASS_FILE] = NULL,
		[CLASS_BOX] = "(__spork_boxes)",
		[CLASS_PROFILE] = NULL,
		[CLASS_PID] = "(__fish_complete_pids)",
		[CLASS_KIND] = "$__spork_kinds",
		[CLASS_SETTING] = "(__spork_settings)",
		[CLASS_COMMAND] = "$__spork_commands",
	};
	bool words = false;
	char name[64];

	while (completion_name(&names, name, sizeof(name))) {
		enum completion_class class = completion_class(name);

		if (class == CLASS_FILE)
			fputs(" -F", file);
		else if (class == CLASS_WORD)
			fprintf(file, "%s%s", words ? " " : " -a '", name);
		else if (calls[class])
			fprintf(file, " -a '%s'", calls[class]);
		words |= class == CLASS_WORD;
	}
	if (words)
		fputc('\'', file);
}

static void fish_command(FILE *file, const struct command *command)
{
	const struct option_row *row;

	fprintf(file, "complete -c spork -n '__spork_needs_command' -a %s -d '", command->name);
	completion_quoted(file, command->summary, "\\'", "\\");
	fprintf(file,
		"'\ncomplete -c spork -n '__spork_in %s' -s h -l help -d 'print the help of the command'\n",
		command->name);
	for (row = command->options; row->id; row++) {
		if (!row->help)
			continue;
		fprintf(file, "complete -c spork -n '__spork_in %s'", command->name);
		if (row->id < OPTION_LONG)
			fprintf(file, " -s %c", row->id);
		fprintf(file, " -l %s", row->name);
		if (row->argument) {
			fputs(strcmp(row->argument, "FILE") ? " -x" : " -r", file);
			fish_names(file, row->argument);
		}
		fputs(" -d '", file);
		completion_quoted(file, row->help, "\\'", "\\");
		fputs("'\n", file);
	}
	if (command->operand_first) {
		fprintf(file,
			"complete -c spork -n '__spork_in_operands %s' -x -a '(__spork_subcommand)'\n",
			command->name);
		return;
	}
	fprintf(file, "complete -c spork -n '__spork_in %s'", command->name);
	fish_names(file, command->operands);
	fputc('\n', file);
}

static void fish_settings(FILE *file)
{
	const struct config_row *row;

	fputs("function __spork_settings\n"
	      "\tset -l word (commandline -ct | string replace -r -- '^--set=' '')\n"
	      "\tset -l value (string replace -r -- '^[^=]*=' '' $word)\n"
	      "\tswitch $word\n",
	      file);
	for (row = config_rows; row->key; row++) {
		fprintf(file, "\tcase '%s=*'\n", row->key);
		if (completion_takes_path(row))
			fputs("\t\tset -l files $value*\n", file);
		fprintf(file, "\t\tprintf '%s=%%s\\n'", row->key);
		completion_values(file, row);
		fputs(completion_takes_path(row) ? " $files\n" : "\n", file);
	}
	fputs("\tcase '*'\n\t\tprintf '%s\\t%s\\n'", file);
	for (row = config_rows; row->key; row++) {
		fprintf(file, " \\\n\t\t\t%s= '", row->key);
		completion_quoted(file, row->meaning, "\\'", "\\");
		fputc('\'', file);
	}
	fputs("\n\tend\nend\n\n", file);
}

/* A switch for functions that tell which options of a command take an argument. */
static void fish_valued(FILE *file)
{
	const struct option_row *row;
	size_t i;

	fputs("# The number of the first operand of the command, zero: there is none yet\n"
	      "function __spork_operand\n"
	      "\tset -l words (commandline -opc)\n"
	      "\tset -l valued\n"
	      "\tswitch \"$words[2]\"\n",
	      file);
	for (i = 0; commands[i]; i++) {
		fprintf(file, "\tcase %s\n\t\tset valued", commands[i]->name);
		for (row = commands[i]->options; row->id; row++)
			if (row->help && row->argument)
				completion_option(file, row);
		fputc('\n', file);
	}
	fputs("\tend\n"
	      "\tset -l i 3\n"
	      "\twhile test $i -le (count $words)\n"
	      "\t\tswitch $words[$i]\n"
	      "\t\tcase --\n"
	      "\t\t\techo (math $i + 1)\n"
	      "\t\t\treturn\n"
	      "\t\tcase '-*'\n"
	      "\t\t\tcontains -- $words[$i] $valued; and set i (math $i + 1)\n"
	      "\t\tcase '*'\n"
	      "\t\t\techo $i\n"
	      "\t\t\treturn\n"
	      "\t\tend\n"
	      "\t\tset i (math $i + 1)\n"
	      "\tend\n"
	      "\t# An option that waits for its argument is no place for an operand\n"
	      "\ttest $i -gt (math (count $words) + 1); and echo -1; or echo 0\n"
	      "end\n\n",
	      file);
}

void completion_fish(FILE *file)
{
	size_t i;

	fputs("# fish completion for spork, printed by 'spork help --completion fish'\n\n"
	      "set -g __spork_commands",
	      file);
	completion_commands(file);
	fputs("\nset -g __spork_kinds", file);
	completion_kinds(file);
	fputs("\n\nfunction __spork_needs_command\n"
	      "\ttest (count (commandline -opc)) -eq 1\n"
	      "end\n\n"
	      "function __spork_in\n"
	      "\tset -l words (commandline -opc)\n"
	      "\ttest \"$words[2]\" = $argv[1]; or return 1\n"
	      "\ttest $argv[1] != run; or test (__spork_operand) -le 0\n"
	      "end\n\n"
	      "function __spork_in_operands\n"
	      "\tset -l words (commandline -opc)\n"
	      "\ttest \"$words[2]\" = $argv[1]; or return 1\n"
	      "\tset -l first (__spork_operand)\n"
	      "\ttest $first -gt 0; and return\n"
	      "\ttest $first -eq 0; and not string match -q -- '-*' (commandline -ct)\n"
	      "end\n\n"
	      "# From the command on it is as if that stood alone\n"
	      "function __spork_subcommand\n"
	      "\tset -l words (commandline -opc)\n"
	      "\tset -l first (__spork_operand)\n"
	      "\ttest $first -gt 0; or set first (math (count $words) + 1)\n"
	      "\tset -l line (string escape -- $words[$first..-1]) (commandline -ct)\n"
	      "\tcomplete \"-C$line\"\n"
	      "end\n\n"
	      "# Folders, and files that begin with the magic of a box or of a profile\n"
	      "function __spork_boxes\n"
	      "\tfor file in (commandline -ct)*\n"
	      "\t\tif test -d $file\n"
	      "\t\t\techo $file/\n"
	      "\t\telse if test -f $file; and head -c 8 $file 2>/dev/null | string match -qr '^(SPORKBOX|SPRKPROF)$'\n"
	      "\t\t\techo $file\n"
	      "\t\tend\n"
	      "\tend\n"
	      "end\n\n",
	      file);
	fish_settings(file);
	fish_valued(file);
	fputs("complete -c spork -f\n"
	      "complete -c spork -n '__spork_needs_command' -l help -d 'tell what there is'\n"
	      "complete -c spork -n '__spork_needs_command' -l version -d 'print the version'\n",
	      file);
	for (i = 0; commands[i]; i++)
		fish_command(file, commands[i]);
}
