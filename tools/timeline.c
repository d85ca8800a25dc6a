// SPDX-License-Identifier: MIT
/*
 * Spawns and processes of a box, in order, so that each finds the others: times and pids come from the box and may
 * be anything, so nothing here follows them further than one look-up.
 */
#include <stdlib.h>
#include <string.h>

#include "tool.h"

struct timeline {
	const struct box *box;
	const struct box_event **all, **event; /* by time; `event`: those that the view shows */
	size_t alls, events;
	uint64_t *child; /* of those with one, by child, then by time: the child, and the place in `all` */
	size_t children;
	struct process *process; /* by pid, then by start */
	size_t processes;
};

static int compare(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

static int process_order(const void *left, const void *right)
{
	const struct process *a = left, *b = right;
	int order = compare(a->pid, b->pid);

	if (!order)
		order = compare(a->start_ns, b->start_ns);
	return order ? order : compare((uintptr_t)a->program, (uintptr_t)b->program);
}

static void *room(size_t count, size_t size)
{
	void *array = calloc(count + 1, size);

	if (!array)
		abort();
	return array;
}

/* An event's time and slot. What is compared lies side by side: a million events do not fit into caches. */
struct moment {
	uint64_t time_ns;
	uint64_t slot;
};

static int moment_order(const void *left, const void *right)
{
	const struct moment *a = left, *b = right;

	return a->time_ns != b->time_ns ? compare(a->time_ns, b->time_ns) :
					  compare(a->slot, b->slot);
}

static int word_order(const void *left, const void *right)
{
	return compare(*(const uint64_t *)left, *(const uint64_t *)right);
}

static void events_sort(struct timeline *timeline)
{
	const struct box *box = timeline->box;
	size_t count = box->slots[BOX_TABLE_EVENT], i;
	struct moment *moment = room(count, sizeof(*moment));
	bool sorted = true;

	for (i = 0; i < count; i++) {
		moment[i] = (struct moment){ box->event[i].time_ns, i };
		sorted &= !i || moment[i - 1].time_ns <= moment[i].time_ns;
	}
	/* Those of one process mostly are. */
	if (!sorted)
		qsort(moment, count, sizeof(*moment), moment_order);
	timeline->all = room(count, sizeof(void *));
	timeline->alls = count;
	for (i = 0; i < count; i++)
		timeline->all[i] = &box->event[moment[i].slot];
	free(moment);
}

static void children_sort(struct timeline *timeline)
{
	size_t i;

	timeline->child = room(timeline->alls, sizeof(*timeline->child));
	for (i = 0; i < timeline->alls; i++)
		if (timeline->all[i]->child)
			timeline->child[timeline->children++] =
				(uint64_t)timeline->all[i]->child << 32 | i;
	qsort(timeline->child, timeline->children, sizeof(*timeline->child), word_order);
}

static int pid_order(const void *left, const void *right)
{
	return compare(*(const uint32_t *)left, *(const uint32_t *)right);
}

/* The processes that are known without a record, each once, to be freed; how many. */
static size_t forked_find(const struct timeline *timeline, uint32_t **pids)
{
	const struct box *box = timeline->box;
	uint32_t *pid = room(2 * timeline->alls, sizeof(*pid));
	size_t all = 0, count = 0, at;

	for (at = 0; at < timeline->alls; at++) {
		const struct box_event *event = &box->event[at];

		/* Most often it is that of the event before. */
		if ((!all || pid[all - 1] != event->pid) &&
		    !timeline_process(timeline, event->pid, 0))
			pid[all++] = event->pid;
		if (event->child && !timeline_process(timeline, event->child, 0))
			pid[all++] = event->child;
	}
	qsort(pid, all, sizeof(*pid), pid_order);
	for (at = 0; at < all; at++)
		if (!at || pid[at] != pid[at - 1])
			pid[count++] = pid[at];
	*pids = pid;
	return count;
}

/* A chain of forks is followed no further: a damaged box may have circles. */
#define FORKS 64

/* What is known of processes without a record, in the order of their pids. */
struct forked {
	uint32_t *pid;
	struct process *process;
	uint32_t *parent; /* one of these, plus one; zero: none is */
	size_t count;
};

static uint32_t forked_of(const struct forked *forked, uint32_t pid)
{
	const uint32_t *found = bsearch(&pid, forked->pid, forked->count, sizeof(pid), pid_order);

	return found ? (uint32_t)(found - forked->pid) + 1 : 0;
}

static void forked_make(const struct timeline *timeline, struct forked *forked, size_t at)
{
	struct process *process = &forked->process[at];
	const struct box_event *spawn = timeline_spawn(timeline, forked->pid[at], 0, UINT64_MAX);
	const struct process *parent;

	*process = (struct process){ .pid = forked->pid[at] };
	if (!spawn)
		return;
	process->ppid = spawn->pid;
	process->start_ns = spawn->time_ns;
	parent = timeline_process(timeline, spawn->pid, spawn->time_ns);
	if (parent)
		process->program = parent->program;
	else
		forked->parent[at] = forked_of(forked, spawn->pid);
}

/* What it runs is the program of the first one that executed one. */
static void program_find(const struct forked *forked, size_t at)
{
	const struct box_process *program = NULL;
	size_t from = at;
	int forks;

	for (forks = 0; !program && forked->parent[from] && forks < FORKS; forks++) {
		from = forked->parent[from] - 1;
		program = forked->process[from].program;
	}
	if (program)
		forked->process[at].program = program;
}

/*
 * A process has a record once it executed a program. Others, a shell's subshells say, are known by who made them
 * and by what they made.
 */
static void forked_add(struct timeline *timeline)
{
	struct forked forked = { 0 };
	size_t records = timeline->processes, record = records, i, at;
	struct process *all;

	forked.count = forked_find(timeline, &forked.pid);
	all = room(records + forked.count, sizeof(*all));
	forked.process = all;
	forked.parent = room(forked.count, sizeof(*forked.parent));
	for (i = 0; i < forked.count; i++)
		forked_make(timeline, &forked, i);
	for (i = 0; i < forked.count; i++)
		program_find(&forked, i);
	free(forked.pid);
	free(forked.parent);
	/* Both are in order: from the end, each goes where it belongs. */
	for (i = forked.count, at = records + i; record; at--) {
		if (i && all[i - 1].pid > timeline->process[record - 1].pid)
			all[at - 1] = all[--i];
		else
			all[at - 1] = timeline->process[--record];
	}
	free(timeline->process);
	timeline->process = all;
	timeline->processes = records + forked.count;
}

static void records_sort(struct timeline *timeline)
{
	const struct box *box = timeline->box;
	uint32_t i;

	timeline->process = room(box->slots[BOX_TABLE_PROCESS], sizeof(*timeline->process));
	for (i = 0; i < box->slots[BOX_TABLE_PROCESS]; i++) {
		const struct box_process *record = &box->process[i];

		if (record->ready)
			timeline->process[timeline->processes++] = (struct process){
				.pid = record->pid,
				.ppid = record->ppid,
				.start_ns = record->start_ns,
				.program = record,
			};
	}
	qsort(timeline->process, timeline->processes, sizeof(*timeline->process), process_order);
}

static void events_choose(struct timeline *timeline, uint32_t pid)
{
	size_t i;

	timeline->event = timeline->all;
	timeline->events = timeline->alls;
	if (!pid)
		return;
	timeline->event = room(timeline->alls, sizeof(void *));
	timeline->events = 0;
	for (i = 0; i < timeline->alls; i++)
		if (timeline->all[i]->pid == pid)
			timeline->event[timeline->events++] = timeline->all[i];
}

struct timeline *timeline_open(const struct view *view)
{
	struct timeline *timeline = room(1, sizeof(*timeline));

	timeline->box = view->box;
	events_sort(timeline);
	events_choose(timeline, view->pid);
	children_sort(timeline);
	records_sort(timeline);
	forked_add(timeline);
	return timeline;
}

void timeline_close(struct timeline *timeline)
{
	if (timeline->event != timeline->all)
		free(timeline->event);
	free(timeline->all);
	free(timeline->child);
	free(timeline->process);
	free(timeline);
}

size_t timeline_events(const struct timeline *timeline, const struct box_event *const **events)
{
	*events = timeline->event;
	return timeline->events;
}

size_t timeline_processes(const struct timeline *timeline, const struct process **processes)
{
	*processes = timeline->process;
	return timeline->processes;
}

const struct process *timeline_process(const struct timeline *timeline, uint32_t pid,
				       uint64_t time_ns)
{
	size_t low = 0, high = timeline->processes;

	/* The first past it. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct process *process = &timeline->process[middle];

		if (process->pid < pid || (process->pid == pid && process->start_ns <= time_ns))
			low = middle + 1;
		else
			high = middle;
	}
	if (low && timeline->process[low - 1].pid == pid)
		return &timeline->process[low - 1];
	/* A child may spawn before it has a record, which it gets with the program that it executes. */
	if (low < timeline->processes && timeline->process[low].pid == pid)
		return &timeline->process[low];
	return NULL;
}

static const struct box_event *child_event(const struct timeline *timeline, size_t at)
{
	return timeline->all[(uint32_t)timeline->child[at]];
}

const struct box_event *timeline_spawn(const struct timeline *timeline, uint32_t pid,
				       uint64_t after_ns, uint64_t until_ns)
{
	size_t low = 0, high = timeline->children;
	const struct box_event *event;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		uint32_t child = (uint32_t)(timeline->child[middle] >> 32);

		if (child < pid ||
		    (child == pid && child_event(timeline, middle)->time_ns <= until_ns))
			low = middle + 1;
		else
			high = middle;
	}
	event = low ? child_event(timeline, low - 1) : NULL;
	return event && event->child == pid && event->time_ns > after_ns ? event : NULL;
}

const char *process_name(const struct box *box, const struct process *process)
{
	const struct box_process *program = process ? process->program : NULL;
	const struct box_module *exe = program ? box_module(box, program->exe) : NULL;

	if (program && program->comm[0])
		return program->comm;
	return exe && exe->path[0] ? path_base(exe->path) : "?";
}

uint64_t timeline_lost(const struct box *box)
{
	const struct box_table *table = &box->header.table[BOX_TABLE_EVENT];

	return table->used > table->capacity ? table->used - table->capacity : 0;
}
