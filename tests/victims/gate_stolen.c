// SPDX-License-Identifier: MIT
/*
 * gate_stolen: a prepare handler that libc was told of before the shim, so that it runs after the shim's, takes three
 * seconds in one thread; another thread forks meanwhile. Both children take a mutex that a thread comes back to from a
 * wait for a condition.
 */
#include <dlfcn.h>
#include <string.h>
#include <time.h>

#include "orphan.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static __thread int slow;
static int verdict;
static volatile int woken;

static void pass(long ms)
{
	struct timespec left = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&left, &left))
		;
}

static void *wait_and_keep(void *unused)
{
	pthread_mutex_lock(&mutex);
	while (!woken)
		pthread_cond_wait(&condition, &mutex);
	pass(3000);
	pthread_mutex_unlock(&mutex);
	return unused;
}

static int fork_one(void)
{
	pid_t child = fork();

	if (child == 0) {
		alarm(5);
		pthread_mutex_lock(&mutex);
		pthread_mutex_unlock(&mutex);
		_exit(0);
	}
	return child_verdict(child, 1000);
}

static void *fork_late(void *unused)
{
	slow = 1;
	verdict = fork_one();
	return unused;
}

static void prepare(void)
{
	if (slow)
		pass(3000);
}

/* Runs before the constructors of all libraries. */
static void early(void)
{
	void *libc = dlopen("libc.so.6", RTLD_NOW);
	int (*add)(void (*)(void), void (*)(void), void (*)(void), void *) =
		(int (*)(void (*)(void), void (*)(void), void (*)(void),
			 void *))dlsym(libc, "__register_atfork");

	add(prepare, NULL, NULL, NULL);
}

static void (*const first)(void) __attribute__((section(".preinit_array"), used)) = early;

int main(void)
{
	pthread_t waiter, forker;
	int own;

	if (pthread_create(&waiter, NULL, wait_and_keep, NULL))
		return 2;
	pass(100);
	if (pthread_create(&forker, NULL, fork_late, NULL))
		return 2;
	pass(100);
	woken = 1;
	pthread_cond_signal(&condition);
	pass(2200);
	own = fork_one();
	pthread_join(forker, NULL);
	return own ? own : verdict;
}
