/* SPDX-License-Identifier: MIT */
/*
 * orphan_mutex [MS]: main forks while the thread 'worker' is inside cache_get, holding cache_lock. The
 * child calls cache_get too, and waits for a thread that it does not have. Clean twin:
 * orphan_mutex_clean.
 */
#include "orphan.h"

static pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;

static __attribute__((noinline)) void cache_get(int stay)
{
	pthread_mutex_lock(&cache_lock);
	if (stay)
		worker_stay(-1);
	pthread_mutex_unlock(&cache_lock);
}

static void work(void)
{
	cache_get(1);
}

int main(int argc, char **argv)
{
	pid_t child;
	int verdict;

	worker_run(work);
	child = fork();
	if (child == 0) {
		cache_get(0);
		_exit(0);
	}
	verdict = child_verdict(child, patience(argc, argv));
	worker_end();
	return verdict;
}
