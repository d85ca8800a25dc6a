// SPDX-License-Identifier: MIT
/*
 * Threads that wait for a lock whose holder this process does not have: it stayed behind in the parent when the process
 * was forked, or it has ended. The parent, if it lives and runs the same program, is asked what became of it.
 */
#include <stdlib.h>
#include <string.h>

#include "inspect.h"

/* A thread that waits for such a lock, and how that is known. */
struct waiter {
	struct inspect_thread *thread;
	const struct left *left; /* what the shim knows in the process's memory, or NULL */
	const struct box_violation *violation; /* what it has said in the box, or NULL */
};

struct waiters {
	struct waiter *waiter;
	size_t count;
};

/* By id, and zero where it is not known. */
static uint32_t waiter_holder(const struct waiter *waiter)
{
	return waiter->violation ? waiter->violation->holder_tid :
	       waiter->left	 ? waiter->left->holder :
				   waiter->thread->wait.owner;
}

/* Those that wait for the same lock come together, in the order of the threads. */
static int by_lock(const void *one, const void *other)
{
	const struct waiter *first = one, *second = other;
	const struct wait *a = &first->thread->wait, *b = &second->thread->wait;
	uint64_t left = a->lock ? a->lock : a->futex, right = b->lock ? b->lock : b->futex;
	uint32_t holder = waiter_holder(first), other_holder = waiter_holder(second);

	if (a->type != b->type)
		return a->type < b->type ? -1 : 1;
	if (left != right)
		return left < right ? -1 : 1;
	if (holder != other_holder)
		return holder < other_holder ? -1 : 1;
	/* Of two whose locks are not known nothing is said. */
	return left ? 0 : first->thread < second->thread ? -1 : first->thread > second->thread;
}

static int by_lock_and_thread(const void *one, const void *other)
{
	const struct inspect_thread *first = ((const struct waiter *)one)->thread,
				    *second = ((const struct waiter *)other)->thread;
	int order = by_lock(one, other);

	return order ? order : first < second ? -1 : first > second;
}

/* Who held it: the nearest ancestor of the same program that has a thread of this id. */
static void words_holder(FILE *file, struct inspection *inspection, struct verdict *verdict,
			 uint32_t owner)
{
	const struct inspect_thread *holder;
	pid_t from = relative_forked(inspection);
	bool forked = false;

	verdict->forked_from = from;
	verdict->holder = holder = relative_thread(inspection, owner, &forked);
	if (holder) {
		if (forked)
			verdict->forked_from = holder->process;
		fputs("\nit is ", file);
		words_thread(file, holder);
		fprintf(file, " of process %d '", (int)holder->process);
		print_clean(file, relative_name(inspection, holder->process));
		fputs(forked ? "', from which this one was forked" :
			       "', an ancestor of this one that runs the same program",
		      file);
	} else if (owner > (uint32_t)inspection->status.inner) {
		/* Ids go up: those of threads that were there at the fork are below the child's. */
		fputs("\nit seems to have ended without giving it back", file);
	} else if (from && owner) {
		fprintf(file,
			"\nprocess %d, from which this one was forked, has no such thread any more",
			(int)from);
	} else if (from) {
		fprintf(file, "\nthis process was forked from process %d", (int)from);
	} else {
		fputs("\nthe process from which this one was forked has ended, or has executed a "
		      "program since",
		      file);
	}
}

static bool left_is(const struct left *left, const struct wait *wait)
{
	unsigned i, j;

	if (left->holding.signals || left->holding.type != wait->type)
		return false;
	for (i = 0; wait->type == WAIT_HIDDEN && i < CALL_LOCKS; i++)
		for (j = 0; j < CALL_LOCKS; j++)
			if (wait->hidden[i] && wait->hidden[i] == left->holding.inside->holds[j])
				return true;
	return wait->type != WAIT_HIDDEN;
}

/* What the shim knows of the lock that the thread waits for. Of hidden locks it knows no address. */
static const struct left *left_of(const struct inspection *inspection, const struct wait *wait)
{
	const uint64_t lock = wait->type == WAIT_HIDDEN ? 0 : wait->lock;
	size_t low = 0, high = inspection->lefts, middle;
	const struct left *left;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (inspection->left[middle].holding.lock < lock)
			low = middle + 1;
		else
			high = middle;
	}
	for (; low < inspection->lefts; low++) {
		left = &inspection->left[low];
		if (left->holding.lock != lock)
			break;
		if (left_is(left, wait))
			return left;
	}
	return NULL;
}

/* Can a thread of this process not be the one that has it? */
static bool nobody_here(struct inspection *inspection, const struct inspect_thread *thread,
			const struct left *left)
{
	const struct wait *wait = &thread->wait;
	struct inspect_thread *last;
	bool alone = inspection->threads == 1;

	if (thread->holders)
		return false;
	switch (wait->type) {
	case WAIT_MUTEX:
	case WAIT_RWLOCK:
		return wait->word &&
		       (wait->owner ? !thread_exists(inspection, wait->owner) : alone || left);
	case WAIT_HIDDEN:
		if (wait->owner && thread_exists(inspection, wait->owner))
			return false;
		return wait->word &&
		       (wait->owner || alone || !graph_inside(inspection, thread, &last));
	case WAIT_SPIN:
		return wait->word && (alone || left);
	case WAIT_SEM:
		return left != NULL;
	default:
		return false;
	}
}

