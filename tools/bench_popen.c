// SPDX-License-Identifier: MIT
/*
 * `spork bench popen`: commands of a shell, what avfork.h has instead, posix_spawn() beside a bare clone() and avfork.h's
 * calls, and how many programs a second can be started, by as many threads as there are processors, and by one thread
 * that keeps some under way. What libc does itself is measured in the process without the shim.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "shim/avfork.h"

#define WORKERS_MAX 256
#define PERIOD_NS 100000000
#define LOOP_NS 50000000
#define UNDER_WAY 4 /* children at once, of a loop; and of a pool */

enum { CALL, TOTAL, RATE };

static const char *child;
static struct avfork_pool *pool;

/* The shim's own, where it is. */
static struct {
	__typeof__(&avfork) avfork;
	__typeof__(&avfork_popen) popen;
	__typeof__(&avfork_pool_create) pool_create;
	__typeof__(&avfork_pool_submit) pool_submit;
	__typeof__(&avfork_pool_destroy) pool_destroy;
} shim;

static int popen_prepare(const struct bench_setup *setup)
{
	child = setup->child;
	shim.avfork = (__typeof__(shim.avfork))dlsym(RTLD_DEFAULT, "avfork");
	shim.popen = (__typeof__(shim.popen))dlsym(RTLD_DEFAULT, "avfork_popen");
	shim.pool_create = (__typeof__(shim.pool_create))dlsym(RTLD_DEFAULT, "avfork_pool_create");
	shim.pool_submit = (__typeof__(shim.pool_submit))dlsym(RTLD_DEFAULT, "avfork_pool_submit");
	shim.pool_destroy =
		(__typeof__(shim.pool_destroy))dlsym(RTLD_DEFAULT, "avfork_pool_destroy");
	return 0;
}

/* Only while it is measured: its children share the memory of whatever else is. */
static int pool_keep(bool wanted)
{
	if (wanted && !pool) {
		if (!shim.pool_create)
			return ENOSYS;
		pool = shim.pool_create(UNDER_WAY);
		return pool ? 0 : errno;
	}
	if (!wanted && pool) {
		shim.pool_destroy(pool);
		pool = NULL;
	}
	return 0;
}

/* ---- ways to start a program: each returns its pid, or -1 with errno set ---- */

static int execute(void *unused)
{
	char *const argv[] = { (char *)(uintptr_t)child, NULL };

	(void)unused;
	execve(child, argv, environ);
	_exit(127);
}

static pid_t by_fork(void)
{
	return bench_fork(child);
}

/* In the bare process it is libc's. */
static pid_t by_posix_spawn(void)
{
	char *const argv[] = { (char *)(uintptr_t)child, NULL };
	pid_t pid;
	int error = posix_spawn(&pid, child, NULL, NULL, argv, environ);

	errno = error;
	return error ? -1 : pid;
}

