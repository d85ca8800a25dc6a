// SPDX-License-Identifier: MIT
/*
 * Options of the shim, from the table that the shim itself is built from: what `spork run --set`
 * takes, and the rows of their manual page.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tool.h"

#define RANGE(min, max) #min " to " #max

const struct config_row config_rows[] = {
#define CHOICE(key, preset, words, meaning) { #key, #preset, words, meaning },
#define NUMBER(key, preset, min, max, meaning) { #key, #preset, RANGE(min, max), meaning },
#define PATHS(key, preset, words, meaning) { #key, preset, words "|PATH", meaning },
#include "config.def"
#undef CHOICE
#undef NUMBER
#undef PATHS
	{ NULL, NULL, NULL, NULL },
};

static bool word_of(const char *words, const char *word)
{
	size_t size = strlen(word);

	while (*words) {
		size_t length = strcspn(words, "|");

		if (length == size && !memcmp(words, word, size))
			return true;
		words += length;
		words += *words == '|';
	}
	return false;
}

static bool number_in(const char *value, unsigned long min, unsigned long max)
{
	unsigned long number;

	if (!*value || strspn(value, "0123456789") != strlen(value))
		return false;
	errno = 0;
	number = strtoul(value, NULL, 10);
	return !errno && number >= min && number <= max;
}

/* An option's value ends at a colon, so none may be in a path. */
static bool path_fits(const char *value)
{
	return *value && !strchr(value, ':');
}

static bool value_fits(size_t row, const char *value)
{
	size_t i = 0;

#define CHOICE(key, preset, words, meaning)                                                        \
	if (i++ == row)                                                                            \
		return word_of(words, value);
#define NUMBER(key, preset, min, max, meaning)                                                     \
	if (i++ == row)                                                                            \
		return number_in(value, min, max);
#define PATHS(key, preset, words, meaning)                                                         \
	if (i++ == row)                                                                            \
		return path_fits(value);
#include "config.def"
#undef CHOICE
#undef NUMBER
#undef PATHS
	return false;
}

/* The row of that key, `size` bytes; that of the zeros: there is none. */
static size_t row_of(const char *key, size_t size)
{
	size_t row;

	for (row = 0; config_rows[row].key; row++)
		if (strlen(config_rows[row].key) == size &&
		    !memcmp(config_rows[row].key, key, size))
			break;
	return row;
}

/* The last value in `settings` that the shim takes. */
static void number_find(size_t row, const char *settings, uint32_t *number)
{
	size_t size = strlen(config_rows[row].key), length;
	char value[16];

	for (; *settings; settings += length + (settings[length] == ':')) {
		length = strcspn(settings, ":");
		if (length <= size || length - size > sizeof(value) || settings[size] != '=' ||
		    memcmp(settings, config_rows[row].key, size))
			continue;
		memcpy(value, settings + size + 1, length - size - 1);
		value[length - size - 1] = '\0';
		if (value_fits(row, value))
			*number = (uint32_t)strtoul(value, NULL, 10);
	}
}

uint32_t config_number(const char *key, const char *outer, const char *inner)
{
	size_t row = row_of(key, strlen(key));
	uint32_t number = (uint32_t)strtoul(config_rows[row].preset, NULL, 10);

	if (outer)
		number_find(row, outer, &number);
	number_find(row, inner, &number);
	return number;
}

int config_check(const char *assignment)
{
	const char *equals = strchr(assignment, '=');
	char keys[512] = "";
	size_t row, size = equals ? (size_t)(equals - assignment) : 0;

	if (!equals) {
		complain("--set %s: has no '='; write KEY=VALUE", assignment);
		return -1;
	}
	row = row_of(assignment, size);
	if (config_rows[row].key) {
		if (value_fits(row, equals + 1))
			return 0;
		complain("--set %s: %s accepts %s%s", assignment, config_rows[row].key,
			 config_rows[row].values, strchr(equals, ':') ? ", without ':'" : "");
		return -1;
	}
	for (row = 0; config_rows[row].key; row++) {
		strncat(keys, row ? " " : "", sizeof(keys) - strlen(keys) - 1);
		strncat(keys, config_rows[row].key, sizeof(keys) - strlen(keys) - 1);
	}
	complain("--set %s: there is no option '%.*s'; there are %s", assignment, (int)size,
		 assignment, keys);
	return -1;
}
