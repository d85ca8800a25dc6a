// SPDX-License-Identifier: MIT
/*
 * `spork bench --format svg`: all results in one drawing, on logarithmic axes. Where a benchmark was measured at
 * several points there are lines over the resident memory, else a row for each case, with a mark for each
 * configuration. Thin lines go from the 10th to the 90th percentile.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* Pixels. */
enum {
	WIDTH = 960,
	MARGIN = 20,
	LEFT = 90,	 /* of lines: where the plot begins */
	RIGHT = 660,	 /* and ends; the legend stands beside */
	HEIGHT = 360,	 /* of the plot */
	LABEL = 270,	 /* of rows: where the plot begins */
	NOTE = 830,	 /* and ends; ratios stand beside */
	LANE = 13,	 /* for a configuration */
	GAP = 9,	 /* between rows */
	LINE = 17,	 /* of text */
	TITLE_ROOM = 36, /* above a plot */
	TICK_ROOM = 74,	 /* a label needs so much */
};

#define HUES 8
#define SERIES (BENCH_CASES * BENCH_CONFIGS)

/* clang-format off */
static const char style[] =
"<style>\n"
".plot { color-scheme: light dark; --back: #fff; --text: #1b1f24; --soft: #5b6570; --line: #d5d9de; --faint: #eceff2;\n"
"  --c0: #c8443c; --c1: #2b8a4b; --c2: #2f6fd0; --c3: #b7791f; --c4: #7a4fc4; --c5: #14858c; --c6: #c2408f; --c7: #667; }\n"
"@media (prefers-color-scheme: dark) { .plot { --back: #15181c; --text: #e4e7eb; --soft: #9aa3ad; --line: #363c44;\n"
"  --faint: #24292f; --c0: #f0766e; --c1: #57c27d; --c2: #6ea4f5; --c3: #e2ae52; --c4: #b394f0; --c5: #4fc3c9;\n"
"  --c6: #f08ac8; --c7: #a4abb5; } }\n"
".plot text { fill: var(--text); font: 12px system-ui, sans-serif; } .plot .title { font-size: 16px; font-weight: 600; }\n"
".plot .soft { fill: var(--soft); } .plot .back { fill: var(--back); } .plot .tick { stroke: var(--line); }\n"
".plot .faint { stroke: var(--faint); } .plot path { fill: none; stroke-width: 2; } .plot .span { stroke-width: 1; opacity: .6; }\n"
".plot .dashed { stroke-dasharray: 5 4; } .plot .hollow { fill: var(--back); stroke-width: 2; }\n"
".h0 { stroke: var(--c0); fill: var(--c0); } .h1 { stroke: var(--c1); fill: var(--c1); }\n"
".h2 { stroke: var(--c2); fill: var(--c2); } .h3 { stroke: var(--c3); fill: var(--c3); }\n"
".h4 { stroke: var(--c4); fill: var(--c4); } .h5 { stroke: var(--c5); fill: var(--c5); }\n"
".h6 { stroke: var(--c6); fill: var(--c6); } .h7 { stroke: var(--c7); fill: var(--c7); }\n"
"</style>\n";
/* clang-format on */

struct axis {
	double low, high; /* of the values */
	double from, to;  /* pixels */
};

static double place(const struct axis *axis, double value)
{
	return axis->from +
	       (axis->to - axis->from) * log(value / axis->low) / log(axis->high / axis->low);
}

/* The next of 1, 2, 5, 10, ... that is not below, or not above. */
static double round_value(double value, bool up)
{
	double power = pow(10, floor(log10(value) + 1e-9)), part = value / power;

	if (up)
		return power * (part <= 1.0001 ? 1 : part <= 2.0001 ? 2 : part <= 5.0001 ? 5 : 10);
	return power * (part >= 4.9999 ? 5 : part >= 1.9999 ? 2 : 1);
}

