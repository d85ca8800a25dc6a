// SPDX-License-Identifier: MIT
/*
 * What is wrong with a process: its verdicts, in words.
 *
 * Nothing is called a deadlock unless its threads slept through a second look, in the same call: what comes and goes
 * while it is looked at is no deadlock.
 */
#include <stdlib.h>
#include <string.h>

#include "inspect.h"

#define NAMED 8 /* threads that a message about all of them names */

static const struct {
	const char *name;
	bool deadly;
} verdicts[VERDICT_COUNT] = {
	[VERDICT_DEADLOCK] = { "deadlock", true },   [VERDICT_SELF] = { "self-deadlock", true },
	[VERDICT_ORPHAN] = { "orphan", true },	     [VERDICT_ALL] = { "all-wait", true },
	[VERDICT_CONDITION] = { "condition", true }, [VERDICT_VFORK] = { "vfork-stall", false },
	[VERDICT_JOIN] = { "join", false },
};

const char *verdict_name(enum verdict_kind kind)
{
	return verdicts[kind].name;
}

bool verdict_deadly(enum verdict_kind kind)
{
	return verdicts[kind].deadly;
}

struct verdict *verdict_add(struct inspection *inspection, enum verdict_kind kind,
			    struct inspect_thread **threads, size_t count)
{
	size_t room = inspection->verdicts ? 2 * inspection->verdicts : 1, i;
	struct verdict *verdict = inspection->verdict;

	/* Full at each power of two. */
	if (!(inspection->verdicts & (inspection->verdicts - 1)))
		verdict = realloc(verdict, room * sizeof(*verdict));
	if (!verdict)
		abort();
	inspection->verdict = verdict;
	verdict += inspection->verdicts++;
	*verdict = (struct verdict){ .kind = kind, .threads = count };
	verdict->thread = calloc(count, sizeof(*threads));
	if (!verdict->thread)
		abort();
	memcpy(verdict->thread, threads, count * sizeof(*threads));
	for (i = 0; i < count; i++) {
		threads[i]->judged = true;
		threads[i]->deadly |= verdict_deadly(kind);
	}
	return verdict;
}

void verdicts_free(struct inspection *inspection)
{
	size_t i;

	for (i = 0; i < inspection->verdicts; i++) {
		free(inspection->verdict[i].message);
		free(inspection->verdict[i].thread);
	}
	free(inspection->verdict);
}

bool verdicts_deadly(const struct inspection *inspection)
{
	size_t i;

	for (i = 0; i < inspection->verdicts; i++)
		if (verdict_deadly(inspection->verdict[i].kind))
			return true;
	return false;
}

/* What the thread that waits needs of the other, in words after what it waits for. */
static const char *relation(const struct inspect_thread *thread)
{
	switch (thread->wait.type) {
	case WAIT_JOIN:
		return " ";
	case WAIT_VFORK:
		return " until something is done by ";
	default:
		return ", held by ";
	}
}

static void cycle_found(struct inspection *inspection, struct inspect_thread *start)
{
	struct inspect_thread **list, *thread = start;
	struct verdict *verdict;
	size_t count = 0, size, i;
	FILE *file;

	list = calloc(inspection->threads, sizeof(*list));
	if (!list)
		abort();
	do {
		list[count++] = thread;
		thread = thread->on;
	} while (thread != start);
	verdict =
		verdict_add(inspection, count == 1 ? VERDICT_SELF : VERDICT_DEADLOCK, list, count);
	file = open_memstream(&verdict->message, &size);
	if (!file)
		abort();
	for (i = 0; i < count; i++) {
		fputs(i ? "\n" : "", file);
		words_wait(file, list[i]);
		if (count == 1) {
			fputs(", which it holds itself", file);
		} else {
			fputs(relation(list[i]), file);
			words_thread(file, list[i]->on);
		}
	}
	if (fclose(file))
		abort();
	free(list);
}

/* Of a doomed thread `on` is another. */
static void cycles_find(struct inspection *inspection)
{
	uint32_t *seen = calloc(inspection->threads, sizeof(*seen)), round;
	struct inspect_thread *thread;
	size_t i;

	if (!seen)
		abort();
	for (i = 0; i < inspection->threads; i++) {
		round = (uint32_t)i + 1;
		for (thread = &inspection->thread[i];
		     thread && thread->doomed && !seen[thread - inspection->thread];
		     thread = thread->on)
			seen[thread - inspection->thread] = round;
		if (thread && thread->doomed && seen[thread - inspection->thread] == round)
			cycle_found(inspection, thread);
	}
	free(seen);
}

