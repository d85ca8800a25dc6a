// SPDX-License-Identifier: MIT
/*
 * `spork bench locks`: pairs of taking a lock and giving it back, and fork() while other threads hold many.
 *
 * The samples run in processes of their own (bench.h). glibc's locks are cheaper while a process has one thread,
 * so all cases but the first have a second, which sleeps.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define HOLDERS 100
#define HELD_EACH 10

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spin;
static sem_t semaphore;

static void *sleeper(void *unused)
{
	for (;;)
		pause();
	return unused;
}

/* A second thread, from the first call on. */
static int company(void)
{
	static bool done;
	pthread_t thread;
	int error = 0;

	if (!done) {
		pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE);
		sem_init(&semaphore, 0, 1);
		error = pthread_create(&thread, NULL, sleeper, NULL);
	}
	done = !error;
	errno = error;
	return error;
}

/* The loops are functions of their own, so that the first pairs, which find cold caches, can be left out. */
#define PAIRS(name, take, give)                                                                    \
	static __attribute__((noinline)) void name##_pairs(uint64_t times)                         \
	{                                                                                          \
		while (times--) {                                                                  \
			take;                                                                      \
			give;                                                                      \
		}                                                                                  \
	}

PAIRS(mutex, pthread_mutex_lock(&mutex), pthread_mutex_unlock(&mutex))
PAIRS(recursive, pthread_mutex_lock(&recursive), pthread_mutex_unlock(&recursive))
PAIRS(read, pthread_rwlock_rdlock(&rwlock), pthread_rwlock_unlock(&rwlock))
PAIRS(write, pthread_rwlock_wrlock(&rwlock), pthread_rwlock_unlock(&rwlock))
PAIRS(spin, pthread_spin_lock(&spin), pthread_spin_unlock(&spin))
PAIRS(semaphore, sem_wait(&semaphore), sem_post(&semaphore))

static double timed(void (*pairs)(uint64_t), uint64_t times)
{
	uint64_t start;

	pairs(times / 16 + 1);
	start = bench_now();
	pairs(times);
	return (double)(bench_now() - start) / (double)times;
}

static double mutex_alone_sample(uint64_t times)
{
	return timed(mutex_pairs, times);
}

