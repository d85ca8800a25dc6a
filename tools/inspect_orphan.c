// SPDX-License-Identifier: MIT
/*
 * Threads that wait for a lock whose holder this process does not have: it stayed behind in the parent when the process
 * was forked, or it has ended. The parent, if it lives and runs the same program, is asked what became of it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "inspect.h"

#define ANCESTORS 8

static bool same_program(pid_t one, pid_t other)
{
	struct stat first, second;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)one);
	if (stat(path, &first))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)other);
	return !stat(path, &second) && first.st_ino == second.st_ino &&
	       first.st_dev == second.st_dev;
}

/* What was opened of other processes, for as long as their stacks are printed. */
struct relative {
	struct inspect_thread thread;
	struct proc_maps maps;
	struct stacks *stacks;
};

/* The thread in a process, by what it is called inside; NULL: there is none. */
static struct relative *relative_thread(pid_t pid, uint32_t inner, bool stop)
{
	struct relative *relative = NULL;
	struct inspect_thread *thread;
	struct proc_status status;
	pid_t *tids;
	size_t count, i;

	tids = proc_threads(pid, &count);
	for (i = 0; i < count && !relative; i++) {
		if (!proc_status(pid, tids[i], &status) || (uint32_t)status.inner != inner)
			continue;
		relative = calloc(1, sizeof(*relative));
		if (!relative)
			abort();
		thread = &relative->thread;
		thread->process = pid;
		thread->tid = tids[i];
		thread->status = status;
		thread->wait.trait = "";
		proc_call(pid, tids[i], &thread->call);
		if (proc_maps_read(&relative->maps, pid))
			continue;
		relative->stacks = stacks_open(pid, &relative->maps);
		if (relative->stacks)
			stacks_take(relative->stacks, thread->tid, &thread->call,
				    stop && status.state != 'D', &thread->stack);
	}
	free(tids);
	return relative;
}

void orphan_free(struct verdict *verdict)
{
	struct relative *relative = (struct relative *)verdict->holder;

	if (!relative)
		return;
	free(relative->thread.stack.frame);
	stacks_close(relative->stacks);
	proc_maps_free(&relative->maps);
	free(relative);
}

/* Who held it: the nearest ancestor of the same program that has a thread of this id. */
static void words_holder(FILE *file, const struct inspection *inspection, struct verdict *verdict,
			 uint32_t owner)
{
	struct proc_status status = inspection->status;
	struct relative *relative;
	int level;
	pid_t pid;

	for (level = 0; level < ANCESTORS && status.parent > 1; level++) {
		pid = status.parent;
		if (!same_program(pid, inspection->pid) || !proc_status(pid, pid, &status))
			break;
		if (!verdict->holder_process)
			verdict->holder_process = pid;
		if (!owner)
			break;
		relative = relative_thread(pid, owner, inspection->stop);
		if (!relative)
			continue;
		verdict->holder_process = pid;
		verdict->holder = &relative->thread;
		fputs("; it is ", file);
		words_thread(file, &relative->thread);
		fprintf(file, " of process %d '", (int)pid);
		print_clean(file, status.name);
		fputs("', from which this one was forked", file);
		return;
	}
	if (owner > (uint32_t)inspection->status.inner)
		/* Ids go up: those of threads that were there at the fork are below the child's. */
		fputs("; it seems to have ended without giving it back", file);
	else if (verdict->holder_process && owner)
		fprintf(file,
			"; process %d, from which this one was forked, has no such thread any more",
			(int)verdict->holder_process);
	else if (verdict->holder_process)
		fprintf(file, "; this process was forked from process %d",
			(int)verdict->holder_process);
	else
		fputs("; the process from which this one was forked has ended", file);
}

/* A thread that was made since the list was read has a name there. */
static bool thread_exists(const struct inspection *inspection, uint32_t inner)
{
	struct proc_status status;
	bool exists = false;
	size_t count, i;
	pid_t *tids;

	if (thread_find(inspection, inner))
		return true;
	tids = proc_threads(inspection->pid, &count);
	for (i = 0; i < count && !exists; i++)
		exists = proc_status(inspection->pid, tids[i], &status) &&
			 (uint32_t)status.inner == inner;
	free(tids);
	return exists;
}

