// SPDX-License-Identifier: MIT
/*
 * What `spork scan` prints: a row a file with what is to be said of it below, or a JSON object a file.
 */
#include <stdlib.h>
#include <string.h>

#include "scan.h"

/* Rows are printed as they come, whatever their number, so columns have fixed widths: those of their titles. */
static const char *const titles[] = { "spawn", "exec", "thread", "lock", "atfork", "inline" };

#define TITLES "preload  kind     "
#define LEAST 20	  /* columns of a path */
#define IMPORTS_WIDTH 100 /* of their list, where nothing else tells */

/* Of a path that is too long the end tells more. */
static void path_print(struct output *output, const char *path, int column)
{
	size_t length = strlen(path), room;

	room = output->width > column + LEAST ? (size_t)(output->width - column) : LEAST;
	if (output->width && length > room) {
		fputs("...", output->file);
		path += length - room + 3;
		/* Not from within a character. */
		while ((*path & 0xc0) == 0x80)
			path++;
	}
	print_clean(output->file, path);
	fputc('\n', output->file);
}

static void titles_print(struct output *output)
{
	unsigned i;

	output_style(output, STYLE_BOLD);
	fputs(TITLES, output->file);
	for (i = 0; i <= FAMILY_COUNT; i++)
		fprintf(output->file, " %s", titles[i]);
	fputs("  file\n", output->file);
	output_style(output, STYLE_PLAIN);
}

static void row_print(struct output *output, const struct scan_file *file)
{
	int column = (int)strlen(TITLES) + 2;
	static bool begun;
	char count[24];
	unsigned i;

	if (!begun)
		titles_print(output);
	begun = true;
	if (file->reasons)
		output_style(output, STYLE_YELLOW);
	fprintf(output->file, "%-7s", file->reasons ? "no" : "yes");
	output_style(output, STYLE_PLAIN);
	fprintf(output->file, "  %-9s", scan_kind_name(file->kind));
	for (i = 0; i <= FAMILY_COUNT; i++) {
		uint64_t value = i < FAMILY_COUNT ? file->family[i] : file->calls_found;

		snprintf(count, sizeof(count), "%llu", (unsigned long long)value);
		column +=
			fprintf(output->file, " %*s", (int)strlen(titles[i]), value ? count : "-");
	}
	fputs("  ", output->file);
	path_print(output, file->path, column);
}

static void reasons_print(FILE *to, const struct scan_file *file)
{
	unsigned reason;
	bool any = false;

	for (reason = 0; reason < REASON_COUNT; reason++) {
		if (!(file->reasons & 1u << reason))
			continue;
		fprintf(to, "%s%s",
			any ? "; " : "    cannot be preloaded: ", scan_reason_text(reason));
		if (reason == REASON_OTHER_LIBC && file->interpreter) {
			fputs(" (its loader is ", to);
			print_clean(to, file->interpreter);
			fputc(')', to);
		}
		if (reason == REASON_OTHER_LIBC && !file->interpreter)
			fprintf(to, " (%s)", file->libc);
		if (reason == REASON_OTHER_CLASS)
			fprintf(to, " (%d bits)", file->class == ELFCLASS32 ? 32 : 64);
		if (reason == REASON_OTHER_MACHINE && scan_machine_name(file->machine))
			fprintf(to, " (%s)", scan_machine_name(file->machine));
		any = true;
	}
	if (any)
		fputc('\n', to);
}

static void calls_print(FILE *to, const struct scan_file *file)
{
	unsigned i;

	for (i = 0; i < file->calls; i++) {
		const struct scan_call *call = &file->call[i];

		fprintf(to, "    inline system call %s at 0x%llx", call->call,
			(unsigned long long)call->addr);
		if (call->function) {
			fputs(" in ", to);
			print_clean(to, call->function);
			fprintf(to, "+0x%llx", (unsigned long long)call->into);
		}
		fputs(file->is_libc ? " (libc's own)\n" : ", which the shim does not see\n", to);
	}
	if (file->calls < file->calls_found)
		fprintf(to, "    and %llu more\n",
			(unsigned long long)(file->calls_found - file->calls));
}

