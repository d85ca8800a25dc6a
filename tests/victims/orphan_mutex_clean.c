/* SPDX-License-Identifier: MIT */
/*
 * orphan_mutex_clean [MS]: orphan_mutex with the handlers that it lacks: prepare takes cache_lock, so
 * fork() waits for the worker, and both sides release it.
 */
#include "orphan.h"

static pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;

static __attribute__((noinline)) void cache_get(int stay)
{
	pthread_mutex_lock(&cache_lock);
	if (stay)
		worker_stay(100);
	pthread_mutex_unlock(&cache_lock);
}

static void work(void)
{
	cache_get(1);
}

static void prepare(void)
{
	pthread_mutex_lock(&cache_lock);
}

static void release(void)
{
	pthread_mutex_unlock(&cache_lock);
}

int main(int argc, char **argv)
{
	pid_t child;
	int verdict;

	pthread_atfork(prepare, release, release);
	worker_run(work);
	child = fork();
	if (child == 0) {
		cache_get(0);
		_exit(0);
	}
	verdict = child_verdict(child, patience(argc, argv));
	cache_get(0);
	worker_end();
	return verdict;
}
