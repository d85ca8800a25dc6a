// SPDX-License-Identifier: MIT
/*
 * Who waits for whom. A mutex, a writer's lock, a join and a vfork() child name who must act first. Readers and those
 * who took a semaphore or a spin lock are known where the shim has noted them; of a hidden lock, the one thread that is
 * inside a function that takes it has it.
 */
#include <stdlib.h>
#include <string.h>

#include "inspect.h"

bool thread_stuck(const struct inspect_thread *thread)
{
	return thread->wait.type != WAIT_NONE && thread->wait.type != WAIT_FUTEX &&
	       !thread->wait.timed && thread->steady;
}

/* Which threads hold which lock, by its address. */
struct held_by {
	uint64_t lock;
	enum wait_type type;
	struct inspect_thread *thread;
};

struct index {
	struct held_by *row;
	size_t rows;
};

static int by_lock(const void *one, const void *other)
{
	uint64_t a = ((const struct held_by *)one)->lock, b = ((const struct held_by *)other)->lock;

	return a < b ? -1 : a > b;
}

static void index_make(struct index *index, struct inspection *inspection)
{
	const struct holding *holding;
	size_t i, j, room = 1;

	for (i = 0; i < inspection->threads; i++)
		room += inspection->thread[i].holdings;
	index->row = calloc(room, sizeof(*index->row));
	if (!index->row)
		abort();
	for (i = 0; i < inspection->threads; i++)
		for (j = 0; j < inspection->thread[i].holdings; j++) {
			holding = &inspection->thread[i].holding[j];
			/* One that spins may have got it just now. */
			if (holding->lock && !holding->signals &&
			    (holding->type != WAIT_SPIN || holding->again ||
			     inspection->thread[i].wait.lock != holding->lock))
				index->row[index->rows++] =
					(struct held_by){ holding->lock, holding->type,
							  &inspection->thread[i] };
		}
	qsort(index->row, index->rows, sizeof(*index->row), by_lock);
}

static const struct held_by *index_first(const struct index *index, uint64_t lock)
{
	size_t low = 0, high = index->rows, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (index->row[middle].lock < lock)
			low = middle + 1;
		else
			high = middle;
	}
	return index->row + low;
}

static void holder_add(struct inspect_thread *thread, struct inspect_thread *holder)
{
	size_t room = thread->holders ? 2 * thread->holders : 1;

	/* Full at each power of two. */
	if (!(thread->holders & (thread->holders - 1))) {
		thread->holder = realloc(thread->holder, room * sizeof(*thread->holder));
		if (!thread->holder)
			abort();
	}
	thread->holder[thread->holders++] = holder;
}

static int by_address(const void *one, const void *other)
{
	const struct inspect_thread *a = *(struct inspect_thread *const *)one,
				    *b = *(struct inspect_thread *const *)other;

	return a < b ? -1 : a > b;
}

/* One that holds a lock several times is one holder. */
static void holders_unite(struct inspect_thread *thread)
{
	size_t i, kept = 0;

	if (thread->holders < 2)
		return;
	qsort(thread->holder, thread->holders, sizeof(*thread->holder), by_address);
	for (i = 0; i < thread->holders; i++)
		if (!kept || thread->holder[kept - 1] != thread->holder[i])
			thread->holder[kept++] = thread->holder[i];
	thread->holders = kept;
}

static bool shares(const uint8_t *some, const uint8_t *others)
{
	unsigned i, j;

	for (i = 0; i < CALL_LOCKS && some[i]; i++)
		for (j = 0; j < CALL_LOCKS && others[j]; j++)
			if (some[i] == others[j])
				return true;
	return false;
}

/* Is it inside a function that may hold one of these locks, by its stack? */
static bool inside(const struct inspect_thread *thread, const uint8_t *locks)
{
	unsigned i;

	for (i = 0; i < thread->stack.frames; i++)
		if (thread->stack.frame[i].known &&
		    shares(thread->stack.frame[i].known->holds, locks))
			return true;
	return false;
}

/* Has a handler interrupted it inside a function that may hold one of these locks? */
static bool interrupted_inside(const struct inspect_thread *thread, const uint8_t *locks)
{
	bool interrupted = false;
	unsigned i;

	for (i = 0; i < thread->stack.frames; i++) {
		const struct inspect_frame *frame = &thread->stack.frame[i];

		interrupted |= frame->interrupted;
		if (interrupted && frame->known && shares(frame->known->holds, locks))
			return true;
	}
	return false;
}

