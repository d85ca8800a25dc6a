/* SPDX-License-Identifier: MIT */
/*
 * orphan_many THREADS LOCKS [BATCHES]: that many threads hold that many locks each when main forks, and the child
 * says of how many it could not have the last lock of each by trying. BATCHES: the threads come, take their locks, give
 * them back and go, so often before that. Nothing hangs.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static int thread_count, lock_count;
static pthread_mutex_t *locks;
static pthread_barrier_t barrier;

static __attribute__((noinline)) void hold(pthread_mutex_t *mine)
{
	int i;

	for (i = 0; i < lock_count; i++)
		pthread_mutex_lock(&mine[i]);
}

static void *run(void *argument)
{
	pthread_mutex_t *mine = argument;
	int i;

	hold(mine);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	for (i = 0; i < lock_count; i++)
		pthread_mutex_unlock(&mine[i]);
	return NULL;
}

static int tried(void)
{
	int i, busy = 0;

	for (i = 0; i < thread_count; i++)
		busy += pthread_mutex_trylock(&locks[(i + 1) * lock_count - 1]) != 0;
	return busy;
}

/* All hold their locks between the two. */
static void begin(pthread_t *threads)
{
	pthread_attr_t attributes;
	int i;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 65536);
	for (i = 0; i < thread_count; i++)
		if (pthread_create(&threads[i], &attributes, run, &locks[i * lock_count]))
			exit(3);
	pthread_barrier_wait(&barrier);
}

static void end(pthread_t *threads)
{
	int i;

	pthread_barrier_wait(&barrier);
	for (i = 0; i < thread_count; i++)
		pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
	pthread_t *threads;
	int batches, status, i;
	pid_t pid;

	if (argc < 3)
		return 2;
	thread_count = atoi(argv[1]);
	lock_count = atoi(argv[2]);
	batches = argc > 3 ? atoi(argv[3]) : 0;
	threads = calloc((size_t)thread_count, sizeof(*threads));
	locks = calloc((size_t)(thread_count * lock_count), sizeof(*locks));
	pthread_barrier_init(&barrier, NULL, (unsigned)thread_count + 1);
	for (i = 0; i < thread_count * lock_count; i++)
		pthread_mutex_init(&locks[i], NULL);
	for (i = 0; i < batches; i++) {
		begin(threads);
		end(threads);
	}
	begin(threads);
	pid = fork();
	if (pid == 0) {
		printf("%d busy\n", tried());
		fflush(stdout);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	end(threads);
	printf("%s\n", status ? "child failed" : "done");
	return status != 0;
}
