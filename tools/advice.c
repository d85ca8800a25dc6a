// SPDX-License-Identifier: MIT
/*
 * What would be needed for a site to be promoted, from advice.def. A reason without words is an error of the
 * compiler's: the switch has no default.
 */
#include <stdlib.h>
#include <string.h>

#include "tool.h"

static const char *reason_advice(enum spork_reason reason)
{
	switch (reason) {
#define ADVICE(id, words)                                                                          \
	case BOX_REASON_##id:                                                                      \
		return words;
#define CALL_ADVICE(functions, words)
#include "advice.def"
#undef ADVICE
#undef CALL_ADVICE
	case BOX_REASON_COUNT:
		break;
	}
	return NULL;
}

static bool has_word(const char *words, const char *word)
{
	size_t size = strlen(word);

	while (*words) {
		size_t length = strcspn(words, " ");

		if (length == size && !memcmp(words, word, size))
			return true;
		words += length;
		words += *words == ' ';
	}
	return false;
}

static const char *call_advice(const char *function)
{
	static const struct {
		const char *functions, *words;
	} rows[] = {
#define ADVICE(id, words)
#define CALL_ADVICE(functions, words) { functions, words },
#include "advice.def"
#undef ADVICE
#undef CALL_ADVICE
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(*rows); i++)
		if (has_word(rows[i].functions, function))
			return rows[i].words;
	return NULL;
}

const char *advice_reason(uint32_t reason)
{
	return reason == BOX_REASON_NONE ? NULL : reason_advice((enum spork_reason)reason);
}

char *advice_site(const struct box_site *site)
{
	const char *words = advice_reason(site->reason), *of_call;
	char *advice = NULL;
	int length;

	if (!words)
		return NULL;
	of_call = site->function[0] ? call_advice(site->function) : NULL;
	if (site->reason == BOX_REASON_LEARNING)
		length = asprintf(&advice, "%s (so far: %u)", words, site->clean);
	else if (site->function[0] && site->reason != BOX_REASON_NO_EXEC &&
		 site->reason != BOX_REASON_EXIT)
		length = asprintf(&advice, "children that do not call %s() before exec: %s",
				  site->function, of_call ? of_call : words);
	else
		length = asprintf(&advice, "%s", words);
	if (length < 0)
		abort();
	clean(advice);
	return advice;
}
