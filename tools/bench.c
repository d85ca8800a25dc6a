// SPDX-License-Identifier: MIT
/*
 * `spork bench`: what the shim costs and gains, measured on this machine. The benchmarks are rows of bench.h, each in a
 * file of its own; here are the command line and the order in which they are run.
 */
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "command.h"

enum {
	OPTION_QUICK = OPTION_OWN,
	OPTION_RSS,
	OPTION_MAPPINGS,
	OPTION_THREADS,
	OPTION_THP,
	OPTION_PEERS
};

#define RUNS 41
#define RUNS_MAX 10000
#define THREADS_MAX 10000
/* Below the limit of Linux as it comes (vm.max_map_count), with those that a process has anyway. */
#define MAPPINGS_MAX 64000
/* What a process under measurement takes besides, at most. */
#define ROOM (64ULL << 20)

static const struct option_row options[] = {
	{ 'r', "runs", "N", "take N rounds (41, or 5 with --quick)" },
	{ 'w', "warmup", "N", "take N rounds before that do not count (3, or 1 with --quick)" },
	{ 'c', "case", "CASE", "measure only that case; may be repeated" },
	{ OPTION_QUICK, "quick", NULL, "take short samples; the figures are rough" },
	{ OPTION_RSS, "rss", "SIZE[,SIZE]...",
	  "paths: from processes with so many bytes resident, K, M and G as usual (0,64M,1G,4G, as far as they fit)" },
	{ OPTION_MAPPINGS, "mappings", "N", "paths: and with N mappings more, of a page each (0)" },
	{ OPTION_THREADS, "threads", "N", "paths: and with N idle threads more (0)" },
	{ OPTION_THP, "thp", NULL, "paths: with transparent huge pages; else there are none" },
	{ OPTION_PEERS, "peers", NULL,
	  "paths: Python and Node, too, bare and under the shim, each with as much memory" },
	{ 'f', "format", "text|json|csv|svg|html",
	  "print text (the default), json (one object a line), csv (one line a figure), svg or html (drawings)" },
	{ 'O', "output", "FILE", "print to FILE instead of standard output" },
	{ OPTION_COLOR, "color", "auto|always|never",
	  "use colour: auto (the default: on a terminal without NO_COLOR), always or never" },
	{ 0 },
};

static const char *const description[] = {
	"Measures on this machine what the shim costs and what it gains. Without a name, all benchmarks are run.",
	"paths: the ways to start a program and wait for it: fork() and exec, the same with a malloc() in between, vfork(), posix_spawn(), a clone() with "
	"CLONE_VM and CLONE_VFORK on a stack that is kept, which is the floor, and avfork(). Each bare and under the shim, "
	"which has learned the site by then; the table has the tier. What is executed is a static program that only exits. "
	"Told are the time that the call held its caller, the time until the child was waited for, the page faults "
	"of the parent that then writes 64 pages, the ratio of the total to the floor's, and the gain, which is the ratio of a bare "
	"fork's total to it.",
	"locks: a lock taken and given back, of each kind, by one thread while another sleeps; the same with two "
	"threads that contend for it; two threads that hand a turn to each other through a condition variable; and "
	"fork() while 100 threads hold 1,000 locks. Each bare, and under the shim with locks=off, on and order; the gate "
	"is off.",
	"calls: what the shim costs where it gains nothing: malloc() and free(), close(), and a fork() whose child uses the "
	"heap, which keeps it a real fork.",
	"startup: programs that do nothing, from their start to their end, without the shim and with it.",
	"popen: popen() and system() of a shell that does nothing, avfork_popen() of a program without a shell; how long "
	"posix_spawn(), avfork(), a pool and a bare clone() with CLONE_VM on a stack that is kept hold their caller; and how "
	"many programs a second are started, by as many threads as there are cores, and by one thread that keeps four under "
	"way. What libc does itself is measured bare, what avfork(3) describes under the shim. With follow=0, the shell is "
	"without the shim.",
	"Each configuration is a process of its own. They take turns, for a few milliseconds each, and a ratio to "
	"another process is taken within each round: the tables have the median over the rounds and, in brackets, the "
	"10th and the 90th percentile. Where these two are further apart than 30 percent of the median, the machine was "
	"too busy, and no ratio is quoted. JSON and CSV tell of how many samples the percentiles are: of less than "
	"a hundred, p99 is next to the longest.",
	NULL,
};

