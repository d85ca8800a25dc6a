// SPDX-License-Identifier: MIT
/*
 * `spork report --format html`: one file that shows a box in a browser, without the network. The drawings are SVG
 * that is written here; the only script sorts the table of sites.
 *
 * Whatever comes from the box is written by html_text() alone, never into an attribute, a script or a style.
 */
#include <stdlib.h>
#include <string.h>

#include "tool.h"

/* More spawns than that are not drawn one by one. */
#define MARKS 4000
#define ROWS 40

/* Pixels of the drawings, before the browser makes them fit. */
enum { WIDTH = 1000, LABEL = 180, ROW = 20, BAR_HEIGHT = 120, HISTOGRAM = 360 };

/* clang-format off */
static const char head[] =
"<!DOCTYPE html>\n"
"<html lang=\"en\">\n"
"<head>\n"
"<meta charset=\"utf-8\">\n"
"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
"script-src 'unsafe-inline'\">\n"
"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
"<title>spork report</title>\n"
"<style>\n"
":root { color-scheme: light dark; --back: #fff; --text: #1b1f24; --soft: #667; --line: #d5d9de; --band: #f4f6f8;\n"
"  --fork: #c8443c; --vfork: #2b8a4b; --lean: #2f6fd0; --spawn: #b7791f; --other: #888; }\n"
"@media (prefers-color-scheme: dark) { :root { --back: #15181c; --text: #e4e7eb; --soft: #9aa3ad; --line: #363c44;\n"
"  --band: #1d2126; --fork: #f0766e; --vfork: #57c27d; --lean: #6ea4f5; --spawn: #e2ae52; --other: #999; } }\n"
"body { background: var(--back); color: var(--text); font: 15px/1.45 system-ui, sans-serif; margin: 0 auto;\n"
"  max-width: 72rem; padding: 1rem 1.5rem 4rem; }\n"
"h1 { font-size: 1.5rem; margin: .5rem 0; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }\n"
"h3 { font-size: 1rem; margin: .5rem 0 0; }\n"
"p { margin: .4rem 0; } .soft { color: var(--soft); }\n"
"table { border-collapse: collapse; font-size: .87rem; } .wide { overflow-x: auto; }\n"
"th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem; text-align: left; vertical-align: top; }\n"
"td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }\n"
"th button { all: unset; cursor: pointer; font-weight: 600; } th button:focus-visible { outline: 2px solid; }\n"
"th[aria-sort=ascending] button::after { content: ' \\25B2'; }\n"
"th[aria-sort=descending] button::after { content: ' \\25BC'; }\n"
"svg { display: block; width: 100%; height: auto; font: 11px system-ui, sans-serif; } svg text { fill: var(--text); }\n"
"svg .axis { fill: var(--soft); } svg .band { fill: var(--band); } svg .tick { stroke: var(--line); }\n"
".t0 { fill: var(--fork); background: var(--fork); } .t1 { fill: var(--vfork); background: var(--vfork); }\n"
".t2 { fill: var(--lean); background: var(--lean); } .t3 { fill: var(--spawn); background: var(--spawn); }\n"
".t4 { fill: var(--other); background: var(--other); }\n"
".key { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin: 0 .3em 0 1em; }\n"
".charts { display: grid; gap: 1rem 2rem; grid-template-columns: repeat(auto-fill, minmax(22rem, 1fr)); }\n"
"details { border: 1px solid var(--line); border-radius: 6px; margin: .5rem 0; padding: .4rem .8rem; }\n"
"summary { cursor: pointer; overflow-wrap: anywhere; } pre { font-size: .82rem; overflow-x: auto; }\n"
".error, .warning, .note { border-radius: 4px; color: #fff; font-size: .8rem; padding: .05rem .45rem; }\n"
".error { background: #b3261e; } .warning { background: #96600b; } .note { background: #5a6570; }\n"
"td code, summary code { font-size: .95em; }\n"
"</style>\n"
"</head>\n"
"<body>\n";

