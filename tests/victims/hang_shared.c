/* SPDX-License-Identifier: MIT */
/*
 * hang_shared vfork|clone|first: a child in the memory of its parent. vfork: it waits for a mutex that a thread of the parent
 * holds for long. clone: the parent, alone, waits for a semaphore that the child will post. first: no child; the first
 * thread ends, and another locks a mutex twice.
 */
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

#include "victim.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sem_t held, posted;

static void *hold(void *data)
{
	(void)data;
	pthread_mutex_lock(&lock);
	sem_post(&held);
	sleep(1000);
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void *lock_twice(void *data)
{
	(void)data;
	pthread_mutex_lock(&lock);
	printf("%d\n", (int)getpid());
	pthread_mutex_lock(&lock);
	return NULL;
}

static int post_late(void *data)
{
	(void)data;
	sleep(1000);
	sem_post(&posted);
	return 0;
}

int main(int argc, char **argv)
{
	static char stack[65536];
	pthread_t thread;
	pid_t pid;

	sem_init(&held, 0, 0);
	sem_init(&posted, 0, 0);
	setvbuf(stdout, NULL, _IONBF, 0);
	if (!strcmp(string_argument(argc, argv, 1, ""), "clone")) {
		pid = clone(post_late, stack + sizeof(stack), CLONE_VM | SIGCHLD, NULL);
		printf("%d\n", (int)getpid());
		sem_wait(&posted);
		return wait_for(pid);
	}
	if (!strcmp(string_argument(argc, argv, 1, ""), "first")) {
		pthread_create(&thread, NULL, lock_twice, NULL);
		pthread_exit(NULL);
	}
	pthread_create(&thread, NULL, hold, NULL);
	sem_wait(&held);
	printf("%d\n", (int)getpid());
	pid = vfork();
	if (!pid) {
		pthread_mutex_lock(&lock);
		_exit(0);
	}
	return wait_for(pid);
}
