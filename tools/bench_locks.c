// SPDX-License-Identifier: MIT
/*
 * `spork bench locks`: pairs of taking a lock and giving it back, and fork() while other threads hold many.
 *
 * The samples run in processes of their own (bench.h). glibc's locks are cheaper while a process has one thread,
 * so all cases but the first have a second, which sleeps.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define HOLDERS 100
#define HELD_EACH 10
#define PIECES 15
#define FORKS_MAX 1024

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

double bench_timed(void (*pairs)(uint64_t), uint64_t times)
{
	uint64_t start, each = times / PIECES + 1;
	double piece[PIECES];
	int i;

	pairs(each);
	for (i = 0; i < PIECES; i++) {
		start = bench_now();
		pairs(each);
		piece[i] = (double)(bench_now() - start) / (double)each;
	}
	return bench_median(piece, PIECES);
}

static double mutex_alone_sample(uint64_t times)
{
	return bench_timed(mutex_pairs, times);
}

#define SAMPLE(name)                                                                               \
	static double name##_sample(uint64_t times)                                                \
	{                                                                                          \
		return company() ? -1 : bench_timed(name##_pairs, times);                          \
	}

SAMPLE(mutex)
SAMPLE(recursive)
SAMPLE(read)
SAMPLE(write)
SAMPLE(spin)
SAMPLE(semaphore)

/*
 * Two threads, each on a processor of its own: left to the scheduler they would share one at times, and meet each
 * other less. -1: there is only one.
 */
static int processor(int which)
{
	cpu_set_t all;
	int i;

	if (sched_getaffinity(getpid(), sizeof(all), &all))
		return -1;
	for (i = 0; i < CPU_SETSIZE; i++)
		if (CPU_ISSET(i, &all) && !which--)
			return i;
	return -1;
}

static void settle_on(pthread_t thread, int number)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(number, &one);
	pthread_setaffinity_np(thread, sizeof(one), &one);
}

/* Calls `body` in both at once, PIECES times, and returns what a piece took as a rule; negative: see errno. */
struct duet {
	void (*body)(struct duet *duet, unsigned mine);
	void (*pairs)(uint64_t);
	uint64_t times; /* of both together, in a piece */
	unsigned begun, done;
};

static void *second(void *data)
{
	struct duet *duet = data;
	unsigned piece;

	for (piece = 1; piece <= PIECES; piece++) {
		while (__atomic_load_n(&duet->begun, __ATOMIC_ACQUIRE) != piece)
			;
		duet->body(duet, 1);
		__atomic_store_n(&duet->done, piece, __ATOMIC_RELEASE);
	}
	return NULL;
}

static double duet_time(struct duet *duet)
{
	int here = processor(0), there = processor(1), error;
	double spent[PIECES];
	cpu_set_t before;
	pthread_t thread;
	unsigned piece;
	uint64_t start;

	error = company() ? errno : pthread_create(&thread, NULL, second, duet);
	if (error) {
		errno = error;
		return -1;
	}
	pthread_getaffinity_np(pthread_self(), sizeof(before), &before);
	if (there >= 0) {
		settle_on(pthread_self(), here);
		settle_on(thread, there);
	}
	for (piece = 1; piece <= PIECES; piece++) {
		start = bench_now();
		__atomic_store_n(&duet->begun, piece, __ATOMIC_RELEASE);
		duet->body(duet, 0);
		while (__atomic_load_n(&duet->done, __ATOMIC_ACQUIRE) != piece)
			;
		spent[piece - 1] = (double)(bench_now() - start) / (double)duet->times;
	}
	pthread_join(thread, NULL);
	pthread_setaffinity_np(pthread_self(), sizeof(before), &before);
	return bench_median(spent, PIECES);
}

static void contend(struct duet *duet, unsigned mine)
{
	duet->pairs((duet->times + mine) / 2);
}

