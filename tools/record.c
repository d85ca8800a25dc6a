// SPDX-License-Identifier: MIT
/*
 * What a box holds, as JSON Lines: one object a line, `type` first. The order is session,
 * processes, sites, violations, summary. Addresses and keys are strings in hexadecimal, since many
 * readers keep numbers in floating point; counts and times are numbers. What is not known is null,
 * what does not apply is left out.
 */
#include <stdlib.h>
#include <string.h>

#include "tool.h"

static void record_open(struct json *json, const char *type)
{
	json_open(json, '{');
	json_key_string(json, "type", type);
}

static void record_close(struct json *json)
{
	json_close(json, '}');
	json_end_line(json);
}

/* Times count from the session's start. */
static uint64_t session_ns(const struct box *box, uint64_t mono_ns)
{
	uint64_t start = box->header.created_mono_ns;

	return mono_ns > start ? mono_ns - start : 0;
}

static const char *module_path(const struct view *view, uint32_t index)
{
	const struct box_module *module = box_module(view->box, index);

	return module && module->path[0] ? module->path : NULL;
}

static void json_session(const struct view *view, struct json *json)
{
	const struct box_header *header = &view->box->header;

	record_open(json, "session");
	json_key_string(json, "version", SPORK_VERSION);
	json_key_number(json, "box_version", header->version);
	json_key_number(json, "created_ns", header->created_ns);
	json_key_number(json, "creator_pid", header->creator_pid);
	json_key(json, "partial");
	json_bool(json, view->box->partial);
	record_close(json);
}

static void json_processes(const struct view *view, struct json *json)
{
	uint32_t i;

	for (i = 0; i < view->box->slots[BOX_TABLE_PROCESS]; i++) {
		const struct box_process *process = &view->box->process[i];

		if (!process->ready || (view->pid && process->pid != view->pid))
			continue;
		record_open(json, "process");
		json_key_number(json, "pid", process->pid);
		json_key_number(json, "ppid", process->ppid);
		json_key_string(json, "exe", module_path(view, process->exe));
		json_key_string(json, "comm", process->comm);
		json_key_number(json, "start_ns", session_ns(view->box, process->start_ns));
		if (process->passive) {
			json_key(json, "passive");
			json_bool(json, true);
		}
		record_close(json);
	}
}

static void json_by_tier(struct json *json, const uint64_t *by_tier)
{
	uint32_t tier;

	json_key(json, "by_tier");
	json_open(json, '{');
	for (tier = 0; tier < BOX_TIER_COUNT; tier++)
		json_key_number(json, box_tier_name(tier), by_tier[tier]);
	json_close(json, '}');
}

static void json_place(struct json *json, const struct place *place)
{
	json_key_string(json, "symbol", place->symbol);
	if (place->linkage)
		json_key_string(json, "linkage_name", place->linkage);
	json_key_string(json, "file", place->file);
	json_key(json, "line");
	if (place->file)
		json_number(json, (uint64_t)place->line);
	else
		json_null(json);
}

void view_json_frame(struct json *json, const struct box_frame *frame, const struct place *place)
{
	json_open(json, '{');
	json_key(json, "addr");
	json_hex(json, frame->addr);
	json_key_string(json, "module", place->module);
	json_key(json, "offset");
	if (place->module)
		json_hex(json, frame->offset);
	else
		json_null(json);
	json_place(json, place);
	if (place->outer) {
		json_key(json, "inlined");
		json_bool(json, true);
	}
	if (place->replaced) {
		json_key(json, "replaced");
		json_bool(json, true);
	}
	json_close(json, '}');
}

static void json_frame(const struct view *view, struct json *json, const struct box_frame *frame)
{
	struct place place = symbols_code(view->symbols, frame);

	view_json_frame(json, frame, &place);
}

/* The frames as an array, under this key; functions that are inlined have one each. */
static void json_frames(const struct view *view, struct json *json, const char *key,
			const struct box_frame *frame, uint32_t frames)
{
	const struct place *at;
	struct place place;
	uint32_t i;

	json_key(json, key);
	json_open(json, '[');
	for (i = 0; i < frames; i++) {
		place = symbols_code(view->symbols, &frame[i]);
		for (at = &place; at; at = at->outer)
			view_json_frame(json, &frame[i], at);
	}
	json_close(json, ']');
}

static void json_stack(const struct view *view, struct json *json, const struct box_frame *frame,
		       uint32_t frames)
{
	json_frames(view, json, "stack", frame, frames);
}

/* "module+0xoffset" of the innermost frame. */
static void json_site_id(const struct view *view, struct json *json, const struct box_site *site)
{
	const char *path = module_path(view, site->frame[0].module);
	char id[600];

	if (path)
		snprintf(id, sizeof(id), "%s+0x%llx", path_base(path),
			 (unsigned long long)site->frame[0].offset);
	else
		snprintf(id, sizeof(id), "0x%llx", (unsigned long long)site->frame[0].addr);
	json_string(json, id);
}

