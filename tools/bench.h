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

#define BENCH_CONFIGS 4
#define BENCH_CASES 16
#define BENCH_MEASURES 3
#define BENCH_POINTS 16
#define BENCH_ONLY 64

/* The first row of a benchmark is what the others are compared with. Tables end with a row of zeros. */
struct bench_config {
	const char *name;
	const char *options; /* of the shim; NULL: without it */
};

/* What is told of a case, in this unit: "ns", "faults" or "per_second". */
struct bench_measure {
	const char *name, *unit;
};

/* Where a case is measured. */
enum bench_where { BENCH_EVERYWHERE, BENCH_BARE, BENCH_SHIM };

/*
 * Exactly one of `sample`, `each` and `peer` is there. The first two run in the processes that are measured:
 *	sample	does it so often, and returns the nanoseconds that each took, or a negative number with errno set
 *	each	does it once, and fills in what it has of the measures (the others are NAN): 0 or an error number
 * ENOSYS: this process cannot do it; the row is left out. A peer is another program, which has no other case.
 */
struct bench_case {
	const char *name;  /* in JSON and CSV */
	const char *title; /* in the table */
	unsigned ms;	   /* a sample lasts about so long */
	double (*sample)(uint64_t times);
	int (*each)(double *values);
	const struct bench_peer *peer;
	enum bench_where where;
	const char *
		against; /* the case whose first configuration it is compared with; NULL: this one */
	uint32_t call;	 /* enum spork_call: whose site tells the tier */
	/* The function of this program that makes the call; NULL: the busiest site is meant. */
	void (*from)(void);
};

/* What a process that is measured has to be: one point of a plot. */
struct bench_point {
	uint64_t rss; /* bytes of it that are written, and stay */
	unsigned mappings, threads;
	bool thp;
};

struct bench_setup {
	struct bench_point point;
	const char *child; /* a static program that only exits; by a path that all may execute */
	const char *shim;
	const char *options; /* NULL: bare */
};

struct bench {
	const char *name;
	const char *unit; /* what is done once, in the table's head */
	const struct bench_measure *measures;
	const struct bench_config *configs;
	const struct bench_case *cases;
	/* In a process that is measured, before the first sample; 0 or an error number. NULL: nothing to do. */
	int (*prepare)(const struct bench_setup *setup);
	bool together; /* all cases take turns, too; else one after the other, and they may leave threads behind */
	bool children; /* the shim is only in what the processes execute */
	bool of_points; /* measured at each bench_point, and compared with the two cases below, bare */
	const char *floor, *baseline;
};

extern const struct bench bench_paths, bench_locks, bench_calls, bench_startup, bench_popen;

/* A ratio within a round: the median over the rounds, and how far they scatter. */
struct bench_ratio {
	double p10, p50, p90;
	bool known;
	bool scattered; /* too much to be quoted */
};

/* Of the samples of one case in one configuration. */
struct bench_figure {
	uint64_t count; /* 0: there are none */
	double p10, p50, p90, p99;
	struct bench_ratio ratio; /* to the first configuration */
	struct bench_ratio floor; /* to the case `floor` */
	struct bench_ratio gain;  /* of the case `baseline` to this one */
};

struct bench_result {
	const struct bench *bench;
	struct bench_point point;
	uint64_t resident; /* bytes, of the first process */
	unsigned runs;
	char left_out[1024]; /* what was, and why: lines */
	struct bench_figure figure[BENCH_CASES][BENCH_CONFIGS][BENCH_MEASURES];
	/* Of the case's site: the tier of most spawns, and what refused it; NULL: not known, or none. */
	const char *tier[BENCH_CASES][BENCH_CONFIGS], *reason[BENCH_CASES][BENCH_CONFIGS];
};

/* Where the 10th and the 90th percentile are further apart than this, as a part of the median, there is no figure. */
#define BENCH_SCATTER 0.3

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t bench_now(void);

unsigned bench_count_measures(const struct bench *bench);
unsigned bench_count_configs(const struct bench *bench);

/* ---- bench_measure.c ---- */

struct bench_request {
	unsigned runs, warmup;
	bool quick, peers;
	const char *only[BENCH_ONLY]; /* cases to measure; none: all */
	unsigned only_count;
	const char *shim;
	const char *child;
};

/* Sorts them. */
double bench_median(double *values, unsigned count);

/* Is that case to be measured there? */
bool bench_wanted(const struct bench_request *request, const struct bench_case *row,
		  unsigned config);
/* Notes that a case has no row, and why; once for all configurations. */
void bench_left_out(struct bench_result *result, const struct bench_case *row, const char *why);

