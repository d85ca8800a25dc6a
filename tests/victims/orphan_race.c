// SPDX-License-Identifier: MIT
/*
 * orphan_race: 20 threads hold 100 mutexes each; the children of main make threads by thrd_create(), which is not told
 * of, and all of these ask at once for what the last thread holds.
 */
#include <sched.h>
#include <threads.h>

#include "orphan.h"

#define HOLDERS 20
#define EACH 100
#define THREADS 4
#define FORKS 15

static pthread_mutex_t locks[HOLDERS][EACH];
static pthread_barrier_t ready;
static volatile int go;

static void *hold(void *data)
{
	pthread_mutex_t *mine = data;
	int i;

	for (i = 0; i < EACH; i++)
		pthread_mutex_lock(&mine[i]);
	pthread_barrier_wait(&ready);
	for (;;)
		pause();
	return NULL;
}

static int ask(void *data)
{
	pthread_mutex_t *one = data;

	while (!go)
		sched_yield();
	pthread_mutex_lock(one);
	pthread_mutex_unlock(one);
	return 0;
}

static void child_main(void)
{
	thrd_t threads[THREADS];
	int i;

	for (i = 0; i < THREADS; i++)
		thrd_create(&threads[i], ask, &locks[i % 2 ? 0 : HOLDERS - 1][EACH - 1 - i]);
	go = 1;
	for (i = 0; i < THREADS; i++)
		thrd_join(threads[i], NULL);
	_exit(0);
}

int main(void)
{
	int i, verdict = 0;
	pthread_t thread;
	pid_t child;

	pthread_barrier_init(&ready, NULL, HOLDERS + 1);
	for (i = 0; i < HOLDERS; i++)
		if (pthread_create(&thread, NULL, hold, locks[i]))
			return 2;
	pthread_barrier_wait(&ready);
	for (i = 0; i < FORKS && !verdict; i++) {
		child = fork();
		if (child == 0)
			child_main();
		verdict = child_verdict(child, 20000);
	}
	return verdict;
}
