// SPDX-License-Identifier: MIT
/*
 * `spork sites BOX|PROFILE`: the call sites that made processes, with state, reason, tiers, latency and the
 * writes that were learned.
 */
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "tool.h"

static const struct option_row options[] = {
	OUTPUT_OPTIONS("standard output"),
	SYMBOL_OPTIONS,
	{ 0 },
};

static const char *const description[] = {
	"Prints a table of the call sites in a box or in a profile, those with most spawns first. A site is a "
	"place in a program that makes processes, told apart by the calls that led there.",
	"For each site there is its address in its file, function and line; the call; its state "
	"and, where it is not promoted, the reason; how many spawns there were, and by which "
	"tier; how many children became real forks within their window (upgrades); the median "
	"and the 99th percentile of the time that the call held its caller; and what children "
	"write before exec, as far as that was learned.",
	"Lean children are real forks whose parent's large mappings are left out: \"lean\" tells how many pages they fetched "
	"of them, each, and \"not lean\" why the site's others are none.",
	"Below a site that is not promoted, or whose forks are not all fast, \"needed\" tells what would have to change.",
	NULL,
};

static const struct note environment[] = {
	{ "NO_COLOR", "If set and not empty, there is no colour unless --color asks for it." },
	{ "DEBUGINFOD_URLS", "Servers to ask, with --debuginfod only." },
	{ 0 },
};

static const struct note exits[] = {
	{ "0", "The box was read." },
	{ "125", "It could not be read, or the command line is wrong." },
	{ 0 },
};

static const struct note examples[] = {
	{ "spork sites app.box", "See which call sites were promoted, and why others were not." },
	{ 0 },
};

/* Strings of each row, so that columns can be as wide as they must. */
enum { COLUMNS = 11, COUNTS = 3, CELL = 80, NAME_LEAST = 12 };

static const char *const titles[COLUMNS] = {
	"site", "call",	 "state",    "spawns", "fork", "vfork",
	"lean", "spawn", "upgrades", "p50",    "p99",
};

struct row {
	char cell[COLUMNS][CELL];
};

static void quantile_cell(char *cell, const struct box_site *site, double quantile)
{
	uint64_t ns;

	if (box_quantile(site->latency, quantile, &ns))
		snprintf(cell, CELL, "%s", duration_text(ns).text);
	else
		snprintf(cell, CELL, "-");
}

static void count_cell(char *cell, uint64_t count)
{
	snprintf(cell, CELL, "%llu", (unsigned long long)count);
}

static void row_fill(struct row *row, const struct box *box, const struct box_site *site)
{
	const struct box_frame *frame = &site->frame[0];
	const struct box_module *module = box_module(box, frame->module);
	uint32_t tier;

	if (module && module->path[0])
		snprintf(row->cell[0], CELL, "%.56s+0x%llx", path_base(module->path),
			 (unsigned long long)frame->offset);
	else
		snprintf(row->cell[0], CELL, "0x%llx", (unsigned long long)frame->addr);
	snprintf(row->cell[1], CELL, "%s", box_call_name(site->call));
	snprintf(row->cell[2], CELL, "%s", box_site_state_name(site->state));
	count_cell(row->cell[3], site->spawns);
	for (tier = 0; tier < BOX_TIER_COUNT; tier++)
		count_cell(row->cell[4 + tier], site->by_tier[tier]);
	count_cell(row->cell[8], site->upgrades);
	quantile_cell(row->cell[9], site, 0.5);
	quantile_cell(row->cell[10], site, 0.99);
}

static bool is_word(int column)
{
	return column < COUNTS;
}

/* Words to the left, numbers to the right. */
static void row_print(const struct row *row, const int *width, FILE *file)
{
	int i, pad;

	for (i = 0; i < COLUMNS; i++) {
		if (!width[i])
			continue;
		pad = width[i] - (int)strlen(row->cell[i]);
		if (i)
			fputs("  ", file);
		if (!is_word(i))
			fprintf(file, "%*s", pad, "");
		print_clean(file, row->cell[i]);
		if (is_word(i))
			fprintf(file, "%*s", pad, "");
	}
	fputc('\n', file);
}

static int table_width(const int *width)
{
	int sum = -2, i;

	for (i = 0; i < COLUMNS; i++)
		sum += width[i] ? width[i] + 2 : 0;
	return sum;
}

/* Of a name that is too long the end tells more: the place in the file. */
static void cell_shorten(char *cell, int width)
{
	size_t length = strlen(cell);

	if (length > (size_t)width)
		memmove(cell, cell + length - (size_t)width, (size_t)width + 1);
}

/* Columns that say nothing give way first, then names. A width of zero: the column is not shown. */
static void table_fit(struct row *rows, size_t count, int *width, int limit)
{
	bool empty;
	size_t at;
	int i;

	for (i = COLUMNS - 1; i >= COUNTS && table_width(width) > limit; i--) {
		for (at = 1, empty = true; at <= count && empty; at++)
			empty = !strcmp(rows[at].cell[i], "0") || !strcmp(rows[at].cell[i], "-");
		if (empty)
			width[i] = 0;
	}
	if (table_width(width) <= limit)
		return;
	width[0] -= table_width(width) - limit;
	if (width[0] < NAME_LEAST)
		width[0] = NAME_LEAST;
	for (at = 0; at <= count; at++)
		cell_shorten(rows[at].cell[0], width[0]);
}