static const char script[] =
"<script>\n"
"for (const button of document.querySelectorAll('th button'))\n"
"  button.addEventListener('click', () => {\n"
"    const head = button.parentElement, column = head.cellIndex, table = head.closest('table');\n"
"    const body = table.tBodies[0], number = head.classList.contains('n');\n"
"    const was = head.getAttribute('aria-sort');\n"
"    const up = was ? was === 'descending' : !number;\n"
"    for (const other of head.parentElement.cells) other.removeAttribute('aria-sort');\n"
"    head.setAttribute('aria-sort', up ? 'ascending' : 'descending');\n"
"    const key = (row) => number ? Number(row.cells[column].dataset.v) : row.cells[column].textContent;\n"
"    const order = (a, b) => number ? key(a) - key(b) : key(a).localeCompare(key(b));\n"
"    body.append(...[...body.rows].sort((a, b) => up ? order(a, b) : order(b, a)));\n"
"  });\n"
"</script>\n";
/* clang-format on */

static unsigned long long number(uint64_t value)
{
	return value;
}

static uint32_t tier_class(uint32_t tier)
{
	return tier < BOX_TIER_COUNT ? tier : BOX_TIER_COUNT;
}

/* Of tiers that are told apart: the last is for what a damaged box has. */
#define TIERS (BOX_TIER_COUNT + 1)

_Static_assert(TIERS == 5, "the style sheet has a colour for each tier: t0 to t4");

static void key_print(FILE *file)
{
	uint32_t tier;

	fputs("<p class=\"soft\">Tier:", file);
	for (tier = 0; tier < BOX_TIER_COUNT; tier++)
		fprintf(file, "<span class=\"key t%u\"></span>%s", tier, box_tier_name(tier));
	fputs("</p>\n", file);
}

/* ---- what was counted ---- */

static void counts_print(const struct view *view)
{
	const struct box_header *header = &view->box->header;
	uint64_t spawns = 0, ns = 0, hidden = view_suppressed(view);
	FILE *file = view->output->file;
	uint32_t call, tier;

	for (call = 0; call < BOX_CALL_ROOM; call++) {
		for (tier = 0; tier < BOX_TIER_ROOM; tier++)
			spawns += header->spawns[call][tier];
		ns += header->spawn_ns[call];
	}
	fprintf(file,
		"<h1>spork report</h1>\n<p>%llu processes, %llu spawns, %s in spawn calls.</p>\n",
		number(header->table[BOX_TABLE_PROCESS].used), number(spawns),
		duration_text(ns).text);
	if (view->pid)
		fprintf(file,
			"<p>Timeline, latency and violations are those of process %u only.</p>\n",
			view->pid);
	if (view->box->partial) {
		fputs("<p><strong>The box is not complete:</strong> ", file);
		html_text(file, view->box->problem);
		fputs(".</p>\n", file);
	}
	if (view->box->dropped)
		fprintf(file,
			"<p>%llu records found no room in the box; the counts are exact.</p>\n",
			number(view->box->dropped));
	if (hidden)
		fprintf(file, "<p>%llu violations are suppressed.</p>\n", number(hidden));
	if (!spawns)
		return;
	fputs("<div class=\"wide\"><table><thead><tr><th>call</th><th class=\"n\">spawns</th>",
	      file);
	for (tier = 0; tier < BOX_TIER_COUNT; tier++)
		fprintf(file, "<th class=\"n\">%s</th>", box_tier_name(tier));
	fputs("<th class=\"n\">time</th><th class=\"n\">mean</th></tr></thead><tbody>\n", file);
	for (call = 0; call < BOX_CALL_COUNT; call++) {
		uint64_t count = 0;

		for (tier = 0; tier < BOX_TIER_ROOM; tier++)
			count += header->spawns[call][tier];
		if (!count)
			continue;
		fprintf(file, "<tr><td>%s</td><td class=\"n\">%llu</td>", box_call_name(call),
			number(count));
		for (tier = 0; tier < BOX_TIER_COUNT; tier++)
			fprintf(file, "<td class=\"n\">%llu</td>",
				number(header->spawns[call][tier]));
		fprintf(file, "<td class=\"n\">%s</td><td class=\"n\">%s</td></tr>\n",
			duration_text(header->spawn_ns[call]).text,
			duration_text(header->spawn_ns[call] / count).text);
	}
	fputs("</tbody></table></div>\n", file);
}

