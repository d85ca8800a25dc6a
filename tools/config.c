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

int config_check(const char *assignment)
{
	const char *equals = strchr(assignment, '=');
	char keys[512] = "";
	size_t row, size = equals ? (size_t)(equals - assignment) : 0;

	if (!equals) {
		complain("--set %s: has no '='; write KEY=VALUE", assignment);
		return -1;
	}
	for (row = 0; config_rows[row].key; row++) {
		const char *key = config_rows[row].key;

		if (strlen(key) == size && !memcmp(key, assignment, size)) {
			if (value_fits(row, equals + 1))
				return 0;
			complain("--set %s: %s accepts %s%s", assignment, key,
				 config_rows[row].values,
				 strchr(equals, ':') ? ", without ':'" : "");
			return -1;
		}
		strncat(keys, *keys ? " " : "", sizeof(keys) - strlen(keys) - 1);
		strncat(keys, key, sizeof(keys) - strlen(keys) - 1);
	}
	complain("--set %s: there is no option '%.*s'; there are %s", assignment, (int)size,
		 assignment, keys);
	return -1;
}