size_t graph_inside(const struct inspection *inspection, const struct inspect_thread *waiter,
		    struct inspect_thread **last)
{
	struct inspect_thread *thread;
	size_t i, count = 0;

	for (i = 0; i < inspection->threads; i++) {
		thread = &inspection->thread[i];
		/* It waits for the same. */
		if (thread == waiter ||
		    (thread->wait.type == WAIT_HIDDEN && thread->wait.futex == waiter->wait.futex))
			continue;
		if (!thread->stack.frames || thread->stack.frames == INSPECT_FRAMES)
			return SIZE_MAX;
		if (inside(thread, waiter->wait.hidden)) {
			*last = thread;
			count++;
		}
	}
	return count;
}

static void holders_find(struct inspection *inspection, const struct index *index,
			 struct inspect_thread *thread)
{
	struct wait *wait = &thread->wait;
	struct inspect_thread *holder = thread_find(inspection, wait->owner);
	const struct held_by *row, *end = index->row + index->rows;

	if (holder)
		holder_add(thread, holder);
	if (wait->owner || !wait->lock)
		return;
	if (wait->type == WAIT_HIDDEN && thread->steady && wait->word &&
	    interrupted_inside(thread, wait->hidden))
		holder_add(thread, thread);
	else if (wait->type == WAIT_HIDDEN && thread->steady && wait->word &&
		 graph_inside(inspection, thread, &holder) == 1)
		holder_add(thread, holder);
	if (wait->type != WAIT_RWLOCK && wait->type != WAIT_SPIN && wait->type != WAIT_SEM)
		return;
	for (row = index_first(index, wait->lock); row < end && row->lock == wait->lock; row++)
		if (row->type == wait->type)
			holder_add(thread, row->thread);
	holders_unite(thread);
}

/* What somebody waits for the holder holds, if the shim has not told so. */
static void holding_add(struct inspect_thread *holder, const struct wait *wait)
{
	struct holding *holding;
	size_t i;

	if (!wait->owner || !wait->lock)
		return;
	for (i = 0; i < holder->holdings; i++)
		if (holder->holding[i].lock == wait->lock)
			return;
	holding = realloc(holder->holding, (holder->holdings + 1) * sizeof(*holding));
	if (!holding)
		abort();
	holder->holding = holding;
	holding[holder->holdings++] = (struct holding){
		.type = wait->type, .lock = wait->lock, .class = wait->class, .place = wait->place
	};
}

/* Can it go on, once those that are not doomed have done what they do? */
static bool may_go_on(const struct inspect_thread *thread)
{
	size_t i, doomed = 0;

	if (!thread_stuck(thread) || !thread->holders)
		return true;
	for (i = 0; i < thread->holders; i++)
		doomed += thread->holder[i]->doomed;
	/* Each of the readers has to go; a semaphore any of those who took it may post. */
	return thread->wait.type == WAIT_SEM ? doomed < thread->holders : !doomed;
}

/* From all doomed that wait for somebody, those are taken out who can go on, until none is left. */
static void doomed_find(struct inspection *inspection)
{
	struct inspect_thread *thread;
	bool changed = true;
	size_t i;

	for (i = 0; i < inspection->threads; i++) {
		thread = &inspection->thread[i];
		thread->doomed = thread_stuck(thread) && thread->holders;
	}
	while (changed) {
		changed = false;
		for (i = 0; i < inspection->threads; i++) {
			thread = &inspection->thread[i];
			if (!thread->doomed || !may_go_on(thread))
				continue;
			thread->doomed = false;
			changed = true;
		}
	}
}

void graph_make(struct inspection *inspection)
{
	struct index index = { 0 };
	struct inspect_thread *thread;
	size_t i, j;

	index_make(&index, inspection);
	for (i = 0; i < inspection->threads; i++)
		holders_find(inspection, &index, &inspection->thread[i]);
	free(index.row);
	doomed_find(inspection);
	for (i = 0; i < inspection->threads; i++) {
		thread = &inspection->thread[i];
		if (thread->holders &&
		    (thread->wait.type == WAIT_MUTEX || thread->wait.type == WAIT_RWLOCK ||
		     thread->wait.type == WAIT_HIDDEN))
			holding_add(thread->holder[0], &thread->wait);
		for (j = 0; j < thread->holders; j++)
			if (!thread->on || (thread->holder[j]->doomed && !thread->on->doomed))
				thread->on = thread->holder[j];
	}
}