static void range_add(struct axis *axis, double low, double high)
{
	if (low > 0 && (axis->low <= 0 || low < axis->low))
		axis->low = low;
	if (high > axis->high)
		axis->high = high;
}

static void range_round(struct axis *axis)
{
	axis->low = round_value(axis->low > 0 ? axis->low : 1, false);
	axis->high = round_value(axis->high > axis->low ? axis->high : axis->low * 10, true);
}

static void text_start(FILE *file, double x, double y, const char *anchor, const char *class)
{
	fprintf(file, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"%s\">", x, y, anchor,
		class);
}

static void text_print(FILE *file, double x, double y, const char *anchor, const char *class,
		       const char *text)
{
	text_start(file, x, y, anchor, class);
	html_text(file, text);
	fputs("</text>\n", file);
}

static void line_print(FILE *file, const char *class, double x1, double y1, double x2, double y2)
{
	fprintf(file, "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
		class, x1, y1, x2, y2);
}

static void tick_text(double value, const char *unit, char *text, size_t size)
{
	if (strcmp(unit, "ns"))
		snprintf(text, size, "%g", value);
	else if (value < 1e3)
		snprintf(text, size, "%g ns", value);
	else if (value < 1e6)
		snprintf(text, size, "%g us", value / 1e3);
	else if (value < 1e9)
		snprintf(text, size, "%g ms", value / 1e6);
	else
		snprintf(text, size, "%g s", value / 1e9);
}

/* Lines at 1, 2, 5, 10, ...; all of them have a label where there is room, else those at powers of ten. */
static void ticks_print(FILE *file, const struct axis *axis, const char *unit, bool upright,
			double from, double to)
{
	double room = fabs(axis->to - axis->from) / log10(axis->high / axis->low) / 3.4, value, at;
	bool all = room > (upright ? 18 : TICK_ROOM);
	char text[32];

	for (value = axis->low; value <= axis->high * 1.0001;
	     value = round_value(value * 1.5, true)) {
		bool power = fabs(log10(value) - round(log10(value))) < 1e-6;

		at = place(axis, value);
		if (upright)
			line_print(file, power ? "tick" : "faint", from, at, to, at);
		else
			line_print(file, power ? "tick" : "faint", at, from, at, to);
		if (!power && !all)
			continue;
		tick_text(value, unit, text, sizeof(text));
		if (upright)
			text_print(file, from - 8, at + 4, "end", "soft", text);
		else
			text_print(file, at, to + 16, "middle", "soft", text);
	}
}

static void span_print(FILE *file, unsigned hue, double x1, double y1, double x2, double y2)
{
	char class[16];

	snprintf(class, sizeof(class), "span h%u", hue % HUES);
	line_print(file, class, x1, y1, x2, y2);
}

/* Left open for a title. */
static void mark_start(FILE *file, double x, double y, unsigned hue, bool hollow)
{
	fprintf(file, "<circle class=\"h%u%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%s\">", hue % HUES,
		hollow ? " hollow" : "", x, y, hollow ? "3.2" : "3.6");
}

static void title_print(FILE *file, const struct bench_result *result, unsigned measure, double top)
{
	static const struct {
		const char *name, *title;
	} titles[] = {
		{ "call", "time that the call holds its caller" },
		{ "total", "time until the child was waited for" },
		{ "rate", "spawns per second, of a thread for each core" },
	};
	const struct bench *bench = result->bench;
	const char *title = bench->unit;
	char point[160];
	size_t i;

	for (i = 0; i < sizeof(titles) / sizeof(*titles); i++)
		if (!strcmp(bench->measures[measure].name, titles[i].name))
			title = titles[i].title;
	text_start(file, MARGIN, top + LINE - 2, "start", "title");
	fprintf(file, "%s: %s</text>\n", bench->name, title);
	if (!bench->of_points)
		return;
	bench_point_text(result, point, sizeof(point));
	text_print(file, WIDTH - MARGIN, top + LINE - 2, "end", "soft", point);
}