static void json_write(struct json *json, const struct box_write *write, const struct place *place)
{
	int64_t offset = (int64_t)write->offset;
	bool below = !write->module && offset < 0;
	char text[32];

	/* Without a module it is thread-local, below or above the thread pointer. */
	snprintf(text, sizeof(text), "%s0x%llx", below ? "-" : "",
		 (unsigned long long)(below ? -write->offset : write->offset));
	json_open(json, '{');
	json_key_string(json, "module", write->module ? place->module : "[thread]");
	json_key_string(json, "symbol", place->symbol);
	json_key_string(json, "offset", text);
	json_key_number(json, "size", write->size);
	json_close(json, '}');
}

static void json_writes(const struct view *view, struct json *json, const struct box_site *site)
{
	struct box_write rest, piece;
	struct place place;
	uint32_t i;

	json_key(json, "writes");
	json_open(json, '[');
	for (i = 0; i < site->writes; i++)
		for (rest = site->write[i]; symbols_piece(view->symbols, &rest, &piece, &place);)
			json_write(json, &piece, &place);
	json_close(json, ']');
}

/* Offsets count from the stack pointer of the function that forked. */
static void json_stack_writes(struct json *json, const struct box_site *site)
{
	uint32_t i;

	json_key(json, "stack_writes");
	json_open(json, '[');
	for (i = 0; i < site->stack_writes; i++) {
		json_open(json, '{');
		json_key_number(json, "offset", site->stack_write[i].offset);
		json_key_number(json, "size", site->stack_write[i].size);
		json_close(json, '}');
	}
	json_close(json, ']');
	json_key(json, "environment");
	json_bool(json, site->environment);
	json_key(json, "got");
	json_bool(json, site->got);
}

static void json_quantile(struct json *json, const char *key, const struct box_site *site,
			  double quantile)
{
	uint64_t ns;

	json_key(json, key);
	if (box_quantile(site->latency, quantile, &ns))
		json_number(json, ns);
	else
		json_null(json);
}

/* What refused it: a call, or, without a function, a write. */
static void json_finding(const struct view *view, struct json *json, const struct box_site *site)
{
	json_key(json, "finding");
	if (!site->finding.addr && !site->finding.module) {
		json_null(json);
		return;
	}
	json_open(json, '{');
	json_key_string(json, "function", site->function[0] ? site->function : NULL);
	json_key(json, "place");
	json_frame(view, json, &site->finding);
	json_close(json, '}');
}

/* What its lean children fetched, and why the others were none. */
static void json_lean(struct json *json, const struct box_site *site)
{
	json_key(json, "lean");
	json_open(json, '{');
	json_key_number(json, "seen", site->lean_seen);
	json_key_string(json, "reason", box_reason_name(site->lean_reason));
	json_key_string(json, "fallback", box_reason_name(site->lean_fallback));
	json_key_number(json, "pages", site->lean_pages);
	json_close(json, '}');
}

static void json_site(const struct view *view, struct json *json, const struct box_site *site)
{
	struct place place = symbols_code(view->symbols, &site->frame[0]);
	char *advice = advice_site(site);

	record_open(json, "site");
	json_key(json, "id");
	json_site_id(view, json, site);
	json_key(json, "key");
	json_hex(json, site->key);
	json_place(json, &place);
	json_key_string(json, "call", box_call_name(site->call));
	json_key_string(json, "state", box_site_state_name(site->state));
	json_key_string(json, "reason", box_reason_name(site->reason));
	json_finding(view, json, site);
	json_key_string(json, "advice", advice);
	json_key_number(json, "fallbacks", site->fallbacks);
	json_key_string(json, "fallback_reason", box_reason_name(site->fallback_reason));
	json_key_string(json, "fallback_advice", advice_reason(site->fallback_reason));
	json_key_number(json, "spawns", site->spawns);
	json_by_tier(json, site->by_tier);
	json_lean(json, site);
	json_key_number(json, "upgrades", site->upgrades);
	json_key_number(json, "audits", site->audits);
	json_quantile(json, "p50_ns", site, 0.5);
	json_quantile(json, "p99_ns", site, 0.99);
	json_writes(view, json, site);
	json_stack_writes(json, site);
	json_stack(view, json, site->frame, site->frames);
	record_close(json);
	free(advice);
}

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
		json_frame(view, json, &violation->acquired[0]);
	else
		json_null(json);
	json_frames(view, json, "acquired_stack", violation->acquired, violation->acquired_frames);
	json_key(json, "initialised");
	if (violation->origin.addr)
		json_frame(view, json, &violation->origin);
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
	json_frame(view, json, &lock->acquired);
	json_key(json, "initialised");
	if (lock->origin.addr)
		json_frame(view, json, &lock->origin);
	else
		json_null(json);
}

