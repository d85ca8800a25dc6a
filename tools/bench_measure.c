// SPDX-License-Identifier: MIT
/*
 * The rounds of `spork bench`: who is asked when, how often, and what comes of the answers.
 *
 * A case in a configuration is a slot. The slots of a group take turns; a round is one sample of each.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"

#define TIMES_MIN 3  /* so that a round has a median */
#define TIMES_MAX 64 /* in a sample of a case that does it once */
#define LEARNING 12  /* of them under the shim, before they count: its sites are learned by then */
#define TRIED 3	     /* of them, to tell how long they take */

struct slot {
	unsigned which, config;
	const struct bench_worker *worker;
	uint64_t times, count;
	double *values[BENCH_MEASURES]; /* of all samples, `count` of them */
	double *rounds[BENCH_MEASURES]; /* the median of each round's */
};

struct session {
	const struct bench_request *request;
	struct bench_result *result;
	const struct bench *bench;
	unsigned measures, configs, slots;
	struct bench_crew crew;
	struct slot slot[BENCH_CASES * BENCH_CONFIGS];
};

uint64_t bench_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

unsigned bench_count_measures(const struct bench *bench)
{
	unsigned count = 0;

	while (bench->measures[count].name)
		count++;
	return count;
}

unsigned bench_count_configs(const struct bench *bench)
{
	unsigned count = 0;

	while (bench->configs[count].name)
		count++;
	return count;
}

static int case_find(const struct bench *bench, const char *name)
{
	int i;

	for (i = 0; name && bench->cases[i].name; i++)
		if (!strcmp(bench->cases[i].name, name))
			return i;
	return -1;
}

/* ---- what comes of the answers ---- */

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of sorted values; between two of them, in proportion. */
static double quantile(const double *sorted, uint64_t count, double part)
{
	double at = part * (double)(count - 1);
	uint64_t low = (uint64_t)at, high = low + 1 < count ? low + 1 : low;

	return sorted[low] + (sorted[high] - sorted[low]) * (at - (double)low);
}

double bench_median(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), ascending);
	return quantile(values, count, 0.5);
}

static struct bench_ratio ratio_make(const struct slot *over, const struct slot *under,
				     unsigned measure, unsigned runs)
{
	struct bench_ratio ratio = { 0 };
	double *parts;
	unsigned i;

	if (!over || !under || isnan(over->rounds[measure][0]) || isnan(under->rounds[measure][0]))
		return ratio;
	parts = malloc(runs * sizeof(*parts));
	if (!parts)
		abort();
	for (i = 0; i < runs; i++)
		parts[i] = under->rounds[measure][i] > 0 ?
				   over->rounds[measure][i] / under->rounds[measure][i] :
				   0;
	ratio.p50 = bench_median(parts, runs);
	ratio.p10 = quantile(parts, runs, 0.1);
	ratio.p90 = quantile(parts, runs, 0.9);
	ratio.known = ratio.p50 > 0;
	ratio.scattered = ratio.p90 - ratio.p10 > BENCH_SCATTER * ratio.p50;
	free(parts);
	return ratio;
}

static const struct slot *slot_find(const struct session *session, int which, unsigned config)
{
	unsigned i;

	for (i = 0; i < session->slots; i++)
		if ((int)session->slot[i].which == which && session->slot[i].config == config)
			return &session->slot[i];
	return NULL;
}

/* Times are compared with times; of faults the numbers say enough. */
static bool comparable(const struct bench_measure *measure)
{
	return strcmp(measure->unit, "faults") != 0;
}

