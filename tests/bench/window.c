/* SPDX-License-Identifier: MIT */
/*
 * window WHAT [--rss BYTES] [--runs N] [--child PROGRAM]
 *
 * Run under the shim; compares, in turn and in one process, what goes through the shim with what goes past
 * it to libc or to the kernel. Prints lines "NAME NANOSECONDS", medians.
 *	floor	fork+exec+wait at a learned site, against a bare clone(CLONE_VM|CLONE_VFORK) on a stack that
 *		is kept; and the parent's page faults, per spawn, when it writes its memory after either
 *	refused	fork+wait at a site that is never promoted, against libc's fork
 *	vfork	vfork+exec+wait, against libc's vfork
 *	calls	malloc and free, close of a bad descriptor, a mutex taken and given back, against libc's
 */
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define WARMUP 10
#define TOUCHED 64 /* pages that the parent writes after a spawn */

static const char *child_program = "/bin/true";
static void *libc;
static int runs = 200;
static char *memory;
static size_t memory_size;

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print(const char *name, double *values, int count)
{
	qsort(values, (size_t)count, sizeof(*values), ascending);
	printf("%s %.3f\n", name, values[count / 2]);
}

static double *values_new(void)
{
	double *values = calloc((size_t)runs, sizeof(*values));

	if (!values)
		fail("calloc");
	return values;
}

/* At least what is written after each spawn. */
static void fill_memory(void)
{
	memory = fill(memory_size < TOUCHED * PAGE ? TOUCHED * PAGE : memory_size);
}

static void reap(pid_t pid)
{
	int status = 0;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || status) {
		fprintf(stderr, "window: the child failed (pid %d, status %#x)\n", (int)pid,
			status);
		exit(1);
	}
}

static void execute(void)
{
	char *args[] = { (char *)child_program, NULL };

	execv(args[0], args);
	_exit(127);
}

static pid_t spawn_fork(void)
{
	pid_t pid = fork();

	if (!pid)
		execute();
	return pid;
}

static int execute_past(void *unused)
{
	char *args[] = { (char *)child_program, NULL };
	int (*past)(const char *, char *const *, char *const *) =
		(int (*)(const char *, char *const *, char *const *))dlsym(libc, "execve");

	(void)unused;
	past(args[0], args, environ);
	return 127;
}

/* The least that a spawn can do: no signals blocked, no stack mapped, nothing put back. */
static pid_t spawn_clone(void)
{
	static char stack[64 << 10] __attribute__((aligned(16)));
	static int (*past)(int (*)(void *), void *, int, void *, ...);

	if (!past)
		past = (int (*)(int (*)(void *), void *, int, void *, ...))dlsym(libc, "clone");
	return past(execute_past, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
}

static pid_t spawn_heap(pid_t (*forker)(void), void (*exiter)(int))
{
	pid_t pid = forker();

	if (!pid) {
		void *volatile block = malloc(16);

		exiter(block ? 0 : 1);
	}
	return pid;
}

/* Page faults of the parent that writes its memory. */
static long faults_after(void)
{
	struct rusage before, after;
	int i;

	getrusage(RUSAGE_SELF, &before);
	for (i = 0; i < TOUCHED; i++)
		memory[(size_t)i * PAGE]++;
	getrusage(RUSAGE_SELF, &after);
	return after.ru_minflt - before.ru_minflt;
}

static void measure_floor(void)
{
	double *times[2] = { values_new(), values_new() },
	       *faults[2] = { values_new(), values_new() };
	pid_t (*const spawn[2])(void) = { spawn_fork, spawn_clone };
	int i, way;

	fill_memory();
	for (i = -WARMUP; i < runs; i++)
		for (way = 0; way < 2; way++) {
			uint64_t began = now_ns();

			reap(spawn[way]());
			if (i >= 0) {
				times[way][i] = (double)(now_ns() - began);
				faults[way][i] = (double)faults_after();
			}
		}
	print("learned", times[0], runs);
	print("floor", times[1], runs);
	print("learned-faults", faults[0], runs);
	print("floor-faults", faults[1], runs);
}

static void measure_refused(void)
{
	double *times[2] = { values_new(), values_new() };
	pid_t (*const forker[2])(void) = { fork, (pid_t(*)(void))dlsym(libc, "fork") };
	void (*const exiter[2])(int) = { _exit, (void (*)(int))dlsym(libc, "_exit") };
	int i, way;

	fill_memory();
	for (i = -WARMUP; i < runs; i++)
		for (way = 0; way < 2; way++) {
			uint64_t began = now_ns();

			reap(spawn_heap(forker[way], exiter[way]));
			if (i >= 0)
				times[way][i] = (double)(now_ns() - began);
		}
	print("refused", times[0], runs);
	print("refused-libc", times[1], runs);
}

/* Through a pointer the compiler knows nothing of vfork(): this function keeps no value across it. */
static __attribute__((noinline, returns_twice)) pid_t spawn_vfork(pid_t (*forker)(void),
								  int (*past)(void *))
{
	pid_t pid = forker();

	if (!pid && past)
		_exit(past(NULL));
	if (!pid)
		execute();
	return pid;
}

static void measure_vfork(void)
{
	double *times[2] = { values_new(), values_new() };
	pid_t (*const forker[2])(void) = { vfork, (pid_t(*)(void))dlsym(libc, "vfork") };
	int (*const past[2])(void *) = { NULL, execute_past };
	int i, way;

	for (i = -WARMUP; i < runs; i++)
		for (way = 0; way < 2; way++) {
			uint64_t began = now_ns();

			reap(spawn_vfork(forker[way], past[way]));
			if (i >= 0)
				times[way][i] = (double)(now_ns() - began);
		}
	print("vfork", times[0], runs);
	print("vfork-libc", times[1], runs);
}

#define CALLS 20000

static double pairs_malloc(void *(*volatile *allocate)(size_t), void (*volatile *release)(void *))
{
	uint64_t began = now_ns();
	int i;

	for (i = 0; i < CALLS; i++) {
		void *volatile block = (*allocate)(32);

		(*release)(block);
	}
	return (double)(now_ns() - began) / CALLS;
}

static double calls_close(int (*volatile *closer)(int))
{
	uint64_t began = now_ns();
	int i;

	for (i = 0; i < CALLS; i++)
		(*closer)(-1);
	return (double)(now_ns() - began) / CALLS;
}

static double pairs_lock(int (*volatile *lock)(pthread_mutex_t *),
			 int (*volatile *unlock)(pthread_mutex_t *))
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	uint64_t began = now_ns();
	int i;

	for (i = 0; i < CALLS; i++) {
		(*lock)(&mutex);
		(*unlock)(&mutex);
	}
	return (double)(now_ns() - began) / CALLS;
}