static double contended(void (*pairs)(uint64_t), uint64_t times)
{
	struct duet duet = { contend, pairs, times / PIECES + 2, 0, 0 };

	return duet_time(&duet);
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
static uint64_t turn; /* even: the first thread's */

static void turns(struct duet *duet, unsigned mine)
{
	uint64_t left = duet->times / 2;

	pthread_mutex_lock(&mutex);
	while (left)
		if (turn % 2 == mine) {
			turn++;
			left--;
			pthread_cond_signal(&turned);
		} else {
			pthread_cond_wait(&turned, &mutex);
		}
	pthread_mutex_unlock(&mutex);
}

static double cond_sample(uint64_t times)
{
	struct duet duet = { turns, NULL, (times / PIECES + 2) & ~1ULL, 0, 0 };

	turn = 0;
	return duet_time(&duet);
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
	static double spent[FORKS_MAX];
	int error = holders(), here = processor(0);
	uint64_t done, start;
	cpu_set_t before;
	pid_t pid;

	if (error) {
		errno = error;
		return -1;
	}
	pthread_getaffinity_np(pthread_self(), sizeof(before), &before);
	if (here >= 0)
		settle_on(pthread_self(), here);
	for (done = 0; done < times && done < FORKS_MAX; done++) {
		start = bench_now();
		pid = fork();
		if (!pid)
			_exit(EXIT_SUCCESS);
		if (pid < 0)
			return -1;
		if (!whole)
			spent[done] = (double)(bench_now() - start);
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		if (whole)
			spent[done] = (double)(bench_now() - start);
	}
	pthread_setaffinity_np(pthread_self(), sizeof(before), &before);
	return bench_median(spent, (unsigned)done);
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

static const struct bench_measure measures[] = { { "time", "ns" }, { 0 } };

static const struct bench_config configs[] = {
	{ "bare", NULL },
	{ "off", SHIM_OPTIONS("off") },
	{ "on", SHIM_OPTIONS("on") },
	{ "order", SHIM_OPTIONS("order") },
	{ 0 },
};

static const struct bench_case cases[] = {
	{ .name = "mutex-one-thread",
	  .title = "mutex, in a process of one thread",
	  .ms = 5,
	  .sample = mutex_alone_sample },
	{ .name = "mutex", .title = "mutex", .ms = 5, .sample = mutex_sample },
	{ .name = "mutex-recursive",
	  .title = "mutex, recursive",
	  .ms = 5,
	  .sample = recursive_sample },
	{ .name = "rwlock-read", .title = "rwlock, read", .ms = 5, .sample = read_sample },
	{ .name = "rwlock-write", .title = "rwlock, write", .ms = 5, .sample = write_sample },
	{ .name = "spin", .title = "spin", .ms = 5, .sample = spin_sample },
	{ .name = "semaphore", .title = "semaphore", .ms = 5, .sample = semaphore_sample },
	{ .name = "cond", .title = "cond, a turn of two threads", .ms = 20, .sample = cond_sample },
	{ .name = "mutex-contended",
	  .title = "mutex, two threads contend",
	  .ms = 30,
	  .sample = mutex_contended_sample },
	{ .name = "rwlock-contended",
	  .title = "rwlock, two writers contend",
	  .ms = 30,
	  .sample = write_contended_sample },
	{ .name = "spin-contended",
	  .title = "spin, two threads contend",
	  .ms = 30,
	  .sample = spin_contended_sample },
	{ .name = "fork",
	  .title = "fork and wait, 1,000 locks held",
	  .ms = 40,
	  .sample = fork_sample },
	{ .name = "fork-call",
	  .title = "fork alone, 1,000 locks held",
	  .ms = 40,
	  .sample = fork_call_sample },
	{ 0 },
};

const struct bench bench_locks = {
	.name = "locks",
	.unit = "time of one pair, turn or fork",
	.measures = measures,
	.configs = configs,
	.cases = cases,
};
