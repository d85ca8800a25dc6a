// SPDX-License-Identifier: MIT
/*
 * How the commands print: lines of error, colour, durations, JSON. Strings that come out of a box
 * or of a file are printed only through print_clean() or json_string().
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "tool.h"

const char *tool_command;

void complain(const char *format, ...)
{
	char line[1024];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(line, sizeof(line), format, arguments);
	va_end(arguments);
	fflush(stdout);
	fputs("spork: ", stderr);
	if (tool_command)
		fprintf(stderr, "%s: ", tool_command);
	print_clean(stderr, line);
	fputc('\n', stderr);
}

int output_option(struct output *output, int id, const char *argument)
{
	switch (id) {
	case 'f':
		output->json = !strcmp(argument, "json");
		if (output->json || !strcmp(argument, "text"))
			return 0;
		complain("--format %s: there is no such format; use text or json", argument);
		return STATUS_FAILED;
	case 'O':
		output->path = argument;
		return 0;
	default:
		output->when = !strcmp(argument, "always") ? COLOR_ALWAYS :
			       !strcmp(argument, "never")  ? COLOR_NEVER :
							     COLOR_AUTO;
		if (output->when != COLOR_AUTO || !strcmp(argument, "auto"))
			return 0;
		complain("--color %s: use auto, always or never", argument);
		return STATUS_FAILED;
	}
}

int output_width(FILE *file)
{
	const char *columns = getenv("COLUMNS");
	struct winsize size;
	char *end;
	long value;

	if (columns && *columns) {
		value = strtol(columns, &end, 10);
		if (!*end && value > 0 && value < 10000)
			return (int)value;
	}
	if (!isatty(fileno(file)) || ioctl(fileno(file), TIOCGWINSZ, &size))
		return 0;
	return size.ws_col;
}

void output_wrap(FILE *file, const char *text, int indent, int column, int width)
{
	while (*text) {
		int length = (int)strcspn(text, " ");

		if (column < indent) {
			fprintf(file, "%*s", indent - column, "");
			column = indent;
		} else if (width && column > indent && column + 1 + length > width) {
			fprintf(file, "\n%*s", indent, "");
			column = indent;
		} else if (column > indent) {
			fputc(' ', file);
			column++;
		}
		fprintf(file, "%.*s", length, text);
		column += length;
		text += length;
		text += *text == ' ';
	}
	fputc('\n', file);
}

int output_open(struct output *output, FILE *fallback)
{
	const char *no_color = getenv("NO_COLOR");

	output->file = output->path ? fopen(output->path, "we") : fallback;
	if (!output->file) {
		complain("%s: cannot be written: %s", output->path, strerror(errno));
		return STATUS_FAILED;
	}
	output->color = output->when == COLOR_ALWAYS;
	if (output->when == COLOR_AUTO && !(no_color && *no_color))
		output->color = isatty(fileno(output->file));
	output->width = output_width(output->file);
	return 0;
}

int output_close(struct output *output)
{
	bool failed = fflush(output->file) || ferror(output->file);
	int error = errno;

	if (output->path && fclose(output->file) && !failed) {
		failed = true;
		error = errno;
	}
	output->file = NULL;
	if (!failed)
		return 0;
	complain("%s: not everything could be written: %s",
		 output->path ? output->path : "the output", strerror(error));
	return STATUS_FAILED;
}

void output_style(struct output *output, enum style style)
{
	static const char *const codes[] = { "\033[0m", "\033[1m", "\033[1;31m", "\033[1;33m" };

	if (output->color)
		fputs(codes[style], output->file);
}

struct duration duration_text(uint64_t ns)
{
	static const char *const units[] = { "us", "ms", "s" };
	struct duration duration;
	double value = (double)ns / 1e3;
	int unit = 0;

	if (ns < 1000) {
		snprintf(duration.text, sizeof(duration.text), "%u ns", (unsigned)ns);
		return duration;
	}
	for (; value >= 999.5 && unit < 2; unit++)
		value /= 1e3;
	snprintf(duration.text, sizeof(duration.text), "%.*f %s",
		 value < 9.995 ? 2 :
		 value < 99.95 ? 1 :
				 0,
		 value, units[unit]);
	return duration;
}

const char *plural(uint64_t count)
{
	return count == 1 ? "" : "s";
}

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

bool path_same(const char *one, const char *other)
{
	struct stat first, second;

	return !stat(one, &first) && !stat(other, &second) && first.st_ino == second.st_ino &&
	       first.st_dev == second.st_dev;
}

bool path_root_shared(pid_t pid)
{
	char root[32], mounts[32];

	snprintf(root, sizeof(root), "/proc/%d/root", (int)pid);
	snprintf(mounts, sizeof(mounts), "/proc/%d/ns/mnt", (int)pid);
	return path_same("/", root) && path_same("/proc/self/ns/mnt", mounts);
}

/* Length of the UTF-8 sequence at `bytes`, which end with a zero; 0 where it is none. */
static int utf8_length(const unsigned char *bytes)
{
	/* The second byte's range rules out overlong forms, surrogates, and past U+10FFFF. */
	unsigned char first = bytes[0], low = 0x80, high = 0xbf;
	int length, i;

	if (first < 0x80)
		return 1;
	length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
	if (first < 0xc2 || first > 0xf4)
		return 0;
	if (first == 0xe0)
		low = 0xa0;
	else if (first == 0xed)
		high = 0x9f;
	else if (first == 0xf0)
		low = 0x90;
	else if (first == 0xf4)
		high = 0x8f;
	if (bytes[1] < low || bytes[1] > high)
		return 0;
	for (i = 2; i < length; i++)
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
	return length;
}

