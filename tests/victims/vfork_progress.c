/* SPDX-License-Identifier: MIT */
/*
 * vfork_progress HOW: who waits while a vfork child lives. The child is held until another thread of its parent has
 * done its work: nothing ends if that thread is held too.
 *
 *   counts   that thread counts to a million, uses the heap and a mutex
 *   spawns   it makes vfork children of its own, and waits for them
 *   both     two threads, one of each
 *
 * And the caller is held: it comes back only after the child, thus after that work.
 */
#include "vfork.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static volatile unsigned count;
static volatile int spawned, done;
static int working;

static void *count_on(void *unused)
{
	while (count < 1000000) {
		if (count % 1000 == 0) {
			pthread_mutex_lock(&mutex);
			free(malloc(count % 5000));
			pthread_mutex_unlock(&mutex);
		}
		count++;
	}
	__atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
	return unused;
}

static void *spawn_on(void *unused)
{
	while (spawned < 20) {
		expect(wait_for(start(execute)) == 0, "a child of another thread");
		spawned++;
	}
	__atomic_add_fetch(&done, 1, __ATOMIC_SEQ_CST);
	return unused;
}

/* Begins when the child is there, and lets it go at the end. */
static void *work(void *how)
{
	pthread_t other;

	expect(met() > 1, "a child");
	expect(count == 0 && spawned == 0, "nobody has begun");
	if (strcmp(how, "both")) {
		(strcmp(how, "spawns") ? count_on : spawn_on)(NULL);
	} else {
		if (pthread_create(&other, NULL, count_on, NULL))
			abort();
		spawn_on(NULL);
		pthread_join(other, NULL);
	}
	release(4);
	return NULL;
}

static void child(void)
{
	_exit(meet());
}

int main(int argc, char **argv)
{
	const char *how = string_argument(argc, argv, 1, "counts");
	pthread_t thread;
	pid_t pid;

	setup();
	meet_setup();
	working = strcmp(how, "both") ? 1 : 2;
	if (pthread_create(&thread, NULL, work, (void *)(uintptr_t)how))
		return 97;
	pid = start(child);
	expect(done == working, "the caller waited");
	finish(pid);
	pthread_join(thread, NULL);
	printf("others counted %u and spawned %d\n", count, spawned);
	return victim_faults != 0;
}
