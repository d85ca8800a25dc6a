/* SPDX-License-Identifier: MIT */
/*
 * orphan_unused [MS [exit]]: main forks while the worker holds cache_lock, but the child has no use for it: it
 * executes true(1), or with `exit` just ends. Nothing can hang.
 */
#include "orphan.h"

static pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;

static __attribute__((noinline)) void cache_get(void)
{
	pthread_mutex_lock(&cache_lock);
	worker_stay(-1);
	pthread_mutex_unlock(&cache_lock);
}

int main(int argc, char **argv)
{
	char *args[] = { "/bin/true", NULL };
	pid_t child;
	int verdict;

	worker_run(cache_get);
	child = fork();
	if (child == 0) {
		if (argc < 3)
			execv(args[0], args);
		_exit(argc < 3 ? 127 : 0);
	}
	verdict = child_verdict(child, patience(argc, argv));
	worker_end();
	return verdict;
}
