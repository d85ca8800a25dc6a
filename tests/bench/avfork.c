/* SPDX-License-Identifier: MIT */
/*
 * avfork [--rss MEGABYTES] [--runs N] [--child PROGRAM]
 *
 * Run under the shim; compares, in turn and in one process, what a spawn costs its caller by avfork() and by a pool
 * with libc's posix_spawn() and with a bare clone(CLONE_VM) on a stack that is kept, none of which come through the
 * shim. Prints lines "NAME NANOSECONDS", medians; the -rate lines tell the time from spawn to spawn while four
 * children are under way.
 */
#include <dlfcn.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../../shim/avfork.h"

#define WARMUP 10
#define UNDER_WAY 4

extern char **environ;

static const char *child_program = "/bin/true";
static char **argv;
static int runs = 200;

static __typeof__(&posix_spawn) libc_spawn;
static __typeof__(&clone) libc_clone;
static __typeof__(&avfork) avfork_call;
static __typeof__(&avfork_pool_submit) submit_call;
static struct avfork_pool *pool;
static char *clone_stack;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

/* So much memory, resident in small pages. */
static char *fill(size_t bytes)
{
	char *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		fail("mmap");
	madvise(memory, bytes, MADV_NOHUGEPAGE);
	memset(memory, 1, bytes);
	return memory;
}

static int execute(void *unused)
{
	(void)unused;
	execve(child_program, argv, environ);
	_exit(127);
}

static pid_t by_libc(void)
{
	pid_t pid = -1;

	return libc_spawn(&pid, child_program, NULL, NULL, argv, environ) ? -1 : pid;
}

static pid_t by_clone(void)
{
	return libc_clone(execute, clone_stack + (64 << 10), CLONE_VM | SIGCHLD, NULL);
}

static pid_t by_avfork(void)
{
	return avfork_call(execute, NULL);
}

static pid_t by_pool(void)
{
	struct avfork_job job = { .argv = (const char *const *)argv };

	return submit_call(pool, &job);
}

static void reap(pid_t pid)
{
	int status = 0;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || status) {
		fprintf(stderr, "avfork: the child failed (pid %d, status %#x)\n", (int)pid,
			status);
		exit(1);
	}
}

enum { LIBC, CLONE, AVFORK, POOL, WAYS };

static const struct {
	const char *name;
	pid_t (*spawn)(void);
} ways[WAYS] = {
	[LIBC] = { "libc", by_libc },
	[CLONE] = { "clone", by_clone },
	[AVFORK] = { "avfork", by_avfork },
	[POOL] = { "pool", by_pool },
};

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print(int way, const char *what, double *values)
{
	qsort(values, (size_t)runs, sizeof(*values), ascending);
	printf("%s%s %.0f\n", ways[way].name, what, values[runs / 2]);
}

static double *values_new(void)
{
	double *values = calloc((size_t)runs, sizeof(*values));

	if (!values)
		fail("calloc");
	return values;
}

static void measure_calls(void)
{
	double *call[WAYS], *total[WAYS];
	int run, way;

	for (way = 0; way < WAYS; way++) {
		call[way] = values_new();
		total[way] = values_new();
	}
	for (run = -WARMUP; run < runs; run++)
		for (way = 0; way < WAYS; way++) {
			uint64_t start = now_ns(), called;
			pid_t pid = ways[way].spawn();

			called = now_ns();
			reap(pid);
			if (run < 0)
				continue;
			call[way][run] = (double)(called - start);
			total[way][run] = (double)(now_ns() - start);
		}
	for (way = 0; way < WAYS; way++) {
		print(way, "-call", call[way]);
		print(way, "-total", total[way]);
	}
}

/* Time per spawn of a loop that keeps so many children under way. */
static double rate(int way, int under_way)
{
	pid_t pid[UNDER_WAY];
	uint64_t start = now_ns();
	int run;

	for (run = 0; run < runs + under_way; run++) {
		if (run >= under_way)
			reap(pid[run % under_way]);
		if (run < runs)
			pid[run % under_way] = ways[way].spawn();
	}
	return (double)(now_ns() - start) / runs;
}

static void measure_rates(void)
{
	printf("libc-one-rate %.0f\n", rate(LIBC, 1));
	printf("libc-rate %.0f\n", rate(LIBC, UNDER_WAY));
	printf("avfork-rate %.0f\n", rate(AVFORK, UNDER_WAY));
	printf("pool-rate %.0f\n", rate(POOL, UNDER_WAY));
}

static void *find(void *from, const char *name)
{
	void *found = from ? dlsym(from, name) : NULL;

	if (found)
		return found;
	fprintf(stderr, "avfork: no %s: is the shim preloaded?\n", name);
	exit(1);
}

int main(int argc, char **given)
{
	__typeof__(&avfork_pool_create) create_call;
	void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD), *all = dlopen(NULL, RTLD_NOW);
	size_t rss = 0;
	int i;

	for (i = 1; i + 1 < argc; i += 2)
		if (!strcmp(given[i], "--rss"))
			rss = strtoull(given[i + 1], NULL, 10) << 20;
		else if (!strcmp(given[i], "--runs"))
			runs = atoi(given[i + 1]);
		else if (!strcmp(given[i], "--child"))
			child_program = given[i + 1];
	libc_spawn = (__typeof__(libc_spawn))find(libc, "posix_spawn");
	libc_clone = (__typeof__(libc_clone))find(libc, "clone");
	avfork_call = (__typeof__(avfork_call))find(all, "avfork");
	submit_call = (__typeof__(submit_call))find(all, "avfork_pool_submit");
	create_call = (__typeof__(create_call))find(all, "avfork_pool_create");
	argv = (char *[]){ (char *)child_program, NULL };
	clone_stack = fill(64 << 10);
	if (rss)
		fill(rss);
	pool = create_call(UNDER_WAY);
	if (!pool)
		fail("avfork_pool_create");
	measure_calls();
	measure_rates();
	return 0;
}
