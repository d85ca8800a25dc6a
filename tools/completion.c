// SPDX-License-Identifier: MIT
/*
 * What is completed, whatever the shell: the classes of arguments and operands, and the words of those that spork
 * knows.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "completion.h"
#include "tool.h"

bool completion_name(const char **names, char *name, size_t size)
{
	size_t length;

	/* Around operands: "[--]", "[ARG]..." */
	*names += strspn(*names, "|[");
	length = strcspn(*names, "|]");
	if (!length)
		return false;
	snprintf(name, size, "%.*s", (int)length, *names);
	*names += length;
	if (**names == ']')
		*names += strlen(*names);
	return true;
}

enum completion_class completion_class(const char *name)
{
	static const struct {
		const char *name;
		enum completion_class class;
	} classes[] = {
		{ "FILE", CLASS_FILE },		{ "PATH", CLASS_FILE },
		{ "BOX", CLASS_BOX },		{ "PROFILE", CLASS_PROFILE },
		{ "PID", CLASS_PID },		{ "KIND", CLASS_KIND },
		{ "KEY=VALUE", CLASS_SETTING }, { "COMMAND", CLASS_COMMAND },
	};
	size_t i;

	if (islower((unsigned char)*name))
		return CLASS_WORD;
	for (i = 0; i < sizeof(classes) / sizeof(*classes); i++)
		if (!strcmp(classes[i].name, name))
			return classes[i].class;
	return CLASS_NOTHING;
}

void completion_kinds(FILE *file)
{
	uint32_t kind;

	for (kind = 0; kind < BOX_VIOLATION_COUNT; kind++)
		fprintf(file, " %s", box_violation_name(kind));
}

void completion_commands(FILE *file)
{
	size_t i;

	for (i = 0; commands[i]; i++)
		fprintf(file, " %s", commands[i]->name);
}

void completion_values(FILE *file, const struct config_row *row)
{
	const char *names = row->values;
	char name[64];

	if (strchr(names, ' '))
		return;
	while (completion_name(&names, name, sizeof(name)))
		if (strcmp(name, "PATH"))
			fprintf(file, " %s", name);
}

bool completion_takes_path(const struct config_row *row)
{
	return strstr(row->values, "PATH") != NULL;
}

void completion_quoted(FILE *file, const char *text, const char *quote, const char *also)
{
	for (; *text; text++) {
		if (*text == '\'')
			fputs(quote, file);
		else if (strchr(also, *text))
			fprintf(file, "\\%c", *text);
		else
			fputc(*text, file);
	}
}

void completion_option(FILE *file, const struct option_row *row)
{
	if (row->id < OPTION_LONG)
		fprintf(file, " -%c", row->id);
	fprintf(file, " --%s", row->name);
}

int completion_print(FILE *file, const char *shell)
{
	if (!strcmp(shell, "bash"))
		completion_bash(file);
	else if (!strcmp(shell, "zsh"))
		completion_zsh(file);
	else if (!strcmp(shell, "fish"))
		completion_fish(file);
	else
		return -1;
	return 0;
}
