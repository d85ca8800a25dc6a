/* SPDX-License-Identifier: MIT */
/*
 * fork_others WHAT [COUNT]: while the main thread spawns COUNT children at one site, another thread works
 * on what the two share: a counter or a mutex on the main thread's stack, or the environment, which the
 * children replace. Nothing of its work is lost.
 */
#include <pthread.h>

#include "victim.h"

static volatile int stop;

static void *counting(void *data)
{
	static long counted;
	volatile long *counter = data;

	while (!stop) {
		__atomic_fetch_add(counter, 1, __ATOMIC_SEQ_CST);
		counted++;
	}
	return &counted;
}

static void *locking(void *data)
{
	while (!stop) {
		pthread_mutex_lock(data);
		sched_yield();
		pthread_mutex_unlock(data);
	}
	return NULL;
}

static void *changing(void *data)
{
	char name[32], value[32];
	int i;

	(void)data;
	for (i = 0; !stop; i = (i + 1) % 500) {
		snprintf(name, sizeof(name), "OTHERS_%d", i);
		snprintf(value, sizeof(value), "%d", i);
		setenv(name, value, 1);
		expect(getenv("HOME_OF_OTHERS") != NULL, "the environment is the parent's");
		expect(getenv(name) && !strcmp(getenv(name), value), "what was set is there");
	}
	return NULL;
}

int main(int argc, char **argv)
{
	const char *what = string_argument(argc, argv, 1, "counter");
	int count = number_argument(argc, argv, 2, 300), i;
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	char *own[] = { "ONLY=this", NULL };
	char *args[] = { "/bin/true", NULL };
	volatile long counter = 0;
	void *result = NULL;
	pthread_t thread;

	setvbuf(stdout, NULL, _IONBF, 0);
	setenv("HOME_OF_OTHERS", "here", 1);
	if (!strcmp(what, "counter"))
		pthread_create(&thread, NULL, counting, (void *)&counter);
	else if (!strcmp(what, "mutex"))
		pthread_create(&thread, NULL, locking, &lock);
	else
		pthread_create(&thread, NULL, changing, NULL);
	for (i = 0; i < count; i++) {
		pid_t pid = xfork();

		if (pid == 0) {
			if (!strcmp(what, "environment"))
				environ = own;
			execv(args[0], args);
			_exit(127);
		}
		expect(wait_for(pid) == 0, "the child ran");
		pthread_mutex_lock(&lock);
		pthread_mutex_unlock(&lock);
	}
	stop = 1;
	pthread_join(thread, &result);
	expect(!result || *(long *)result == counter, "no count is lost");
	printf("%d children\n", count);
	return victim_faults != 0;
}