/* ---- lines over the resident memory ---- */

struct series {
	unsigned which, config;
	double last; /* value; the legend has the order of the lines' ends */
};

static int by_last(const void *a, const void *b)
{
	double x = ((const struct series *)a)->last, y = ((const struct series *)b)->last;

	return (x < y) - (x > y);
}

static unsigned series_gather(struct bench_result *const *results, unsigned count, unsigned measure,
			      struct series *series, struct axis *x, struct axis *y)
{
	const struct bench *bench = results[0]->bench;
	const struct bench_figure *figure;
	unsigned which, config, found = 0, i;

	for (which = 0; bench->cases[which].name; which++)
		for (config = 0; bench->configs[config].name; config++) {
			double last = 0;

			for (i = 0; i < count; i++) {
				figure = &results[i]->figure[which][config][measure];
				if (!figure->count)
					continue;
				last = figure->p50;
				range_add(x, (double)results[i]->resident,
					  (double)results[i]->resident);
				range_add(y, figure->p10, figure->p90);
			}
			if (last > 0)
				series[found++] = (struct series){ which, config, last };
		}
	qsort(series, found, sizeof(*series), by_last);
	return found;
}

/* `aside`: pixels by which the percentiles stand beside, so that none hides another's. */
static void series_print(FILE *file, struct bench_result *const *results, unsigned count,
			 unsigned measure, const struct series *series, const struct axis *x,
			 const struct axis *y, double aside)
{
	const struct bench *bench = results[0]->bench;
	const char *join = "M";
	unsigned i;

	fprintf(file, "<path class=\"h%u%s\" style=\"fill:none\" d=\"", series->which % HUES,
		series->config ? "" : " dashed");
	for (i = 0; i < count; i++) {
		const struct bench_figure *figure =
			&results[i]->figure[series->which][series->config][measure];

		if (!figure->count)
			continue;
		fprintf(file, "%s%.1f %.1f", join, place(x, (double)results[i]->resident),
			place(y, figure->p50));
		join = " L";
	}
	fputs("\"/>\n", file);
	for (i = 0; i < count; i++) {
		const struct bench_figure *figure =
			&results[i]->figure[series->which][series->config][measure];
		double at = place(x, (double)results[i]->resident);

		if (!figure->count)
			continue;
		span_print(file, series->which, at + aside, place(y, figure->p10), at + aside,
			   place(y, figure->p90));
		mark_start(file, at, place(y, figure->p50), series->which, !series->config);
		fprintf(file, "<title>%s, %s, %s resident: %s</title></circle>\n",
			bench->cases[series->which].title, bench->configs[series->config].name,
			bench_size(results[i]->resident).text,
			duration_text((uint64_t)figure->p50).text);
	}
}

static void legend_print(FILE *file, const struct bench *bench, const struct series *series,
			 unsigned count, double y)
{
	unsigned i;

	for (i = 0; i < count; i++, y += LINE + 4) {
		fprintf(file, "<path class=\"h%u%s\" style=\"fill:none\" d=\"M%d %.1f H%d\"/>\n",
			series[i].which % HUES, series[i].config ? "" : " dashed", RIGHT + 24, y,
			RIGHT + 56);
		fprintf(file, "<circle class=\"h%u%s\" cx=\"%d\" cy=\"%.1f\" r=\"3.4\"/>\n",
			series[i].which % HUES, series[i].config ? "" : " hollow", RIGHT + 40, y);
		text_start(file, RIGHT + 66, y + 4, "start", "");
		fprintf(file, "%s: %s</text>\n", bench->cases[series[i].which].title,
			bench->configs[series[i].config].name);
	}
}

