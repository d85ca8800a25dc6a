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
	const struct box_event **event; /* by time */
	size_t events;
	const struct box_event **child; /* by child, then by time */
	size_t children;
	const struct box_process **process;
	size_t processes;
	struct box_process *forked; /* made up for those that never executed a program */
};

static int compare(uint64_t a, uint64_t b)
{
	return a < b ? -1 : a > b;
}

/* Records are in one array: their addresses make the order a total one. */
static int event_order(const void *left, const void *right)
{
	const struct box_event *a = *(const struct box_event *const *)left;
	const struct box_event *b = *(const struct box_event *const *)right;
	int order = compare(a->time_ns, b->time_ns);

	return order ? order : compare((uintptr_t)a, (uintptr_t)b);
}

static int child_order(const void *left, const void *right)
{
	const struct box_event *a = *(const struct box_event *const *)left;
	const struct box_event *b = *(const struct box_event *const *)right;
	int order = compare(a->child, b->child);

	return order ? order : event_order(left, right);
}

static int process_order(const void *left, const void *right)
{
	const struct box_process *a = *(const struct box_process *const *)left;
	const struct box_process *b = *(const struct box_process *const *)right;
	int order = compare(a->pid, b->pid);

	if (!order)
		order = compare(a->start_ns, b->start_ns);
	return order ? order : compare((uintptr_t)a, (uintptr_t)b);
}

static void *room(size_t count)
{
	void *array = calloc(count + 1, sizeof(void *));

	if (!array)
		abort();
	return array;
}

/* A chain of forks is followed no further: a damaged box may have circles. */
#define FORKS 32

/* What a process runs that executed nothing since it was forked: the program of the one that did. */
static const struct box_process *program_find(const struct timeline *timeline,
					      const struct box_event *spawn)
{
	const struct box_process *process = NULL;
	int forks;

	for (forks = 0; spawn && forks < FORKS; forks++) {
		process = timeline_process(timeline, spawn->pid, spawn->time_ns);
		if (process)
			return process;
		spawn = timeline_spawn(timeline, spawn->pid, 0, spawn->time_ns);
	}
	return NULL;
}

static int pid_order(const void *left, const void *right)
{
	return compare(*(const uint32_t *)left, *(const uint32_t *)right);
}

/*
 * A process has a record once it executed a program. Others, a shell's subshells say, are known by who made them
 * and by what they made.
 */
static void forked_make(struct timeline *timeline, uint32_t events)
{
	uint32_t *pid = calloc(2 * (size_t)events + 1, sizeof(*pid));
	const struct box_process **all;
	size_t pids = 0, count = 0, i;

	if (!pid)
		abort();
	for (i = 0; i < events; i++) {
		const struct box_event *event = &timeline->box->event[i];

		if (!event->ready)
			continue;
		if (!timeline_process(timeline, event->pid, 0))
			pid[pids++] = event->pid;
		if (event->child && !timeline_process(timeline, event->child, 0))
			pid[pids++] = event->child;
	}
	qsort(pid, pids, sizeof(*pid), pid_order);
	for (i = 0; i < pids; i++)
		if (!i || pid[i] != pid[i - 1])
			pid[count++] = pid[i];
	timeline->forked = calloc(count + 1, sizeof(*timeline->forked));
	all = room(timeline->processes + count);
	if (!timeline->forked)
		abort();
	/* What is made up is not looked at for the next one. */
	for (i = 0; i < count; i++) {
		const struct box_event *spawn = timeline_spawn(timeline, pid[i], 0, UINT64_MAX);
		const struct box_process *program = program_find(timeline, spawn);

		if (program)
			timeline->forked[i] = *program;
		timeline->forked[i].pid = pid[i];
		timeline->forked[i].ppid = spawn ? spawn->pid : 0;
		timeline->forked[i].start_ns = spawn ? spawn->time_ns : 0;
		all[timeline->processes + i] = &timeline->forked[i];
	}
	free(pid);
	memcpy(all, timeline->process, timeline->processes * sizeof(*all));
	free(timeline->process);
	timeline->process = all;
	timeline->processes += count;
	qsort(timeline->process, timeline->processes, sizeof(void *), process_order);
}

struct timeline *timeline_open(const struct view *view)
{
	const struct box *box = view->box;
	uint32_t events = box->event ? box->slots[BOX_TABLE_EVENT] : 0, i;
	uint32_t processes = box->slots[BOX_TABLE_PROCESS];
	struct timeline *timeline = calloc(1, sizeof(*timeline));

	if (!timeline)
		abort();
	timeline->box = box;
	timeline->event = room(events);
	timeline->child = room(events);
	timeline->process = room(processes);
	for (i = 0; i < events; i++) {
		const struct box_event *event = &box->event[i];

		if (!event->ready)
			continue;
		if (event->child)
			timeline->child[timeline->children++] = event;
		if (!view->pid || event->pid == view->pid)
			timeline->event[timeline->events++] = event;
	}
	for (i = 0; i < processes; i++)
		if (box->process[i].ready)
			timeline->process[timeline->processes++] = &box->process[i];
	qsort(timeline->event, timeline->events, sizeof(void *), event_order);
	qsort(timeline->child, timeline->children, sizeof(void *), child_order);
	qsort(timeline->process, timeline->processes, sizeof(void *), process_order);
	forked_make(timeline, events);
	return timeline;
}

void timeline_close(struct timeline *timeline)
{
	free(timeline->event);
	free(timeline->child);
	free(timeline->process);
	free(timeline->forked);
	free(timeline);
}

size_t timeline_events(const struct timeline *timeline, const struct box_event *const **events)
{
	*events = timeline->event;
	return timeline->events;
}

size_t timeline_processes(const struct timeline *timeline,
			  const struct box_process *const **processes)
{
	*processes = timeline->process;
	return timeline->processes;
}

const struct box_process *timeline_process(const struct timeline *timeline, uint32_t pid,
					   uint64_t time_ns)
{
	size_t low = 0, high = timeline->processes;

	/* The first past it. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct box_process *process = timeline->process[middle];

		if (process->pid < pid || (process->pid == pid && process->start_ns <= time_ns))
			low = middle + 1;
		else
			high = middle;
	}
	if (low && timeline->process[low - 1]->pid == pid)
		return timeline->process[low - 1];
	/* A child may spawn before it has a record, which it gets with the program that it executes. */
	if (low < timeline->processes && timeline->process[low]->pid == pid)
		return timeline->process[low];
	return NULL;
}

const struct box_event *timeline_spawn(const struct timeline *timeline, uint32_t pid,
				       uint64_t after_ns, uint64_t until_ns)
{
	size_t low = 0, high = timeline->children;
	const struct box_event *event;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		event = timeline->child[middle];
		if (event->child < pid || (event->child == pid && event->time_ns <= until_ns))
			low = middle + 1;
		else
			high = middle;
	}
	event = low ? timeline->child[low - 1] : NULL;
	return event && event->child == pid && event->time_ns > after_ns ? event : NULL;
}

const char *process_name(const struct box *box, const struct box_process *process)
{
	const struct box_module *exe = process ? box_module(box, process->exe) : NULL;

	if (process && process->comm[0])
		return process->comm;
	return exe && exe->path[0] ? path_base(exe->path) : "?";
}

uint64_t timeline_lost(const struct box *box)
{
	const struct box_table *table = &box->header.table[BOX_TABLE_EVENT];

	return table->used > table->capacity ? table->used - table->capacity : 0;
}
