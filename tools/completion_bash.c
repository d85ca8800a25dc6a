// SPDX-License-Identifier: MIT
/*
 * Completion for bash 4 and later, with the bash-completion package or without.
 */
#include <string.h>

#include "completion.h"

static void bash_names(FILE *file, const char *names)
{
	static const char *const calls[] = {
		[CLASS_FILE] = "_spork_files",
		[CLASS_BOX] = "_spork_boxes SPORKBOX",
		[CLASS_PROFILE] = "_spork_boxes SPRKPROF",
		[CLASS_PID] = "_spork_pids",
		[CLASS_KIND] = "_spork_kinds",
		[CLASS_SETTING] = "_spork_settings",
		[CLASS_COMMAND] = "_spork_commands",
	};
	char name[64];
	bool any = false;

	while (completion_name(&names, name, sizeof(name))) {
		enum completion_class class = completion_class(name);

		if (class == CLASS_WORD)
			fprintf(file, "%s_spork_words %s", any ? "; " : " ", name);
		else if (class != CLASS_NOTHING)
			fprintf(file, "%s%s", any ? "; " : " ", calls[class]);
		else
			continue;
		any = true;
	}
	fputs(any ? " ;;\n" : " : ;;\n", file);
}

static void bash_command(FILE *file, const struct command *command)
{
	const struct option_row *row;

	fprintf(file, "\t%s)\n\t\toptions='-h --help", command->name);
	for (row = command->options; row->id; row++)
		if (row->help)
			completion_option(file, row);
	fputs("'\n\t\tvalued='", file);
	for (row = command->options; row->id; row++)
		if (row->help && row->argument)
			completion_option(file, row);
	fprintf(file, " '\n\t\t;;\n");
}

static void bash_arguments(FILE *file, const struct command *command)
{
	const struct option_row *row;

	for (row = command->options; row->id; row++) {
		if (!row->help || !row->argument)
			continue;
		fprintf(file, "\t%s,--%s", command->name, row->name);
		if (row->id < OPTION_LONG)
			fprintf(file, " | %s,-%c", command->name, row->id);
		fputc(')', file);
		bash_names(file, row->argument);
	}
	fprintf(file, "\t%s,)", command->name);
	bash_names(file, command->operands);
}

static void bash_settings(FILE *file)
{
	const struct config_row *row;

	fputs("_spork_settings() {\n\tlocal value=${cur#*=}\n\tcase $cur in\n", file);
	for (row = config_rows; row->key; row++) {
		fprintf(file, "\t%s=*)\n\t\t_spork_values '%s='", row->key, row->key);
		completion_values(file, row);
		fputc('\n', file);
		if (completion_takes_path(row))
			fprintf(file,
				"\t\tmapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -P '%s=' -f -- \"$value\")\n",
				row->key);
		fputs("\t\t;;\n", file);
	}
	fputs("\t*)\n\t\t_spork_words", file);
	for (row = config_rows; row->key; row++)
		fprintf(file, " %s=", row->key);
	fputs("\n\t\tcompopt -o nospace 2>/dev/null\n\t\t;;\n\tesac\n}\n\n", file);
}

/* `cur` and COMPREPLY are those of _spork(), which calls all others. */
static const char bash_head[] =
	"# bash completion for spork, printed by 'spork help --completion bash'\n"
	"# shellcheck shell=bash disable=SC2207\n\n"
	"_spork_words() {\n"
	"\tmapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -W \"$*\" -- \"$cur\")\n"
	"}\n\n"
	"_spork_values() {\n"
	"\tmapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -P \"$1\" -W \"${*:2}\" -- \"$value\")\n"
	"}\n\n"
	"_spork_files() {\n"
	"\tcompopt -o filenames 2>/dev/null\n"
	"\tmapfile -t -O ${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- \"$cur\")\n"
	"}\n\n"
	"# Folders, and files that begin with the magic of a box or of a profile\n"
	"_spork_boxes() {\n"
	"\tlocal file magic\n"
	"\tcompopt -o filenames 2>/dev/null\n"
	"\twhile IFS= read -r file; do\n"
	"\t\tmagic=\n"
	"\t\tif [ -d \"$file\" ]; then\n"
	"\t\t\t[[ \" ${COMPREPLY[*]} \" == *\" $file \"* ]] || COMPREPLY+=(\"$file\")\n"
	"\t\telif [ -f \"$file\" ]; then\n"
	"\t\t\tIFS= LC_ALL=C read -r -N 8 magic 2>/dev/null <\"$file\"\n"
	"\t\t\t[ \"$magic\" != \"$1\" ] || COMPREPLY+=(\"$file\")\n"
	"\t\tfi\n"
	"\tdone < <(compgen -f -- \"$cur\")\n"
	"}\n\n"
	"_spork_pids() {\n"
	"\tlocal folder\n"
	"\tfor folder in /proc/[0-9]*; do\n"
	"\t\t_spork_words \"${folder#/proc/}\"\n"
	"\tdone\n"
	"}\n\n";

