// SPDX-License-Identifier: MIT
/*
 * `spork inspect` as text: verdicts first, then the threads with their stacks.
 */
#include <string.h>

#include "inspect.h"

static const char *state_text(char state)
{
	switch (state) {
	case 'R':
		return "running";
	case 'S':
		return "sleeping";
	case 'D':
		return "uninterruptible";
	case 'T':
		return "stopped";
	case 't':
		return "traced";
	default:
		return "idle";
	}
}

/* One of the functions at a frame. */
static void print_frame(const struct inspect_frame *frame, const struct place *place, FILE *file)
{
	const struct box_frame at = { .addr = frame->pc, .offset = frame->offset };

	view_print_frame(file, &at, place);
}

static void print_frames(const struct inspect_stack *stack, FILE *file)
{
	const struct place *at;
	unsigned i, number = 0;

	for (i = 0; i < stack->frames; i++) {
		for (at = &stack->frame[i].place; at; at = at->outer) {
			fprintf(file, "    #%u ", number++);
			print_frame(&stack->frame[i], at, file);
			fputc('\n', file);
		}
	}
	if (stack->frames == INSPECT_FRAMES)
		fputs("    ...\n", file);
}

static void print_stack(const struct inspect_stack *stack, FILE *file)
{
	print_frames(stack, file);
	if (!stack->frames)
		fputs("    no stack could be read\n", file);
}

#define SHOWN 16 /* locks of a thread, and orphans */

/* The end of a line about a lock, and where its holder took it. */
static void print_acquired(const struct holding *holding, FILE *file)
{
	if (holding->origin.pc) {
		fputs(", initialised at ", file);
		print_frame(&holding->origin, &holding->origin.place, file);
	}
	fputs(holding->acquired.frames && !holding->inside ? ", taken here:\n" : "\n", file);
	if (!holding->inside)
		print_frames(&holding->acquired, file);
}

static void print_holdings(const struct inspect_thread *thread, FILE *file)
{
	size_t i;

	for (i = 0; i < thread->holdings && i < SHOWN; i++) {
		fputs("  holds ", file);
		words_holding(file, &thread->holding[i]);
		print_acquired(&thread->holding[i], file);
	}
	if (i < thread->holdings)
		fprintf(file, "  holds %zu more\n", thread->holdings - i);
}

static void print_orphans(const struct inspection *inspection, FILE *file)
{
	const struct left *left;
	size_t i;

	for (i = 0; i < inspection->lefts && i < SHOWN; i++) {
		left = &inspection->left[i];
		if (left->holding.inside)
			continue;
		fputs("orphaned: ", file);
		words_holding(file, &left->holding);
		words_left(file, left);
		print_acquired(&left->holding, file);
	}
	if (i < inspection->lefts)
		fprintf(file, "orphaned: %zu more\n", inspection->lefts - i);
}

static void print_wait(const struct inspect_thread *thread, FILE *file)
{
	const struct wait *wait = &thread->wait;

	if (wait->type == WAIT_NONE) {
		if (thread->call.known && !thread->call.running && thread->call.number >= 0)
			fprintf(file, ", in system call %ld", thread->call.number);
		return;
	}
	if (wait->type == WAIT_VFORK) {
		fputs(", in vfork()", file);
		if (thread->on)
			fprintf(file, " for child %d", (int)thread->on->tid);
		return;
	}
	if (wait->type == WAIT_JOIN) {
		fprintf(file, ", waits for the end of thread %u", wait->word);
		return;
	}
	fputs(", waits for ", file);
	words_lock(file, wait);
	if (thread->on)
		fprintf(file, ", held by %d", (int)thread->on->tid);
	if (thread->holders > 1)
		fprintf(file, " and %zu more", thread->holders - 1);
	if (thread->on)
		;
	else if (wait->owner)
		fprintf(file, ", held by %u, which is not here", wait->owner);
	else if (wait->readers)
		fprintf(file, ", held by %u reader%s", wait->readers,
			wait->readers == 1 ? "" : "s");
	if (wait->timed)
		fputs(", for a time only", file);
}

