// SPDX-License-Identifier: MIT
/*
 * `spork bench paths`: the ways to start a program, from a process with much memory, many mappings or many threads.
 * All of them execute the same static child (bench_child.c) and wait for it.
 *
 * The samples run in processes of their own (bench.h). What is under the shim has had its site learned by then.
 */
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define TOUCHED 64 /* pages that the parent writes after a spawn */
#define HUGE_PAGE (2UL << 20)
#define THREAD_STACK (64UL << 10)

enum { CALL, TOTAL, FAULTS };

static const char *child;
static char *memory;
static size_t memory_size, page;

int bench_reap(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return errno;
	/* As a shell tells it, 127 is a child that could not execute. */
	return !status ? 0 : ENOEXEC;
}

static void execute(const char *path)
{
	char *const args[] = { (char *)(uintptr_t)path, NULL };

	execve(path, args, environ);
	_exit(127);
}

__attribute__((noinline)) pid_t bench_fork(const char *path)
{
	pid_t pid = fork();

	if (!pid)
		execute(path);
	return pid;
}

static pid_t by_fork(void)
{
	return bench_fork(child);
}

/* As most scripting languages do: such a child may not share memory. */
static __attribute__((noinline)) pid_t by_fork_heap(void)
{
	pid_t pid = fork();
	void *volatile block;

	if (!pid) {
		block = malloc(100);
		free(block);
		execute(child);
	}
	return pid;
}

static __attribute__((noinline)) pid_t by_vfork(void)
{
	pid_t pid = vfork();

	if (!pid)
		execute(child);
	return pid;
}

static pid_t by_posix_spawn(void)
{
	char *const args[] = { (char *)(uintptr_t)child, NULL };
	pid_t pid;
	int error = posix_spawn(&pid, child, NULL, NULL, args, environ);

	errno = error;
	return error ? -1 : pid;
}

static int started(void *unused)
{
	(void)unused;
	execute(child);
	return 127;
}

/* The least that a spawn can do: no signals blocked, no stack mapped, nothing put back. */
static pid_t by_clone(void)
{
	static char stack[64 << 10] __attribute__((aligned(16)));

	return clone(started, stack + sizeof(stack), CLONE_VM | CLONE_VFORK | SIGCHLD, NULL);
}

static pid_t by_avfork(void)
{
	pid_t (*avfork)(int (*)(void *), void *) =
		(pid_t(*)(int (*)(void *), void *))dlsym(RTLD_DEFAULT, "avfork");

	if (avfork)
		return avfork(started, NULL);
	errno = ENOSYS;
	return -1;
}

/* Page faults of the parent that writes pages from all over its memory. */
static long faults_after(void)
{
	struct rusage before, after;
	size_t step = memory_size / TOUCHED / page * page, i;

	getrusage(RUSAGE_SELF, &before);
	for (i = 0; i < TOUCHED; i++)
		memory[i * step]++;
	getrusage(RUSAGE_SELF, &after);
	return after.ru_minflt - before.ru_minflt;
}

static int spawn_once(pid_t (*start)(void), double *values)
{
	uint64_t began = bench_now(), held;
	pid_t pid = start();
	int error;

	held = bench_now() - began;
	if (pid < 0)
		return errno;
	error = bench_reap(pid);
	values[TOTAL] = (double)(bench_now() - began);
	values[CALL] = (double)held;
	values[FAULTS] = (double)faults_after();
	return error;
}

#define EACH(name)                                                                                 \
	static int name##_each(double *values)                                                     \
	{                                                                                          \
		return spawn_once(by_##name, values);                                              \
	}

EACH(fork)
EACH(fork_heap)
EACH(vfork)
EACH(posix_spawn)
EACH(clone)
EACH(avfork)

/* ---- what the process has to be ---- */

static int memory_fill(const struct bench_point *point)
{
	size_t least = TOUCHED * page, size = point->rss > least ? point->rss : least, at;

	/* Huge pages are for stretches that are whole and aligned; without --thp none are given to this process. */
	size = point->thp ? (size + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1) : size;
	memory = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		      -1, 0);
	if (memory == MAP_FAILED)
		return errno;
	memory = (char *)(((uintptr_t)memory + HUGE_PAGE - 1) & ~(HUGE_PAGE - 1));
	memory_size = size;
	if (point->thp && madvise(memory, size, MADV_HUGEPAGE))
		return errno;
	for (at = 0; at < size; at += page)
		memory[at] = 1;
	return 0;
}

