// SPDX-License-Identifier: MIT
/*
 * Owns `config`: the options of this process, from SPORK_OPTIONS. Runs once, before anything else of the
 * shim; uses neither getenv nor any other part of libc that another library may not have set up yet.
 */
#include "config.h"

#include "report.h"
#include "sys.h"

#include "poison.h"

enum {
#define CHOICE(...)
#define NUMBER(...)
#define PATHS(key, ...) PATH_##key,
#include "config.def"
#undef PATHS
	PATH_COUNT
};

struct config config START_STATE = {
#define PATHS(key, initial, words, meaning) .key = initial,
#include "config.def"
#undef CHOICE
#undef NUMBER
#undef PATHS
};

/* Those that are given, one after the other. */
static char paths[PATH_COUNT][CONFIG_PATH_SIZE];

enum option_type { OPTION_CHOICE, OPTION_NUMBER, OPTION_PATH };

/* Arrays, not pointers: see rows in real.c. */
static const struct option {
	char key[16];
	enum option_type type;
	uint32_t value;		    /* from the start of `config` */
	char initial[8], words[24]; /* words are separated by | */
	uint32_t low, high;	    /* a path's number */
	char meaning[112];
} options[] = {
#define CHOICE(key, initial, words, meaning)                                                       \
	{ #key, OPTION_CHOICE, offsetof(struct config, key), #initial, words, 0, 0, meaning },
#define NUMBER(key, initial, low, high, meaning)                                                   \
	{ #key, OPTION_NUMBER, offsetof(struct config, key), #initial, "", low, high, meaning },
#define PATHS(key, initial, words, meaning)                                                        \
	{ #key, OPTION_PATH, offsetof(struct config, key), initial, words, PATH_##key, 0, meaning },
#include "config.def"
#undef CHOICE
#undef NUMBER
#undef PATHS
};

/* A piece of a string that does not end in NUL. */
struct slice {
	const char *start;
	size_t size;
};

static bool slice_equal(struct slice slice, const char *string)
{
	return strlen(string) == slice.size && !memcmp(slice.start, string, slice.size);
}

/* Cuts what comes before the first `separator` off `rest`. */
static struct slice slice_cut(struct slice *rest, char separator)
{
	struct slice head = { rest->start, 0 };

	while (head.size < rest->size && head.start[head.size] != separator)
		head.size++;
	rest->start += head.size;
	rest->size -= head.size;
	if (rest->size) {
		rest->start++;
		rest->size--;
	}
	return head;
}

static void *option_value(const struct option *option)
{
	return (char *)&config + option->value;
}

static bool choice_parse(const struct option *option, struct slice value)
{
	struct slice words = { option->words, strlen(option->words) };
	uint32_t index;

	for (index = 0; words.size; index++) {
		struct slice word = slice_cut(&words, '|');

		if (word.size == value.size && !memcmp(word.start, value.start, value.size)) {
			*(uint32_t *)option_value(option) = index;
			return true;
		}
	}
	return false;
}

static bool number_parse(const struct option *option, struct slice value)
{
	uint64_t number = 0;
	size_t i;

	if (!value.size || value.size > 9)
		return false;
	for (i = 0; i < value.size; i++) {
		if (value.start[i] < '0' || value.start[i] > '9')
			return false;
		number = number * 10 + (uint64_t)(value.start[i] - '0');
	}
	if (number < option->low || number > option->high)
		return false;
	*(uint32_t *)option_value(option) = (uint32_t)number;
	return true;
}

static bool path_parse(const struct option *option, struct slice value)
{
	char *path = paths[option->low];

	if (!value.size || value.size >= CONFIG_PATH_SIZE)
		return false;
	memcpy(path, value.start, value.size);
	path[value.size] = 0;
	*(const char **)option_value(option) = path;
	return true;
}

static bool option_parse(const struct option *option, struct slice value)
{
	switch (option->type) {
	case OPTION_CHOICE:
		return choice_parse(option, value);
	case OPTION_NUMBER:
		return number_parse(option, value);
	default:
		return path_parse(option, value);
	}
}

static void option_accepts(struct text *text, const struct option *option)
{
	switch (option->type) {
	case OPTION_CHOICE:
		text_string(text, option->words);
		break;
	case OPTION_NUMBER:
		text_decimal(text, option->low);
		text_string(text, "..");
		text_decimal(text, option->high);
		break;
	default:
		text_string(text, option->words);
		text_string(text, "|PATH");
		break;
	}
}

static void complain(const char *what, struct slice pair, const struct option *option)
{
	struct report_line line;
	struct text *text = report_line_begin(&line);
	size_t i;

	text_string(text, what);
	text_string(text, " '");
	text_bounded(text, pair.start, pair.size);
	text_string(text, "' in SPORK_OPTIONS: ");
	if (option) {
		text_string(text, option->key);
		text_string(text, " accepts ");
		option_accepts(text, option);
	} else {
		text_string(text, "known keys are");
		for (i = 0; i < COUNT(options); i++) {
			text_string(text, " ");
			text_string(text, options[i].key);
		}
	}
	report_line_end(&line);
}

static void help(void)
{
	struct report_line line;
	size_t i;

	for (i = 0; i < COUNT(options); i++) {
		struct text *text = report_line_begin(&line);

		text_string(text, options[i].key);
		text_string(text, "=");
		option_accepts(text, &options[i]);
		text_string(text, " (default ");
		text_string(text, options[i].initial);
		text_string(text, "): ");
		text_string(text, options[i].meaning);
		report_line_end(&line);
	}
}

/* False: it was told about, and is of no use to executed programs. */
static bool pair_parse(struct slice pair, const char *unused)
{
	struct slice value = pair;
	struct slice key = slice_cut(&value, '=');
	size_t i;

	(void)unused;
	if (slice_equal(pair, "help=1")) {
		help();
		return false;
	}
	for (i = 0; i < COUNT(options); i++) {
		if (!slice_equal(key, options[i].key))
			continue;
		if (option_parse(&options[i], value))
			return true;
		complain("bad value", pair, &options[i]);
		return false;
	}
	complain("unknown option", pair, NULL);
	return false;
}

START_TEXT const char *config_variable(char *const *environment, const char *name)
{
	size_t size = strlen(name);
	const char *variable; /* read once: another thread may take it away */

	for (; environment && (variable = *environment); environment++)
		if (*variable == *name && !strncmp(variable, name, size) && variable[size] == '=')
			return variable + size + 1;
	return NULL;
}

/* Keeps the pairs of the variable that `keep` wants, in place: it is what executed programs will get. */
static void variable_filter(bool (*keep)(struct slice pair, const char *key), const char *key)
{
	char *variable = (char *)config_variable(environ, "SPORK_OPTIONS");
	struct slice rest = { variable, variable ? strlen(variable) : 0 };
	char *kept = variable;

	if (!variable)
		return;
	while (rest.size) {
		struct slice pair = slice_cut(&rest, ':');

		if (!pair.size || !keep(pair, key))
			continue;
		if (kept != variable)
			*kept++ = ':';
		memmove(kept, pair.start, pair.size);
		kept += pair.size;
	}
	*kept = 0;
}

static bool has_other_key(struct slice pair, const char *key)
{
	return !slice_equal(slice_cut(&pair, '='), key);
}

void config_drop(const char *key)
{
	variable_filter(has_other_key, key);
}

void config_default(void)
{
	size_t i;

	for (i = 0; i < COUNT(options); i++)
		if (options[i].type != OPTION_PATH)
			option_parse(&options[i], (struct slice){ options[i].initial,
								  strlen(options[i].initial) });
}

void config_secure(void)
{
	config_default();
	config.reroute = REROUTE_OFF;
	config.locks = LOCKS_OFF;
	config.gate = 0;
	config.log = "none";
}

void config_init(void)
{
	config_default();
	/* What is complained of is dropped: a tree of programs says it once. */
	variable_filter(pair_parse, NULL);
}
