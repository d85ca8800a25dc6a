/* SPDX-License-Identifier: MIT */
/*
 * A benchmark of `spork bench` as rows of data: what is measured, and under which configurations.
 *
 * Each configuration is a process of its own, this program executed anew, with or without the shim. They live
 * side by side and are asked in turn for one sample of a case, so that whatever else the machine does meets all
 * of them alike; a ratio is taken within a round, and never between one round and another.
 */
#ifndef SPORK_BENCH_H
#define SPORK_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#include "tool.h"

#define BENCH_CONFIGS 8
#define BENCH_CASES 32

/* The first row of a benchmark is what the others are compared with. Tables end with a row of zeros. */
struct bench_config {
	const char *name;
	const char *options; /* of the shim; NULL: without it */
};

/*
 * `sample` runs in the processes that are measured: does it so often, and returns nanoseconds for each time, or a
 * negative number with errno set. Cases are run in their order, so a case may leave threads behind for later ones.
 */
struct bench_case {
	const char *name;  /* in JSON and CSV */
	const char *title; /* in the table */
	unsigned ms;	   /* a sample lasts about so long in the first configuration */
	double (*sample)(uint64_t times);
};

struct bench {
	const char *name;
	const char *unit; /* what is done once, in the table's head */
	const struct bench_config *configs;
	const struct bench_case *cases;
};

extern const struct bench bench_locks;

/* Of the samples of one case in one configuration. */
struct bench_figure {
	double p10_ns, p50_ns, p90_ns;
	double ratio, ratio_p10, ratio_p90; /* to the first configuration, within a round */
	bool scattered;			    /* too much for the ratio to be quoted */
};

struct bench_result {
	const struct bench *bench;
	unsigned runs;
	bool measured[BENCH_CASES];
	struct bench_figure figure[BENCH_CASES][BENCH_CONFIGS];
};

/* Where the 10th and the 90th percentile are further apart than this, as a part of the median, there is no figure. */
#define BENCH_SCATTER 0.3

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t bench_now(void);

/* Sorts them. */
double bench_median(double *values, unsigned count);

/* ---- bench_process.c ---- */

/* A process under measurement. */
struct bench_process {
	pid_t pid;
	int ask, answer; /* pipes */
};

/* Starts this program as the payload of that benchmark; 0, or STATUS_FAILED after a line of error. */
int bench_process_start(struct bench_process *process, const struct bench *bench,
			const struct bench_config *config, const char *shim);
/* One sample; negative after a line of error. */
double bench_process_sample(const struct bench_process *process, unsigned which, uint64_t times);
void bench_process_end(struct bench_process *process);

/* What such a process does: answers on stdout what it is asked on stdin until that ends. */
int bench_payload(const struct bench *bench);

/* ---- bench_print.c ---- */

enum bench_format { BENCH_TEXT, BENCH_JSON, BENCH_CSV };

/* Fills a figure from the samples, and those of the first configuration in the same rounds. Sorts nothing in place. */
void bench_figure(struct bench_figure *figure, const double *ns, const double *first,
		  unsigned count);

void bench_print(const struct bench_result *result, struct output *output,
		 enum bench_format format);

#endif
