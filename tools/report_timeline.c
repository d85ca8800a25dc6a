// SPDX-License-Identifier: MIT
/*
 * The drawing of the HTML report: spawns by process and time, in a lane for each tier. What is too much to be drawn one
 * by one is summed up here, so that the page stays small.
 */
#include <stdlib.h>
#include <string.h>

#include "report_html.h"

/* More spawns than that are not drawn one by one. */
#define MARKS 4000
#define ROWS 40

/* Pixels, before the browser makes them fit. */
enum { WIDTH = 1000, LABEL = 180, ROW = 20 };

/* A process that spawned. */
struct row {
	uint32_t pid;
	uint32_t at; /* place in the drawing */
	size_t spawns;
	uint64_t first_ns;
	const struct process *process;
};

struct drawing {
	FILE *file;
	const struct view *view;
	const struct timeline *timeline;
	const struct box_event *const *event;
	size_t events;
	uint64_t start_ns, length_ns;
	struct row row[ROWS]; /* of those that spawned most, by pid */
	uint32_t rows;
	size_t rest; /* processes that share one row below these */
};

static uint32_t rows_drawn(const struct drawing *drawing)
{
	return drawing->rows + !!drawing->rest;
}

static int row_by_pid(const void *left, const void *right)
{
	const struct row *a = left, *b = right;

	return a->pid < b->pid ? -1 : a->pid > b->pid;
}

static int row_by_time(const void *left, const void *right)
{
	const struct row *a = *(struct row *const *)left, *b = *(struct row *const *)right;

	if (a->first_ns != b->first_ns)
		return a->first_ns < b->first_ns ? -1 : 1;
	return row_by_pid(a, b);
}

static int pid_order(const void *left, const void *right)
{
	uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;

	return a < b ? -1 : a > b;
}

/* NULL: it is one of the rest. */
static struct row *row_find(struct drawing *drawing, uint32_t pid)
{
	struct row wanted = { .pid = pid };

	return bsearch(&wanted, drawing->row, drawing->rows, sizeof(wanted), row_by_pid);
}

static uint32_t row_of(struct drawing *drawing, uint32_t pid)
{
	const struct row *row = row_find(drawing, pid);

	return row ? row->at : drawing->rows;
}

/* A process gets a row if none of ROWS others spawned more. */
static void row_offer(struct drawing *drawing, uint32_t pid, size_t spawns)
{
	struct row *row = drawing->row;
	uint32_t at = drawing->rows;

	if (at == ROWS && row[at - 1].spawns >= spawns)
		return;
	if (at < ROWS)
		drawing->rows++;
	else
		at--;
	for (; at && row[at - 1].spawns < spawns; at--)
		row[at] = row[at - 1];
	row[at] = (struct row){ .pid = pid, .spawns = spawns };
}

/* Chooses the rows, by the number of spawns; the last gives way to the rest, where there is one. */
static void rows_choose(struct drawing *drawing)
{
	uint32_t *pid = calloc(drawing->events + 1, sizeof(*pid));
	size_t processes = 0, from = 0, i;

	if (!pid)
		abort();
	for (i = 0; i < drawing->events; i++)
		pid[i] = drawing->event[i]->pid;
	qsort(pid, drawing->events, sizeof(*pid), pid_order);
	for (i = 1; i <= drawing->events; i++) {
		if (i < drawing->events && pid[i] == pid[from])
			continue;
		row_offer(drawing, pid[from], i - from);
		processes++;
		from = i;
	}
	free(pid);
	drawing->rows -= processes > ROWS;
	drawing->rest = processes - drawing->rows;
	qsort(drawing->row, drawing->rows, sizeof(*drawing->row), row_by_pid);
}

