// SPDX-License-Identifier: MIT
/*
 * `spork bench startup`: what the shim adds to a program that starts, does nothing and ends. It is in the program
 * alone: the process that starts it is bare.
 */
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench.h"

static const char *child;
static char true_path[PATH_MAX], shell_path[PATH_MAX];

static int startup_prepare(const struct bench_setup *setup)
{
	child = setup->child;
	if (launch_find("true", true_path))
		*true_path = '\0';
	if (launch_find("sh", shell_path))
		*shell_path = '\0';
	if (!setup->options)
		return 0;
	return setenv("LD_PRELOAD", setup->shim, 1) || setenv("SPORK_OPTIONS", setup->options, 1) ?
		       errno :
		       0;
}

static int start(const char *const argv[], double *values)
{
	uint64_t began = bench_now();
	pid_t pid;
	int error;

	if (!*argv[0])
		return ENOSYS;
	error = posix_spawn(&pid, argv[0], NULL, NULL, (char **)(uintptr_t)argv, environ);
	if (!error)
		error = bench_reap(pid);
	values[0] = (double)(bench_now() - began);
	return error;
}

static int static_each(double *values)
{
	const char *const argv[] = { child, NULL };

	return start(argv, values);
}

static int true_each(double *values)
{
	const char *const argv[] = { true_path, NULL };

	return start(argv, values);
}

static int shell_each(double *values)
{
	const char *const argv[] = { shell_path, "-c", ":", NULL };

	return start(argv, values);
}

static const struct bench_measure measures[] = { { "total", "ns" }, { 0 } };

static const struct bench_config configs[] = {
	{ "bare", NULL },
	{ "shim", "log=none" },
	{ "locks=off", "log=none:locks=off" },
	{ "box=none", "log=none:box=none" },
	{ 0 },
};

static const struct bench_case cases[] = {
	{ .name = "true", .title = "true, dynamically linked", .ms = 10, .each = true_each },
	{ .name = "sh", .title = "sh -c :", .ms = 10, .each = shell_each },
	{ .name = "static", .title = "a static program, no shim", .ms = 5, .each = static_each },
	{ 0 },
};

const struct bench bench_startup = {
	.name = "startup",
	.unit = "time until the program that was started has ended",
	.measures = measures,
	.configs = configs,
	.cases = cases,
	.prepare = startup_prepare,
	.together = true,
	.children = true,
};