/* What the thread holds, and how the other order comes to take that. */
static void json_order(const struct view *view, struct json *json, const struct box_order *order)
{
	json_key_number(json, "cycle", order->locks);
	json_party(view, json, "other", &order->held);
	json_stack(view, json, order->stack, order->stack_frames);
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
		json_site_id(view, json, site);
	else
		json_null(json);
	json_stack(view, json, violation->fork, violation->fork_frames);
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
	json_place(json, &place);
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

	record_open(json, "violation");
	json_key_string(json, "kind", box_violation_name(violation->kind));
	json_key_string(json, "severity",
			box_severity_name(box_violation_severity(violation->kind)));
	json_key_number(json, "pid", violation->pid);
	json_key_number(json, "ppid", violation->ppid);
	json_key_number(json, "tid", violation->tid);
	json_key_string(json, "exe", module_path(view, violation->exe));
	json_key_number(json, "time_ns", session_ns(view->box, violation->time_ns));
	json_key_number(json, "count", violation->count);
	json_key_string(json, "message", message);
	json_stack(view, json, violation->stack, violation->stack_frames);
	if (violation->lock_type != BOX_LOCK_NONE)
		json_lock(view, json, violation);
	if (violation->order.locks)
		json_order(view, json, &violation->order);
	if (violation->phase)
		json_key_string(json, "phase", box_phase_name(violation->phase));
	if (violation->handler.addr) {
		json_key(json, "handler");
		json_frame(view, json, &violation->handler);
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
	record_close(json);
	free(message);
}

static void json_gate(const struct view *view, struct json *json)
{
	const struct box_header *header = &view->box->header;
	uint32_t i;

	json_key(json, "gate");
	json_open(json, '{');
	json_key_number(json, "forks", header->gate_forks);
	json_key_number(json, "waits", header->gate_waits);
	json_key_number(json, "wait_ns", header->gate_wait_ns);
	json_key_number(json, "limits", header->gate_limits);
	json_key_number(json, "barred", header->gate_barred);
	json_key(json, "places");
	json_open(json, '[');
	for (i = 0; i < view->box->slots[BOX_TABLE_GATE]; i++) {
		const struct box_gate *gate = &view->box->gate[i];

		if (!gate->ready)
			continue;
		json_open(json, '{');
		json_key_string(json, "type", box_lock_type_name(gate->lock_type));
		json_key_string(json, "name", symbols_data(view->symbols, &gate->lock).symbol);
		json_key_number(json, "limits", gate->limits);
		json_key(json, "given_up");
		json_bool(json, gate->given_up);
		json_key(json, "acquired");
		json_frame(view, json, &gate->acquired);
		json_close(json, '}');
	}
	json_close(json, ']');
	json_close(json, '}');
}

static void json_summary(const struct view *view, struct json *json)
{
	const struct box_header *header = &view->box->header;
	struct box_totals totals = box_totals(view->box);
	uint64_t counts[BOX_VIOLATION_COUNT];
	uint32_t kind, reason;

	view_counts(view, counts);
	record_open(json, "summary");
	json_key_number(json, "processes", header->table[BOX_TABLE_PROCESS].used);
	json_key_number(json, "spawns", totals.spawns);
	json_key_number(json, "spawn_ns", totals.ns);
	json_by_tier(json, totals.by_tier);
	json_key_number(json, "upgrades", header->upgrades);
	json_key_number(json, "fallbacks", header->fallbacks);
	json_key_number(json, "audits", header->audits);
	json_key_number(json, "audit_ns", header->audit_ns);
	json_key(json, "by_libc");
	json_open(json, '{');
	for (reason = 0; reason < BOX_REASON_COUNT; reason++)
		if (header->by_libc[reason])
			json_key_number(json, box_reason_name(reason), header->by_libc[reason]);
	json_close(json, '}');
	json_gate(view, json);
	json_key_number(json, "locks_lost", header->locks_lost);
	json_key(json, "violations");
	json_open(json, '{');
	for (kind = 0; kind < BOX_VIOLATION_COUNT; kind++)
		if (counts[kind])
			json_key_number(json, box_violation_name(kind), counts[kind]);
	json_close(json, '}');
	json_key_number(json, "suppressed", view_suppressed(view));
	json_key_number(json, "dropped", view->box->dropped);
	record_close(json);
}

void view_json_sites(const struct view *view)
{
	struct json json = { view->output->file, false };
	const struct box_site **sites = box_sites_sorted(view->box);
	size_t i;

	for (i = 0; sites[i]; i++)
		json_site(view, &json, sites[i]);
	free(sites);
}

void view_json_violations(const struct view *view)
{
	struct json json = { view->output->file, false };
	uint32_t i;

	for (i = 0; i < view->box->slots[BOX_TABLE_VIOLATION]; i++)
		if (view_violation(view, i))
			json_violation(view, &json, &view->box->violation[i]);
}

void view_json(const struct view *view)
{
	struct json json = { view->output->file, false };

	json_session(view, &json);
	json_processes(view, &json);
	view_json_sites(view);
	view_json_violations(view);
	json_summary(view, &json);
}