/* Pages that differ from their neighbours in protection, so that each is a mapping; all are resident. */
static int mappings_make(unsigned count)
{
	char *pages;
	unsigned i;

	if (!count)
		return 0;
	pages = mmap(NULL, count * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		     0);
	if (pages == MAP_FAILED)
		return errno;
	for (i = 0; i < count; i++)
		pages[i * page] = 1;
	for (i = 0; i < count; i += 2)
		if (mprotect(pages + i * page, page, PROT_READ))
			return errno;
	return 0;
}

static void *idle(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static int threads_start(unsigned count)
{
	size_t stack = THREAD_STACK > (size_t)PTHREAD_STACK_MIN ? THREAD_STACK :
								  (size_t)PTHREAD_STACK_MIN;
	pthread_attr_t attributes;
	pthread_t thread;
	int error = 0;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, stack);
	while (!error && count--)
		error = pthread_create(&thread, &attributes, idle, NULL);
	pthread_attr_destroy(&attributes);
	return error;
}

static int paths_prepare(const struct bench_setup *setup)
{
	int error;

	child = setup->child;
	page = (size_t)sysconf(_SC_PAGESIZE);
	error = memory_fill(&setup->point);
	if (!error)
		error = mappings_make(setup->point.mappings);
	if (!error)
		error = threads_start(setup->point.threads);
	return error;
}

static const struct bench_measure measures[] = {
	{ "call", "ns" },
	{ "total", "ns" },
	{ "faults", "faults" },
	{ 0 },
};

static const struct bench_config configs[] = {
	{ "bare", NULL },
	{ "shim", "log=none" },
	{ 0 },
};

static const struct bench_case cases[] = {
	{ .name = "fork",
	  .title = "fork, exec",
	  .ms = 4,
	  .each = fork_each,
	  .call = BOX_CALL_FORK,
	  .from = (void (*)(void))bench_fork },
	{ .name = "fork-heap",
	  .title = "fork, heap, exec",
	  .ms = 4,
	  .each = fork_heap_each,
	  .call = BOX_CALL_FORK,
	  .from = (void (*)(void))by_fork_heap },
	{ .name = "vfork",
	  .title = "vfork, exec",
	  .ms = 4,
	  .each = vfork_each,
	  .call = BOX_CALL_VFORK },
	{ .name = "posix_spawn",
	  .title = "posix_spawn",
	  .ms = 4,
	  .each = posix_spawn_each,
	  .call = BOX_CALL_POSIX_SPAWN },
	{ .name = "avfork",
	  .title = "avfork",
	  .ms = 4,
	  .each = avfork_each,
	  .where = BENCH_SHIM,
	  .against = "posix_spawn" },
	{ .name = "clone",
	  .title = "clone, kept stack",
	  .ms = 4,
	  .each = clone_each,
	  .where = BENCH_BARE },
	{ .name = "python",
	  .title = "Python subprocess",
	  .ms = 4,
	  .peer = &bench_python,
	  .call = BOX_CALL_VFORK },
	{ .name = "node",
	  .title = "Node spawn",
	  .ms = 4,
	  .peer = &bench_node,
	  .call = BOX_CALL_FORK },
	{ 0 },
};

const struct bench bench_paths = {
	.name = "paths",
	.unit = "time of one spawn of a static program",
	.measures = measures,
	.configs = configs,
	.cases = cases,
	.prepare = paths_prepare,
	.together = true,
	.of_points = true,
	.floor = "clone",
	.baseline = "fork",
};