static void figure_make(const struct session *session, struct slot *slot, unsigned measure)
{
	struct bench_figure *figure = &session->result->figure[slot->which][slot->config][measure];
	const struct bench *bench = session->bench;
	const struct bench_case *row = &bench->cases[slot->which];
	int against = row->against ? case_find(bench, row->against) : (int)slot->which;
	unsigned runs = session->request->runs;
	double *values = slot->values[measure];

	if (!slot->count || isnan(values[0]))
		return;
	qsort(values, slot->count, sizeof(*values), ascending);
	figure->count = slot->count;
	figure->p10 = quantile(values, slot->count, 0.1);
	figure->p50 = quantile(values, slot->count, 0.5);
	figure->p90 = quantile(values, slot->count, 0.9);
	figure->p99 = quantile(values, slot->count, 0.99);
	if (!comparable(&bench->measures[measure]))
		return;
	figure->ratio = ratio_make(slot, slot_find(session, against, 0), measure, runs);
	figure->floor = ratio_make(slot, slot_find(session, case_find(bench, bench->floor), 0),
				   measure, runs);
	figure->gain = ratio_make(slot_find(session, case_find(bench, bench->baseline), 0), slot,
				  measure, runs);
}

/* ---- the rounds ---- */

static const char *slot_name(const struct session *session, const struct slot *slot)
{
	static char name[160];

	snprintf(name, sizeof(name), "%s (%s)", session->bench->cases[slot->which].name,
		 session->bench->configs[slot->config].name);
	return name;
}

void bench_left_out(struct bench_result *result, const struct bench_case *row, const char *why)
{
	char *text = result->left_out, line[160];
	size_t length = strlen(text);

	snprintf(line, sizeof(line), "%s: left out: %s\n", row->name, why);
	if (!strstr(text, line))
		snprintf(text + length, sizeof(result->left_out) - length, "%s", line);
}

static int ask(const struct session *session, const struct slot *slot, uint64_t times,
	       double **rows, unsigned *count)
{
	return bench_process_sample(&slot->worker->process, slot->which, times, session->measures,
				    slot_name(session, slot), rows, count);
}

/* How often, so that a sample lasts as long as the row says. 0, ENOSYS or STATUS_FAILED. */
static int calibrate_loop(const struct session *session, struct slot *slot, double goal)
{
	double ns, *rows;
	unsigned count;
	int status;

	for (slot->times = 1;; slot->times *= 4) {
		status = ask(session, slot, slot->times, &rows, &count);
		if (status)
			return status;
		ns = rows[0];
		free(rows);
		if (ns * (double)slot->times >= goal / 4 || slot->times > UINT64_C(1) << 40)
			break;
	}
	slot->times = ns > 0 ? (uint64_t)(goal / ns) : slot->times;
	return 0;
}

/* The shortest that a row took; 0: it tells no times, and takes long enough. */
static double shortest(const struct session *session, const double *rows, unsigned count)
{
	double least = 0, longest;
	unsigned i, measure;

	for (i = 0; i < count; i++, rows += session->measures) {
		for (longest = measure = 0; measure < session->measures; measure++)
			if (!strcmp(session->bench->measures[measure].unit, "ns") &&
			    rows[measure] > longest)
				longest = rows[measure];
		least = !i || longest < least ? longest : least;
	}
	return least;
}

static int calibrate_once(const struct session *session, struct slot *slot, double goal)
{
	uint64_t times = session->bench->configs[slot->config].options ? LEARNING : TRIED;
	double *rows, ns;
	unsigned count, i;
	int status;

	/* The first ask warms up and teaches, the second tells. */
	for (i = 0; i < 2; i++, times = TRIED) {
		status = ask(session, slot, times, &rows, &count);
		if (status)
			return status;
		ns = shortest(session, rows, count);
		free(rows);
	}
	slot->times = ns > 0 ? (uint64_t)(goal / ns) : 1;
	slot->times = slot->times > TIMES_MAX ? TIMES_MAX : slot->times;
	if (ns > 0 && slot->times < TIMES_MIN && !session->request->quick)
		slot->times = TIMES_MIN;
	return 0;
}

static int calibrate(const struct session *session, struct slot *slot)
{
	const struct bench_case *row = &session->bench->cases[slot->which];
	double goal = row->ms * (session->request->quick ? 1e5 : 1e6);
	int status = row->sample ? calibrate_loop(session, slot, goal) :
				   calibrate_once(session, slot, goal);

	slot->times += !slot->times;
	return status;
}