/* Measures one benchmark at result->point; 0, or STATUS_FAILED after a line of error. */
int bench_measure(const struct bench_request *request, struct bench_result *result);

/* ---- bench_process.c ---- */

/* A process under measurement. */
struct bench_process {
	pid_t pid;
	int ask, answer; /* pipes */
};

/* Starts the payload of that benchmark, or its peer; 0, or STATUS_FAILED after a line of error. */
int bench_process_start(struct bench_process *process, const struct bench *bench,
			const struct bench_peer *peer, const struct bench_setup *setup);
/* Waits until it has what it needs: bytes resident; negative after a line of error. */
double bench_process_ready(const struct bench_process *process, unsigned measures);
/*
 * So many times that case: rows of the benchmark's measures, to be freed, `count` of them. 0; ENOSYS where it cannot be
 * done there; or STATUS_FAILED after a line of error that names `what`.
 */
int bench_process_sample(const struct bench_process *process, unsigned which, uint64_t times,
			 unsigned measures, const char *what, double **rows, unsigned *count);
void bench_process_end(struct bench_process *process);

/* What such a process does, in itself: answers on stdout what it is asked on stdin until that ends. argv starts after its name. */
int bench_payload(const struct bench *bench, int argc, char **argv);
#define BENCH_PAYLOAD_WORDS 7

/* ---- bench_crew.c: all of them ---- */

struct bench_worker {
	const struct bench_peer *peer; /* NULL: the payload */
	unsigned config;
	struct bench_process process;
	int box; /* -1: none of ours */
};

struct bench_crew {
	struct bench_worker worker[3 * BENCH_CONFIGS];
	unsigned count;
};

/*
 * One for each configuration, and of each peer that a wanted case needs and that is installed; ready to be asked. 0,
 * or STATUS_FAILED after a line of error; bench_crew_end() after either.
 */
int bench_crew_start(struct bench_crew *crew, const struct bench_request *request,
		     struct bench_result *result);
const struct bench_worker *bench_crew_find(const struct bench_crew *crew,
					   const struct bench_peer *peer, unsigned config);
/* The tier of each row under the shim; rows of processes that the shim was not in go. */
void bench_crew_tiers(const struct bench_crew *crew, struct bench_result *result);
void bench_crew_end(struct bench_crew *crew);

/* ---- bench_peer.c: how other languages do it ---- */

struct bench_peer {
	const char *program, *flag, *script;
};

extern const struct bench_peer bench_python, bench_node;

/* ---- bench_child.c ---- */

/* Makes the program that does nothing but exit, and keeps it for the life of this process; its path, or NULL. */
const char *bench_child(void);

/* ---- bench_paths.c, for others that spawn ---- */

/* Waits for a child that must exit with 0; 0 or an error number. */
int bench_reap(pid_t pid);
/* fork() and execution of the child; the pid or -1. */
pid_t bench_fork(const char *child);

/* ---- bench_locks.c ---- */

/*
 * Nanoseconds of one of so many `pairs`. They are done in pieces, of which the median counts: another process on this
 * processor spoils a few of them.
 */
double bench_timed(void (*pairs)(uint64_t), uint64_t times);

/* ---- bench_machine.c ---- */

struct bench_machine {
	char kernel[160], machine[65], cpu[128], thp[64], governor[64], glibc[32];
	long cores;
	int overcommit; /* vm.overcommit_memory; -1: unknown */
	double load;	/* of the last minute, at the first call */
};

const struct bench_machine *bench_machine(void);

/* Bytes that processes may still take: of the machine, and of the control groups that we are in. */
uint64_t bench_memory(void);

/* ---- bench_print.c ---- */

enum bench_format { BENCH_TEXT, BENCH_JSON, BENCH_CSV, BENCH_SVG, BENCH_HTML };

struct bench_text {
	char text[32];
};
struct bench_text bench_size(uint64_t bytes);	  /* "64 MB" */
struct bench_text bench_ratio_text(double ratio); /* with three digits or so */

/* What the processes of a result are, but for their size. */
void bench_point_text(const struct bench_result *result, char *text, size_t size);

/* What is common to all results; once, before them. */
void bench_print_head(struct output *output, enum bench_format format);
/* Text, JSON and CSV: a result as soon as it is there. */
void bench_print(const struct bench_result *result, struct output *output,
		 enum bench_format format);
/* One table of text, for the HTML as well. */
void bench_print_text(const struct bench_result *result, struct output *output);

/* ---- bench_svg.c, bench_html.c: all results at once ---- */

void bench_print_svg(struct bench_result *const *results, unsigned count, FILE *file);
void bench_print_html(struct bench_result *const *results, unsigned count, struct output *output);

#endif