static const struct note environment[] = {
	{ "SPORK_SHIM", "The shim to measure, instead of the one that belongs to spork." },
	{ "LD_PRELOAD", "Is not kept, nor is SPORK_OPTIONS." },
	{ 0 },
};

static const struct note exits[] = {
	{ "0", "Everything was measured, though ratios may be missing." },
	{ "125", "It could not be, or the command line is wrong." },
	{ 0 },
};

static const struct note examples[] = {
	{ "spork bench paths --rss 64M,1G", "What a spawn costs here, by size." },
	{ "spork bench -f html -O bench.html", "Everything, drawn, in one file for a browser." },
	{ "spork bench locks -c mutex -c fork -f json", "Two cases, for another program." },
	{ 0 },
};

/* All benchmarks, in the order in which they are run; ends with NULL. */
static const struct bench *const benches[] = {
	&bench_paths, &bench_locks, &bench_calls, &bench_startup, &bench_popen, NULL,
};
#define RESULTS (BENCH_POINTS + sizeof(benches) / sizeof(*benches))

struct request {
	struct bench_request measure;
	struct output output;
	enum bench_format format;
	bool runs_given, warmup_given;
	const char *of_points; /* the option given that is for such benchmarks */
	uint64_t rss[BENCH_POINTS];
	unsigned points;
	bool points_given;
	uint64_t too_large;	  /* a size of ours that does not fit */
	struct bench_point point; /* all but its rss */
	const struct bench *named;
	char shim[PATH_MAX];
};

static const struct bench *bench_find(const char *name)
{
	size_t i;

	for (i = 0; benches[i]; i++)
		if (!strcmp(benches[i]->name, name))
			return benches[i];
	return NULL;
}

static void names_add(char *names, size_t size, const char *name)
{
	strncat(names, *names ? " " : "", size - strlen(names) - 1);
	strncat(names, name, size - strlen(names) - 1);
}

static int bench_unknown(const char *name)
{
	char names[256] = "";
	size_t i;

	for (i = 0; benches[i]; i++)
		names_add(names, sizeof(names), benches[i]->name);
	complain("there is no benchmark '%s'; there are %s", name, names);
	return STATUS_FAILED;
}

static int number(const char *option, const char *text, unsigned low, unsigned high,
		  unsigned *value)
{
	char *end;
	unsigned long read = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || read < low || read > high) {
		complain("--%s %s: give a number from %u to %u", option, text, low, high);
		return STATUS_FAILED;
	}
	*value = (unsigned)read;
	return 0;
}

/* "64M", up to a comma or the end, which `end` gets. */
static bool size_read(const char *text, const char **end, uint64_t *size)
{
	static const char units[] = "KMGT";
	const char *unit;
	char *after;

	*size = strtoull(text, &after, 10);
	if (*text < '0' || *text > '9')
		return false;
	unit = *after ? strchr(units, *after) : NULL;
	if (unit) {
		unsigned shift = 10 * (unsigned)(unit - units + 1);

		if (*size > UINT64_MAX >> 8 >> shift)
			return false;
		*size <<= shift;
		after++;
	}
	*end = after;
	return *after == ',' || !*after;
}

static int sizes_read(struct request *request, const char *text)
{
	const char *at = text;

	request->points_given = true;
	for (request->points = 0; request->points < BENCH_POINTS; at++) {
		if (!size_read(at, &at, &request->rss[request->points++]))
			break;
		if (!*at)
			return 0;
	}
	complain("--rss %s: give up to %d sizes with commas between them, as in 0,64M,1G", text,
		 BENCH_POINTS);
	return STATUS_FAILED;
}

static int format_choose(struct request *request, const char *name)
{
	static const char *const names[] = { "text", "json", "csv", "svg", "html" };
	unsigned i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (!strcmp(names[i], name)) {
			request->format = (enum bench_format)i;
			return 0;
		}
	complain("--format %s: there is no such format; use text, json, csv, svg or html", name);
	return STATUS_FAILED;
}

static bool case_in(const struct bench *bench, const char *name)
{
	const struct bench_case *row;

	for (row = bench->cases; row->name; row++)
		if (!strcmp(row->name, name))
			return true;
	return false;
}

