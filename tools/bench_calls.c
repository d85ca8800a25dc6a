// SPDX-License-Identifier: MIT
/*
 * `spork bench calls`: what the shim costs where it gains nothing: functions that are watched inside windows alone,
 * called outside of one, and fork() at a place that stays on real forks.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

#define RESIDENT (64UL << 20)

/* So that fork() has something to copy. */
static int calls_prepare(const struct bench_setup *setup)
{
	void *memory =
		mmap(NULL, RESIDENT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	(void)setup;
	if (memory == MAP_FAILED)
		return errno;
	memset(memory, 1, RESIDENT);
	return 0;
}

static __attribute__((noinline)) void malloc_pairs(uint64_t times)
{
	while (times--) {
		void *volatile block = malloc(32);

		free(block);
	}
}

static __attribute__((noinline)) void close_calls(uint64_t times)
{
	while (times--)
		close(-1);
}

static double malloc_sample(uint64_t times)
{
	return bench_timed(malloc_pairs, times);
}

static double close_sample(uint64_t times)
{
	return bench_timed(close_calls, times);
}

/* The child uses the heap, which keeps its site from ever being promoted, and ends. */
static int fork_each(double *values)
{
	uint64_t began = bench_now();
	pid_t pid = fork();
	int error;

	if (!pid) {
		void *volatile block = malloc(16);

		_exit(block ? 0 : 1);
	}
	if (pid < 0)
		return errno;
	error = bench_reap(pid);
	values[0] = (double)(bench_now() - began);
	return error;
}

static const struct bench_measure measures[] = { { "time", "ns" }, { 0 } };

static const struct bench_config configs[] = {
	{ "bare", NULL },
	{ "shim", "log=none" },
	{ "locks=off", "log=none:locks=off" },
	{ 0 },
};

static const struct bench_case cases[] = {
	{ .name = "malloc", .title = "malloc and free", .ms = 5, .sample = malloc_sample },
	{ .name = "close", .title = "close of a bad descriptor", .ms = 5, .sample = close_sample },
	{ .name = "fork-refused",
	  .title = "fork and wait, refused, 64 MB",
	  .ms = 20,
	  .each = fork_each },
	{ 0 },
};

const struct bench bench_calls = {
	.name = "calls",
	.unit = "time of one call or pair, outside windows",
	.measures = measures,
	.configs = configs,
	.cases = cases,
	.prepare = calls_prepare,
	.together = true,
};
