/* SPDX-License-Identifier: MIT */
/*
 * orphan_kind KIND [MS]: as orphan_mutex, with a mutex of another kind: recursive, errorcheck, adaptive or
 * robust. KIND shared is the clean twin: the mutex lies in memory that parent and child share, so the
 * worker releases it for both.
 */
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

#include "orphan.h"

static pthread_mutex_t *lock;
static bool shared;

static __attribute__((noinline)) void use(int stay)
{
	pthread_mutex_lock(lock);
	if (stay)
		worker_stay(shared ? 100 : -1);
	pthread_mutex_unlock(lock);
}

static void work(void)
{
	use(1);
}

static void make(const char *kind)
{
	pthread_mutexattr_t attributes;

	shared = !strcmp(kind, "shared");
	lock = mmap(NULL, sizeof(*lock), PROT_READ | PROT_WRITE,
		    MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE), -1, 0);
	if (lock == MAP_FAILED)
		abort();
	pthread_mutexattr_init(&attributes);
	if (!strcmp(kind, "recursive"))
		pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
	else if (!strcmp(kind, "errorcheck"))
		pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
	else if (!strcmp(kind, "adaptive"))
		pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
	else if (!strcmp(kind, "robust"))
		pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	else if (shared)
		pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(lock, &attributes);
}

int main(int argc, char **argv)
{
	pid_t child;
	int verdict;

	if (argc < 2)
		return 2;
	make(argv[1]);
	worker_run(work);
	child = fork();
	if (child == 0) {
		use(0);
		_exit(0);
	}
	verdict = child_verdict(child, patience(argc - 1, argv + 1));
	worker_end();
	return verdict;
}
