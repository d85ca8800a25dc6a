// SPDX-License-Identifier: MIT
/*
 * What a box holds, as text: violations in the words of text.h with names and lines added, and the
 * summary that `spork run` and `spork report` end with.
 * Strings of the box come from outside: they pass print_clean() on their way out.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tool.h"

#define SITES_SHOWN 20

/* The shared writer's sink: collects a report in memory, with symbols. */
struct sink {
	struct text text; /* first, the callbacks cast back */
	const struct view *view;
	FILE *file;
};

static void sink_put(struct text *text, const char *bytes, size_t size)
{
	fwrite(bytes, 1, size, ((struct sink *)text)->file);
}

static void print_offset(FILE *file, const struct place *place, const struct box_frame *frame)
{
	if (!place->module) {
		fprintf(file, "0x%llx", (unsigned long long)frame->addr);
		return;
	}
	print_clean(file, path_base(place->module));
	fprintf(file, "+0x%llx", (unsigned long long)frame->offset);
}

static void print_line(FILE *file, const struct place *place)
{
	print_clean(file, path_base(place->file));
	fprintf(file, ":%d", place->line);
}

void print_place(FILE *file, const struct place *place)
{
	if (place->symbol)
		print_clean(file, place->symbol);
	if (place->file) {
		fputs(place->symbol ? " " : "", file);
		print_line(file, place);
	}
}

/* An address has one line that says where it is, of the function that is no inlined one. */
static void print_function(FILE *file, const struct box_frame *frame, const struct place *place,
			   bool inlined)
{
	bool known = place->symbol || place->file;

	print_place(file, place);
	if (inlined) {
		fputs(known ? " (inlined)" : "? (inlined)", file);
		return;
	}
	fputs(known ? " (" : "", file);
	print_offset(file, place, frame);
	fputs(known ? ")" : "", file);
}

void view_print_code(const struct view *view, FILE *file, const struct box_frame *frame)
{
	struct place place = symbols_code(view->symbols, frame);

	print_function(file, frame, &place, false);
}

void view_print_frame(FILE *file, const struct box_frame *frame, const struct place *place)
{
	print_function(file, frame, place, place->outer);
}

static void sink_code(struct text *text, const struct box_frame *frame)
{
	const struct sink *sink = (const struct sink *)text;

	view_print_code(sink->view, sink->file, frame);
}

static uint32_t sink_lines(struct text *text, const struct box_frame *frame, uint32_t number)
{
	const struct sink *sink = (const struct sink *)text;
	struct place place = symbols_code(sink->view->symbols, frame);
	const struct place *at;

	for (at = &place; at; at = at->outer) {
		fprintf(sink->file, "    #%u ", number++);
		view_print_frame(sink->file, frame, at);
		fputc('\n', sink->file);
	}
	return number;
}

void view_print_data(const struct view *view, FILE *file, const struct box_frame *frame)
{
	struct place place = symbols_data(view->symbols, frame);

	if (frame->addr || !place.module)
		fprintf(file, "0x%llx%s", (unsigned long long)frame->addr, place.module ? " " : "");
	if (place.module) {
		fputc('(', file);
		if (place.symbol) {
			print_clean(file, place.symbol);
			if (place.into)
				fprintf(file, "+%llu", (unsigned long long)place.into);
		} else {
			print_offset(file, &place, frame);
		}
		fputc(')', file);
	}
}

static void sink_data(struct text *text, const struct box_frame *frame)
{
	const struct sink *sink = (const struct sink *)text;

	view_print_data(sink->view, sink->file, frame);
}

static void sink_local(struct text *text, const struct box_violation *violation)
{
	const struct sink *sink = (const struct sink *)text;
	struct place place = symbols_written(sink->view->symbols, violation);
	const struct box_frame *frame = written_frame(violation);

	if (!place.symbol) {
		fprintf(sink->file, "0x%llx", (unsigned long long)violation->lock.addr);
		if (frame) {
			fputs(" in the frame of ", sink->file);
			sink_code(text, frame);
		}
		return;
	}
	fputs("local '", sink->file);
	print_clean(sink->file, place.symbol);
	fputs("' in ", sink->file);
	print_clean(sink->file, place.function ? place.function : "?");
	if (place.file) {
		fputc(' ', sink->file);
		print_line(sink->file, &place);
	}
}

static void sink_summary(struct text *text, const struct box_frame *frame)
{
	const struct sink *sink = (const struct sink *)text;
	struct place place = symbols_code(sink->view->symbols, frame);

	if (place.file)
		print_line(sink->file, &place);
	else
		print_offset(sink->file, &place, frame);
	if (place.symbol) {
		fputs(" in ", sink->file);
		print_clean(sink->file, place.symbol);
	}
}

