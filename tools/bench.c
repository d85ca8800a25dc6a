// SPDX-License-Identifier: MIT
/*
 * `spork bench`: what the shim costs, measured on this machine. The benchmarks are rows of bench.h, each in a file
 * of its own; here are the command line and the rounds.
 */
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "command.h"

enum { OPTION_QUICK = OPTION_OWN };

#define RUNS 41
#define RUNS_MAX 10000

static const struct option_row options[] = {
	{ 'r', "runs", "N", "take N rounds (41, or 5 with --quick)" },
	{ 'w', "warmup", "N", "take N rounds before that do not count (3, or 1 with --quick)" },
	{ 'c', "case", "CASE", "measure only that case; may be repeated" },
	{ OPTION_QUICK, "quick", NULL, "take short samples; the figures are rough" },
	{ 'f', "format", "text|json|csv",
	  "print text (the default), json (one object a line) or csv (one line a case and configuration)" },
	{ 'O', "output", "FILE", "print to FILE instead of standard output" },
	{ OPTION_COLOR, "color", "auto|always|never",
	  "use colour; auto, the default: on a terminal without NO_COLOR" },
	{ 0 },
};

static const char *const description[] = {
	"Measures on this machine what the shim costs. Without a name, all benchmarks are run.",
	"locks: a lock taken and given back, of each kind, by one thread while another sleeps; the same with two "
	"threads that contend for it; two threads that hand a turn to each other through a condition variable; and "
	"fork() while 100 threads hold 1,000 locks. Each bare, and under the shim with locks=off, on and order; the gate "
	"is off.",
	"Each configuration is a process of its own. They take turns, for a few milliseconds each, and the ratio to "
	"the bare process is taken within each round: the table has the median over the rounds and, in brackets, the "
	"10th and the 90th percentile. Where these two are further apart than 30 percent of the median, the machine was "
	"too busy, and no ratio is quoted.",
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
	{ "spork bench locks", "What tracking locks costs here." },
	{ "spork bench locks -c mutex -c fork -f json", "Two cases, for another program." },
	{ 0 },
};

/* All benchmarks, in the order in which they are run; ends with NULL. */
static const struct bench *const benches[] = { &bench_locks, NULL };

struct request {
	struct output output;
	enum bench_format format;
	unsigned runs, warmup;
	bool quick, runs_given, warmup_given;
	const char *only[BENCH_CASES]; /* cases to measure; none: all */
	unsigned only_count;
	char shim[PATH_MAX];
};

uint64_t bench_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

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
	complain("there is no benchmark '%s'; there is %s", name, names);
	return STATUS_FAILED;
}

static int number(const char *option, const char *text, unsigned low, unsigned *value)
{
	char *end;
	unsigned long read = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || read < low || read > RUNS_MAX) {
		complain("--%s %s: give a number from %u to %u", option, text, low, RUNS_MAX);
		return STATUS_FAILED;
	}
	*value = (unsigned)read;
	return 0;
}

static int format_choose(struct request *request, const char *name)
{
	static const char *const names[] = { "text", "json", "csv" };
	unsigned i;

	for (i = 0; i < 3; i++)
		if (!strcmp(names[i], name)) {
			request->format = (enum bench_format)i;
			return 0;
		}
	complain("--format %s: there is no such format; use text, json or csv", name);
	return STATUS_FAILED;
}

static int case_choose(struct request *request, const char *name)
{
	char names[1024] = "";
	const struct bench_case *row;
	size_t i;

	for (i = 0; benches[i]; i++)
		for (row = benches[i]->cases; row->name; row++) {
			names_add(names, sizeof(names), row->name);
			if (strcmp(row->name, name))
				continue;
			if (request->only_count < BENCH_CASES)
				request->only[request->only_count++] = row->name;
			return 0;
		}
	complain("--case %s: there is no such case; there are %s", name, names);
	return STATUS_FAILED;
}

static int options_read(struct request *request, int argc, char **argv)
{
	int option, status = 0;

	while (!status && (option = option_next(&bench_command, argc, argv)) != OPTION_END) {
		switch (option) {
		case OPTION_BAD:
			return STATUS_FAILED;
		case 'r':
			status = number("runs", optarg, 1, &request->runs);
			request->runs_given = true;
			break;
		case 'w':
			status = number("warmup", optarg, 0, &request->warmup);
			request->warmup_given = true;
			break;
		case 'c':
			status = case_choose(request, optarg);
			break;
		case OPTION_QUICK:
			request->quick = true;
			break;
		case 'f':
			status = format_choose(request, optarg);
			break;
		default:
			status = output_option(&request->output, option, optarg);
		}
	}
	if (!request->runs_given)
		request->runs = request->quick ? 5 : RUNS;
	if (!request->warmup_given)
		request->warmup = request->quick ? 1 : 3;
	return status;
}