static void write_print(const struct view *view, const struct box_write *write,
			const struct place *place)
{
	FILE *file = view->output->file;

	fprintf(file, "    writes %u byte%s at ", write->size, write->size == 1 ? "" : "s");
	if (!write->module) {
		fprintf(file, "%lld in thread-local storage", (long long)write->offset);
	} else if (place->symbol) {
		print_clean(file, place->symbol);
		if (place->into)
			fprintf(file, "+%llu", (unsigned long long)place->into);
		fputs(" in ", file);
		print_clean(file, path_base(place->module));
	} else {
		print_clean(file, place->module ? path_base(place->module) : "?");
		fprintf(file, "+0x%llx", (unsigned long long)write->offset);
	}
	fputc('\n', file);
}

static void reason_print(const struct view *view, const struct box_site *site)
{
	FILE *file = view->output->file;

	if (site->reason == BOX_REASON_NONE)
		return;
	fprintf(file, "    %s: %s", box_reason_name(site->reason), box_reason_text(site->reason));
	if (site->function[0]) {
		fputs(": ", file);
		print_clean(file, site->function);
		fputs(" called in ", file);
		view_print_code(view, file, &site->finding);
	} else if (site->finding.addr || site->finding.module) {
		fputs(", at ", file);
		view_print_data(view, file, &site->finding);
	}
	fputc('\n', file);
}

static void advice_print(const struct view *view, const char *advice)
{
	FILE *file = view->output->file;

	if (advice)
		output_wrap(file, advice, 12, fprintf(file, "    needed: "), view->output->width);
}

/* How much its lean children fetched, and why others of its children are none. */
static void lean_print(FILE *file, const struct box_site *site)
{
	uint32_t reason = site->lean_reason ? site->lean_reason : site->lean_fallback;
	uint64_t children = site->by_tier[BOX_TIER_LEAN];

	if (children)
		fprintf(file, "    lean: %.1f pages fetched by a child\n",
			(double)site->lean_pages / (double)children);
	else if (site->lean_seen && !reason)
		fprintf(file, "    not lean yet: %u children were seen to execute\n",
			site->lean_seen);
	if (reason)
		fprintf(file, "    not lean: %s: %s", box_reason_name(reason),
			box_reason_text(reason));
	if (reason == BOX_REASON_DEADLINE && site->lean_reason)
		fprintf(file, "; tried again at spawn %llu", (unsigned long long)site->lean_again);
	if (reason)
		fputc('\n', file);
}

static void details_print(const struct view *view, const struct box_site *site)
{
	struct box_write rest, piece;
	char *advice = advice_site(site);
	const struct place *at;
	struct place place;
	FILE *file = view->output->file;
	uint32_t i;

	for (i = 0; i < site->frames; i++) {
		place = symbols_code(view->symbols, &site->frame[i]);
		for (at = &place; at; at = at->outer) {
			fputs(i || at != &place ? "         " : "    from ", file);
			view_print_frame(file, &site->frame[i], at);
			fputc('\n', file);
		}
	}
	reason_print(view, site);
	advice_print(view, advice);
	free(advice);
	if (site->fallbacks) {
		fprintf(file, "    %llu still by fork: %s: %s\n",
			(unsigned long long)site->fallbacks, box_reason_name(site->fallback_reason),
			box_reason_text(site->fallback_reason));
		advice_print(view, advice_reason(site->fallback_reason));
	}
	lean_print(file, site);
	for (i = 0; i < site->writes; i++)
		for (rest = site->write[i]; symbols_piece(view->symbols, &rest, &piece, &place);)
			write_print(view, &piece, &place);
	for (i = 0; i < site->stack_writes; i++)
		fprintf(file, "    writes %u bytes of its callers' frames, %u above the fork\n",
			site->stack_write[i].size, site->stack_write[i].offset);
	if (site->environment)
		fputs("    replaces environ\n", file);
	if (site->got)
		fputs("    binds functions (GOT), which needs no undo\n", file);
}

static void sites_print(const struct view *view)
{
	const struct box_site **sites = box_sites_sorted(view->box);
	int width[COLUMNS], i;
	struct row *rows;
	size_t count = 0, at;

	while (sites[count])
		count++;
	rows = calloc(count + 1, sizeof(*rows));
	if (!rows)
		abort();
	for (i = 0; i < COLUMNS; i++)
		snprintf(rows[0].cell[i], CELL, "%s", titles[i]);
	for (at = 0; at < count; at++)
		row_fill(&rows[at + 1], view->box, sites[at]);
	for (i = 0; i < COLUMNS; i++) {
		width[i] = 0;
		for (at = 0; at <= count; at++)
			if (width[i] < (int)strlen(rows[at].cell[i]))
				width[i] = (int)strlen(rows[at].cell[i]);
	}
	if (view->output->width)
		table_fit(rows, count, width, view->output->width);
	if (!count)
		fputs("no sites: nothing made a process, or the shim was not loaded\n",
		      view->output->file);
	for (at = 0; count && at <= count; at++) {
		if (!at || sites[at - 1]->state >= BOX_SITE_REFUSED)
			output_style(view->output, at ? STYLE_YELLOW : STYLE_BOLD);
		row_print(&rows[at], width, view->output->file);
		output_style(view->output, STYLE_PLAIN);
		if (at)
			details_print(view, sites[at - 1]);
	}
	free(rows);
	free(sites);
}

static int sites_main(int argc, char **argv)
{
	struct output output = { 0 };
	struct view view = { .output = &output };
	int option, status = 0;

	while (!status && (option = option_next(&sites_command, argc, argv)) != OPTION_END)
		status = option == OPTION_BAD ? STATUS_FAILED :
						display_option(&output, option, optarg);
	if (status)
		return status;
	return view_show(&view, "sites", argc, argv, sites_print, view_json_sites);
}

const struct command sites_command = {
	.name = "sites",
	.summary = "show the call sites of a box or a profile, their tier and why",
	.operands = "BOX|PROFILE",
	.options = options,
	.description = description,
	.environment = environment,
	.exits = exits,
	.examples = examples,
	.run = sites_main,
};
