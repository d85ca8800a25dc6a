/* SPDX-License-Identifier: MIT */
/*
 * vfork_thread FAULT PLACE: the vfork child starts a thread.
 *
 *   joined    pthread_create and pthread_join
 *   detached  pthread_create of a detached one
 *   standard  thrd_create and thrd_join
 *   twin      the parent has threads, the child starts none
 *
 * Bare, libc holds the parent for a program with threads from then on, and of a detached thread that its process
 * took along it waits for the end, and keeps the stack.
 */
#include <sys/single_threaded.h>
#include <threads.h>

#include "vfork.h"

static pthread_t *thread; /* on the heap: no variable of the parent's changes but libc's */
static thrd_t *standard;
static pthread_attr_t detached;

static void *run(void *unused)
{
	return unused;
}

static int run_standard(void *unused)
{
	return !!unused;
}

FAULT(joined, if (!pthread_create(thread, NULL, run, NULL)) pthread_join(*thread, NULL))
FAULT(detached, pthread_create(thread, &detached, run, NULL))
FAULT(standard,
      if (thrd_create(standard, run_standard, NULL) == thrd_success) thrd_join(*standard, NULL))

static void look(void)
{
	printf("parent sees %s\n", __libc_single_threaded ? "itself alone" : "threads");
}

static const struct fault faults[] = {
	ROW(joined, look),
	ROW(detached, look),
	ROW(standard, look),
};

int main(int argc, char **argv)
{
	setup();
	thread = malloc(sizeof(*thread));
	standard = malloc(sizeof(*standard));
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	if (!is_twin(argc, argv))
		return commit(faults, COUNT(faults), argc, argv);
	start_churning(2);
	finish(start(execute));
	look();
	return 0;
}