/* The least that does not hold its caller: nothing blocked, mapped or put back. Not before the last child is reaped. */
static pid_t by_clone(void)
{
	static char stack[64 << 10] __attribute__((aligned(16)));

	return clone(execute, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
}

static pid_t by_avfork(void)
{
	errno = ENOSYS;
	return shim.avfork ? shim.avfork(execute, NULL) : -1;
}

static pid_t by_avfork_pool(void)
{
	const char *const argv[] = { child, NULL };
	struct avfork_job job = { .argv = argv };

	return shim.pool_submit(pool, &job);
}

/* ---- once ---- */

static int spawn_once(pid_t (*start)(void), uint64_t *held)
{
	uint64_t began = bench_now();
	pid_t pid = start();

	*held = bench_now() - began;
	return pid < 0 ? errno : bench_reap(pid);
}

#define ONCE(name)                                                                                 \
	static int name##_once(uint64_t *held)                                                     \
	{                                                                                          \
		return spawn_once(by_##name, held);                                                \
	}

ONCE(fork)
ONCE(posix_spawn)
ONCE(clone)
ONCE(avfork)
ONCE(avfork_pool)

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

	if (!shim.popen)
		return ENOSYS;
	file = shim.popen(argv, "r", &pid);
	*held = bench_now() - began;
	if (!file)
		return errno;
	drain(file);
	fclose(file);
	return bench_reap(pid);
}

static int latency(int (*once)(uint64_t *held), double *values)
{
	int error = pool_keep(once == avfork_pool_once);
	uint64_t began = bench_now(), held;

	error = error ? error : once(&held);
	if (error)
		return error;
	values[TOTAL] = (double)(bench_now() - began);
	values[CALL] = (double)held;
	return 0;
}

/* It returns when all is done. */
static int system_each(double *values)
{
	uint64_t began;
	int status;

	pool_keep(false);
	began = bench_now();
	status = system(":");

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

	pool_keep(false);
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

/* ---- one thread that keeps some children under way ---- */

static int loop(pid_t (*start)(void), double *values)
{
	pid_t pid[UNDER_WAY] = { 0 };
	int error = pool_keep(start == by_avfork_pool), reaped;
	uint64_t began = bench_now(), end = began + LOOP_NS;
	unsigned done = 0, at, left;

	for (at = 0; !error && bench_now() < end; at = (at + 1) % UNDER_WAY) {
		error = pid[at] ? bench_reap(pid[at]) : 0;
		done += pid[at] && !error;
		pid[at] = error ? 0 : start();
		error = pid[at] < 0 ? errno : error;
	}
	for (left = 0; left < UNDER_WAY; left++, at = (at + 1) % UNDER_WAY) {
		reaped = pid[at] > 0 ? bench_reap(pid[at]) : 0;
		done += pid[at] > 0 && !reaped;
		error = error ? error : reaped;
	}
	values[RATE] = done * 1e9 / (double)(bench_now() - began);
	return error;
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

#define LOOP(name)                                                                                 \
	static int name##_loop(double *values)                                                     \
	{                                                                                          \
		return loop(by_##name, values);                                                    \
	}

EACH(popen)
EACH(avfork_popen)
EACH(posix_spawn)
EACH(clone)
EACH(avfork)
EACH(avfork_pool)
RATE(popen)
RATE(fork)
RATE(posix_spawn)
RATE(avfork_popen)
LOOP(posix_spawn)
LOOP(avfork)
LOOP(avfork_pool)

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
	{ .name = "posix_spawn", .title = "posix_spawn", .ms = 5, .each = posix_spawn_each },
	{ .name = "clone",
	  .title = "clone, kept stack",
	  .ms = 5,
	  .each = clone_each,
	  .where = BENCH_BARE },
	{ .name = "avfork",
	  .title = "avfork, to posix_spawn",
	  .ms = 5,
	  .each = avfork_each,
	  .where = BENCH_SHIM,
	  .against = "posix_spawn" },
	/* A row has one that it is compared with. */
	{ .name = "avfork-clone",
	  .title = "avfork, to clone",
	  .ms = 5,
	  .each = avfork_each,
	  .where = BENCH_SHIM,
	  .against = "clone" },
	{ .name = "avfork_pool",
	  .title = "pool, to posix_spawn",
	  .ms = 5,
	  .each = avfork_pool_each,
	  .where = BENCH_SHIM,
	  .against = "posix_spawn" },
	{ .name = "fork-rate", .title = "fork, exec", .ms = 1, .each = fork_rate },
	{ .name = "posix_spawn-rate", .title = "posix_spawn", .ms = 1, .each = posix_spawn_rate },
	{ .name = "popen-rate", .title = "popen of a shell", .ms = 1, .each = popen_rate },
	{ .name = "avfork_popen-rate",
	  .title = "avfork_popen, to popen",
	  .ms = 1,
	  .each = avfork_popen_rate,
	  .where = BENCH_SHIM,
	  .against = "popen-rate" },
	{ .name = "posix_spawn-loop",
	  .title = "posix_spawn, 4 at once",
	  .ms = 1,
	  .each = posix_spawn_loop },
	{ .name = "avfork-loop",
	  .title = "avfork, to it",
	  .ms = 1,
	  .each = avfork_loop,
	  .where = BENCH_SHIM,
	  .against = "posix_spawn-loop" },
	{ .name = "avfork_pool-loop",
	  .title = "pool, to it",
	  .ms = 1,
	  .each = avfork_pool_loop,
	  .where = BENCH_SHIM,
	  .against = "posix_spawn-loop" },
	{ 0 },
};

const struct bench bench_popen = {
	.name = "popen",
	.unit = "commands and programs that do nothing; spawns per second of a thread for each core, and of one thread",
	.measures = measures,
	.configs = configs,
	.cases = cases,
	.prepare = popen_prepare,
	.together = true,
};