static void print_head(const struct inspect_thread *thread, const struct inspection *inspection,
		       FILE *file)
{
	fprintf(file, "thread %d '", (int)thread->tid);
	print_clean(file, thread->status.name);
	fputc('\'', file);
	if (thread->process != inspection->pid)
		fprintf(file, ", vfork() child %d", (int)thread->process);
	if (thread->tid != thread->status.inner)
		fprintf(file, " (%d inside)", (int)thread->status.inner);
	fprintf(file, ", %s", state_text(thread->status.state));
	print_wait(thread, file);
	fputc('\n', file);
}

static bool same_stack(const struct inspect_thread *one, const struct inspect_thread *other)
{
	unsigned i;

	if (one->stack.frames != other->stack.frames || one->wait.lock != other->wait.lock ||
	    one->wait.type != other->wait.type || one->holdings || other->holdings)
		return false;
	for (i = 0; i < one->stack.frames; i++)
		if (one->stack.frame[i].pc != other->stack.frame[i].pc)
			return false;
	return true;
}

static void print_message(const char *message, FILE *file)
{
	const char *at = message, *end;

	while ((end = strchr(at, '\n'))) {
		fprintf(file, "  %.*s;\n", (int)(end - at), at);
		at = end + 1;
	}
	fprintf(file, "  %s\n", at);
}

static void print_verdict(const struct inspection *inspection, const struct verdict *verdict,
			  struct output *output)
{
	FILE *file = output->file;
	bool deadly = verdict_deadly(verdict->kind);

	output_style(output, deadly ? STYLE_RED : STYLE_YELLOW);
	fprintf(file, "%s: spork: %s (pid=%d)\n", deadly ? "ERROR" : "NOTE",
		verdict_name(verdict->kind), (int)inspection->pid);
	output_style(output, STYLE_PLAIN);
	print_message(verdict->message, file);
	if (verdict->left && verdict->left->holding.acquired.frames) {
		fputs("  it was taken here:\n", file);
		print_frames(&verdict->left->holding.acquired, file);
	}
	if (verdict->holder) {
		fprintf(file, "  that thread is now at (process %d):\n",
			(int)verdict->holder->process);
		print_stack(&verdict->holder->stack, file);
	}
}

void inspect_text(const struct inspection *inspection, struct output *output)
{
	FILE *file = output->file;
	const struct inspect_thread *thread;
	size_t i, j;

	fprintf(file, "process %d '", (int)inspection->pid);
	print_clean(file, inspection->status.name);
	fprintf(file, "', %zu thread%s%s\n", inspection->threads,
		inspection->threads == 1 ? "" : "s",
		inspection->shim || inspection->view ? ", with the shim" : "");
	if (inspection->note)
		fprintf(file, "%s\n", inspection->note);
	for (i = 0; i < inspection->verdicts; i++)
		print_verdict(inspection, &inspection->verdict[i], output);
	if (!inspection->verdicts)
		fputs("no deadlock found\n", file);
	if (inspection->view)
		view_print_violations(inspection->view);
	for (i = 0; i < inspection->threads; i++) {
		thread = &inspection->thread[i];
		/* A pool of threads is told once. */
		for (j = 0; j < i && !same_stack(&inspection->thread[j], thread); j++)
			;
		if (j < i)
			continue;
		for (j = i; j < inspection->threads; j++) {
			if (j != i && !same_stack(&inspection->thread[j], thread))
				continue;
			output_style(output, STYLE_BOLD);
			print_head(&inspection->thread[j], inspection, file);
			output_style(output, STYLE_PLAIN);
		}
		print_stack(&thread->stack, file);
		print_holdings(thread, file);
	}
	print_orphans(inspection, file);
}