/* Names of cases stand for those of all benchmarks that are run. */
static int cases_check(const struct request *request)
{
	const struct bench_request *measure = &request->measure;
	char names[1024] = "";
	const struct bench_case *row;
	unsigned i, known;
	size_t at;

	for (i = 0; i < measure->only_count; i++) {
		for (at = known = 0; benches[at]; at++)
			known += (!request->named || request->named == benches[at]) &&
				 case_in(benches[at], measure->only[i]);
		if (known)
			continue;
		for (at = 0; benches[at]; at++)
			for (row = benches[at]->cases;
			     row->name && (!request->named || request->named == benches[at]); row++)
				names_add(names, sizeof(names), row->name);
		complain("--case %s: there is no such case; there are %s", measure->only[i], names);
		return STATUS_FAILED;
	}
	return 0;
}

static int case_add(struct bench_request *measure, const char *name)
{
	if (measure->only_count == BENCH_ONLY) {
		complain("--case %s: %d cases are named already", name, BENCH_ONLY);
		return STATUS_FAILED;
	}
	measure->only[measure->only_count++] = name;
	return 0;
}

/* An option for benchmarks that are measured at points. */
static int point_option(struct request *request, int option, const char *argument)
{
	switch (option) {
	case OPTION_RSS:
		request->of_points = "rss";
		return sizes_read(request, argument);
	case OPTION_MAPPINGS:
		request->of_points = "mappings";
		return number("mappings", argument, 0, MAPPINGS_MAX, &request->point.mappings);
	case OPTION_THREADS:
		request->of_points = "threads";
		return number("threads", argument, 0, THREADS_MAX, &request->point.threads);
	case OPTION_THP:
		request->of_points = "thp";
		request->point.thp = true;
		return 0;
	default:
		request->of_points = "peers";
		request->measure.peers = true;
		return 0;
	}
}

static int options_read(struct request *request, int argc, char **argv)
{
	struct bench_request *measure = &request->measure;
	int option, status = 0;

	while (!status && (option = option_next(&bench_command, argc, argv)) != OPTION_END) {
		switch (option) {
		case OPTION_BAD:
			return STATUS_FAILED;
		case 'r':
			status = number("runs", optarg, 1, RUNS_MAX, &measure->runs);
			request->runs_given = true;
			break;
		case 'w':
			status = number("warmup", optarg, 0, RUNS_MAX, &measure->warmup);
			request->warmup_given = true;
			break;
		case 'c':
			status = case_add(measure, optarg);
			break;
		case OPTION_QUICK:
			measure->quick = true;
			break;
		case 'f':
			status = format_choose(request, optarg);
			break;
		case 'O':
		case OPTION_COLOR:
			status = output_option(&request->output, option, optarg);
			break;
		default:
			status = point_option(request, option, optarg);
		}
	}
	if (!request->runs_given)
		measure->runs = measure->quick ? 5 : RUNS;
	if (!request->warmup_given)
		measure->warmup = measure->quick ? 1 : 3;
	return status;
}

static int operands_read(struct request *request, int argc, char **argv)
{
	if (argc - optind > 1) {
		complain("more than one benchmark was named; name one, or none for all");
		return STATUS_FAILED;
	}
	if (optind < argc) {
		request->named = bench_find(argv[optind]);
		if (!request->named)
			return bench_unknown(argv[optind]);
	}
	if (request->of_points && request->named && !request->named->of_points) {
		complain("--%s: %s has no use for it; only paths does", request->of_points,
			 request->named->name);
		return STATUS_FAILED;
	}
	return cases_check(request);
}

/* Does a point fit into memory, in all the processes at once? Sizes of our own choice that do not are left out. */
static int points_check(struct request *request)
{
	static const uint64_t preset[] = { 0, 64ULL << 20, 1ULL << 30, 4ULL << 30 };
	const unsigned presets = sizeof(preset) / sizeof(*preset);
	/* Two processes of ours, and of each peer. */
	unsigned processes = request->measure.peers ? 6 : 2, i;
	uint64_t left = bench_memory() / processes, other;

	other = ROOM + request->point.threads * (96ULL << 10) +
		request->point.mappings * (16ULL << 10);
	for (i = 0; !request->points_given && i < presets; i++)
		if (!i || preset[i] + preset[i] / 50 + other <= left)
			request->rss[request->points++] = preset[i];
		else
			request->too_large = preset[i];
	for (i = 0; request->points_given && i < request->points; i++) {
		if (request->rss[i] + request->rss[i] / 50 + other <= left)
			continue;
		complain(
			"--rss: %u processes of %s do not fit into the memory that is left, %s each; "
			"give smaller sizes",
			processes, bench_size(request->rss[i]).text, bench_size(left).text);
		return STATUS_FAILED;
	}
	return 0;
}