#define SAMPLE(name)                                                                               \
	static double name##_sample(uint64_t times)                                                \
	{                                                                                          \
		return company() ? -1 : timed(name##_pairs, times);                                \
	}

SAMPLE(mutex)
SAMPLE(recursive)
SAMPLE(read)
SAMPLE(write)
SAMPLE(spin)
SAMPLE(semaphore)

/* Two threads that do the same, each `times` / 2, from one moment on. */
struct pair {
	void (*pairs)(uint64_t);
	uint64_t times;
	int ready;
};

static void *second(void *data)
{
	struct pair *pair = data;

	__atomic_store_n(&pair->ready, 1, __ATOMIC_RELEASE);
	while (__atomic_load_n(&pair->ready, __ATOMIC_ACQUIRE) != 2)
		;
	pair->pairs(pair->times);
	return NULL;
}

static double contended(void (*pairs)(uint64_t), uint64_t times)
{
	struct pair pair = { .pairs = pairs, .times = (times + 1) / 2 };
	pthread_t thread;
	uint64_t start;
	int error;

	error = company() ? errno : pthread_create(&thread, NULL, second, &pair);
	if (error) {
		errno = error;
		return -1;
	}
	while (!__atomic_load_n(&pair.ready, __ATOMIC_ACQUIRE))
		;
	start = bench_now();
	__atomic_store_n(&pair.ready, 2, __ATOMIC_RELEASE);
	pairs(pair.times);
	pthread_join(thread, NULL);
	return (double)(bench_now() - start) / (double)(2 * pair.times);
}

#define CONTENDED(name)                                                                            \
	static double name##_contended_sample(uint64_t times)                                      \
	{                                                                                          \
		return contended(name##_pairs, times);                                             \
	}

CONTENDED(mutex)
CONTENDED(write)
CONTENDED(spin)

/* A turn that two threads hand to each other: a signal and a wait each. */
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static uint64_t turn, turns_end;

static void turns(unsigned mine)
{
	pthread_mutex_lock(&mutex);
	while (turn < turns_end) {
		if (turn % 2 == mine) {
			turn++;
			pthread_cond_signal(&turned);
		} else {
			pthread_cond_wait(&turned, &mutex);
		}
	}
	pthread_mutex_unlock(&mutex);
}

static void *second_turns(void *unused)
{
	turns(1);
	return unused;
}

static double cond_sample(uint64_t times)
{
	pthread_t thread;
	uint64_t start;
	int error;

	turn = 0;
	turns_end = 2 * times;
	error = pthread_create(&thread, NULL, second_turns, NULL);
	if (error) {
		errno = error;
		return -1;
	}
	start = bench_now();
	turns(0);
	pthread_join(thread, NULL);
	return (double)(bench_now() - start) / (double)turns_end;
}

static pthread_barrier_t all_hold;

static void *holder(void *data)
{
	pthread_mutex_t *locks = data;
	int i;

	for (i = 0; i < HELD_EACH; i++)
		pthread_mutex_lock(&locks[i]);
	pthread_barrier_wait(&all_hold);
	return sleeper(NULL);
}

/* Threads that hold locks in memory of the heap for good, from the first call on. */
static int holders(void)
{
	static bool done;
	pthread_attr_t attributes;
	pthread_mutex_t *locks;
	pthread_t thread;
	int error = 0, i;

	if (done)
		return 0;
	locks = calloc(HOLDERS * HELD_EACH, sizeof(*locks));
	if (!locks)
		return ENOMEM;
	pthread_barrier_init(&all_hold, NULL, HOLDERS + 1);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 256 << 10);
	for (i = 0; !error && i < HOLDERS * HELD_EACH; i++)
		error = pthread_mutex_init(&locks[i], NULL);
	for (i = 0; !error && i < HOLDERS; i++)
		error = pthread_create(&thread, &attributes, holder, &locks[i * HELD_EACH]);
	pthread_attr_destroy(&attributes);
	if (!error)
		pthread_barrier_wait(&all_hold);
	done = !error;
	return error;
}

/* `whole`: until the child, which ends at once, has been waited for; or as long as fork() holds its caller. */
static double forks(uint64_t times, bool whole)
{
	uint64_t done, start, spent = 0;
	int error = holders();
	pid_t pid;

	if (error) {
		errno = error;
		return -1;
	}
	for (done = 0; done < times; done++) {
		start = bench_now();
		pid = fork();
		if (!pid)
			_exit(EXIT_SUCCESS);
		if (pid < 0)
			return -1;
		if (!whole)
			spent += bench_now() - start;
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		if (whole)
			spent += bench_now() - start;
	}
	return (double)spent / (double)times;
}

static double fork_sample(uint64_t times)
{
	return forks(times, true);
}

static double fork_call_sample(uint64_t times)
{
	return forks(times, false);
}

/* The gate is aside: it would wait for the holders. */
#define SHIM_OPTIONS(locks) "log=none:gate=0:locks=" locks

static const struct bench_config configs[] = {
	{ "bare", NULL },
	{ "off", SHIM_OPTIONS("off") },
	{ "on", SHIM_OPTIONS("on") },
	{ "order", SHIM_OPTIONS("order") },
	{ 0 },
};

static const struct bench_case cases[] = {
	{ "mutex-one-thread", "mutex, in a process of one thread", 5, mutex_alone_sample },
	{ "mutex", "mutex", 5, mutex_sample },
	{ "mutex-recursive", "mutex, recursive", 5, recursive_sample },
	{ "rwlock-read", "rwlock, read", 5, read_sample },
	{ "rwlock-write", "rwlock, write", 5, write_sample },
	{ "spin", "spin", 5, spin_sample },
	{ "semaphore", "semaphore", 5, semaphore_sample },
	{ "cond", "cond, a turn of two threads", 15, cond_sample },
	{ "mutex-contended", "mutex, two threads contend", 20, mutex_contended_sample },
	{ "rwlock-contended", "rwlock, two writers contend", 20, write_contended_sample },
	{ "spin-contended", "spin, two threads contend", 20, spin_contended_sample },
	{ "fork", "fork and wait, 1,000 locks held", 15, fork_sample },
	{ "fork-call", "fork alone, 1,000 locks held", 15, fork_call_sample },
	{ 0 },
};

const struct bench bench_locks = {
	.name = "locks",
	.unit = "time of one pair, turn or fork",
	.configs = configs,
	.cases = cases,
};
