// SPDX-License-Identifier: MIT
/*
 * `spork inspect` as DOT: the wait-for graph, what is deadly in red.
 */
#include <stdlib.h>
#include <string.h>

#include "inspect.h"

/* Names stand in quotes: neither a quote nor a backslash may get there. */
static void print_quoted(FILE *file, const char *text)
{
	char *copy = strdup(text), *at;

	if (!copy)
		abort();
	for (at = copy; *at; at++)
		if (*at == '"' || *at == '\\')
			*at = '\'';
	print_clean(file, copy);
	free(copy);
}

static void dot_name(FILE *file, const struct place *place, uint64_t address)
{
	if (place->symbol)
		print_quoted(file, place->symbol);
	else
		fprintf(file, "0x%llx", (unsigned long long)address);
	if (place->symbol && place->into)
		fprintf(file, "+%llu", (unsigned long long)place->into);
}

/* A lock's node; written again for each who has to do with it, which is the same one. */
static void dot_lock(FILE *file, enum wait_type type, const char *class, uint64_t address,
		     const struct place *place)
{
	fprintf(file, "  l%llx [shape=ellipse,label=\"%s\\n", (unsigned long long)address,
		type == WAIT_HIDDEN && class ? class : wait_name(type));
	dot_name(file, place, address);
	fputs("\"];\n", file);
}

static void dot_thread(FILE *file, const struct inspect_thread *thread, const char *color)
{
	fprintf(file, "  t%d [shape=box,color=%s,label=\"", (int)thread->tid, color);
	print_quoted(file, thread->status.name);
	fprintf(file, "\\n%d\"];\n", (int)thread->tid);
}

static void dot_held(FILE *file, uint64_t lock, const struct inspect_thread *holder,
		     const char *color)
{
	fprintf(file, "  l%llx -> t%d [color=%s,label=\"held by\"];\n", (unsigned long long)lock,
		(int)holder->tid, color);
}

static void dot_absent(FILE *file, uint64_t lock, uint32_t holder, const char *name,
		       const char *color)
{
	fprintf(file, "  o%u [shape=box,style=dashed,label=\"", holder);
	print_quoted(file, name);
	fprintf(file, "%s%u, not here\"];\n", *name ? "\\n" : "", holder);
	fprintf(file, "  l%llx -> o%u [color=%s,label=\"held by\"];\n", (unsigned long long)lock,
		holder, color);
}

static void dot_wait(FILE *file, const struct inspect_thread *thread, const char *color)
{
	const struct wait *wait = &thread->wait;
	uint64_t lock = wait->lock ? wait->lock : wait->futex;
	size_t i;

	if (wait->type == WAIT_NONE)
		return;
	if (wait->type == WAIT_VFORK || wait->type == WAIT_JOIN) {
		if (thread->on)
			fprintf(file, "  t%d -> t%d [color=%s,label=\"%s\"];\n", (int)thread->tid,
				(int)thread->on->tid, color, wait_name(wait->type));
		return;
	}
	dot_lock(file, wait->type, wait->class, lock, &wait->place);
	fprintf(file, "  t%d -> l%llx [color=%s,label=\"waits for\"];\n", (int)thread->tid,
		(unsigned long long)lock, color);
	/* Those that are known to hold it have an edge of their own. */
	for (i = 0; i < thread->holders; i++)
		if (wait->type == WAIT_HIDDEN && !wait->owner)
			dot_held(file, lock, thread->holder[i], color);
	if (!thread->on && wait->owner)
		dot_absent(file, lock, wait->owner, "", color);
}

/* A doomed thread that has it leaves it in red. */
static void dot_holdings(FILE *file, const struct inspect_thread *thread, const char *color)
{
	const struct holding *holding;
	size_t i;

	for (i = 0; i < thread->holdings; i++) {
		holding = &thread->holding[i];
		if (!holding->lock)
			continue;
		dot_lock(file, holding->type, holding->class, holding->lock, &holding->place);
		dot_held(file, holding->lock, thread, color);
	}
}

void inspect_dot(const struct inspection *inspection, struct output *output)
{
	const struct inspect_thread *thread;
	const struct verdict *verdict;
	FILE *file = output->file;
	const char *color;
	size_t i;

	fprintf(file,
		"digraph \"process %d\" {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n",
		(int)inspection->pid);
	for (i = 0; i < inspection->threads; i++) {
		thread = &inspection->thread[i];
		color = thread->deadly ? "red" : "black";
		dot_thread(file, thread, color);
		dot_holdings(file, thread, color);
		dot_wait(file, thread, color);
	}
	for (i = 0; i < inspection->verdicts; i++) {
		verdict = &inspection->verdict[i];
		if (verdict->left && !verdict->thread[0]->wait.owner)
			dot_absent(file,
				   verdict->thread[0]->wait.lock ? verdict->thread[0]->wait.lock :
								   verdict->thread[0]->wait.futex,
				   verdict->left->holder, verdict->left->name, "red");
	}
	fputs("}\n", file);
}
