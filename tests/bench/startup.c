/* SPDX-License-Identifier: MIT */
/*
 * startup ROUNDS PROGRAM LIBRARY...
 *
 * Compares what libraries cost that are preloaded into a program that does nothing: starts it with each in turn, ROUNDS
 * times, and prints lines "LIBRARY MEDIAN-MICROSECONDS", from posix_spawn() to the program's end; the library `-` is
 * none. One that is given twice tells how far the figures can be trusted.
 */
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#define WARMUP 20
#define LIBRARIES_MAX 16

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static uint64_t start(char *program, const char *library)
{
	char preload[4096], *argv[] = { program, NULL }, *environment[] = { preload, NULL };
	uint64_t before = now();
	int status;
	pid_t pid;

	snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", strcmp(library, "-") ? library : "");
	if (posix_spawn(&pid, program, NULL, NULL, argv, environment) ||
	    waitpid(pid, &status, 0) != pid || status) {
		fprintf(stderr, "%s with %s failed\n", program, library);
		exit(1);
	}
	return now() - before;
}

static int compare(const void *one, const void *other)
{
	uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;

	return a < b ? -1 : a > b;
}

int main(int argc, char **argv)
{
	int rounds = argc > 3 ? atoi(argv[1]) : 0, count = argc - 3, round, i, which;
	uint64_t *taken[LIBRARIES_MAX];

	if (rounds < 1 || count > LIBRARIES_MAX) {
		fprintf(stderr, "usage: startup ROUNDS PROGRAM LIBRARY...\n");
		return 1;
	}
	for (i = 0; i < count; i++) {
		taken[i] = malloc((size_t)rounds * sizeof(**taken));
		if (!taken[i])
			abort();
	}
	for (round = -WARMUP; round < rounds; round++)
		for (i = 0; i < count; i++) {
			/* Nobody always comes after the same one. */
			which = (i + round + WARMUP) % count;
			if (round < 0)
				start(argv[2], argv[3 + which]);
			else
				taken[which][round] = start(argv[2], argv[3 + which]);
		}
	for (i = 0; i < count; i++) {
		qsort(taken[i], (size_t)rounds, sizeof(**taken), compare);
		printf("%s %.1f\n", argv[3 + i], (double)taken[i][rounds / 2] / 1e3);
		free(taken[i]);
	}
	return 0;
}