/* Rows stand in the order in which their processes spawned first. */
static void rows_place(struct drawing *drawing)
{
	struct row *order[ROWS];
	uint32_t found = 0, i;
	size_t at;

	for (at = 0; at < drawing->events && found < drawing->rows; at++) {
		const struct box_event *event = drawing->event[at];
		struct row *row = row_find(drawing, event->pid);

		if (!row || row->process)
			continue;
		row->first_ns = event->time_ns;
		row->process = timeline_process(drawing->timeline, event->pid, event->time_ns);
		order[found++] = row;
	}
	qsort(order, found, sizeof(*order), row_by_time);
	for (i = 0; i < found; i++)
		order[i]->at = i;
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
		double x = LABEL + tick / 5.0 * (WIDTH - LABEL);
		uint64_t ns = drawing->start_ns - origin + drawing->length_ns / 5 * tick;

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
	size_t spawns = drawing->events;
	FILE *file = drawing->file;
	uint32_t i;

	for (i = 0; i < drawing->rows; i++) {
		const struct row *row = &drawing->row[i];
		char name[32];

		snprintf(name, sizeof(name), "%.16s",
			 process_name(drawing->view->box, row->process));
		fprintf(file, "<text x=\"0\" y=\"%u\">", row->at * ROW + 14);
		html_text(file, name);
		fprintf(file, " %u<title>%zu spawn%s</title></text>\n", row->pid, row->spawns,
			plural(row->spawns));
		spawns -= row->spawns;
	}
	if (drawing->rest)
		fprintf(file,
			"<text x=\"0\" y=\"%u\">%zu more processes<title>%zu spawn%s</title></text>\n",
			drawing->rows * ROW + 14, drawing->rest, spawns, plural(spawns));
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

static void events_print(struct drawing *drawing)
{
	size_t i;

	for (i = 0; i < drawing->events; i++) {
		const struct box_event *event = drawing->event[i];
		double x = time_part(drawing, event->time_ns);
		double width = (double)event->duration_ns / (double)drawing->length_ns;

		width = width > 1 - x ? 1 - x : width;
		width *= WIDTH - LABEL;
		mark_print(drawing, row_of(drawing, event->pid), html_tier(event->tier), x,
			   width < 1.5 ? 1.5 : width, 1);
		fprintf(drawing->file, "%s by %s, %s, child %u</title></rect>\n",
			box_call_name(event->call), box_tier_name(event->tier),
			duration_text(event->duration_ns).text, event->child);
	}
}

/* Many spawns: a mark stands for those of one tier in a stretch of time. Returns the number of stretches. */
static uint32_t bins_print(struct drawing *drawing)
{
	uint32_t drawn = rows_drawn(drawing), bins = MARKS / drawn, at, bin, tier;
	uint32_t *count, most = 0;
	uint64_t *ns;
	size_t cells, i;

	bins = bins > 400 ? 400 : bins;
	cells = (size_t)drawn * bins * HTML_TIERS;
	count = calloc(cells, sizeof(*count));
	ns = calloc(cells, sizeof(*ns));
	if (!count || !ns)
		abort();
	for (i = 0; i < drawing->events; i++) {
		const struct box_event *event = drawing->event[i];

		bin = (uint32_t)(time_part(drawing, event->time_ns) * bins);
		bin = bin < bins ? bin : bins - 1;
		at = row_of(drawing, event->pid);
		cells = ((size_t)at * bins + bin) * HTML_TIERS + html_tier(event->tier);
		count[cells]++;
		ns[cells] += event->duration_ns;
		most = count[cells] > most ? count[cells] : most;
	}
	for (at = 0, cells = 0; at < drawn; at++) {
		for (bin = 0; bin < bins; bin++) {
			for (tier = 0; tier < HTML_TIERS; tier++, cells++) {
				if (!count[cells])
					continue;
				mark_print(drawing, at, tier, (double)bin / bins,
					   (double)(WIDTH - LABEL) / bins,
					   0.5 + 0.5 * count[cells] / most);
				fprintf(drawing->file,
					"%u spawn%s by %s, %s each on average</title></rect>\n",
					count[cells], plural(count[cells]), box_tier_name(tier),
					duration_text(ns[cells] / count[cells]).text);
			}
		}
	}
	free(count);
	free(ns);
	return bins;
}

static void key_print(FILE *file)
{
	uint32_t tier;

	fputs("<p class=\"soft\">Tier:", file);
	for (tier = 0; tier < BOX_TIER_COUNT; tier++)
		fprintf(file, "<span class=\"key t%u\"></span>%s", tier, box_tier_name(tier));
	fputs("</p>\n", file);
}

/* Where the drawing begins and ends. */
static void time_find(struct drawing *drawing)
{
	uint64_t end = 0, ends;
	size_t i;

	drawing->start_ns = drawing->event[0]->time_ns;
	for (i = 0; i < drawing->events; i++) {
		const struct box_event *event = drawing->event[i];

		if (__builtin_add_overflow(event->time_ns, event->duration_ns, &ends))
			ends = UINT64_MAX;
		end = ends > end ? ends : end;
	}
	drawing->length_ns = end > drawing->start_ns ? end - drawing->start_ns : 1;
}

static void svg_print(struct drawing *drawing, uint32_t *bins)
{
	uint32_t height = rows_drawn(drawing) * ROW, at;
	FILE *file = drawing->file;

	fprintf(file,
		"<svg id=\"timeline\" role=\"img\" aria-label=\"spawns by process and time\" "
		"viewBox=\"0 0 %d %u\">\n",
		WIDTH, height + 20);
	for (at = 0; at < rows_drawn(drawing); at += 2)
		fprintf(file,
			"<rect class=\"band\" x=\"0\" y=\"%u\" width=\"%d\" height=\"%d\"/>\n",
			at * ROW, WIDTH, ROW);
	axis_print(drawing, height);
	labels_print(drawing);
	*bins = drawing->events > MARKS ? bins_print(drawing) : 0;
	if (!*bins)
		events_print(drawing);
	fputs("</svg>\n", file);
}

void html_timeline(const struct view *view, const struct timeline *timeline)
{
	struct drawing drawing = { .file = view->output->file, .view = view, .timeline = timeline };
	FILE *file = drawing.file;
	uint32_t bins;

	fputs("<h2>Spawns</h2>\n", file);
	drawing.events = timeline_events(timeline, &drawing.event);
	if (!drawing.events) {
		fputs("<p>No spawn was recorded.</p>\n", file);
		return;
	}
	rows_choose(&drawing);
	rows_place(&drawing);
	time_find(&drawing);
	key_print(file);
	svg_print(&drawing, &bins);
	if (bins)
		fprintf(file,
			"<p class=\"soft\">%zu spawns are too many to be drawn one by one: a mark stands "
			"for those of one tier within %s, and is the stronger the more there are.</p>\n",
			drawing.events, duration_text(drawing.length_ns / bins).text);
	if (timeline_lost(view->box))
		fprintf(file,
			"<p class=\"soft\">%llu spawn%s found no room in the box: neither the timeline nor "
			"the latencies have them. The option events makes more room.</p>\n",
			html_number(timeline_lost(view->box)), plural(timeline_lost(view->box)));
}