static bool wanted(const struct request *request, const struct bench_case *row)
{
	unsigned i;

	for (i = 0; i < request->only_count; i++)
		if (request->only[i] == row->name)
			return true;
	return !request->only_count;
}

/* How often, so that a sample lasts as long as the row says; 0 after a line of error. */
static uint64_t calibrate(const struct bench_process *process, const struct bench *bench,
			  unsigned which, bool quick)
{
	double goal = bench->cases[which].ms * (quick ? 1e5 : 1e6);
	uint64_t times = 1;
	double ns;

	for (;;) {
		ns = bench_process_sample(process, which, times);
		if (ns < 0)
			return 0;
		if (ns * (double)times >= goal / 4 || times > UINT64_C(1) << 40)
			break;
		times *= 4;
	}
	times = ns > 0 ? (uint64_t)(goal / ns) : times;
	return times ? times : 1;
}

static int case_measure(const struct request *request, const struct bench_process *processes,
			unsigned configs, unsigned which, struct bench_result *result)
{
	uint64_t times = calibrate(&processes[0], result->bench, which, request->quick);
	unsigned rounds = request->warmup + request->runs, round, config, i;
	double *ns = calloc((size_t)configs * request->runs, sizeof(*ns)), one;
	int failed = times ? 0 : STATUS_FAILED;

	if (!ns)
		abort();
	for (round = 0; !failed && round < rounds; round++)
		for (i = 0; !failed && i < configs; i++) {
			/* There and back: what drifts within a round favours nobody. */
			config = round % 2 ? configs - 1 - i : i;
			one = bench_process_sample(&processes[config], which, times);
			if (one < 0)
				failed = STATUS_FAILED;
			else if (round >= request->warmup)
				ns[(size_t)config * request->runs + round - request->warmup] = one;
		}
	for (config = 0; !failed && config < configs; config++)
		bench_figure(&result->figure[which][config], &ns[(size_t)config * request->runs],
			     ns, request->runs);
	result->measured[which] = !failed;
	free(ns);
	return failed;
}

static int bench_measure(const struct request *request, struct bench_result *result)
{
	struct bench_process processes[BENCH_CONFIGS];
	const struct bench *bench = result->bench;
	unsigned configs = 0, which;
	int failed = 0;

	while (!failed && bench->configs[configs].name) {
		failed = bench_process_start(&processes[configs], bench, &bench->configs[configs],
					     request->shim);
		configs += !failed;
	}
	for (which = 0; !failed && bench->cases[which].name; which++)
		if (wanted(request, &bench->cases[which]))
			failed = case_measure(request, processes, configs, which, result);
	while (configs)
		bench_process_end(&processes[--configs]);
	return failed;
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

static int bench_main(int argc, char **argv)
{
	static struct request request;
	const struct bench *only = NULL;
	int failed;
	size_t i;

	/* Exactly these words: bench_process.c gives them, and option_next() knows no such option. */
	if (argc == 3 && !strcmp(argv[1], "--payload") && bench_find(argv[2]))
		return bench_payload(bench_find(argv[2]));
	failed = options_read(&request, argc, argv);
	if (failed)
		return failed;
	if (argc - optind > 1) {
		complain("more than one benchmark was named; name one, or none for all");
		return STATUS_FAILED;
	}
	if (optind < argc) {
		only = bench_find(argv[optind]);
		if (!only)
			return bench_unknown(argv[optind]);
	}
	failed = launch_shim(request.shim);
	if (!failed)
		failed = self_check();
	if (!failed)
		failed = output_open(&request.output, stdout);
	for (i = 0; !failed && benches[i]; i++) {
		struct bench_result result = { .bench = benches[i], .runs = request.runs };

		if (only && only != benches[i])
			continue;
		failed = bench_measure(&request, &result);
		if (!failed)
			bench_print(&result, &request.output, request.format);
	}
	if (request.output.file && output_close(&request.output))
		failed = STATUS_FAILED;
	return failed;
}

const struct command bench_command = {
	.name = "bench",
	.summary = "measure what the shim costs on this machine",
	.operands = "[locks]",
	.options = options,
	.description = description,
	.environment = environment,
	.exits = exits,
	.examples = examples,
	.run = bench_main,
};