/* What the lock itself tells of its holder; that it is an orphan is not known of all. */
static void words_owner(FILE *file, struct inspection *inspection, struct verdict *verdict,
			const struct wait *wait)
{
	if (wait->owner) {
		fprintf(file, ", held by a thread %u that this process does not have", wait->owner);
	} else if (wait->type == WAIT_RWLOCK || wait->type == WAIT_SPIN) {
		fprintf(file, ", which is held%s, and this is the only thread",
			wait->type == WAIT_RWLOCK ? " for reading" : "");
		/* By whom is not noted: it may be itself. */
		if (!relative_forked(inspection))
			verdict->kind = VERDICT_SELF;
	} else {
		fputs(", held by no thread that this process has", file);
	}
}

static void words_violation(FILE *file, const struct box_violation *violation)
{
	fprintf(file, ", held when the process was forked by thread %u '", violation->holder_tid);
	print_clean(file, violation->holder_name);
	fputs("' (the shim saw it)", file);
}

/* Of a lock, with all that wait for it. */
static void orphan_found(struct inspection *inspection, const struct waiter *waiter, size_t count)
{
	struct inspect_thread **threads = calloc(count, sizeof(*threads));
	const struct left *left = waiter->left;
	struct verdict *verdict;
	size_t size, i;
	FILE *file;

	if (!threads)
		abort();
	for (i = 0; i < count; i++)
		threads[i] = waiter[i].thread;
	verdict = verdict_add(inspection, VERDICT_ORPHAN, threads, count);
	free(threads);
	verdict->left = left;
	file = open_memstream(&verdict->message, &size);
	if (!file)
		abort();
	words_wait(file, waiter->thread);
	if (waiter->violation)
		words_violation(file, waiter->violation);
	else if (left)
		words_left(file, left);
	else
		words_owner(file, inspection, verdict, &waiter->thread->wait);
	/* Of one that ended here there is no more to tell. */
	if (verdict->kind == VERDICT_ORPHAN &&
	    !(left && left->ended && left->holder > (uint32_t)inspection->status.inner))
		words_holder(file, inspection, verdict, waiter_holder(waiter));
	if (count > 1)
		fprintf(file, "\n%zu more thread%s wait%s for that lock", count - 1,
			plural(count - 1), count == 2 ? "s" : "");
	if (fclose(file))
		abort();
}

static void waiters_read(struct inspection *inspection, struct waiters *waiters)
{
	struct inspect_thread *thread;
	const struct left *left;
	size_t i;

	for (i = 0; i < inspection->threads; i++) {
		thread = &inspection->thread[i];
		if (thread->deadly || !thread_stuck(thread) || thread->wait.shared)
			continue;
		left = left_of(inspection, &thread->wait);
		if (nobody_here(inspection, thread, left))
			waiters->waiter[waiters->count++] = (struct waiter){ thread, left, NULL };
	}
}

/* What the shim has said in the box of threads of which nothing else is known. */
static void waiters_read_box(struct inspection *inspection, struct waiters *waiters)
{
	const struct view *view = inspection->view;
	const struct box_violation *violation;
	struct inspect_thread *thread;
	uint32_t i;

	for (i = 0; i < waiters->count; i++)
		waiters->waiter[i].thread->deadly = true;
	for (i = 0; view && i < view->box->slots[BOX_TABLE_VIOLATION]; i++) {
		violation = &view->box->violation[i];
		if (!view_violation(view, i) || violation->kind != BOX_VIOLATION_ORPHAN_DEADLOCK ||
		    violation->remedy != BOX_REMEDY_NONE)
			continue;
		thread = thread_find(inspection, violation->tid);
		if (!thread || !thread->steady || thread->wait.timed || thread->deadly ||
		    (thread->wait.type != WAIT_HIDDEN && thread->wait.lock != violation->lock.addr))
			continue;
		thread->deadly = true;
		waiters->waiter[waiters->count++] = (struct waiter){ thread, NULL, violation };
	}
}

void orphans_find(struct inspection *inspection)
{
	struct waiters waiters = { calloc(inspection->threads + 1, sizeof(struct waiter)), 0 };
	size_t i, end;

	if (!waiters.waiter)
		abort();
	waiters_read(inspection, &waiters);
	waiters_read_box(inspection, &waiters);
	qsort(waiters.waiter, waiters.count, sizeof(*waiters.waiter), by_lock_and_thread);
	for (i = 0; i < waiters.count; i = end) {
		for (end = i + 1;
		     end < waiters.count && !by_lock(&waiters.waiter[i], &waiters.waiter[end]);)
			end++;
		orphan_found(inspection, &waiters.waiter[i], end - i);
	}
	free(waiters.waiter);
}