/* What the shim knows of the lock that the thread waits for. */
static const struct left *left_of(const struct inspection *inspection, const struct wait *wait)
{
	const struct left *left;
	unsigned i, j;
	size_t at;

	for (at = 0; at < inspection->lefts; at++) {
		left = &inspection->left[at];
		if (left->holding.signals || left->holding.type != wait->type)
			continue;
		if (wait->type != WAIT_HIDDEN && left->holding.lock == wait->lock)
			return left;
		for (i = 0; wait->type == WAIT_HIDDEN && i < CALL_LOCKS; i++)
			for (j = 0; j < CALL_LOCKS; j++)
				if (wait->hidden[i] &&
				    wait->hidden[i] == left->holding.inside->holds[j])
					return left;
	}
	return NULL;
}

/* Can a thread of this process not be the one that has it? */
static bool nobody_here(const struct inspection *inspection, const struct inspect_thread *thread,
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

void orphan_look(struct inspection *inspection, struct inspect_thread *thread)
{
	const struct wait *wait = &thread->wait;
	const struct left *left;
	struct verdict *verdict;
	size_t size;
	FILE *file;

	if (!thread_stuck(thread) || wait->shared)
		return;
	left = left_of(inspection, wait);
	if (!nobody_here(inspection, thread, left))
		return;
	verdict = verdict_add(inspection, VERDICT_ORPHAN, &thread, 1);
	verdict->left = left;
	file = open_memstream(&verdict->message, &size);
	if (!file)
		abort();
	words_wait(file, thread);
	if (left) {
		words_left(file, left);
	} else if (wait->owner) {
		fprintf(file, ", held by a thread %u that this process does not have", wait->owner);
	} else if (wait->type == WAIT_RWLOCK || wait->type == WAIT_SPIN) {
		fprintf(file, ", which is held%s, and this is the only thread",
			wait->type == WAIT_RWLOCK ? " for reading" : "");
		/* By whom is not noted: it may be itself. */
		if (!same_program(inspection->status.parent, inspection->pid))
			verdict->kind = VERDICT_SELF;
	} else {
		fputs(", held by no thread that this process has", file);
	}
	/* Of one that ended here there is no more to tell. */
	if (verdict->kind == VERDICT_ORPHAN &&
	    !(left && left->ended && left->holder > (uint32_t)inspection->status.inner))
		words_holder(file, inspection, verdict, left ? left->holder : wait->owner);
	if (fclose(file))
		abort();
}

void orphan_look_box(struct inspection *inspection)
{
	const struct view *view = inspection->view;
	const struct box_violation *violation;
	struct inspect_thread *thread;
	struct verdict *verdict;
	size_t size;
	FILE *file;
	uint32_t i;

	for (i = 0; view && i < view->box->slots[BOX_TABLE_VIOLATION]; i++) {
		violation = &view->box->violation[i];
		if (!view_violation(view, i) || violation->kind != BOX_VIOLATION_ORPHAN_DEADLOCK ||
		    violation->remedy != BOX_REMEDY_NONE)
			continue;
		thread = thread_find(inspection, violation->tid);
		if (!thread || !thread->steady || thread->wait.timed ||
		    thread_deadly(inspection, thread) ||
		    (thread->wait.type != WAIT_HIDDEN && thread->wait.lock != violation->lock.addr))
			continue;
		verdict = verdict_add(inspection, VERDICT_ORPHAN, &thread, 1);
		file = open_memstream(&verdict->message, &size);
		if (!file)
			abort();
		words_wait(file, thread);
		fprintf(file, ", held when the process was forked by thread %u '",
			violation->holder_tid);
		print_clean(file, violation->holder_name);
		fputs("' (the shim saw it)", file);
		words_holder(file, inspection, verdict, violation->holder_tid);
		if (fclose(file))
			abort();
	}
}