/* Runs one of the shared writers into memory; the result is to be freed. */
static char *collect(const struct view *view, const struct box_violation *violation,
		     void (*writer)(struct text *, const struct box_violation *))
{
	struct box_violation copy = *violation;
	struct sink sink = {
		{ sink_put, sink_code, sink_lines, sink_data, sink_local, sink_summary }, view, NULL
	};
	char *report = NULL;
	size_t size;

	clean(copy.holder_name);
	clean(copy.text);
	clean(copy.held_in);
	clean(copy.asked_in);
	sink.file = open_memstream(&report, &size);
	if (!sink.file)
		abort();
	writer(&sink.text, &copy);
	if (fclose(sink.file))
		abort();
	return report;
}

char *view_message(const struct view *view, const struct box_violation *violation)
{
	return collect(view, violation, text_message);
}

static bool starts(const char *line, const char *word)
{
	return !strncmp(line, word, strlen(word));
}

void view_print_violation(const struct view *view, const struct box_violation *violation)
{
	char *report = collect(view, violation, text_violation), *line = report;
	FILE *file = view->output->file;

	/* One write: other processes print to the same terminal. */
	if (!view->output->color) {
		fputs(report, file);
		free(report);
		return;
	}
	while (*line) {
		size_t length = strcspn(line, "\n") + 1;

		output_style(view->output, starts(line, "ERROR:")   ? STYLE_RED :
					   starts(line, "WARNING:") ? STYLE_YELLOW :
					   starts(line, "SUMMARY:") || starts(line, "NOTE:") ?
								      STYLE_BOLD :
								      STYLE_PLAIN);
		fwrite(line, 1, length - 1, file);
		output_style(view->output, STYLE_PLAIN);
		fputc('\n', file);
		line += length;
	}
	free(report);
}

static bool dismissed(const struct view *view, const struct box_violation *violation)
{
	return written_frame(violation) && symbols_written(view->symbols, violation).unnamed;
}

static bool suppressed(const struct view *view, uint32_t slot)
{
	return view->box->violation[slot].suppressed || suppressions_match(view, slot);
}

uint64_t view_suppressed(const struct view *view)
{
	uint64_t count = 0;
	uint32_t i;

	for (i = 0; i < view->box->slots[BOX_TABLE_VIOLATION]; i++) {
		const struct box_violation *violation = &view->box->violation[i];

		if (violation->ready && !dismissed(view, violation) && suppressed(view, i))
			count += violation->count;
	}
	return count;
}

void view_counts(const struct view *view, uint64_t *counts)
{
	uint32_t i;

	memcpy(counts, view->box->header.violations, BOX_VIOLATION_COUNT * sizeof(*counts));
	for (i = 0; i < view->box->slots[BOX_TABLE_VIOLATION]; i++) {
		const struct box_violation *violation = &view->box->violation[i];

		if (violation->ready && violation->kind < BOX_VIOLATION_COUNT &&
		    (dismissed(view, violation) || suppressed(view, i)) &&
		    counts[violation->kind] >= violation->count)
			counts[violation->kind] -= violation->count;
	}
}

uint64_t view_alarms(const struct view *view)
{
	uint64_t counts[BOX_VIOLATION_COUNT], alarms = 0;
	uint32_t kind;

	view_counts(view, counts);
	for (kind = 0; kind < BOX_VIOLATION_COUNT; kind++)
		if (box_violation_severity(kind) >= BOX_SEVERITY_WARNING)
			alarms += counts[kind];
	return alarms;
}

bool view_violation(const struct view *view, uint32_t slot)
{
	const struct box_violation *violation = &view->box->violation[slot];

	if (!violation->ready || (view->pid && violation->pid != view->pid) ||
	    dismissed(view, violation) || suppressed(view, slot))
		return false;
	return !view->kinds ||
	       (violation->kind < BOX_VIOLATION_COUNT && view->kinds[violation->kind]);
}

void view_print_violations(const struct view *view)
{
	uint32_t i;

	for (i = 0; i < view->box->slots[BOX_TABLE_VIOLATION]; i++)
		if (view_violation(view, i) && !(view->printed && view->printed[i]))
			view_print_violation(view, &view->box->violation[i]);
}

static unsigned long long number(uint64_t value)
{
	return value;
}

static void print_calls(FILE *file, const struct box_header *header,
			const struct box_totals *totals)
{
	bool titled = false;
	uint32_t call, tier;

	for (call = 0; call < BOX_CALL_COUNT; call++) {
		uint64_t spawns = totals->by_call[call];

		if (!spawns)
			continue;
		if (!titled) {
			fprintf(file, "  %-13s %9s", "call", "spawns");
			for (tier = 0; tier < BOX_TIER_COUNT; tier++)
				fprintf(file, " %8s", box_tier_name(tier));
			fprintf(file, " %10s %10s\n", "time", "mean");
			titled = true;
		}
		fprintf(file, "  %-13s %9llu", box_call_name(call), number(spawns));
		for (tier = 0; tier < BOX_TIER_COUNT; tier++)
			fprintf(file, " %8llu", number(header->spawns[call][tier]));
		fprintf(file, " %10s %10s\n", duration_text(header->spawn_ns[call]).text,
			duration_text(header->spawn_ns[call] / spawns).text);
	}
}

