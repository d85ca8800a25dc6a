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
	size_t count = 0, most = (size_t)(room->end - room->next) / sizeof(*copy), i, size;

	while (count < most && vector[count])
		count++;
	if (count == most)
		return NULL;
	text = (char *)(copy + count + 1);
	for (i = 0; i < count; i++) {
		size = strlen(vector[i]) + 1;
		if (size > (size_t)(room->end - text))
			return NULL;
		copy[i] = memcpy(text, vector[i], size);
		text += size;
	}
	copy[count] = NULL;
	size = (size_t)(text - room->next + 7) & ~(size_t)7;
	room->next += size < (size_t)(room->end - room->next) ? size :
								(size_t)(room->end - room->next);
	return copy;
}
