// SPDX-License-Identifier: MIT
/*
 * The histograms of the HTML report: for each call, how long it held its callers, by tier.
 */
#include <string.h>

#include "report_html.h"

/* Pixels, before the browser makes them fit. */
enum { BAR_HEIGHT = 120, HISTOGRAM = 360 };

static void histogram_bars(FILE *file, uint32_t latency[][HTML_TIERS], uint32_t low, uint32_t high,
			   uint32_t most)
{
	double width = (double)HISTOGRAM / (high - low + 1);
	uint32_t bucket, tier;

	for (bucket = low; bucket <= high; bucket++) {
		double y = BAR_HEIGHT, x = (bucket - low) * width;

		for (tier = 0; tier < HTML_TIERS; tier++) {
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

static void histogram_print(FILE *file, uint32_t call, uint32_t latency[][HTML_TIERS])
{
	uint32_t total[BOX_BUCKETS] = { 0 }, bucket, tier, most = 0, low = BOX_BUCKETS, high = 0;
	uint64_t p50, p99, count = 0;
	uint32_t tick;

	for (bucket = 0; bucket < BOX_BUCKETS; bucket++) {
		for (tier = 0; tier < HTML_TIERS; tier++)
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
		"<div><h3>%s</h3><p class=\"soft\">%llu spawn%s, median %s, 99th percentile %s; "
		"the highest bar stands for %u</p>\n"
		"<svg role=\"img\" aria-label=\"latency histogram\" viewBox=\"0 0 %d %d\">\n",
		box_call_name(call), html_number(count), plural(count), duration_text(p50).text,
		duration_text(p99).text, most, HISTOGRAM, BAR_HEIGHT + 20);
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

void html_latency(const struct view *view, const struct timeline *timeline)
{
	const struct box_event *const *event;
	size_t events = timeline_events(timeline, &event), i;
	static uint32_t latency[BOX_CALL_COUNT + 1][BOX_BUCKETS][HTML_TIERS];
	FILE *file = view->output->file;
	uint32_t call;

	if (!events)
		return;
	memset(latency, 0, sizeof(latency));
	for (i = 0; i < events; i++) {
		call = event[i]->call < BOX_CALL_COUNT ? event[i]->call : BOX_CALL_COUNT;
		latency[call][box_bucket(event[i]->duration_ns)][html_tier(event[i]->tier)]++;
	}
	fputs("<h2>How long calls held their callers</h2>\n<div class=\"charts\">\n", file);
	for (call = 0; call <= BOX_CALL_COUNT; call++)
		histogram_print(file, call, latency[call]);
	fputs("</div>\n", file);
}