/* ---- the timeline ---- */

/* A process that spawned; the last row is for those that have none of their own. */
struct row {
	const struct box_process *process;
	uint32_t pid;
	uint64_t first_ns;
	size_t spawns;
	uint32_t at; /* place in the drawing */
};

struct drawing {
	FILE *file;
	const struct view *view;
	const struct timeline *timeline;
	const struct box_event *const *event;
	size_t events;
	uint64_t start_ns, length_ns;
	struct row *row; /* by pid */
	size_t rows;
	uint32_t drawn; /* rows in the drawing, with the one for the rest */
	bool rest;
};

static int row_by_spawns(const void *left, const void *right)
{
	const struct row *a = *(struct row *const *)left, *b = *(struct row *const *)right;

	if (a->spawns != b->spawns)
		return a->spawns < b->spawns ? 1 : -1;
	return a->pid < b->pid ? -1 : a->pid > b->pid;
}

static int row_by_time(const void *left, const void *right)
{
	const struct row *a = *(struct row *const *)left, *b = *(struct row *const *)right;

	if (a->first_ns != b->first_ns)
		return a->first_ns < b->first_ns ? -1 : 1;
	return a->pid < b->pid ? -1 : a->pid > b->pid;
}

static int pid_order(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return a < b ? -1 : a > b;
}

static struct row *row_find(const struct drawing *drawing, uint32_t pid)
{
	size_t low = 0, high = drawing->rows;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (drawing->row[middle].pid < pid)
			low = middle + 1;
		else
			high = middle;
	}
	return &drawing->row[low]; /* each event's pid has one */
}

/* A row for each process that spawned, and a place in the drawing for those that did most. */
static void rows_make(struct drawing *drawing)
{
	uint32_t *pid = calloc(drawing->events + 1, sizeof(*pid));
	struct row **order;
	size_t i, shown;

	if (!pid)
		abort();
	for (i = 0; i < drawing->events; i++)
		pid[i] = drawing->event[i]->pid;
	qsort(pid, drawing->events, sizeof(*pid), pid_order);
	drawing->row = calloc(drawing->events + 1, sizeof(*drawing->row));
	order = calloc(drawing->events + 1, sizeof(*order));
	if (!drawing->row || !order)
		abort();
	for (i = 0; i < drawing->events; i++)
		if (!i || pid[i] != pid[i - 1])
			drawing->row[drawing->rows++].pid = pid[i];
	free(pid);
	for (i = 0; i < drawing->events; i++) {
		const struct box_event *event = drawing->event[i];
		struct row *row = row_find(drawing, event->pid);

		if (!row->spawns++) {
			row->first_ns = event->time_ns;
			row->process =
				timeline_process(drawing->timeline, event->pid, event->time_ns);
		}
	}
	for (i = 0; i < drawing->rows; i++)
		order[i] = &drawing->row[i];
	qsort(order, drawing->rows, sizeof(*order), row_by_spawns);
	shown = drawing->rows > ROWS ? ROWS - 1 : drawing->rows;
	qsort(order, shown, sizeof(*order), row_by_time);
	for (i = 0; i < drawing->rows; i++)
		order[i]->at = (uint32_t)(i < shown ? i : shown);
	drawing->rest = drawing->rows > shown;
	drawing->drawn = (uint32_t)shown + drawing->rest;
	free(order);
}

/* Where a time lies, from 0 to 1. */
static double time_part(const struct drawing *drawing, uint64_t ns)
{
	double part = ((double)ns - (double)drawing->start_ns) / (double)drawing->length_ns;

	return part < 0 ? 0 : part > 1 ? 1 : part;
}