static int import_length(const struct scan_import *import)
{
	return (int)(1 + strlen(import->symbol) +
		     (import->version ? 1 + strlen(import->version) : 0) +
		     (import->library ? 3 + strlen(import->library) : 0));
}

static void import_print(FILE *to, const struct scan_import *import)
{
	fprintf(to, " %s", import->symbol);
	if (import->version) {
		fputc('@', to);
		print_clean(to, import->version);
	}
	if (import->library) {
		fputs(" (", to);
		print_clean(to, import->library);
		fputc(')', to);
	}
}

static void imports_print(struct output *output, const struct scan_file *file)
{
	int limit = output->width ? output->width : IMPORTS_WIDTH;
	FILE *to = output->file;
	unsigned family, i;

	for (family = 0; family < FAMILY_COUNT; family++) {
		int column = 0;

		for (i = 0; i < file->imports; i++) {
			const struct scan_import *import = &file->import[i];

			if (import->family != family)
				continue;
			if (!column)
				column = fprintf(to, "    %s:", scan_family_name(family));
			else if (column + import_length(import) > limit)
				column = fprintf(to, "\n       ") - 1;
			import_print(to, import);
			column += import_length(import);
		}
		if (column)
			fputc('\n', to);
	}
}

static void note_print(struct output *output, const char *text)
{
	output_wrap(output->file, text, 4, 0, output->width);
}

/* Locks are taken by nearly every library; that they are is told by its own row. */
static bool telling(const struct scan_file *file)
{
	return file->family[FAMILY_SPAWN] || file->family[FAMILY_THREAD] ||
	       file->family[FAMILY_ATFORK];
}

static void closure_print(FILE *to, const struct scan_closure *closure)
{
	unsigned i, at;

	for (i = 0; i < closure->count; i++) {
		const struct scan_link *link = &closure->link[i];

		if (link->library && !telling(&link->library->file))
			continue;
		fputs(link->library ? "    through " : "    not found: ", to);
		print_clean(to, link->name);
		if (!link->library) {
			fputs(", needed by ", to);
			print_clean(to, link->needed_by);
		}
		for (at = 0; link->library && at < link->library->file.imports; at++) {
			const struct scan_import *import = &link->library->file.import[at];

			if (import->family == FAMILY_SPAWN || import->family == FAMILY_THREAD ||
			    import->family == FAMILY_ATFORK)
				fprintf(to, " %s", import->symbol);
		}
		fputc('\n', to);
	}
}

static void text_print(struct output *output, const struct scan_file *file,
		       const struct scan_closure *closure, bool named)
{
	FILE *to = output->file;

	row_print(output, file);
	reasons_print(to, file);
	if (scan_closure_hazard(file, closure))
		note_print(
			output,
			scan_file_hazard(file) ?
				"forks and starts threads, but registers no atfork handler" :
				"with its libraries it forks and starts threads, and nothing registers an atfork handler");
	if (file->go)
		note_print(
			output,
			"has code in Go, whose runtime makes processes by system calls of its own");
	if (named || scan_file_bypasses(file))
		calls_print(to, file);
	if (named)
		imports_print(output, file);
	if (closure)
		closure_print(to, closure);
}

static void json_flag(struct json *json, const char *key, bool value)
{
	json_key(json, key);
	json_bool(json, value);
}

static void json_facts(struct json *json, const struct scan_file *file)
{
	const char *machine = scan_machine_name(file->machine);
	unsigned i;

	json_key_string(json, "kind", scan_kind_name(file->kind));
	json_key(json, "class");
	if (file->class)
		json_number(json, file->class == ELFCLASS64 ? 64 : 32);
	else
		json_null(json);
	json_key(json, "machine");
	if (machine || !file->class)
		json_string(json, machine);
	else
		json_number(json, file->machine);
	json_key_string(json, "libc", file->libc);
	json_key_string(json, "interpreter", file->interpreter);
	json_key_string(json, "soname", file->soname);
	json_flag(json, "go", file->go);
	json_flag(json, "preload", !file->reasons);
	json_key(json, "reasons");
	json_open(json, '[');
	for (i = 0; i < REASON_COUNT; i++)
		if (file->reasons & 1u << i)
			json_string(json, scan_reason_name(i));
	json_close(json, ']');
	json_key(json, "needed");
	json_open(json, '[');
	for (i = 0; i < file->needed_count; i++)
		json_string(json, file->needed[i]);
	json_close(json, ']');
}

