/* SPDX-License-Identifier: MIT */
/*
 * What the parts of `spork report --format html` share: report_html.c the page, report_timeline.c the drawing of
 * spawns by process and time, report_latency.c the histograms.
 *
 * Whatever comes from the box is written by html_text() alone, never into an attribute, a script or a style.
 */
#ifndef SPORK_REPORT_HTML_H
#define SPORK_REPORT_HTML_H

#include "tool.h"

/* Of tiers that are told apart: the last is for what a damaged box has. */
#define HTML_TIERS (BOX_TIER_COUNT + 1)

_Static_assert(HTML_TIERS == 5, "the style sheet has a colour for each tier: t0 to t4");

static inline uint32_t html_tier(uint32_t tier)
{
	return tier < BOX_TIER_COUNT ? tier : BOX_TIER_COUNT;
}

/* For "%llu". */
static inline unsigned long long html_number(uint64_t value)
{
	return value;
}

/* Text from outside: neither markup nor control characters. */
void html_text(FILE *file, const char *string);

void html_timeline(const struct view *view, const struct timeline *timeline);
void html_latency(const struct view *view, const struct timeline *timeline);

#endif