/* Length of a character that may go to a terminal, at most four; 0: it must not, or it is none. */
static int harmless_length(const char *string)
{
	const unsigned char *bytes = (const unsigned char *)string;
	int length = utf8_length(bytes);

	if (*bytes < 0x20 || *bytes == 0x7f || (*bytes == 0xc2 && bytes[1] < 0xa0))
		return 0;
	return length;
}

void print_clean(FILE *file, const char *string)
{
	while (*string) {
		int length = harmless_length(string);

		if (length)
			fwrite(string, 1, (size_t)length, file);
		else
			fputc('?', file);
		string += length ? length : 1;
	}
}

void clean(char *string)
{
	while (*string) {
		int length = harmless_length(string);

		if (!length)
			*string = '?';
		string += length ? length : 1;
	}
}

void html_text(FILE *file, const char *string)
{
	char *copy = strdup(string), *at;

	if (!copy)
		abort();
	/* Lines may stay. */
	for (at = copy; (at = strchr(at, '\n')); at++)
		*at = 1;
	for (at = copy; *at;) {
		size_t length = strcspn(at, "\1<>&\"'");
		char kept = at[length];

		at[length] = 0;
		print_clean(file, at);
		at += length;
		if (!kept)
			break;
		fputs(kept == '<' ? "&lt;" :
		      kept == '>' ? "&gt;" :
		      kept == '&' ? "&amp;" :
		      kept == '"' ? "&quot;" :
		      kept == 1	  ? "\n" :
				    "&#39;",
		      file);
		at++;
	}
	free(copy);
}

static void json_comma(struct json *json)
{
	if (json->comma)
		fputc(',', json->file);
	json->comma = true;
}

void json_open(struct json *json, char bracket)
{
	json_comma(json);
	fputc(bracket, json->file);
	json->comma = false;
}

void json_close(struct json *json, char bracket)
{
	fputc(bracket, json->file);
	json->comma = true;
}

void json_end_line(struct json *json)
{
	fputc('\n', json->file);
	json->comma = false;
}

void json_key(struct json *json, const char *key)
{
	json_string(json, key);
	fputc(':', json->file);
	json->comma = false;
}

void json_string(struct json *json, const char *string)
{
	const unsigned char *at = (const unsigned char *)string;

	if (!string) {
		json_null(json);
		return;
	}
	json_comma(json);
	fputc('"', json->file);
	while (*at) {
		int length = utf8_length(at);

		if (!length)
			fputs("\\ufffd", json->file);
		else if (*at == '"' || *at == '\\')
			fprintf(json->file, "\\%c", *at);
		else if (*at < 0x20 || *at == 0x7f)
			fprintf(json->file, "\\u%04x", *at);
		else
			fwrite(at, 1, (size_t)length, json->file);
		at += length ? length : 1;
	}
	fputc('"', json->file);
}

void json_number(struct json *json, uint64_t value)
{
	json_comma(json);
	fprintf(json->file, "%llu", (unsigned long long)value);
}

void json_real(struct json *json, double value)
{
	json_comma(json);
	fprintf(json->file, value < 1 && value > -1 ? "%.6f" : "%.3f", value);
}

void json_hex(struct json *json, uint64_t value)
{
	json_comma(json);
	fprintf(json->file, "\"0x%llx\"", (unsigned long long)value);
}

void json_bool(struct json *json, bool value)
{
	json_comma(json);
	fputs(value ? "true" : "false", json->file);
}

void json_null(struct json *json)
{
	json_comma(json);
	fputs("null", json->file);
}

void json_key_string(struct json *json, const char *key, const char *string)
{
	json_key(json, key);
	json_string(json, string);
}

void json_key_number(struct json *json, const char *key, uint64_t value)
{
	json_key(json, key);
	json_number(json, value);
}