static void axis_print(const struct drawing *drawing, uint32_t height)
{
	FILE *file = drawing->file;
	uint64_t origin = drawing->view->box->header.created_mono_ns;
	uint32_t tick;

	/* Seconds of the session, where that is what the times say. */
	if (origin > drawing->start_ns)
		origin = drawing->start_ns;
	for (tick = 0; tick <= 5; tick++) {
		double part = tick / 5.0, x = LABEL + part * (WIDTH - LABEL);
		uint64_t ns =
			drawing->start_ns - origin + (uint64_t)(part * (double)drawing->length_ns);

		fprintf(file,
			"<line class=\"tick\" x1=\"%.1f\" x2=\"%.1f\" y1=\"0\" y2=\"%u\"/>"
			"<text class=\"axis\" x=\"%.1f\" y=\"%u\" text-anchor=\"%s\">%s</text>\n",
			x, x, height, x, height + 14,
			tick == 5 ? "end" :
			tick	  ? "middle" :
				    "start",
			duration_text(ns).text);
	}
}

static void labels_print(const struct drawing *drawing)
{
	size_t rest = 0, spawns = 0, i;
	FILE *file = drawing->file;

	for (i = 0; i < drawing->rows; i++) {
		const struct row *row = &drawing->row[i];
		char name[32];

		if (drawing->rest && row->at == drawing->drawn - 1) {
			rest++;
			spawns += row->spawns;
			continue;
		}
		snprintf(name, sizeof(name), "%.16s",
			 process_name(drawing->view->box, row->process));
		fprintf(file, "<text x=\"0\" y=\"%u\">", row->at * ROW + 14);
		html_text(file, name);
		fprintf(file, " %u<title>%zu spawns</title></text>\n", row->pid, row->spawns);
	}
	if (rest)
		fprintf(file,
			"<text x=\"0\" y=\"%u\">%zu more processes<title>%zu spawns</title></text>\n",
			(drawing->drawn - 1) * ROW + 14, rest, spawns);
}

static void mark_print(const struct drawing *drawing, uint32_t at, uint32_t tier, double x,
		       double width, double strength)
{
	/* A lane for each tier, so that none hides another. */
	fprintf(drawing->file,
		"<rect class=\"t%u\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"4\"", tier,
		LABEL + x * (WIDTH - LABEL), at * ROW + 1 + (tier % BOX_TIER_COUNT) * 4.5, width);
	if (strength < 1)
		fprintf(drawing->file, " opacity=\"%.2f\"", strength);
	fputs("><title>", drawing->file);
}

static void events_print(const struct drawing *drawing)
{
	size_t i;

	for (i = 0; i < drawing->events; i++) {
		const struct box_event *event = drawing->event[i];
		double x = time_part(drawing, event->time_ns);
		double width = (double)event->duration_ns / (double)drawing->length_ns;

		width = width > 1 - x ? 1 - x : width;
		width *= WIDTH - LABEL;
		mark_print(drawing, row_find(drawing, event->pid)->at, tier_class(event->tier), x,
			   width < 1.5 ? 1.5 : width, 1);
		fprintf(drawing->file, "%s by %s, %s, child %u</title></rect>\n",
			box_call_name(event->call), box_tier_name(event->tier),
			duration_text(event->duration_ns).text, event->child);
	}
}

/* Many spawns: a mark stands for those of one tier in a stretch of time. Returns the number of stretches. */
static uint32_t bins_print(const struct drawing *drawing)
{
	uint32_t bins = MARKS / drawing->drawn, at, bin, tier;
	uint32_t *count, most = 0;
	uint64_t *ns;
	size_t cells, i;

	bins = bins > 400 ? 400 : bins;
	cells = (size_t)drawing->drawn * bins * TIERS;
	count = calloc(cells, sizeof(*count));
	ns = calloc(cells, sizeof(*ns));
	if (!count || !ns)
		abort();
	for (i = 0; i < drawing->events; i++) {
		const struct box_event *event = drawing->event[i];

		bin = (uint32_t)(time_part(drawing, event->time_ns) * bins);
		bin = bin < bins ? bin : bins - 1;
		at = row_find(drawing, event->pid)->at;
		cells = ((size_t)at * bins + bin) * TIERS + tier_class(event->tier);
		count[cells]++;
		ns[cells] += event->duration_ns;
		most = count[cells] > most ? count[cells] : most;
	}
	for (at = 0, cells = 0; at < drawing->drawn; at++) {
		for (bin = 0; bin < bins; bin++) {
			for (tier = 0; tier < TIERS; tier++, cells++) {
				if (!count[cells])
					continue;
				mark_print(drawing, at, tier, (double)bin / bins,
					   (double)(WIDTH - LABEL) / bins,
					   0.35 + 0.65 * count[cells] / most);
				fprintf(drawing->file,
					"%u spawns by %s, %s each on average</title></rect>\n",
					count[cells], box_tier_name(tier),
					duration_text(ns[cells] / count[cells]).text);
			}
		}
	}
	free(count);
	free(ns);
	return bins;
}

