// SPDX-License-Identifier: MIT
/*
 * Threads by what the process calls them, which is what its locks have noted. Owns the lists of ids.
 */
#include <stdlib.h>

#include "inspect.h"

/* A thread of the inspection; of one that was made since, NULL. */
struct numbered {
	uint32_t inner;
	struct inspect_thread *thread;
};

static int by_inner(const void *one, const void *other)
{
	uint32_t a = ((const struct numbered *)one)->inner,
		 b = ((const struct numbered *)other)->inner;

	return a < b ? -1 : a > b;
}

static const struct numbered *numbered_find(const struct numbered *numbered, size_t count,
					    uint32_t inner)
{
	const struct numbered key = { .inner = inner };

	return inner && count ? bsearch(&key, numbered, count, sizeof(key), by_inner) : NULL;
}

void threads_number(struct inspection *inspection)
{
	size_t i;

	inspection->numbered = calloc(inspection->threads + 1, sizeof(*inspection->numbered));
	if (!inspection->numbered)
		abort();
	for (i = 0; i < inspection->threads; i++) {
		inspection->numbered[i].inner = (uint32_t)inspection->thread[i].status.inner;
		inspection->numbered[i].thread = &inspection->thread[i];
		if (inspection->thread[i].tid == inspection->pid)
			inspection->main = &inspection->thread[i];
	}
	qsort(inspection->numbered, inspection->threads, sizeof(*inspection->numbered), by_inner);
}

struct inspect_thread *thread_find(const struct inspection *inspection, uint32_t inner)
{
	const struct numbered *row =
		numbered_find(inspection->numbered, inspection->threads, inner);

	if (row)
		return row->thread;
	return inner && inspection->main && inspection->main->alias == inner ? inspection->main :
									       NULL;
}

static void later_read(struct inspection *inspection)
{
	struct proc_status status;
	size_t count, i;
	pid_t *tids;

	inspection->later_read = true;
	tids = proc_threads(inspection->pid, &count);
	inspection->later = calloc(count + 1, sizeof(*inspection->later));
	if (!inspection->later)
		abort();
	for (i = 0; i < count; i++)
		if (proc_status(inspection->pid, tids[i], &status))
			inspection->later[inspection->laters++].inner = (uint32_t)status.inner;
	free(tids);
	qsort(inspection->later, inspection->laters, sizeof(*inspection->later), by_inner);
}

bool thread_exists(struct inspection *inspection, uint32_t inner)
{
	if (thread_find(inspection, inner))
		return true;
	if (!inspection->later_read)
		later_read(inspection);
	return numbered_find(inspection->later, inspection->laters, inner) != NULL;
}

void threads_forget(struct inspection *inspection)
{
	free(inspection->numbered);
	free(inspection->later);
}