static const char bash_body[] =
	"\tesac\n"
	"\t# Which option is being given its argument, and where the operands begin\n"
	"\tfor ((i = 2; i < count; i++)); do\n"
	"\t\tcase ${words[i]} in\n"
	"\t\t--)\n"
	"\t\t\toperand=$((i + 1))\n"
	"\t\t\tbreak\n"
	"\t\t\t;;\n"
	"\t\t--*=*) ;;\n"
	"\t\t-?*)\n"
	"\t\t\t[[ $valued != *\" ${words[i]} \"* ]] || option=${words[i++]}\n"
	"\t\t\t[ \"$i\" -ge $count ] || option=\n"
	"\t\t\t;;\n"
	"\t\t*)\n"
	"\t\t\toperand=$i\n"
	"\t\t\tbreak\n"
	"\t\t\t;;\n"
	"\t\tesac\n"
	"\tdone\n"
	"\tif [ \"$command\" = run ] && [ -z \"$option\" ] && [[ $operand -gt 0 || $cur != -* ]]; then\n"
	"\t\t# From here on it is the command's own\n"
	"\t\ti=${at[operand > 0 ? operand : count]}\n"
	"\t\tif declare -F _command_offset >/dev/null; then\n"
	"\t\t\t_command_offset \"$i\"\n"
	"\t\telif [ \"$i\" -eq \"$COMP_CWORD\" ]; then\n"
	"\t\t\tmapfile -t COMPREPLY < <(compgen -c -- \"$cur\")\n"
	"\t\telse\n"
	"\t\t\t_spork_files\n"
	"\t\tfi\n"
	"\t\treturn\n"
	"\tfi\n"
	"\tif [ -z \"$option\" ] && [ \"$operand\" -eq 0 ] && [[ $cur == --*=* ]]; then\n"
	"\t\toption=${cur%%=*}\n"
	"\t\tcur=${cur#*=}\n"
	"\telif [ -z \"$option\" ] && [[ $cur == -* ]]; then\n"
	"\t\t_spork_words \"$options\"\n"
	"\t\treturn\n"
	"\tfi\n"
	"\tcase $command,$option in\n";

static const char bash_tail[] =
	"\tesac\n"
	"\t# Of a word with '=' or ':' readline replaces what comes after that\n"
	"\tword=${cur%\"${cur##*[=:]}\"}\n"
	"\tif [ -n \"$word\" ] && [[ $COMP_WORDBREAKS == *[=:]* ]]; then\n"
	"\t\tfor i in \"${!COMPREPLY[@]}\"; do\n"
	"\t\t\tCOMPREPLY[i]=${COMPREPLY[i]#\"$word\"}\n"
	"\t\tdone\n"
	"\tfi\n"
	"}\n\n"
	"complete -F _spork spork\n";

void completion_bash(FILE *file)
{
	size_t i;

	fputs(bash_head, file);
	fputs("_spork_kinds() {\n\t_spork_words", file);
	completion_kinds(file);
	fputs("\n}\n\n_spork_commands() {\n\t_spork_words", file);
	completion_commands(file);
	fputs("\n}\n\n", file);
	bash_settings(file);
	fputs("_spork() {\n"
	      "\tlocal cur word command option='' options='' valued='' rest=$COMP_LINE\n"
	      "\tlocal words=() at=() i count operand=0\n"
	      "\tCOMPREPLY=()\n"
	      "\t# Words as the program gets them: bash takes '=' and ':' for words of their own\n"
	      "\tfor ((i = 0; i <= COMP_CWORD; i++)); do\n"
	      "\t\tword=${COMP_WORDS[i]}\n"
	      "\t\tif [ \"$i\" -gt 0 ] && [[ $rest != [[:blank:]]* ]]; then\n"
	      "\t\t\twords[${#words[@]} - 1]+=$word\n"
	      "\t\telse\n"
	      "\t\t\twords+=(\"$word\")\n"
	      "\t\t\tat+=(\"$i\")\n"
	      "\t\tfi\n"
	      "\t\trest=${rest#\"${rest%%[![:blank:]]*}\"}\n"
	      "\t\trest=${rest#\"$word\"}\n"
	      "\tdone\n"
	      "\tcount=$((${#words[@]} - 1))\n"
	      "\tcur=${words[count]}\n"
	      "\tcommand=${words[1]-}\n"
	      "\tif [ \"$count\" -le 1 ]; then\n"
	      "\t\t_spork_commands\n"
	      "\t\t_spork_words --help --version\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\tcase $command in\n",
	      file);
	for (i = 0; commands[i]; i++)
		bash_command(file, commands[i]);
	fputs("\t*) return ;;\n", file);
	fputs(bash_body, file);
	for (i = 0; commands[i]; i++)
		bash_arguments(file, commands[i]);
	fputs(bash_tail, file);
}
