/* SPDX-License-Identifier: MIT */
/*
 * orphan_crowd: main forks ten times from one place while 20 threads hold five locks each on the heap, and one of
 * them two static ones besides. The last child starts threads of its own, has one of them fork again, and then asks
 * for a static lock that it will not get.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS 20
#define EACH 5
#define FORKS 10

static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER, other = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t ready;

static __attribute__((noinline)) void take(pthread_mutex_t *lock)
{
	pthread_mutex_lock(lock);
}

static void *holder(void *data)
{
	pthread_mutex_t *locks = data;
	int i;

	for (i = 0; i < EACH; i++)
		take(&locks[i]);
	if (locks[EACH].__data.__nusers) {
		take(&one);
		take(&other);
	}
	pthread_barrier_wait(&ready);
	for (;;)
		pause();
	return NULL;
}

static void *worker(void *unused)
{
	pid_t child = fork();

	if (!child)
		_exit(0);
	waitpid(child, NULL, 0);
	return unused;
}

static void last(void)
{
	pthread_t threads[THREADS];
	int i;

	for (i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, worker, NULL);
	for (i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	alarm(1);
	take(&other);
}

int main(void)
{
	pthread_mutex_t *locks = calloc(THREADS * (EACH + 1), sizeof(*locks));
	pthread_t thread;
	pid_t child;
	int i;

	pthread_barrier_init(&ready, NULL, THREADS + 1);
	locks[EACH].__data.__nusers = 1; /* a mark: no lock */
	for (i = 0; i < THREADS; i++)
		pthread_create(&thread, NULL, holder, &locks[i * (EACH + 1)]);
	pthread_barrier_wait(&ready);
	for (i = 0; i < FORKS; i++) {
		child = fork();
		if (!child) {
			if (i == FORKS - 1)
				last();
			_exit(0);
		}
		waitpid(child, NULL, 0);
	}
	_exit(0);
}
