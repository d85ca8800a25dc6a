// SPDX-License-Identifier: MIT
/*
 * How `spork inspect` prints: verdicts first, then the threads with their stacks; as text, JSON Lines or DOT.
 */
#include <stdlib.h>
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

static void print_stack(const struct inspect_stack *stack, FILE *file)
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
	if (!stack->frames)
		fputs("    no stack could be read\n", file);
	else if (stack->frames == INSPECT_FRAMES)
		fputs("    ...\n", file);
}

static void print_wait(const struct inspect_thread *thread, FILE *file)
{
	const struct wait *wait = &thread->wait;
	const struct place *place = &wait->place;

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
	if (wait->type == WAIT_HIDDEN)
		fprintf(file, "libc's %s lock", wait->class ? wait->class : "own");
	else
		fprintf(file, "%s%s%s 0x%llx", wait->trait, *wait->trait ? " " : "",
			wait_name(wait->type), (unsigned long long)wait->lock);
	if (place->module) {
		fputs(" (", file);
		if (place->symbol) {
			print_clean(file, place->symbol);
			if (place->into)
				fprintf(file, "+%llu", (unsigned long long)place->into);
			fputc(' ', file);
		}
		fputs("in ", file);
		print_clean(file, path_base(place->module));
		fputc(')', file);
	}
	if (thread->on)
		fprintf(file, ", held by %d", (int)thread->on->tid);
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
	    one->wait.type != other->wait.type)
		return false;
	for (i = 0; i < one->stack.frames; i++)
		if (one->stack.frame[i].pc != other->stack.frame[i].pc)
			return false;
	return true;
}

/* Message lines are separated by "; ". */
static void print_message(const char *message, FILE *file)
{
	const char *at = message, *end;

	while ((end = strstr(at, "; "))) {
		fputs("  ", file);
		fwrite(at, 1, (size_t)(end - at), file);
		fputs(";\n", file);
		at = end + 2;
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
	if (verdict->holder) {
		fprintf(file, "  that thread is now at (process %d):\n",
			(int)verdict->holder_process);
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
		inspection->threads == 1 ? "" : "s", inspection->view ? ", with the shim" : "");
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
	}
}

static void json_stack(struct json *json, const struct inspect_stack *stack)
{
	const struct place *at;
	unsigned i;

	json_key(json, "stack");
	json_open(json, '[');
	for (i = 0; i < stack->frames; i++) {
		const struct inspect_frame *frame = &stack->frame[i];
		const struct box_frame box = { .addr = frame->pc, .offset = frame->offset };

		for (at = &frame->place; at; at = at->outer)
			view_json_frame(json, &box, at);
	}
	json_close(json, ']');
}

static void json_number_or_null(struct json *json, const char *key, uint64_t value)
{
	json_key(json, key);
	if (value)
		json_number(json, value);
	else
		json_null(json);
}

static void json_wait(struct json *json, const struct inspect_thread *thread)
{
	const struct wait *wait = &thread->wait;
	bool lock = wait->type != WAIT_VFORK && wait->type != WAIT_JOIN;

	json_key(json, "waits");
	if (wait->type == WAIT_NONE) {
		json_null(json);
		return;
	}
	json_open(json, '{');
	json_key_string(json, "type", wait_name(wait->type));
	json_key(json, "addr");
	if (lock)
		json_hex(json, wait->lock);
	else
		json_null(json);
	json_key_string(json, "name",
			wait->type == WAIT_HIDDEN ? wait->class :
			lock			  ? wait->place.symbol :
						    NULL);
	json_key_string(json, "symbol", lock ? wait->place.symbol : NULL);
	json_key_string(json, "module", lock ? wait->place.module : NULL);
	json_key_string(json, "function", wait->known ? wait->known->name : NULL);
	json_number_or_null(json, "holder_tid",
			    thread->on ? (uint64_t)thread->on->tid : wait->owner);
	json_key(json, "holder_here");
	json_bool(json, thread->on != NULL);
	json_key(json, "timed");
	json_bool(json, wait->timed);
	json_close(json, '}');
}