static bool caught_signals(pid_t pid)
{
	char path[64], line[256];
	unsigned long long mask = 0;
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof(line), file))
		found = sscanf(line, "SigCgt: %llx", &mask) == 1;
	if (file)
		fclose(file);
	/* libc's own, for cancellation and set*id() */
	return !found || mask & ~(3ULL << 31);
}

static void all_words(struct inspection *inspection, FILE *file, bool condition)
{
	const struct inspect_thread *thread = inspection->thread;
	size_t i;

	if (inspection->threads == 1) {
		words_wait(file, thread);
		fprintf(file, ", and there is no other thread that could %s",
			condition		      ? "signal it" :
			thread->wait.type == WAIT_SEM ? "post it" :
							"let it go on");
		return;
	}
	fprintf(file,
		"all %zu threads wait for what only one of them could do, and no signal is handled",
		inspection->threads);
	for (i = 0; i < inspection->threads && i < NAMED; i++, thread++) {
		fputc('\n', file);
		words_wait(file, thread);
		if (thread->on) {
			fputs(relation(thread), file);
			words_thread(file, thread->on);
		}
	}
}

/* Everybody waits, and what they wait for only a thread of this process could do. */
static void all_look(struct inspection *inspection)
{
	struct inspect_thread **list, *thread;
	struct verdict *verdict;
	bool condition;
	size_t i, size;
	FILE *file;

	for (i = 0; i < inspection->threads; i++) {
		thread = &inspection->thread[i];
		if (!thread_stuck(thread) || thread->wait.shared ||
		    thread->process != inspection->pid || thread->wait.type == WAIT_VFORK)
			return;
	}
	/* A handler may post a semaphore; it may not signal a condition. */
	condition = inspection->threads == 1 && inspection->thread->wait.type == WAIT_CONDITION;
	if (verdicts_deadly(inspection))
		return;
	if (!condition && caught_signals(inspection->pid)) {
		if (!inspection->note)
			inspection->note =
				"all threads wait, and only a handler of a signal could let one of them go on";
		return;
	}
	list = calloc(inspection->threads, sizeof(*list));
	if (!list)
		abort();
	for (i = 0; i < inspection->threads; i++)
		list[i] = &inspection->thread[i];
	verdict = verdict_add(inspection, condition ? VERDICT_CONDITION : VERDICT_ALL, list, i);
	free(list);
	file = open_memstream(&verdict->message, &size);
	if (!file)
		abort();
	all_words(inspection, file, condition);
	if (fclose(file))
		abort();
}

static void vfork_words(const struct inspect_thread *thread, FILE *file)
{
	words_wait(file, thread);
	if (!thread->on) {
		fputs(" until a child that was not found executes a program or ends", file);
		return;
	}
	fprintf(file, " until its child %d executes a program or ends\n", (int)thread->on->tid);
	if (thread->on->wait.type) {
		words_wait(file, thread->on);
	} else {
		fputs("the child is in ", file);
		words_frame(file, &thread->on->stack);
	}
}

static void join_words(const struct inspect_thread *thread, FILE *file)
{
	words_wait(file, thread);
	if (!thread->on) {
		fprintf(file, " thread %u, which this process does not have", thread->wait.word);
		return;
	}
	fputc(' ', file);
	words_thread(file, thread->on);
	if (thread->on->wait.type && thread->on->wait.type != WAIT_JOIN) {
		fputc('\n', file);
		words_wait(file, thread->on);
	}
}

/* What holds things up, and may end. */
static void stall_look(struct inspection *inspection, struct inspect_thread *thread)
{
	enum wait_type type = thread->wait.type;
	struct verdict *verdict;
	size_t size;
	FILE *file;

	if (!thread_stuck(thread) || (type != WAIT_VFORK && type != WAIT_JOIN) || thread->judged)
		return;
	verdict = verdict_add(inspection, type == WAIT_VFORK ? VERDICT_VFORK : VERDICT_JOIN,
			      &thread, 1);
	file = open_memstream(&verdict->message, &size);
	if (!file)
		abort();
	if (type == WAIT_VFORK)
		vfork_words(thread, file);
	else
		join_words(thread, file);
	if (fclose(file))
		abort();
}

void verdicts_find(struct inspection *inspection)
{
	size_t i;

	cycles_find(inspection);
	if (!inspection->sharing) {
		orphans_find(inspection);
		all_look(inspection);
	}
	for (i = 0; i < inspection->threads; i++)
		stall_look(inspection, &inspection->thread[i]);
}
