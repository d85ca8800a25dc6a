// SPDX-License-Identifier: MIT
/*
 * Completion for zsh, a file of a folder in $fpath.
 */
#include <string.h>

#include "completion.h"

static void zsh_names(FILE *file, const char *names)
{
	static const char *const calls[] = {
		[CLASS_FILE] = "_files",
		[CLASS_BOX] = "_spork_boxes",
		[CLASS_PROFILE] = "_spork_boxes",
		[CLASS_PID] = "_spork_pids",
		[CLASS_KIND] = "_spork_kinds",
		[CLASS_SETTING] = "_spork_settings",
		[CLASS_COMMAND] = "_spork_commands",
	};
	enum completion_class class = CLASS_NOTHING;
	char name[64];
	bool words = false;

	while (completion_name(&names, name, sizeof(name))) {
		class = completion_class(name);
		if (class == CLASS_WORD)
			fprintf(file, "%s%s", words ? " " : "(", name);
		words |= class == CLASS_WORD;
	}
	if (words)
		fputc(')', file);
	else
		fputs(class == CLASS_NOTHING ? " " : calls[class], file);
}

static void zsh_option(FILE *file, const struct option_row *row)
{
	/* One that may be repeated does not exclude itself. */
	bool again = strstr(row->help, "may be repeated") != NULL;

	fputs("\t\t", file);
	if (row->id < OPTION_LONG) {
		if (again)
			fputs("'*'", file);
		else
			fprintf(file, "'(-%c --%s)'", row->id, row->name);
		fprintf(file, "{-%c%s,--%s%s}", row->id, row->argument ? "+" : "", row->name,
			row->argument ? "=" : "");
		fputs("'[", file);
	} else {
		fprintf(file, "'%s--%s%s[", again ? "*" : "", row->name, row->argument ? "=" : "");
	}
	completion_quoted(file, row->help, "'\\''", "[]\\");
	fputc(']', file);
	if (row->argument) {
		fputc(':', file);
		completion_quoted(file, row->argument, "'\\''", ":\\");
		fputc(':', file);
		zsh_names(file, row->argument);
	}
	fputs("' \\\n", file);
}

static void zsh_operands(FILE *file, const struct command *command)
{
	const char *at;

	/* Options end where the command begins, which completes as if it stood alone. */
	if (command->operand_first) {
		fputs("\t\t'(-)1:command:_command_names -e' '*::arguments:_normal'\n", file);
		return;
	}
	at = command->operands;
	fputs(strstr(at, "...") ? "\t\t'*:" : "\t\t'1:", file);
	completion_quoted(file, at, "'\\''", ":\\[]");
	fputc(':', file);
	zsh_names(file, at);
	fputs("'\n", file);
}

static void zsh_settings(FILE *file)
{
	const struct config_row *row;

	fputs("_spork_settings() {\n", file);
	for (row = config_rows; row->key; row++) {
		fprintf(file, "\tif compset -P '%s='; then\n\t\tcompadd -", row->key);
		completion_values(file, row);
		fputs(completion_takes_path(row) ? "\n\t\t_files\n" : "\n", file);
		fputs("\t\treturn 0\n\tfi\n", file);
	}
	fputs("\tlocal -a keys=(\n", file);
	for (row = config_rows; row->key; row++) {
		fprintf(file, "\t\t'%s:", row->key);
		completion_quoted(file, row->meaning, "'\\''", "\\");
		fputs("'\n", file);
	}
	fputs("\t)\n\t_describe -t settings setting keys -S =\n}\n\n", file);
}

void completion_zsh(FILE *file)
{
	const struct option_row *row;
	size_t i;

	fputs("#compdef spork\n# zsh completion for spork, printed by 'spork help --completion zsh'\n\n",
	      file);
	zsh_settings(file);
	fputs("_spork_kinds() {\n\tcompadd -", file);
	completion_kinds(file);
	fputs("\n}\n\n_spork_commands() {\n\tlocal -a commands=(\n", file);
	for (i = 0; commands[i]; i++) {
		fprintf(file, "\t\t'%s:", commands[i]->name);
		completion_quoted(file, commands[i]->summary, "'\\''", "\\");
		fputs("'\n", file);
	}
	fputs("\t)\n\t_describe -t commands command commands\n}\n\n"
	      "# Files that begin with the magic of a box or of a profile\n"
	      "_spork_is_box() {\n"
	      "\tlocal magic\n"
	      "\tLC_ALL=C IFS= read -r -k 8 -u 0 magic 2>/dev/null <\"$REPLY\"\n"
	      "\t[[ $magic == SPORKBOX || $magic == SPRKPROF ]]\n"
	      "}\n\n"
	      "_spork_boxes() {\n"
	      "\t_files -g '*(.+_spork_is_box)'\n"
	      "}\n\n"
	      "# All of them: _pids asks ps, which tells of those on this terminal\n"
	      "_spork_pids() {\n"
	      "\tlocal folder name\n"
	      "\tlocal -a pids\n"
	      "\tfor folder in /proc/<->(N); do\n"
	      "\t\tIFS= read -r name 2>/dev/null <$folder/comm && pids+=(\"${folder:t}:$name\")\n"
	      "\tdone\n"
	      "\t_describe -t processes process pids\n"
	      "}\n\n"
	      "_spork() {\n"
	      "\tlocal curcontext=$curcontext state line\n"
	      "\tlocal -A opt_args\n"
	      "\tif ((CURRENT == 2)); then\n"
	      "\t\t_spork_commands\n"
	      "\t\tcompadd - --help --version\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\tlocal command=$words[2]\n"
	      "\tshift words\n"
	      "\t((CURRENT--))\n"
	      "\tcase $command in\n",
	      file);
	for (i = 0; commands[i]; i++) {
		fprintf(file, "\t%s)\n\t\t_arguments -s -S \\\n", commands[i]->name);
		for (row = commands[i]->options; row->id; row++)
			if (row->help)
				zsh_option(file, row);
		fputs("\t\t'(- *)'{-h,--help}'[print the help of the command]' \\\n", file);
		zsh_operands(file, commands[i]);
		fputs("\t\t;;\n", file);
	}
	fputs("\tesac\n}\n\n_spork \"$@\"\n", file);
}