static void json_imports(struct json *json, const struct scan_file *file)
{
	unsigned i;

	json_key(json, "imports");
	json_open(json, '[');
	for (i = 0; i < file->imports; i++) {
		json_open(json, '{');
		json_key_string(json, "symbol", file->import[i].symbol);
		json_key_string(json, "family", scan_family_name(file->import[i].family));
		json_key_string(json, "version", file->import[i].version);
		json_key_string(json, "library", file->import[i].library);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void json_calls(struct json *json, const struct scan_file *file)
{
	unsigned i;

	json_key_number(json, "inline_calls", file->calls_found);
	json_key(json, "inline");
	json_open(json, '[');
	for (i = 0; i < file->calls; i++) {
		json_open(json, '{');
		json_key_string(json, "call", file->call[i].call);
		json_key(json, "addr");
		json_hex(json, file->call[i].addr);
		json_key_string(json, "symbol", file->call[i].function);
		json_key(json, "offset");
		if (file->call[i].function)
			json_number(json, file->call[i].into);
		else
			json_null(json);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void json_closure(struct json *json, const struct scan_closure *closure)
{
	unsigned i, at;

	json_key(json, "libraries");
	json_open(json, '[');
	for (i = 0; i < closure->count; i++) {
		const struct scan_library *found = closure->link[i].library;

		json_open(json, '{');
		json_key_string(json, "name", closure->link[i].name);
		json_key_string(json, "path", found ? found->file.path : NULL);
		json_key_string(json, "needed_by", closure->link[i].needed_by);
		json_key(json, "symbols");
		json_open(json, '[');
		for (at = 0; found && at < found->file.imports; at++)
			json_string(json, found->file.import[at].symbol);
		json_close(json, ']');
		json_close(json, '}');
	}
	json_close(json, ']');
}

void scan_print_file(struct output *output, const struct scan_file *file,
		     const struct scan_closure *closure, const char *needed_by, bool named)
{
	struct json json = { output->file, false };

	if (!output->json) {
		text_print(output, file, closure, named);
		return;
	}
	json_open(&json, '{');
	json_key_string(&json, "type", "file");
	json_key_string(&json, "path", file->path);
	json_facts(&json, file);
	json_imports(&json, file);
	json_flag(&json, "atfork_handlers", file->family[FAMILY_ATFORK]);
	json_flag(&json, "atfork_hazard", scan_closure_hazard(file, closure));
	json_flag(&json, "bypasses", scan_file_bypasses(file));
	json_calls(&json, file);
	json_key_string(&json, "needed_by", needed_by);
	if (closure)
		json_closure(&json, closure);
	json_close(&json, '}');
	json_end_line(&json);
}

void scan_print_error(struct output *output, const char *path, const char *message)
{
	struct json json = { output->file, false };

	if (!output->json)
		return;
	json_open(&json, '{');
	json_key_string(&json, "type", "error");
	json_key_string(&json, "path", path);
	json_key_string(&json, "message", message);
	json_close(&json, '}');
	json_end_line(&json);
}

void scan_print_totals(struct output *output, const struct scan_totals *totals)
{
	const struct {
		const char *key, *text;
		uint64_t count;
	} rows[] = {
		{ "files", "files", totals->files },
		{ "elf", "ELF files", totals->elf },
		{ "no_elf", "others", totals->no_elf },
		{ "preloadable", "can be preloaded", totals->preloadable },
		{ "atfork_hazards", "fork and start threads without atfork handlers",
		  totals->hazards },
		{ "bypasses", "make system calls that the shim does not see", totals->bypasses },
		{ "errors", "errors", totals->errors },
	};
	struct json json = { output->file, false };
	size_t i;

	if (!output->json) {
		for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
			fprintf(output->file, "%s%llu %s", i ? ", " : "",
				(unsigned long long)rows[i].count, rows[i].text);
		fputc('\n', output->file);
		return;
	}
	json_open(&json, '{');
	json_key_string(&json, "type", "summary");
	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		json_key_number(&json, rows[i].key, rows[i].count);
	json_close(&json, '}');
	json_end_line(&json);
}
