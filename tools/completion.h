/* SPDX-License-Identifier: MIT */
/*
 * Completion for bash, zsh and fish, from the tables that --help is made from. `spork help --completion SHELL` prints
 * it; the Makefile installs it. A shell has a file of its own; what they share is here.
 *
 * What can stand for an argument or an operand is told by its name: of words between '|', those in small letters are
 * the words themselves, and those in capitals are classes.
 */
#ifndef SPORK_COMPLETION_H
#define SPORK_COMPLETION_H

#include "command.h"
#include "tool.h"

enum completion_class {
	CLASS_NOTHING,
	CLASS_WORD, /* the name itself */
	CLASS_FILE,
	CLASS_BOX,
	CLASS_PROFILE,
	CLASS_PID,
	CLASS_KIND,
	CLASS_SETTING,
	CLASS_COMMAND, /* of spork's */
};

/* Takes one word off "text|json", "BOX|PROFILE" or "[ARG]..."; false: there are no more. */
bool completion_name(const char **names, char *name, size_t size);
enum completion_class completion_class(const char *name);

/* These print words, a space before each: all kinds of violations, all commands, both forms of an option. */
void completion_kinds(FILE *file);
void completion_commands(FILE *file);
void completion_option(FILE *file, const struct option_row *row);
/* And what a setting may have: "off|auto|vfork"; neither "PATH" nor numbers. */
void completion_values(FILE *file, const struct config_row *row);
bool completion_takes_path(const struct config_row *row);

/*
 * Text for between single quotes of a shell: `quote` stands for one of these, and a backslash before each character
 * of `also`.
 */
void completion_quoted(FILE *file, const char *text, const char *quote, const char *also);

void completion_bash(FILE *file);
void completion_zsh(FILE *file);
void completion_fish(FILE *file);

#endif