/* The sizes that were measured are the ticks, but those that come too close to the one before. */
static void sizes_print(FILE *file, struct bench_result *const *results, unsigned count,
			const struct axis *x, double top)
{
	double before = -TICK_ROOM, at;
	unsigned i;

	for (i = 0; i < count; i++) {
		at = place(x, (double)results[i]->resident);
		line_print(file, "tick", at, top, at, top + HEIGHT);
		if (fabs(at - before) < TICK_ROOM)
			continue;
		before = at;
		text_print(file, at, top + HEIGHT + 16, "middle", "soft",
			   bench_size(results[i]->resident).text);
	}
	text_print(file, (LEFT + RIGHT) / 2.0, top + HEIGHT + 36, "middle", "soft",
		   "resident memory of the process that spawns");
}

/* Returns the height; without a file it only tells it. */
static double lines_panel(FILE *file, struct bench_result *const *results, unsigned count,
			  unsigned measure, double top)
{
	const struct bench *bench = results[0]->bench;
	struct axis x = { 0, 0, LEFT + 16, RIGHT - 16 };
	struct axis y = { 0, 0, top + TITLE_ROOM + HEIGHT, top + TITLE_ROOM };
	struct series series[SERIES];
	unsigned found = series_gather(results, count, measure, series, &x, &y), i;
	double plot = top + TITLE_ROOM, legend = found * (LINE + 4.0);

	legend = legend > HEIGHT ? legend : HEIGHT;
	if (!found)
		return 0;
	if (!file)
		return TITLE_ROOM + legend + 56;
	if (x.high <= x.low)
		x.high = x.low * 2;
	range_round(&y);
	title_print(file, results[0], measure, top);
	ticks_print(file, &y, bench->measures[measure].unit, true, LEFT, RIGHT);
	sizes_print(file, results, count, &x, plot);
	for (i = found; i-- > 0;)
		series_print(file, results, count, measure, &series[i], &x, &y,
			     2.0 * i - found + 1.0);
	legend_print(file, bench, series, found, plot + 10);
	return TITLE_ROOM + legend + 56;
}

/* ---- a row for each case ---- */

static unsigned lanes_of(const struct bench_result *result, unsigned which, unsigned measure,
			 struct axis *x)
{
	const struct bench_figure *figure;
	unsigned config, lanes = 0;

	for (config = 0; result->bench->configs[config].name; config++) {
		figure = &result->figure[which][config][measure];
		if (!figure->count)
			continue;
		range_add(x, figure->p10, figure->p90);
		lanes++;
	}
	return lanes;
}

static void ratio_text(const struct bench_ratio *ratio, char *text, size_t size)
{
	if (!ratio->known)
		*text = '\0';
	else if (ratio->scattered)
		snprintf(text, size, "scatters");
	else
		snprintf(text, size, "%s x", bench_ratio_text(ratio->p50).text);
}

static void row_print(FILE *file, const struct bench_result *result, unsigned which,
		      unsigned measure, const struct axis *x, double y)
{
	const struct bench *bench = result->bench;
	const struct bench_figure *figure;
	unsigned config;
	char text[48];

	for (config = 0; bench->configs[config].name; config++) {
		figure = &result->figure[which][config][measure];
		if (!figure->count)
			continue;
		span_print(file, config, place(x, figure->p10), y, place(x, figure->p90), y);
		mark_start(file, place(x, figure->p50), y, config, !config);
		fprintf(file, "<title>%s, %s: %.1f %s</title></circle>\n",
			bench->cases[which].title, bench->configs[config].name, figure->p50,
			bench->measures[measure].unit);
		ratio_text(&figure->ratio, text, sizeof(text));
		if (config)
			text_print(file, WIDTH - MARGIN, y + 4, "end", "soft", text);
		y += LANE;
	}
}

