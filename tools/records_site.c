// SPDX-License-Identifier: MIT
/*
 * See records.h. Sites as JSON Lines.
 */
#include <stdlib.h>

#include "records.h"

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
	records_frame(view, json, &site->finding);
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

	records_open(json, "site");
	json_key(json, "id");
	records_site_id(view, json, site);
	json_key(json, "key");
	json_hex(json, site->key);
	records_place(json, &place);
	json_key_string(json, "call", box_call_name(site->call));
	json_key_string(json, "state", box_site_state_name(site->state));
	json_key_string(json, "reason", box_reason_name(site->reason));
	json_finding(view, json, site);
	json_key_string(json, "advice", advice);
	json_key_number(json, "fallbacks", site->fallbacks);
	json_key_string(json, "fallback_reason", box_reason_name(site->fallback_reason));
	json_key_string(json, "fallback_advice", advice_reason(site->fallback_reason));
	json_key_number(json, "spawns", site->spawns);
	records_by_tier(json, site->by_tier);
	json_lean(json, site);
	json_key_number(json, "upgrades", site->upgrades);
	json_key_number(json, "audits", site->audits);
	json_quantile(json, "p50_ns", site, 0.5);
	json_quantile(json, "p99_ns", site, 0.99);
	json_writes(view, json, site);
	json_stack_writes(json, site);
	records_stack(view, json, site->frame, site->frames);
	records_close(json);
	free(advice);
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