static void timeline_print(struct drawing *drawing)
{
	uint32_t height, at, bins;
	FILE *file = drawing->file;
	uint64_t end = 0, ends;
	size_t i;

	fputs("<h2>Spawns</h2>\n", file);
	if (!drawing->events) {
		fputs("<p>No spawn was recorded.</p>\n", file);
		return;
	}
	rows_make(drawing);
	drawing->start_ns = drawing->event[0]->time_ns;
	for (i = 0; i < drawing->events; i++) {
		const struct box_event *event = drawing->event[i];

		if (__builtin_add_overflow(event->time_ns, event->duration_ns, &ends))
			ends = UINT64_MAX;
		end = ends > end ? ends : end;
	}
	drawing->length_ns = end > drawing->start_ns ? end - drawing->start_ns : 1;
	height = drawing->drawn * ROW;
	key_print(file);
	fprintf(file,
		"<svg id=\"timeline\" role=\"img\" aria-label=\"spawns by process and time\" "
		"viewBox=\"0 0 %d %u\">\n",
		WIDTH, height + 20);
	for (at = 0; at < drawing->drawn; at += 2)
		fprintf(file,
			"<rect class=\"band\" x=\"0\" y=\"%u\" width=\"%d\" height=\"%d\"/>\n",
			at * ROW, WIDTH, ROW);
	axis_print(drawing, height);
	labels_print(drawing);
	bins = drawing->events > MARKS ? bins_print(drawing) : 0;
	if (!bins)
		events_print(drawing);
	fputs("</svg>\n", file);
	if (bins)
		fprintf(file,
			"<p class=\"soft\">%zu spawns are too many to be drawn one by one: a mark stands "
			"for those of one tier within %s, and is the stronger the more there are.</p>\n",
			drawing->events, duration_text(drawing->length_ns / bins).text);
	if (timeline_lost(drawing->view->box))
		fprintf(file,
			"<p class=\"soft\">%llu spawns found no room in the box, and are in neither the "
			"timeline nor the latencies.</p>\n",
			number(timeline_lost(drawing->view->box)));
	free(drawing->row);
}

/* ---- how long calls held their callers ---- */

static void histogram_bars(FILE *file, uint32_t latency[][TIERS], uint32_t low, uint32_t high,
			   uint32_t most)
{
	double width = (double)HISTOGRAM / (high - low + 1);
	uint32_t bucket, tier;

	for (bucket = low; bucket <= high; bucket++) {
		double y = BAR_HEIGHT, x = (bucket - low) * width;

		for (tier = 0; tier < TIERS; tier++) {
			double height = (double)latency[bucket][tier] * (BAR_HEIGHT - 4) / most;

			if (!latency[bucket][tier])
				continue;
			/* One among thousands is to be seen too. */
			height = height < 1 ? 1 : height;
			y -= height;
			fprintf(file,
				"<rect class=\"t%u\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" "
				"height=\"%.1f\"><title>",
				tier, x + .5, y, width > 2 ? width - 1 : width, height);
			fprintf(file, "%u by %s from %s", latency[bucket][tier],
				box_tier_name(tier), duration_text(box_bucket_ns(bucket)).text);
			if (bucket + 1 < BOX_BUCKETS)
				fprintf(file, " to %s",
					duration_text(box_bucket_ns(bucket + 1)).text);
			fputs("</title></rect>\n", file);
		}
	}
}