static void json_verdict(struct json *json, const struct inspection *inspection,
			 const struct verdict *verdict)
{
	size_t i;

	json_open(json, '{');
	json_key_string(json, "type", "verdict");
	json_key_string(json, "kind", verdict_name(verdict->kind));
	json_key_string(json, "severity", verdict_deadly(verdict->kind) ? "error" : "note");
	json_key_number(json, "pid", (uint64_t)inspection->pid);
	json_key_string(json, "message", verdict->message);
	json_key(json, "threads");
	json_open(json, '[');
	for (i = 0; i < verdict->threads; i++)
		json_number(json, (uint64_t)verdict->thread[i]->tid);
	json_close(json, ']');
	if (verdict->kind == VERDICT_ORPHAN) {
		json_number_or_null(json, "forked_from", (uint64_t)verdict->holder_process);
		json_key(json, "holder");
		if (verdict->holder) {
			json_open(json, '{');
			json_key_number(json, "pid", (uint64_t)verdict->holder->process);
			json_key_number(json, "tid", (uint64_t)verdict->holder->tid);
			json_key_string(json, "name", verdict->holder->status.name);
			json_stack(json, &verdict->holder->stack);
			json_close(json, '}');
		} else {
			json_null(json);
		}
	}
	json_close(json, '}');
	json_end_line(json);
}

static void json_thread(struct json *json, const struct inspect_thread *thread)
{
	char state[2] = { thread->status.state, '\0' };

	json_open(json, '{');
	json_key_string(json, "type", "thread");
	json_key_number(json, "pid", (uint64_t)thread->process);
	json_key_number(json, "tid", (uint64_t)thread->tid);
	json_key_number(json, "inner_tid", (uint64_t)thread->status.inner);
	json_key_string(json, "name", thread->status.name);
	json_key_string(json, "state", state);
	json_key(json, "syscall");
	if (thread->call.known && !thread->call.running && thread->call.number >= 0)
		json_number(json, (uint64_t)thread->call.number);
	else
		json_null(json);
	json_wait(json, thread);
	json_stack(json, &thread->stack);
	json_close(json, '}');
	json_end_line(json);
}

void inspect_json(const struct inspection *inspection, struct output *output)
{
	struct json json = { output->file, false };
	size_t i;

	for (i = 0; i < inspection->verdicts; i++)
		json_verdict(&json, inspection, &inspection->verdict[i]);
	if (inspection->view)
		view_json_violations(inspection->view);
	for (i = 0; i < inspection->threads; i++)
		json_thread(&json, &inspection->thread[i]);
}

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

static bool deadly_thread(const struct inspection *inspection, const struct inspect_thread *thread)
{
	size_t i, j;

	for (i = 0; i < inspection->verdicts; i++)
		for (j = 0; j < inspection->verdict[i].threads; j++)
			if (verdict_deadly(inspection->verdict[i].kind) &&
			    inspection->verdict[i].thread[j] == thread)
				return true;
	return false;
}

void inspect_dot(const struct inspection *inspection, struct output *output)
{
	const struct inspect_thread *thread;
	FILE *file = output->file;
	const char *color;
	size_t i;

	fprintf(file,
		"digraph \"process %d\" {\n  rankdir=LR;\n  node [fontname=\"sans-serif\"];\n",
		(int)inspection->pid);
	for (i = 0; i < inspection->threads; i++) {
		thread = &inspection->thread[i];
		color = deadly_thread(inspection, thread) ? "red" : "black";
		fprintf(file, "  t%d [shape=box,color=%s,label=\"", (int)thread->tid, color);
		print_quoted(file, thread->status.name);
		fprintf(file, "\\n%d\"];\n", (int)thread->tid);
		if (thread->wait.type == WAIT_NONE)
			continue;
		if (thread->wait.type == WAIT_VFORK || thread->wait.type == WAIT_JOIN) {
			if (thread->on)
				fprintf(file, "  t%d -> t%d [color=%s,label=\"%s\"];\n",
					(int)thread->tid, (int)thread->on->tid, color,
					wait_name(thread->wait.type));
			continue;
		}
		fprintf(file, "  l%llx [shape=ellipse,label=\"%s\\n",
			(unsigned long long)thread->wait.lock,
			thread->wait.type == WAIT_HIDDEN && thread->wait.class ?
				thread->wait.class :
				wait_name(thread->wait.type));
		if (thread->wait.place.symbol)
			print_quoted(file, thread->wait.place.symbol);
		else
			fprintf(file, "0x%llx", (unsigned long long)thread->wait.lock);
		fputs("\"];\n", file);
		fprintf(file, "  t%d -> l%llx [color=%s,label=\"waits for\"];\n", (int)thread->tid,
			(unsigned long long)thread->wait.lock, color);
		if (thread->on)
			fprintf(file, "  l%llx -> t%d [color=%s,label=\"held by\"];\n",
				(unsigned long long)thread->wait.lock, (int)thread->on->tid, color);
		else if (thread->wait.owner)
			fprintf(file,
				"  l%llx -> o%u [color=%s,label=\"held by\"];\n"
				"  o%u [shape=box,style=dashed,label=\"%u, not here\"];\n",
				(unsigned long long)thread->wait.lock, thread->wait.owner, color,
				thread->wait.owner, thread->wait.owner);
	}
	fputs("}\n", file);
}
