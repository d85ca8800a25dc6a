/* SPDX-License-Identifier: MIT */
/*
 * spawn [--rss BYTES] [--runs N] [--threads N] [--call fork|vfork|posix_spawn] PROGRAM
 *
 * How long one spawn of PROGRAM takes from a process with so much memory resident, in 4 KB pages:
 *	call P50 P99 MIN	nanoseconds that the call held its caller
 *	total P50 P99 MIN	nanoseconds until PROGRAM was reaped
 * Ten spawns warm up first. fork() stands in a helper that returns to its caller in the child, and the
 * child changes the caller's locals; the parent checks that its own did not change. BYTES may end in
 * K, M or G. The threads are idle. Run by tests/bench/run, bare and under the shim.
 */
#include <pthread.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define WARMUP 10

extern char **environ;

static void *idle(void *unused)
{
	(void)unused;
	for (;;)
		pause();
	return NULL;
}

static __attribute__((noinline)) pid_t xfork(void)
{
	pid_t pid = fork();

	__asm__ volatile("" ::: "memory"); /* no tail call */
	return pid;
}

typedef pid_t (*spawner)(char **args, uint64_t *held);

static pid_t spawn_fork(char **args, uint64_t *held)
{
	volatile int first = 1, second = 2;
	uint64_t began = now_ns();
	pid_t pid = xfork();

	if (pid == 0) {
		first = second = 99;
		execv(args[0], args);
		_exit(127);
	}
	*held = now_ns() - began;
	if (first != 1 || second != 2) {
		fprintf(stderr, "spawn: the child's locals are seen in the parent\n");
		exit(2);
	}
	return pid;
}

static pid_t spawn_vfork(char **args, uint64_t *held)
{
	uint64_t began = now_ns();
	pid_t pid = vfork();

	if (pid == 0) {
		execv(args[0], args);
		_exit(127);
	}
	*held = now_ns() - began;
	return pid;
}

static pid_t spawn_posix(char **args, uint64_t *held)
{
	uint64_t began = now_ns();
	pid_t pid;
	int error = posix_spawn(&pid, args[0], NULL, NULL, args, environ);

	*held = now_ns() - began;
	return error ? -1 : pid;
}

static const struct {
	const char *name;
	spawner spawn;
} calls[] = { { "fork", spawn_fork }, { "vfork", spawn_vfork }, { "posix_spawn", spawn_posix } };

static spawner spawner_of(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(calls) / sizeof(*calls); i++)
		if (!strcmp(calls[i].name, name))
			return calls[i].spawn;
	fprintf(stderr, "spawn: --call %s: fork, vfork or posix_spawn\n", name);
	exit(2);
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void print(const char *name, uint64_t *times, int runs)
{
	qsort(times, (size_t)runs, sizeof(*times), ascending);
	printf("%s %llu %llu %llu\n", name, (unsigned long long)times[runs / 2],
	       (unsigned long long)times[(size_t)runs * 99 / 100], (unsigned long long)times[0]);
}

int main(int argc, char **argv)
{
	spawner spawn = spawn_fork;
	size_t rss = 0;
	int runs = 100, threads = 0, i;
	uint64_t *held, *total;
	char *args[] = { NULL, NULL };

	for (i = 1; i + 1 < argc && argv[i][0] == '-'; i += 2) {
		if (!strcmp(argv[i], "--rss"))
			rss = bytes_of(argv[i + 1]);
		else if (!strcmp(argv[i], "--runs"))
			runs = atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "--threads"))
			threads = atoi(argv[i + 1]);
		else if (!strcmp(argv[i], "--call"))
			spawn = spawner_of(argv[i + 1]);
		else
			break;
	}
	if (i + 1 != argc || argv[i][0] == '-' || runs < 1) {
		fprintf(stderr, "usage: spawn [--rss BYTES] [--runs N] [--threads N] "
				"[--call fork|vfork|posix_spawn] PROGRAM\n");
		return 2;
	}
	args[0] = argv[i];
	held = calloc((size_t)runs, sizeof(*held));
	total = calloc((size_t)runs, sizeof(*total));
	if (!held || !total)
		fail("calloc");
	if (rss)
		fill(rss);
	for (i = 0; i < threads; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, idle, NULL))
			fail("pthread_create");
	}

	for (i = -WARMUP; i < runs; i++) {
		uint64_t unused, began = now_ns();
		pid_t pid = spawn(args, i < 0 ? &unused : &held[i]);
		int status = 0;

		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			fail("spawn");
		if (i >= 0)
			total[i] = now_ns() - began;
		if (status) {
			fprintf(stderr, "spawn: %s ended with status %#x\n", args[0], status);
			return 1;
		}
	}
	print("call", held, runs);
	print("total", total, runs);
	return 0;
}