static void key_print(FILE *file, const struct bench_result *result, double y)
{
	const struct bench *bench = result->bench;
	char resident[64];
	unsigned config;
	double x = LABEL;

	for (config = 0; bench->configs[config].name; config++) {
		fprintf(file, "<circle class=\"h%u%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.4\"/>\n",
			config % HUES, config ? "" : " hollow", x, y - 4);
		text_print(file, x + 9, y, "start", "", bench->configs[config].name);
		x += 30 + 8.0 * (double)strlen(bench->configs[config].name);
	}
	text_print(file, WIDTH - MARGIN, y, "end", "soft", "to bare");
	if (result->bench->of_points) {
		snprintf(resident, sizeof(resident), "%s resident",
			 bench_size(result->resident).text);
		text_print(file, MARGIN, y, "start", "soft", resident);
	}
}

static double rows_panel(FILE *file, const struct bench_result *result, unsigned measure,
			 double top)
{
	const struct bench *bench = result->bench;
	struct axis x = { 0, 0, LABEL, NOTE };
	double first = top + 2 * LINE + 16, y = first;
	unsigned which, lanes;

	for (which = 0; bench->cases[which].name; which++) {
		lanes = lanes_of(result, which, measure, &x);
		y += lanes ? lanes * LANE + GAP : 0;
	}
	if (y == first || !file)
		return y == first ? 0 : y - top + 44;
	range_round(&x);
	title_print(file, result, measure, top);
	key_print(file, result, top + 2 * LINE);
	ticks_print(file, &x, bench->measures[measure].unit, false, first - 8, y - GAP + 4);
	for (y = first, which = 0; bench->cases[which].name; which++) {
		struct axis unused = { 0 };

		lanes = lanes_of(result, which, measure, &unused);
		if (!lanes)
			continue;
		text_print(file, LABEL - 12, y + 4, "end", "", bench->cases[which].title);
		row_print(file, result, which, measure, &x, y);
		y += lanes * LANE + GAP;
	}
	return y - top + 44;
}

/* ---- all of it ---- */

static double panels(FILE *file, struct bench_result *const *results, unsigned count, double top)
{
	unsigned i, same, measure;

	for (i = 0; i < count; i += same) {
		const struct bench *bench = results[i]->bench;

		for (same = 1; i + same < count && results[i + same]->bench == bench;)
			same++;
		for (measure = 0; bench->measures[measure].name; measure++)
			if (!strcmp(bench->measures[measure].unit, "faults"))
				continue;
			else if (same > 1)
				top += lines_panel(file, &results[i], same, measure, top);
			else
				top += rows_panel(file, results[i], measure, top);
	}
	return top;
}

static double head_print(FILE *file, double top)
{
	const struct bench_machine *machine = bench_machine();
	char facts[512];

	text_print(file, MARGIN, top + 16, "start", "title", "spork bench");
	snprintf(facts, sizeof(facts), "%s %s, %ld cores, %s", machine->kernel, machine->machine,
		 machine->cores, machine->cpu);
	text_print(file, MARGIN, top + 38, "start", "soft", facts);
	snprintf(facts, sizeof(facts),
		 "glibc %s; transparent huge pages: %s; overcommit: %d; governor: %s; load: %.2f. "
		 "Medians; thin lines from the 10th to the 90th percentile.",
		 machine->glibc, machine->thp, machine->overcommit, machine->governor,
		 machine->load);
	text_print(file, MARGIN, top + 38 + LINE, "start", "soft", facts);
	return top + 38 + LINE + 26;
}

void bench_print_svg(struct bench_result *const *results, unsigned count, FILE *file)
{
	double height = panels(NULL, results, count, MARGIN + 38 + LINE + 26);

	fprintf(file,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"plot\" viewBox=\"0 0 %d %.0f\" "
		"width=\"%d\" height=\"%.0f\" role=\"img\" aria-label=\"spork bench\">\n",
		WIDTH, height, WIDTH, height);
	fputs(style, file);
	fputs("<rect class=\"back\" width=\"100%\" height=\"100%\"/>\n", file);
	panels(file, results, count, head_print(file, MARGIN));
	fputs("</svg>\n", file);
}