static void histogram_print(FILE *file, uint32_t call, uint32_t latency[][TIERS])
{
	uint32_t total[BOX_BUCKETS] = { 0 }, bucket, tier, most = 0, low = BOX_BUCKETS, high = 0;
	uint64_t p50, p99, count = 0;
	uint32_t tick;

	for (bucket = 0; bucket < BOX_BUCKETS; bucket++) {
		for (tier = 0; tier < TIERS; tier++)
			total[bucket] += latency[bucket][tier];
		if (!total[bucket])
			continue;
		low = low < bucket ? low : bucket;
		high = bucket;
		most = total[bucket] > most ? total[bucket] : most;
		count += total[bucket];
	}
	if (!box_quantile(total, 0.5, &p50) || !box_quantile(total, 0.99, &p99))
		return;
	/* Bars of a lone bucket would be as wide as the drawing. */
	low = low > 4 ? low - 4 : 0;
	high = high + 4 < BOX_BUCKETS ? high + 4 : BOX_BUCKETS - 1;
	fprintf(file,
		"<div><h3>%s</h3><p class=\"soft\">%llu spawns, median %s, 99th percentile %s</p>\n"
		"<svg role=\"img\" aria-label=\"latency histogram\" viewBox=\"0 0 %d %d\">\n",
		box_call_name(call), number(count), duration_text(p50).text,
		duration_text(p99).text, HISTOGRAM, BAR_HEIGHT + 20);
	fprintf(file, "<line class=\"tick\" x1=\"0\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>\n", HISTOGRAM,
		BAR_HEIGHT, BAR_HEIGHT);
	histogram_bars(file, latency, low, high, most);
	for (tick = 0; tick <= 4; tick++) {
		bucket = low + (high - low + 1) * tick / 4;
		fprintf(file,
			"<text class=\"axis\" x=\"%u\" y=\"%d\" text-anchor=\"%s\">%s</text>\n",
			HISTOGRAM * tick / 4, BAR_HEIGHT + 14,
			tick == 4 ? "end" :
			tick	  ? "middle" :
				    "start",
			duration_text(box_bucket_ns(bucket)).text);
	}
	fputs("</svg></div>\n", file);
}

static void latency_print(const struct drawing *drawing)
{
	static uint32_t latency[BOX_CALL_COUNT + 1][BOX_BUCKETS][TIERS];
	FILE *file = drawing->file;
	uint32_t call;
	size_t i;

	if (!drawing->events)
		return;
	memset(latency, 0, sizeof(latency));
	for (i = 0; i < drawing->events; i++) {
		const struct box_event *event = drawing->event[i];

		call = event->call < BOX_CALL_COUNT ? event->call : BOX_CALL_COUNT;
		latency[call][box_bucket(event->duration_ns)][tier_class(event->tier)]++;
	}
	fputs("<h2>How long calls held their callers</h2>\n<div class=\"charts\">\n", file);
	for (call = 0; call <= BOX_CALL_COUNT; call++)
		histogram_print(file, call, latency[call]);
	fputs("</div>\n", file);
}

/* ---- violations ---- */

/* What `report` prints as text, to be freed. */
static char *violation_text(const struct view *view, const struct box_violation *violation)
{
	struct output plain = { 0 };
	struct view copy = *view;
	char *text = NULL;
	size_t size;

	copy.output = &plain;
	plain.file = open_memstream(&text, &size);
	if (!plain.file)
		abort();
	view_print_violation(&copy, violation);
	if (fclose(plain.file))
		abort();
	return text;
}

static void violation_print(const struct view *view, const struct box_violation *violation,
			    bool open)
{
	const char *severity = box_severity_name(box_violation_severity(violation->kind));
	char *message = view_message(view, violation), *text = violation_text(view, violation);
	FILE *file = view->output->file;

	fprintf(file,
		"<details%s><summary><span class=\"%s\">%s</span> <strong>%s</strong> "
		"<span class=\"soft\">%llu &times;, pid %u</span><br>",
		open ? " open" : "", severity, severity, box_violation_name(violation->kind),
		number(violation->count), violation->pid);
	html_text(file, message);
	fputs("</summary><pre>", file);
	html_text(file, text);
	fputs("</pre></details>\n", file);
	free(message);
	free(text);
}