static int thp_check(const struct request *request)
{
	if (!request->point.thp || strcmp(bench_machine()->thp, "never"))
		return 0;
	complain("--thp: transparent huge pages are switched off here; "
		 "see /sys/kernel/mm/transparent_hugepage/enabled");
	return STATUS_FAILED;
}

/* A tool that was built with sanitizers cannot measure the shim. */
static int self_check(void)
{
	char why[600];

	if (elf_traceable("/proc/self/exe", why, sizeof(why)) == TRACE_YES)
		return 0;
	complain("spork itself cannot be traced: %s", why);
	return STATUS_FAILED;
}

static bool has_cases(const struct request *request, const struct bench *bench)
{
	unsigned i;

	if (request->named && request->named != bench)
		return false;
	for (i = 0; i < request->measure.only_count; i++)
		if (case_in(bench, request->measure.only[i]))
			return true;
	return !request->measure.only_count;
}

static struct bench_result *result_new(const struct request *request, const struct bench *bench,
				       unsigned point)
{
	struct bench_result *result = calloc(1, sizeof(*result));

	if (!result)
		abort();
	result->bench = bench;
	result->runs = request->measure.runs;
	if (bench->of_points) {
		result->point = request->point;
		result->point.rss = request->rss[point];
		if (request->too_large && point == request->points - 1)
			snprintf(result->left_out, sizeof(result->left_out),
				 "%s: left out: %s does not fit into memory so often\n",
				 bench->name, bench_size(request->too_large).text);
	}
	return result;
}

static int benches_run(struct request *request)
{
	bool drawn = request->format == BENCH_SVG || request->format == BENCH_HTML;
	struct bench_result *results[RESULTS];
	unsigned count = 0, point, i;
	int failed = 0;

	if (!drawn)
		bench_print_head(&request->output, request->format);
	for (i = 0; !failed && benches[i]; i++)
		for (point = 0; !failed && has_cases(request, benches[i]) &&
				point < (benches[i]->of_points ? request->points : 1);
		     point++) {
			results[count] = result_new(request, benches[i], point);
			failed = bench_measure(&request->measure, results[count]);
			if (!failed && !drawn)
				bench_print(results[count], &request->output, request->format);
			count++;
		}
	if (!failed && request->format == BENCH_SVG)
		bench_print_svg(results, count, request->output.file);
	if (!failed && request->format == BENCH_HTML)
		bench_print_html(results, count, &request->output);
	while (count)
		free(results[--count]);
	return failed;
}

static int bench_main(int argc, char **argv)
{
	static struct request request;
	int failed;

	/* Exactly so many words: bench_process.c gives them, and option_next() knows no such option. */
	if (argc == 3 + BENCH_PAYLOAD_WORDS && !strcmp(argv[1], "--payload") && bench_find(argv[2]))
		return bench_payload(bench_find(argv[2]), argc - 3, argv + 3);
	failed = options_read(&request, argc, argv);
	failed = failed ? failed : operands_read(&request, argc, argv);
	failed = failed ? failed : thp_check(&request);
	failed = failed ? failed : points_check(&request);
	failed = failed ? failed : launch_shim(request.shim);
	failed = failed ? failed : self_check();
	request.measure.shim = request.shim;
	if (!failed) {
		request.measure.child = bench_child();
		failed = request.measure.child ? 0 : STATUS_FAILED;
	}
	failed = failed ? failed : output_open(&request.output, stdout);
	failed = failed ? failed : benches_run(&request);
	if (request.output.file && output_close(&request.output))
		failed = STATUS_FAILED;
	return failed;
}

const struct command bench_command = {
	.name = "bench",
	.summary = "measure what the shim costs and gains on this machine",
	.operands = "[paths|locks|calls|startup|popen]",
	.options = options,
	.description = description,
	.environment = environment,
	.exits = exits,
	.examples = examples,
	.run = bench_main,
};
