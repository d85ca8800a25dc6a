// SPDX-License-Identifier: MIT
/*
 * What a box holds, as JSON Lines: one object a line, `type` first. The order is session,
 * processes, sites, violations, summary. Addresses and keys are strings in hexadecimal, since many
 * readers keep numbers in floating point; counts and times are numbers. What is not known is null,
 * what does not apply is left out.
 */
#include "records.h"

void records_open(struct json *json, const char *type)
{
	json_open(json, '{');
	json_key_string(json, "type", type);
}

void records_close(struct json *json)
{
	json_close(json, '}');
	json_end_line(json);
}

uint64_t records_time(const struct box *box, uint64_t mono_ns)
{
	uint64_t start = box->header.created_mono_ns;

	return mono_ns > start ? mono_ns - start : 0;
}

const char *records_module(const struct view *view, uint32_t index)
{
	const struct box_module *module = box_module(view->box, index);

	return module && module->path[0] ? module->path : NULL;
}

static void json_session(const struct view *view, struct json *json)
{
	const struct box_header *header = &view->box->header;

	records_open(json, "session");
	json_key_string(json, "version", SPORK_VERSION);
	json_key_number(json, "box_version", header->version);
	json_key_number(json, "created_ns", header->created_ns);
	json_key_number(json, "creator_pid", header->creator_pid);
	json_key(json, "partial");
	json_bool(json, view->box->partial);
	records_close(json);
}

static void json_processes(const struct view *view, struct json *json)
{
	uint32_t i;

	for (i = 0; i < view->box->slots[BOX_TABLE_PROCESS]; i++) {
		const struct box_process *process = &view->box->process[i];

		if (!process->ready || (view->pid && process->pid != view->pid))
			continue;
		records_open(json, "process");
		json_key_number(json, "pid", process->pid);
		json_key_number(json, "ppid", process->ppid);
		json_key_string(json, "exe", records_module(view, process->exe));
		json_key_string(json, "comm", process->comm);
		json_key_number(json, "start_ns", records_time(view->box, process->start_ns));
		if (process->passive) {
			json_key(json, "passive");
			json_bool(json, true);
		}
		records_close(json);
	}
}

void records_by_tier(struct json *json, const uint64_t *by_tier)
{
	uint32_t tier;

	json_key(json, "by_tier");
	json_open(json, '{');
	for (tier = 0; tier < BOX_TIER_COUNT; tier++)
		json_key_number(json, box_tier_name(tier), by_tier[tier]);
	json_close(json, '}');
}

void records_place(struct json *json, const struct place *place)
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
	records_place(json, place);
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

void records_frame(const struct view *view, struct json *json, const struct box_frame *frame)
{
	struct place place = symbols_code(view->symbols, frame);

	view_json_frame(json, frame, &place);
}

void records_frames(const struct view *view, struct json *json, const char *key,
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

void records_stack(const struct view *view, struct json *json, const struct box_frame *frame,
		   uint32_t frames)
{
	records_frames(view, json, "stack", frame, frames);
}

void records_site_id(const struct view *view, struct json *json, const struct box_site *site)
{
	const char *path = records_module(view, site->frame[0].module);
	char id[600];

	if (path)
		snprintf(id, sizeof(id), "%s+0x%llx", path_base(path),
			 (unsigned long long)site->frame[0].offset);
	else
		snprintf(id, sizeof(id), "0x%llx", (unsigned long long)site->frame[0].addr);
	json_string(json, id);
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
		records_frame(view, json, &gate->acquired);
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
	records_open(json, "summary");
	json_key_number(json, "processes", header->table[BOX_TABLE_PROCESS].used);
	json_key_number(json, "spawns", totals.spawns);
	json_key_number(json, "spawn_ns", totals.ns);
	records_by_tier(json, totals.by_tier);
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
	records_close(json);
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