/* A wrapper around fork() serves many: what calls it tells them apart. */
static void print_caller(const struct view *view, const struct box_site *site)
{
	const struct box_frame *frame = &site->frame[0];
	struct place place = symbols_code(view->symbols, frame);
	FILE *file = view->output->file;

	if (place.outer)
		place = *place.outer;
	else if (site->frames > 1)
		place = symbols_code(view->symbols, frame = &site->frame[1]);
	else
		return;
	fputs(" from ", file);
	if (place.symbol)
		print_clean(file, place.symbol);
	else
		print_offset(file, &place, frame);
}

static void print_sites(const struct view *view)
{
	const struct box_site **sites = box_sites_sorted(view->box);
	uint64_t states[BOX_SITE_STATE_COUNT] = { 0 };
	FILE *file = view->output->file;
	size_t count, i;

	for (count = 0; sites[count]; count++)
		if (sites[count]->state < BOX_SITE_STATE_COUNT)
			states[sites[count]->state]++;
	if (count) {
		fprintf(file, "  %zu site%s:", count, plural(count));
		for (i = 0; i < BOX_SITE_STATE_COUNT; i++)
			if (states[i])
				fprintf(file, " %llu %s", number(states[i]),
					box_site_state_name((uint32_t)i));
		fputc('\n', file);
	}
	for (i = 0; i < count && i < SITES_SHOWN; i++) {
		const struct box_site *site = sites[i];

		fputs("    ", file);
		view_print_code(view, file, &site->frame[0]);
		print_caller(view, site);
		fprintf(file, ": %llu spawn%s by %s, %s", number(site->spawns),
			plural(site->spawns), box_call_name(site->call),
			box_site_state_name(site->state));
		if (site->reason != BOX_REASON_NONE && site->state != BOX_SITE_PROMOTED)
			fprintf(file, ": %s", box_reason_text(site->reason));
		if (site->fallbacks)
			fprintf(file, ", %llu still by fork: %s",
				(unsigned long long)site->fallbacks,
				box_reason_text(site->fallback_reason));
		fputc('\n', file);
	}
	if (count > SITES_SHOWN)
		fprintf(file, "    and %zu more; 'spork sites BOX' shows them all\n",
			count - SITES_SHOWN);
	free(sites);
}

/* How forks waited for other threads, and which locks kept them waiting. */
static void print_gate(const struct view *view)
{
	const struct box_header *header = &view->box->header;
	FILE *file = view->output->file;
	uint32_t i;

	if (header->gate_barred)
		fprintf(file,
			"  gate: %u fork%s did without: a seccomp filter is in the way, or there is no membarrier()\n",
			header->gate_barred, plural(header->gate_barred));
	if (!header->gate_waits && !header->locks_lost)
		return;
	fprintf(file, "  gate: %llu fork%s, %llu waited for other threads, %s",
		number(header->gate_forks), plural(header->gate_forks), number(header->gate_waits),
		duration_text(header->gate_wait_ns).text);
	fprintf(file, "; %llu went on at the limit\n", number(header->gate_limits));
	for (i = 0; i < view->box->slots[BOX_TABLE_GATE]; i++) {
		const struct box_gate *gate = &view->box->gate[i];

		if (!gate->ready)
			continue;
		fprintf(file, "    %s ", box_lock_type_name(gate->lock_type));
		view_print_data(view, file, &gate->lock);
		fprintf(file, " held at the limit %llu time%s, taken at ", number(gate->limits),
			plural(gate->limits));
		view_print_code(view, file, &gate->acquired);
		fputs(gate->given_up ? "; no longer waited for\n" : "\n", file);
	}
	if (header->locks_lost)
		fprintf(file, "  %llu lock%s not tracked: the tables were full\n",
			number(header->locks_lost), plural(header->locks_lost));
}

static void print_by_libc(FILE *file, const struct box_header *header)
{
	uint32_t reason;

	for (reason = 0; reason < BOX_REASON_COUNT; reason++)
		if (header->by_libc[reason])
			fprintf(file, "  %llu spawn%s left to libc: %s\n",
				number(header->by_libc[reason]), plural(header->by_libc[reason]),
				box_reason_text(reason));
}

