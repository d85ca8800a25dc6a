// SPDX-License-Identifier: MIT
/*
 * Ranges of addresses, sorted by where they start. They may overlap: a search goes down from the last that starts
 * before the address, until none that comes before reaches so far.
 */
#include <stdlib.h>

#include "symbol.h"

void *array_room(void *array, size_t *room, size_t count, size_t size)
{
	if (count < *room)
		return array;
	*room = *room ? *room * 2 : 32;
	array = reallocarray(array, *room, size);
	if (!array)
		abort();
	return array;
}

void spans_add(struct spans *spans, uint64_t start, uint64_t end, size_t what)
{
	if (end <= start)
		return;
	spans->span = array_room(spans->span, &spans->room, spans->count, sizeof(*spans->span));
	spans->span[spans->count++] = (struct span){ start, end, 0, what };
}

/* Of those that start together the smallest comes last, and so is found first. */
static int by_start(const void *left, const void *right)
{
	const struct span *a = left, *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->end != b->end)
		return a->end > b->end ? -1 : 1;
	return a->what < b->what ? -1 : a->what > b->what;
}

void spans_sort(struct spans *spans)
{
	uint64_t reach = 0;
	size_t i;

	if (spans->count)
		qsort(spans->span, spans->count, sizeof(*spans->span), by_start);
	for (i = 0; i < spans->count; i++) {
		if (reach < spans->span[i].end)
			reach = spans->span[i].end;
		spans->span[i].reach = reach;
	}
}

const struct span *spans_find(const struct spans *spans, uint64_t address,
			      const struct span *before)
{
	size_t low = 0, high = spans->count, middle;

	if (before)
		low = (size_t)(before - spans->span);
	while (!before && low < high) {
		middle = low + (high - low) / 2;
		if (spans->span[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	while (low-- > 0 && spans->span[low].reach > address)
		if (spans->span[low].end > address)
			return &spans->span[low];
	return NULL;
}

void spans_free(struct spans *spans)
{
	free(spans->span);
	*spans = (struct spans){ 0 };
}