/* One sample of a slot; `round` is negative while it does not count. */
static int sample(const struct session *session, struct slot *slot, int round)
{
	unsigned measures = session->measures, measure, count, i;
	double *rows, *values;
	int status = ask(session, slot, slot->times, &rows, &count);

	if (status || round < 0 || !count) {
		free(rows);
		return status ? STATUS_FAILED : 0;
	}
	for (measure = 0; measure < measures; measure++) {
		values = realloc(slot->values[measure], (slot->count + count) * sizeof(*values));
		if (!values)
			abort();
		slot->values[measure] = values;
		values += slot->count;
		for (i = 0; i < count; i++)
			values[i] = rows[i * measures + measure];
		/* Sorting them within their round is no harm: all are sorted in the end. */
		slot->rounds[measure][round] = isnan(values[0]) ? NAN : bench_median(values, count);
	}
	slot->count += count;
	free(rows);
	return 0;
}

static int rounds(struct session *session)
{
	int warmup = (int)session->request->warmup, runs = (int)session->request->runs, round;
	unsigned i, at;

	for (round = -warmup; round < runs; round++)
		for (i = 0; i < session->slots; i++) {
			/* There and back: what drifts within a round favours nobody. */
			at = round & 1 ? session->slots - 1 - i : i;
			if (sample(session, &session->slot[at], round))
				return STATUS_FAILED;
		}
	return 0;
}

bool bench_wanted(const struct bench_request *request, const struct bench_case *row,
		  unsigned config)
{
	unsigned i;

	if ((row->peer && !request->peers) || (row->where == BENCH_BARE && config) ||
	    (row->where == BENCH_SHIM && !config))
		return false;
	for (i = 0; i < request->only_count; i++)
		if (!strcmp(request->only[i], row->name))
			return true;
	return !request->only_count;
}

static int slot_add(struct session *session, unsigned which, unsigned config)
{
	const struct bench_case *row = &session->bench->cases[which];
	struct slot *slot = &session->slot[session->slots];
	unsigned measure;
	int status;

	*slot = (struct slot){ .which = which, .config = config };
	slot->worker = bench_crew_find(&session->crew, row->peer, config);
	status = slot->worker ? calibrate(session, slot) : ENOSYS;
	if (status == ENOSYS) {
		bench_left_out(session->result, row,
			       row->peer ? "it is not installed" :
					   "this build or machine does not have it");
		return 0;
	}
	for (measure = 0; !status && measure < session->measures; measure++) {
		slot->rounds[measure] =
			calloc(session->request->runs, sizeof(*slot->rounds[measure]));
		if (!slot->rounds[measure])
			abort();
	}
	session->slots++;
	return status;
}

static int group_measure(struct session *session, unsigned first, unsigned end)
{
	unsigned which, config, measure, i;
	int failed = 0;

	session->slots = 0;
	for (which = first; which < end; which++)
		for (config = 0; !failed && config < session->configs; config++)
			if (bench_wanted(session->request, &session->bench->cases[which], config))
				failed = slot_add(session, which, config);
	failed = failed ? failed : rounds(session);
	/* All figures before any rounds are given back: they are compared with each other. */
	for (i = 0; !failed && i < session->slots; i++)
		for (measure = 0; measure < session->measures; measure++)
			figure_make(session, &session->slot[i], measure);
	for (i = 0; i < session->slots; i++)
		for (measure = 0; measure < session->measures; measure++) {
			free(session->slot[i].values[measure]);
			free(session->slot[i].rounds[measure]);
		}
	return failed;
}

int bench_measure(const struct bench_request *request, struct bench_result *result)
{
	static struct session session;
	unsigned cases = 0, which;
	int failed;

	session = (struct session){ .request = request, .result = result, .bench = result->bench };
	session.measures = bench_count_measures(session.bench);
	session.configs = bench_count_configs(session.bench);
	while (session.bench->cases[cases].name)
		cases++;
	failed = bench_crew_start(&session.crew, request, result);
	if (session.bench->together)
		failed = failed ? failed : group_measure(&session, 0, cases);
	for (which = 0; !failed && !session.bench->together && which < cases; which++)
		failed = group_measure(&session, which, which + 1);
	if (!failed)
		bench_crew_tiers(&session.crew, result);
	bench_crew_end(&session.crew);
	return failed;
}
