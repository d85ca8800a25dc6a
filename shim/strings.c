// SPDX-License-Identifier: MIT
/*
 * See strings.h.
 */
#include "strings.h"

#include "sys.h"

#include "poison.h"

/*
 * What is there already, mostly from the call before, is not written: the last child read it on another processor, and
 * to get each line back from there costs more than all the rest.
 */
static char *put_string(char *to, const char *string, size_t size)
{
	if (memcmp(to, string, size))
		memcpy(to, string, size);
	if (to[size])
		to[size] = 0;
	return to;
}

static void put_pointer(char **to, char *pointer)
{
	if (*to != pointer)
		*to = pointer;
}

char **strings_copy(struct strings_room *room, char *const *vector)
{
	char **copy = (char **)room->next, *text;
	const char *string;
	size_t count = 0, most = (size_t)(room->end - room->next) / sizeof(*copy), i, size;

	while (vector && count < most && vector[count])
		count++;
	if (count == most)
		return NULL;
	text = (char *)(copy + count + 1);
	for (i = 0; i < count && (string = vector[i]); i++) {
		size = strlen(string);
		if (size >= (size_t)(room->end - text))
			return NULL;
		put_pointer(&copy[i], put_string(text, string, size));
		text += size + 1;
	}
	put_pointer(&copy[i], NULL);
	size = (size_t)(text - room->next + 7) & ~(size_t)7;
	room->next += size < (size_t)(room->end - room->next) ? size :
								(size_t)(room->end - room->next);
	return copy;
}
