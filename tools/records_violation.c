// SPDX-License-Identifier: MIT
/*
 * See records.h. Violations as JSON Lines.
 */
#include <stdlib.h>

#include "records.h"

/* A lock without a symbol goes by where it was initialised; NULL: not known. */
static const char *origin_name(const struct view *view, const struct box_frame *origin, char *name,
			       size_t size)
{
	struct place place = symbols_code(view->symbols, origin);

	if (!origin->addr)
		return NULL;
	if (place.symbol && place.file)
		snprintf(name, size, "%s %s:%d", place.symbol, path_base(place.file), place.line);
	else
		snprintf(name, size, "%s+0x%llx", place.module ? path_base(place.module) : "?",
			 (unsigned long long)origin->offset);
	return name;
}

static void json_lock(const struct view *view, struct json *json,
		      const struct box_violation *violation)
{
	struct place place = symbols_data(view->symbols, &violation->lock);
	char name[256];
	bool hidden = violation->lock_type == BOX_LOCK_HIDDEN;

	json_key(json, "lock");
	json_open(json, '{');
	json_key(json, "addr");
	json_hex(json, violation->lock.addr);
	json_key_string(json, "type", box_lock_type_name(violation->lock_type));
	json_key_string(json, "name",
			hidden	     ? violation->text :
			place.symbol ? place.symbol :
				       origin_name(view, &violation->origin, name, sizeof(name)));
	json_key(json, "holder_tid");
	if (violation->holder_tid)
		json_number(json, violation->holder_tid);
	else
		json_null(json);
	json_key_string(json, "holder_name",
			violation->holder_name[0] ? violation->holder_name : NULL);
	json_key(json, "acquired");
	if (violation->acquired_frames)
		records_frame(view, json, &violation->acquired[0]);
	else
		json_null(json);
	records_frames(view, json, "acquired_stack", violation->acquired,
		       violation->acquired_frames);
	json_key(json, "initialised");
	if (violation->origin.addr)
		records_frame(view, json, &violation->origin);
	else
		json_null(json);
	json_key(json, "holder_ended");
	json_bool(json, violation->holder_ended);
	json_key(json, "repaired");
	json_bool(json, violation->remedy == BOX_REMEDY_REPAIR);
	json_close(json, '}');
}

/* One lock of a cycle; the caller closes the object. */
static void json_party(const struct view *view, struct json *json, const char *key,
		       const struct box_lock *lock)
{
	struct place place = symbols_data(view->symbols, &lock->lock);
	char name[256];

	json_key(json, key);
	json_open(json, '{');
	json_key(json, "addr");
	json_hex(json, lock->lock.addr);
	json_key_string(json, "type", box_lock_type_name(lock->type));
	json_key_string(json, "name",
			place.symbol ? place.symbol :
				       origin_name(view, &lock->origin, name, sizeof(name)));
	json_key(json, "acquired");
	records_frame(view, json, &lock->acquired);
	json_key(json, "initialised");
	if (lock->origin.addr)
		records_frame(view, json, &lock->origin);
	else
		json_null(json);
}

/* What the thread holds, and how the other order comes to take that. */
static void json_order(const struct view *view, struct json *json, const struct box_order *order)
{
	json_key_number(json, "cycle", order->locks);
	json_party(view, json, "other", &order->held);
	records_stack(view, json, order->stack, order->stack_frames);
	json_party(view, json, "held", &order->outer);
	json_close(json, '}');
	json_close(json, '}');
}

static void json_fork(const struct view *view, struct json *json,
		      const struct box_violation *violation)
{
	const struct box_site *site = box_site(view->box, violation->site);

	json_key(json, "fork");
	json_open(json, '{');
	json_key(json, "site");
	if (site)
		records_site_id(view, json, site);
	else
		json_null(json);
	records_stack(view, json, violation->fork, violation->fork_frames);
	json_close(json, '}');
}

/* What a vfork() child wrote: `symbol` is the variable, a local one of `function`. */
static void json_written(const struct view *view, struct json *json,
			 const struct box_violation *violation)
{
	struct place place = symbols_written(view->symbols, violation);

	json_key(json, "written");
	json_open(json, '{');
	json_key(json, "addr");
	json_hex(json, violation->lock.addr);
	json_key_number(json, "size", violation->leak.size);
	json_key_string(json, "module", place.module);
	json_key_string(json, "function", place.function);
	records_place(json, &place);
	json_close(json, '}');
}

/* Is its call the one that is wrong, and not the fork? */
static bool names_call(uint32_t kind)
{
	switch (kind) {
	case BOX_VIOLATION_CHILD_THREAD:
	case BOX_VIOLATION_CHILD_UNSAFE_CALL:
	case BOX_VIOLATION_SIGNAL_UNSAFE_CALL:
	case BOX_VIOLATION_VFORK_EXIT:
	case BOX_VIOLATION_VFORK_UNSAFE_CALL:
	case BOX_VIOLATION_VFORK_THREAD:
	case BOX_VIOLATION_VFORK_MEMORY_MAP:
	case BOX_VIOLATION_VFORK_RECORD_LOCK:
	case BOX_VIOLATION_VFORK_FD_FLAGS:
		return true;
	default:
		return false;
	}
}

static void json_violation(const struct view *view, struct json *json,
			   const struct box_violation *violation)
{
	char *message = view_message(view, violation);

	records_open(json, "violation");
	json_key_string(json, "kind", box_violation_name(violation->kind));
	json_key_string(json, "severity",
			box_severity_name(box_violation_severity(violation->kind)));
	json_key_number(json, "pid", violation->pid);
	json_key_number(json, "ppid", violation->ppid);
	json_key_number(json, "tid", violation->tid);
	json_key_string(json, "exe", records_module(view, violation->exe));
	json_key_number(json, "time_ns", records_time(view->box, violation->time_ns));
	json_key_number(json, "count", violation->count);
	json_key_string(json, "message", message);
	records_stack(view, json, violation->stack, violation->stack_frames);
	if (violation->lock_type != BOX_LOCK_NONE)
		json_lock(view, json, violation);
	if (violation->order.locks)
		json_order(view, json, &violation->order);
	if (violation->phase)
		json_key_string(json, "phase", box_phase_name(violation->phase));
	if (violation->handler.addr) {
		json_key(json, "handler");
		records_frame(view, json, &violation->handler);
	}
	if (violation->signal) {
		json_key_number(json, "signal", violation->signal);
		json_key_string(json, "signal_name",
				*box_signal_name(violation->signal) ?
					box_signal_name(violation->signal) :
					NULL);
	}
	if (names_call(violation->kind))
		json_key_string(json, "call", violation->text);
	else if (violation->call)
		json_key_string(json, "call", box_call_name(violation->call - 1));
	if (violation->leak.size && violation->kind != BOX_VIOLATION_REROUTE_LEAK)
		json_written(view, json, violation);
	if (violation->fork_frames || violation->site)
		json_fork(view, json, violation);
	records_close(json);
	free(message);
}

void view_json_violations(const struct view *view)
{
	struct json json = { view->output->file, false };
	uint32_t i;

	for (i = 0; i < view->box->slots[BOX_TABLE_VIOLATION]; i++)
		if (view_violation(view, i))
			json_violation(view, &json, &view->box->violation[i]);
}