static void measure_calls(void)
{
	void *(*volatile allocate[2])(size_t) = { malloc,
						  (void *(*)(size_t))dlsym(libc, "malloc") };
	void (*volatile release[2])(void *) = { free, (void (*)(void *))dlsym(libc, "free") };
	int (*volatile closer[2])(int) = { close, (int (*)(int))dlsym(libc, "close") };
	int (*volatile lock[2])(pthread_mutex_t *) = {
		pthread_mutex_lock, (int (*)(pthread_mutex_t *))dlsym(libc, "pthread_mutex_lock")
	};
	int (*volatile unlock[2])(pthread_mutex_t *) = { pthread_mutex_unlock,
							 (int (*)(pthread_mutex_t *))dlsym(
								 libc, "pthread_mutex_unlock") };
	double *times[6] = { values_new(), values_new(), values_new(),
			     values_new(), values_new(), values_new() };
	static const char *const names[6] = { "malloc",	    "malloc-libc", "close",
					      "close-libc", "mutex",	   "mutex-libc" };
	int i, way;

	for (i = 0; i < runs; i++)
		for (way = 0; way < 2; way++) {
			times[way][i] = pairs_malloc(&allocate[way], &release[way]);
			times[2 + way][i] = calls_close(&closer[way]);
			times[4 + way][i] = pairs_lock(&lock[way], &unlock[way]);
		}
	for (i = 0; i < 6; i++)
		print(names[i], times[i], runs);
}

static const struct {
	const char *name;
	void (*measure)(void);
} whats[] = { { "floor", measure_floor },
	      { "refused", measure_refused },
	      { "vfork", measure_vfork },
	      { "calls", measure_calls } };

int main(int argc, char **argv)
{
	size_t i;
	int at;

	libc = dlopen("libc.so.6", RTLD_LAZY);
	if (!libc)
		fail("dlopen");
	for (at = 2; at + 1 < argc; at += 2) {
		if (!strcmp(argv[at], "--rss"))
			memory_size = bytes_of(argv[at + 1]);
		else if (!strcmp(argv[at], "--runs"))
			runs = atoi(argv[at + 1]);
		else if (!strcmp(argv[at], "--child"))
			child_program = argv[at + 1];
		else
			break;
	}
	for (i = 0; argc > 1 && at == argc && runs > 0 && i < sizeof(whats) / sizeof(*whats); i++)
		if (!strcmp(argv[1], whats[i].name)) {
			whats[i].measure();
			return 0;
		}
	fprintf(stderr,
		"usage: window floor|refused|vfork|calls [--rss BYTES] [--runs N] [--child PROGRAM]\n");
	return 2;
}
