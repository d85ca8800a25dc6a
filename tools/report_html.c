// SPDX-License-Identifier: MIT
/*
 * `spork report --format html`: one file that shows a box in a browser, without the network. Here are the page, its
 * style and script, and what is text and tables; the drawings are SVG of files of their own. The only script sorts the
 * table of sites.
 */
#include "report_html.h"

#include <stdlib.h>
#include <string.h>

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
"  max-width: 76rem; padding: 1rem 1.5rem 4rem; }\n"
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
"td code, summary code { font-size: .95em; } td code, td span { overflow-wrap: anywhere; } .site { min-width: 18rem; }\n"
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

/* ---- what was counted ---- */

static void counts_print(const struct view *view)
{
	const struct box_header *header = &view->box->header;
	uint64_t processes = header->table[BOX_TABLE_PROCESS].used, hidden = view_suppressed(view);
	struct box_totals totals = box_totals(view->box);
	FILE *file = view->output->file;
	uint32_t call, tier;

	fprintf(file,
		"<h1>spork report</h1>\n<p>%llu process%s, %llu spawn%s, %s in spawn calls.</p>\n",
		html_number(processes), processes == 1 ? "" : "es", html_number(totals.spawns),
		plural(totals.spawns), duration_text(totals.ns).text);
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
			"<p>%llu record%s found no room in the box; the counts are exact.</p>\n",
			html_number(view->box->dropped), plural(view->box->dropped));
	if (view->box->unasked)
		fputs("<p>The box was made with events=0: no spawn has an event of its own. The counts are "
		      "exact.</p>\n",
		      file);
	if (hidden)
		fprintf(file, "<p>%llu violation%s suppressed.</p>\n", html_number(hidden),
			hidden == 1 ? " is" : "s are");
	if (!totals.spawns)
		return;
	fputs("<div class=\"wide\"><table><thead><tr><th>call</th><th class=\"n\">spawns</th>",
	      file);
	for (tier = 0; tier < BOX_TIER_COUNT; tier++)
		fprintf(file, "<th class=\"n\">%s</th>", box_tier_name(tier));
	fputs("<th class=\"n\">time</th><th class=\"n\">mean</th></tr></thead><tbody>\n", file);
	for (call = 0; call < BOX_CALL_COUNT; call++) {
		uint64_t count = totals.by_call[call];

		if (!count)
			continue;
		fprintf(file, "<tr><td>%s</td><td class=\"n\">%llu</td>", box_call_name(call),
			html_number(count));
		for (tier = 0; tier < BOX_TIER_COUNT; tier++)
			fprintf(file, "<td class=\"n\">%llu</td>",
				html_number(header->spawns[call][tier]));
		fprintf(file, "<td class=\"n\">%s</td><td class=\"n\">%s</td></tr>\n",
			duration_text(header->spawn_ns[call]).text,
			duration_text(header->spawn_ns[call] / count).text);
	}
	fputs("</tbody></table></div>\n", file);
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
		html_number(violation->count), violation->pid);
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
	fprintf(file, "<td class=\"n\" data-v=\"%llu\">%llu</td>", html_number(value),
		html_number(value));
}

static void quantile_cell(FILE *file, const struct box_site *site, double quantile)
{
	uint64_t ns;

	if (box_quantile(site->latency, quantile, &ns))
		fprintf(file, "<td class=\"n\" data-v=\"%llu\">%s</td>", html_number(ns),
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

	fputs("<tr><td class=\"site\">", file);
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
	FILE *file = view->output->file;

	fputs(head, file);
	counts_print(view);
	violations_print(view);
	html_timeline(view, timeline);
	html_latency(view, timeline);
	sites_print(view);
	fputs(script, file);
	fputs("</body>\n</html>\n", file);
	timeline_close(timeline);
}