static void violations_print(const struct view *view)
{
	FILE *file = view->output->file;
	uint32_t shown = 0, i;

	fputs("<h2>Violations</h2>\n", file);
	for (i = 0; i < view->box->slots[BOX_TABLE_VIOLATION]; i++)
		if (view_violation(view, i))
			violation_print(view, &view->box->violation[i], shown++ < 3);
	if (!shown)
		fputs("<p>None.</p>\n", file);
}

/* ---- sites ---- */

static void number_cell(FILE *file, uint64_t value)
{
	fprintf(file, "<td class=\"n\" data-v=\"%llu\">%llu</td>", number(value), number(value));
}

static void quantile_cell(FILE *file, const struct box_site *site, double quantile)
{
	uint64_t ns;

	if (box_quantile(site->latency, quantile, &ns))
		fprintf(file, "<td class=\"n\" data-v=\"%llu\">%s</td>", number(ns),
			duration_text(ns).text);
	else
		fputs("<td class=\"n\" data-v=\"-1\">-</td>", file);
}

static void site_print(const struct view *view, const struct box_site *site)
{
	FILE *file = view->output->file;
	const struct place *at;
	struct place place;
	char *text = NULL;
	uint32_t tier, i;
	bool first = true;
	size_t size;

	fputs("<tr><td>", file);
	for (i = 0; i < site->frames || !i; i++) {
		place = symbols_code(view->symbols, &site->frame[i]);
		for (at = &place; at; at = at->outer) {
			FILE *frame = open_memstream(&text, &size);

			if (!frame)
				abort();
			view_print_frame(frame, &site->frame[i], at);
			if (fclose(frame))
				abort();
			fputs(first ? "<code>" : "<br><span class=\"soft\">from ", file);
			html_text(file, text);
			fputs(first ? "</code>" : "</span>", file);
			free(text);
			first = false;
		}
	}
	fprintf(file, "</td><td>%s</td><td>%s</td><td>", box_call_name(site->call),
		box_site_state_name(site->state));
	if (site->reason != BOX_REASON_NONE && site->state != BOX_SITE_PROMOTED)
		fputs(box_reason_text(site->reason), file);
	fputs("</td>", file);
	number_cell(file, site->spawns);
	for (tier = 0; tier < BOX_TIER_COUNT; tier++)
		number_cell(file, site->by_tier[tier]);
	number_cell(file, site->upgrades);
	quantile_cell(file, site, 0.5);
	quantile_cell(file, site, 0.99);
	fputs("</tr>\n", file);
}

static void sites_print(const struct view *view)
{
	static const char *const titles[] = { "site",	"call",	    "state", "why not promoted",
					      "spawns", "fork",	    "vfork", "lean",
					      "spawn",	"upgrades", "p50",   "p99" };
	const struct box_site **sites = box_sites_sorted(view->box);
	FILE *file = view->output->file;
	size_t i;

	fputs("<h2>Sites</h2>\n", file);
	if (!sites[0]) {
		fputs("<p>None.</p>\n", file);
	} else {
		fputs("<div class=\"wide\"><table id=\"sites\"><thead><tr>", file);
		for (i = 0; i < sizeof(titles) / sizeof(*titles); i++)
			fprintf(file, "<th%s%s><button>%s</button></th>",
				i > 3 ? " class=\"n\"" : "",
				i == 4 ? " aria-sort=\"descending\"" : "", titles[i]);
		fputs("</tr></thead><tbody>\n", file);
		for (i = 0; sites[i]; i++)
			site_print(view, sites[i]);
		fputs("</tbody></table></div>\n", file);
	}
	free(sites);
}

void view_html(const struct view *view)
{
	struct timeline *timeline = timeline_open(view);
	struct drawing drawing = { .file = view->output->file, .view = view, .timeline = timeline };

	drawing.events = timeline_events(timeline, &drawing.event);
	fputs(head, drawing.file);
	counts_print(view);
	violations_print(view);
	timeline_print(&drawing);
	latency_print(&drawing);
	sites_print(view);
	fputs(script, drawing.file);
	fputs("</body>\n</html>\n", drawing.file);
	timeline_close(timeline);
}
