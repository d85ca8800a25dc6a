/* SPDX-License-Identifier: MIT */
/*
 * orphan_cond_clean [MS]: the worker took the lock, and sits in pthread_cond_wait, which gave it back,
 * when main forks. The child takes the lock like anybody: nothing is wrong.
 */
#include "orphan.h"

static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queue_filled = PTHREAD_COND_INITIALIZER;
static int queue;

static void queue_take(void)
{
	pthread_mutex_lock(&queue_lock);
	worker_stay(0);
	while (!queue)
		pthread_cond_wait(&queue_filled, &queue_lock);
	queue--;
	pthread_mutex_unlock(&queue_lock);
}

static void queue_put(void)
{
	pthread_mutex_lock(&queue_lock);
	queue++;
	pthread_cond_signal(&queue_filled);
	pthread_mutex_unlock(&queue_lock);
}

int main(int argc, char **argv)
{
	pid_t child;
	int verdict;

	worker_run(queue_take);
	/* The worker gives the lock back only by waiting; once main had it, the worker waits. */
	pthread_mutex_lock(&queue_lock);
	pthread_mutex_unlock(&queue_lock);
	child = fork();
	if (child == 0) {
		queue_put();
		_exit(0);
	}
	verdict = child_verdict(child, patience(argc, argv));
	queue_put();
	worker_end();
	return verdict;
}
