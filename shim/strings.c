// SPDX-License-Identifier: MIT
/*
 * See strings.h.
 */
#include "strings.h"

#include "sys.h"

#include "poison.h"

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
		copy[i] = memcpy(text, string, size);
		text[size] = 0;
		text += size + 1;
	}
	copy[i] = NULL;
	size = (size_t)(text - room->next + 7) & ~(size_t)7;
	room->next += size < (size_t)(room->end - room->next) ? size :
								(size_t)(room->end - room->next);
	return copy;
}
