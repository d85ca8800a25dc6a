// SPDX-License-Identifier: MIT
/*
 * `spork bench popen`: commands of a shell, what avfork.h has instead, and how many programs a second can be started
 * by as many threads as there are processors.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define WORKERS_MAX 256
#define PERIOD_NS 100000000

enum { CALL, TOTAL, RATE };

typedef FILE *avfork_popener(const char *const argv[], const char *mode, pid_t *pid);

static const char *child;
static avfork_popener *avfork_popener_found;

static int popen_prepare(const struct bench_setup *setup)
{
	child = setup->child;
	avfork_popener_found = (avfork_popener *)dlsym(RTLD_DEFAULT, "avfork_popen");
	return 0;
}

/* Until the other side has closed it. */
static void drain(FILE *file)
{
	char rest[64];

	while (fread(rest, 1, sizeof(rest), file))
		;
}

static int popen_once(uint64_t *held)
{
	uint64_t began = bench_now();
	FILE *file = popen(":", "r");
	int status;

	*held = bench_now() - began;
	if (!file)
		return errno;
	drain(file);
	status = pclose(file);
	return status < 0 ? errno : status ? ENOEXEC : 0;
}

static int avfork_popen_once(uint64_t *held)
{
	const char *const argv[] = { child, NULL };
	uint64_t began = bench_now();
	FILE *file;
	pid_t pid;

	if (!avfork_popener_found)
		return ENOSYS;
	file = avfork_popener_found(argv, "r", &pid);
	*held = bench_now() - began;
	if (!file)
		return errno;
	drain(file);
	fclose(file);
	return bench_reap(pid);
}

static int fork_once(uint64_t *held)
{
	uint64_t began = bench_now();
	pid_t pid = bench_fork(child);

	*held = bench_now() - began;
	return pid < 0 ? errno : bench_reap(pid);
}

static int posix_spawn_once(uint64_t *held)
{
	char *const argv[] = { (char *)(uintptr_t)child, NULL };
	uint64_t began = bench_now();
	pid_t pid;
	int error = posix_spawn(&pid, child, NULL, NULL, argv, environ);

	*held = bench_now() - began;
	return error ? error : bench_reap(pid);
}

static int latency(int (*once)(uint64_t *held), double *values)
{
	uint64_t began = bench_now(), held;
	int error = once(&held);

	values[TOTAL] = (double)(bench_now() - began);
	values[CALL] = (double)held;
	return error;
}

/* It returns when all is done. */
static int system_each(double *values)
{
	uint64_t began = bench_now();
	int status = system(":");

	values[TOTAL] = (double)(bench_now() - began);
	return status < 0 ? errno : status ? ENOEXEC : 0;
}

/* ---- many threads ---- */

struct crew {
	int (*once)(uint64_t *held);
	uint64_t end;
	pthread_barrier_t start;
	unsigned done;
	int error; /* of any of them */
};

static void *worker(void *data)
{
	struct crew *crew = data;
	unsigned done = 0;
	uint64_t held;
	int error = 0;

	pthread_barrier_wait(&crew->start);
	while (!error && bench_now() < crew->end) {
		error = crew->once(&held);
		done += !error;
	}
	__atomic_fetch_add(&crew->done, done, __ATOMIC_RELAXED);
	if (error)
		__atomic_store_n(&crew->error, error, __ATOMIC_RELAXED);
	return NULL;
}

static int rate(int (*once)(uint64_t *held), double *values)
{
	/* Static: where not all threads can be started, the others wait for them until this process ends. */
	static struct crew crew;
	long cores = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned workers = cores < 1 ? 1 : cores > WORKERS_MAX ? WORKERS_MAX : (unsigned)cores, i;
	pthread_t thread[WORKERS_MAX];
	uint64_t began;
	int error = 0;

	crew = (struct crew){ .once = once };
	pthread_barrier_init(&crew.start, NULL, workers + 1);
	for (i = 0; !error && i < workers; i++)
		error = pthread_create(&thread[i], NULL, worker, &crew);
	if (error)
		return error;
	began = bench_now();
	crew.end = began + PERIOD_NS;
	pthread_barrier_wait(&crew.start);
	while (i)
		pthread_join(thread[--i], NULL);
	pthread_barrier_destroy(&crew.start);
	values[RATE] = crew.done * 1e9 / (double)(bench_now() - began);
	return crew.error;
}

#define EACH(name)                                                                                 \
	static int name##_each(double *values)                                                     \
	{                                                                                          \
		return latency(name##_once, values);                                               \
	}
#define RATE(name)                                                                                 \
	static int name##_rate(double *values)                                                     \
	{                                                                                          \
		return rate(name##_once, values);                                                  \
	}

EACH(popen)
EACH(avfork_popen)
RATE(popen)
RATE(fork)
RATE(posix_spawn)
RATE(avfork_popen)

static const struct bench_measure measures[] = {
	{ "call", "ns" },
	{ "total", "ns" },
	{ "rate", "per_second" },
	{ 0 },
};

static const struct bench_config configs[] = {
	{ "bare", NULL },
	{ "shim", "log=none" },
	{ "follow=0", "log=none:follow=0" },
	{ 0 },
};

static const struct bench_case cases[] = {
	{ .name = "popen", .title = "popen of a shell", .ms = 10, .each = popen_each },
	{ .name = "system", .title = "system", .ms = 10, .each = system_each },
	{ .name = "avfork_popen",
	  .title = "avfork_popen, to popen",
	  .ms = 5,
	  .each = avfork_popen_each,
	  .where = BENCH_SHIM,
	  .against = "popen" },
	{ .name = "fork-rate", .title = "fork, exec", .ms = 1, .each = fork_rate },
	{ .name = "posix_spawn-rate", .title = "posix_spawn", .ms = 1, .each = posix_spawn_rate },
	{ .name = "popen-rate", .title = "popen of a shell", .ms = 1, .each = popen_rate },
	{ .name = "avfork_popen-rate",
	  .title = "avfork_popen, to popen",
	  .ms = 1,
	  .each = avfork_popen_rate,
	  .where = BENCH_SHIM,
	  .against = "popen-rate" },
	{ 0 },
};

const struct bench bench_popen = {
	.name = "popen",
	.unit = "a command that does nothing, and spawns per second of a thread for each core",
	.measures = measures,
	.configs = configs,
	.cases = cases,
	.prepare = popen_prepare,
	.together = true,
};