static void print_counts(const struct view *view)
{
	const struct box_header *header = &view->box->header;
	FILE *file = view->output->file;
	uint64_t counts[BOX_VIOLATION_COUNT], hidden;
	uint32_t kind;
	bool any = false;

	if (header->audits)
		fprintf(file, "  %llu audit%s, %s; %llu upgrade%s, %llu fallback%s\n",
			number(header->audits), plural(header->audits),
			duration_text(header->audit_ns).text, number(header->upgrades),
			plural(header->upgrades), number(header->fallbacks),
			plural(header->fallbacks));
	else if (header->upgrades || header->fallbacks)
		fprintf(file, "  %llu upgrade%s, %llu fallback%s\n", number(header->upgrades),
			plural(header->upgrades), number(header->fallbacks),
			plural(header->fallbacks));
	print_gate(view);
	if (view->box->dropped)
		fprintf(file, "  %llu record%s dropped: the box was full; the counts are exact\n",
			number(view->box->dropped), plural(view->box->dropped));
	if (view->box->unasked)
		fputs("  no events: the box was made with events=0; the counts are exact\n", file);

	view_counts(view, counts);
	for (kind = 0; kind < BOX_VIOLATION_COUNT; kind++) {
		uint32_t severity = box_violation_severity(kind);

		if (!counts[kind])
			continue;
		fputs(any ? ", " : "  violations: ", file);
		output_style(view->output, severity == BOX_SEVERITY_ERROR   ? STYLE_RED :
					   severity == BOX_SEVERITY_WARNING ? STYLE_YELLOW :
									      STYLE_BOLD);
		fprintf(file, "%s %llu", box_violation_name(kind), number(counts[kind]));
		output_style(view->output, STYLE_PLAIN);
		any = true;
	}
	fputs(any ? "\n" : "  no violations\n", file);
	hidden = view_suppressed(view);
	if (hidden)
		fprintf(file, "  %llu violation%s suppressed\n", number(hidden), plural(hidden));
}

static void print_passive(const struct view *view)
{
	uint64_t passive = 0;
	uint32_t i;

	for (i = 0; i < view->box->slots[BOX_TABLE_PROCESS]; i++)
		passive += view->box->process[i].ready && view->box->process[i].passive;
	if (passive)
		fprintf(view->output->file,
			"  %llu process%s with a sanitizer or under a checker of threads, where the shim does nothing\n",
			number(passive), passive == 1 ? "" : "es");
}

void view_print_summary(const struct view *view)
{
	const struct box_header *header = &view->box->header;
	uint64_t processes = header->table[BOX_TABLE_PROCESS].used;
	struct box_totals totals = box_totals(view->box);
	FILE *file = view->output->file;

	output_style(view->output, STYLE_BOLD);
	fprintf(file, "spork: %llu process%s, %llu spawn%s", number(processes),
		processes == 1 ? "" : "es", number(totals.spawns), plural(totals.spawns));
	if (totals.spawns)
		fprintf(file, ", %s in spawn calls", duration_text(totals.ns).text);
	output_style(view->output, STYLE_PLAIN);
	fputc('\n', file);
	print_passive(view);
	print_calls(file, header, &totals);
	print_by_libc(file, header);
	print_sites(view);
	print_counts(view);
}

/* A child that was forked has no record of its own before it executes, only events. */
static bool knows_process(const struct box *box, uint32_t pid)
{
	uint32_t i;

	for (i = 0; i < box->slots[BOX_TABLE_PROCESS]; i++)
		if (box->process[i].ready && box->process[i].pid == pid)
			return true;
	for (i = 0; i < box->slots[BOX_TABLE_VIOLATION]; i++)
		if (box->violation[i].ready && box->violation[i].pid == pid)
			return true;
	for (i = 0; i < box->slots[BOX_TABLE_EVENT]; i++)
		if (box->event[i].pid == pid || box->event[i].child == pid)
			return true;
	return false;
}

int view_show(struct view *view, const char *command, int argc, char **argv,
	      void (*text)(const struct view *), void (*json)(const struct view *))
{
	struct box box = { .with_events = view->events || view->pid };
	int status;

	if (optind + 1 != argc) {
		complain("%s; see 'spork %s --help'",
			 optind == argc ? "no box was given" : "give one box at a time", command);
		return STATUS_FAILED;
	}
	status = box_open(&box, argv[optind]);
	if (!status && view->pid && !knows_process(&box, view->pid)) {
		complain(
			"--pid %u: the box holds nothing of that process; 'spork report -f json' lists "
			"those that it has",
			view->pid);
		status = STATUS_FAILED;
	}
	if (!status)
		status = output_open(view->output, stdout);
	if (!status) {
		view->box = &box;
		view->symbols = symbols_open(&box);
		(view->output->json ? json : text)(view);
		status = output_close(view->output);
		symbols_close(view->symbols);
	}
	box_free(&box);
	return status;
}
