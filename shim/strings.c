// SPDX-License-Identifier: MIT
/*
 * See strings.h.
 */
#include "strings.h"

#include "sys.h"

#include "poison.h"

size_t strings_size(char *const *vector, size_t most)
{
	size_t size = sizeof(*vector);

	for (; *vector && size <= most; vector++)
		size += sizeof(*vector) + strlen(*vector) + 1;
	return (size + 7) & ~(size_t)7;
}

char **strings_copy(char *const *vector, void *room)
{
	char **copy = room;
	size_t count = 0, i, size;
	char *text;

	while (vector[count])
		count++;
	text = (char *)(copy + count + 1);
	for (i = 0; i < count; i++) {
		size = strlen(vector[i]) + 1;
		copy[i] = memcpy(text, vector[i], size);
		text += size;
	}
	copy[count] = NULL;
	return copy;
}
