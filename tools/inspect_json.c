// SPDX-License-Identifier: MIT
/*
 * `spork inspect` as JSON Lines: session, process, verdicts, violations of the box, threads.
 */
#include <stdlib.h>
#include <unistd.h>

#include "inspect.h"

/* One of the functions at a frame. */
static void json_frame(struct json *json, const struct inspect_frame *frame,
		       const struct place *place)
{
	const struct box_frame at = { .addr = frame->pc, .offset = frame->offset };

	view_json_frame(json, &at, place);
}

static void json_stack(struct json *json, const char *key, const struct inspect_stack *stack)
{
	const struct place *at;
	unsigned i;

	json_key(json, key);
	json_open(json, '[');
	for (i = 0; i < stack->frames; i++)
		for (at = &stack->frame[i].place; at; at = at->outer)
			json_frame(json, &stack->frame[i], at);
	json_close(json, ']');
}

/* What all locks have, in an object that is open. */
static void json_lock(struct json *json, const struct holding *holding)
{
	bool hidden = holding->type == WAIT_HIDDEN;

	json_key_string(json, "type", wait_name(holding->type));
	json_key(json, "addr");
	if (holding->lock)
		json_hex(json, holding->lock);
	else
		json_null(json);
	json_key_string(json, "name", hidden ? holding->class : holding->place.symbol);
	json_key_string(json, "symbol", holding->place.symbol);
	json_key_string(json, "module", holding->place.module);
	if (holding->type == WAIT_RWLOCK)
		json_key_string(json, "mode", holding->read ? "read" : "write");
	if (hidden)
		json_key_string(json, "inside", holding->inside ? holding->inside->name : NULL);
	json_key(json, "origin");
	if (holding->origin.pc)
		json_frame(json, &holding->origin, &holding->origin.place);
	else
		json_null(json);
	json_stack(json, "acquired", &holding->acquired);
}

static void json_holds(struct json *json, const struct inspect_thread *thread)
{
	size_t i;

	json_key(json, "holds");
	json_open(json, '[');
	for (i = 0; i < thread->holdings; i++) {
		json_open(json, '{');
		json_lock(json, &thread->holding[i]);
		json_close(json, '}');
	}
	json_close(json, ']');
}

static void json_left(struct json *json, const struct left *left)
{
	json_open(json, '{');
	json_lock(json, &left->holding);
	json_key_number(json, "holder_tid", left->holder);
	json_key_string(json, "holder_name", *left->name ? left->name : NULL);
	json_key(json, "holder_ended");
	json_bool(json, left->ended);
	json_close(json, '}');
}

static void json_process(struct json *json, const struct inspection *inspection)
{
	char link[64], exe[4096], state[2] = { inspection->status.state, '\0' };
	ssize_t length;
	size_t i;

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)inspection->pid);
	length = readlink(link, exe, sizeof(exe) - 1);
	exe[length > 0 ? length : 0] = '\0';
	json_open(json, '{');
	json_key_string(json, "type", "process");
	json_key_number(json, "pid", (uint64_t)inspection->pid);
	json_key_number(json, "ppid", (uint64_t)inspection->status.parent);
	json_key_string(json, "exe", length > 0 ? exe : NULL);
	json_key_string(json, "comm", inspection->status.name);
	json_key_string(json, "state", state);
	json_key_number(json, "threads", inspection->threads);
	json_key(json, "shim");
	json_bool(json, inspection->shim || inspection->view);
	json_key_string(json, "note", inspection->note);
	json_key(json, "orphans");
	json_open(json, '[');
	for (i = 0; i < inspection->lefts; i++)
		json_left(json, &inspection->left[i]);
	json_close(json, ']');
	json_close(json, '}');
	json_end_line(json);
}

static void json_session(struct json *json)
{
	json_open(json, '{');
	json_key_string(json, "type", "session");
	json_key_string(json, "version", SPORK_VERSION);
	json_close(json, '}');
	json_end_line(json);
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
	size_t i;

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
	json_key(json, "holders");
	json_open(json, '[');
	for (i = 0; i < thread->holders; i++)
		json_number(json, (uint64_t)thread->holder[i]->tid);
	json_close(json, ']');
	json_key(json, "holder_here");
	json_bool(json, thread->on != NULL);
	json_key(json, "timed");
	json_bool(json, wait->timed);
	json_close(json, '}');
}

/* Its lines in one. */
static void json_message(struct json *json, const char *message)
{
	const char *at;
	char *line;
	size_t size;
	FILE *file = open_memstream(&line, &size);

	if (!file)
		abort();
	for (at = message; *at; at++)
		if (*at == '\n')
			fputs("; ", file);
		else
			fputc(*at, file);
	if (fclose(file))
		abort();
	json_key_string(json, "message", line);
	free(line);
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
	json_message(json, verdict->message);
	json_key(json, "threads");
	json_open(json, '[');
	for (i = 0; i < verdict->threads; i++)
		json_number(json, (uint64_t)verdict->thread[i]->tid);
	json_close(json, ']');
	if (verdict->kind == VERDICT_ORPHAN) {
		json_key(json, "lock");
		if (verdict->left)
			json_left(json, verdict->left);
		else
			json_null(json);
		json_number_or_null(json, "forked_from", (uint64_t)verdict->forked_from);
		json_key(json, "holder");
		if (verdict->holder) {
			json_open(json, '{');
			json_key_number(json, "pid", (uint64_t)verdict->holder->process);
			json_key_number(json, "tid", (uint64_t)verdict->holder->tid);
			json_key_string(json, "name", verdict->holder->status.name);
			json_stack(json, "stack", &verdict->holder->stack);
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
	json_holds(json, thread);
	json_stack(json, "stack", &thread->stack);
	json_close(json, '}');
	json_end_line(json);
}

void inspect_json(const struct inspection *inspection, struct output *output)
{
	struct json json = { output->file, false };
	size_t i;

	json_session(&json);
	json_process(&json, inspection);
	for (i = 0; i < inspection->verdicts; i++)
		json_verdict(&json, inspection, &inspection->verdict[i]);
	if (inspection->view)
		view_json_violations(inspection->view);
	for (i = 0; i < inspection->threads; i++)
		json_thread(&json, &inspection->thread[i]);
}
