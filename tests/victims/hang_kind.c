/* SPDX-License-Identifier: MIT */
/*
 * hang_kind KIND WAY: a process that hangs on a lock of each kind, for `spork inspect`. Prints the pid to look at when
 * all threads are about to wait; ends by itself after a minute.
 *
 * cycle   a thread holds the lock and wants a plain mutex, which main holds that wants the lock
 * orphan  a forked child wants the lock, which a thread of its parent holds
 * ended   main wants the lock, which a thread held that has ended
 * again   main wants the lock, which it has
 * busy    the clean twin: two threads take the lock and the mutex in the same order, without end
 */
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <threads.h>

#include "victim.h"

static union {
	pthread_mutex_t mutex;
	mtx_t mtx;
	pthread_rwlock_t rwlock;
	pthread_spinlock_t spin;
	sem_t sem;
} lock;

static pthread_mutex_t other = PTHREAD_MUTEX_INITIALIZER;
static pthread_barrier_t both;

static void mutex_make(int type, int robust, int protocol)
{
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_settype(&attributes, type);
	pthread_mutexattr_setrobust(&attributes, robust);
	pthread_mutexattr_setprotocol(&attributes, protocol);
	pthread_mutex_init(&lock.mutex, &attributes);
}

static void plain_make(void)
{
	mutex_make(PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_NONE);
}

static void recursive_make(void)
{
	mutex_make(PTHREAD_MUTEX_RECURSIVE, PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_NONE);
}

static void errorcheck_make(void)
{
	mutex_make(PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_NONE);
}

static void adaptive_make(void)
{
	mutex_make(PTHREAD_MUTEX_ADAPTIVE_NP, PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_NONE);
}

static void robust_make(void)
{
	mutex_make(PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_ROBUST, PTHREAD_PRIO_NONE);
}

static void inherit_make(void)
{
	mutex_make(PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_STALLED, PTHREAD_PRIO_INHERIT);
}

static void mutex_take(void)
{
	pthread_mutex_lock(&lock.mutex);
}

static void mutex_give(void)
{
	pthread_mutex_unlock(&lock.mutex);
}

static void mtx_make(void)
{
	mtx_init(&lock.mtx, mtx_plain);
}

static void mtx_take(void)
{
	mtx_lock(&lock.mtx);
}

static void mtx_give(void)
{
	mtx_unlock(&lock.mtx);
}

static void rwlock_make(void)
{
	pthread_rwlock_init(&lock.rwlock, NULL);
}

static void rwlock_read(void)
{
	pthread_rwlock_rdlock(&lock.rwlock);
}

static void rwlock_write(void)
{
	pthread_rwlock_wrlock(&lock.rwlock);
}

static void rwlock_give(void)
{
	pthread_rwlock_unlock(&lock.rwlock);
}

static void spin_make(void)
{
	pthread_spin_init(&lock.spin, PTHREAD_PROCESS_PRIVATE);
}

static void spin_take(void)
{
	pthread_spin_lock(&lock.spin);
}

static void spin_give(void)
{
	pthread_spin_unlock(&lock.spin);
}

static void sem_make(void)
{
	sem_init(&lock.sem, 0, 1);
}

static void sem_take(void)
{
	sem_wait(&lock.sem);
}

static void sem_give(void)
{
	sem_post(&lock.sem);
}

static const struct kind {
	const char *name;
	void (*make)(void), (*hold)(void), (*want)(void), (*give)(void);
} kinds[] = {
	{ "mutex", plain_make, mutex_take, mutex_take, mutex_give },
	{ "recursive", recursive_make, mutex_take, mutex_take, mutex_give },
	{ "errorcheck", errorcheck_make, mutex_take, mutex_take, mutex_give },
	{ "adaptive", adaptive_make, mutex_take, mutex_take, mutex_give },
	{ "robust", robust_make, mutex_take, mutex_take, mutex_give },
	{ "inherit", inherit_make, mutex_take, mutex_take, mutex_give },
	{ "mtx", mtx_make, mtx_take, mtx_take, mtx_give },
	{ "read", rwlock_make, rwlock_read, rwlock_write, rwlock_give },
	{ "write", rwlock_make, rwlock_write, rwlock_read, rwlock_give },
	{ "spin", spin_make, spin_take, spin_take, spin_give },
	{ "sem", sem_make, sem_take, sem_take, sem_give },
};

static const struct kind *kind = kinds;

static void say(pid_t pid)
{
	printf("%d\n", (int)pid);
	fflush(stdout);
}

static void *hold_then_other(void *argument)
{
	kind->hold();
	pthread_barrier_wait(&both);
	pthread_mutex_lock(&other);
	return argument;
}

static void *hold_then_sleep(void *argument)
{
	kind->hold();
	pthread_barrier_wait(&both);
	sleep(60);
	return argument;
}

static void *hold_then_end(void *argument)
{
	kind->hold();
	return argument;
}

static void *use(void *argument)
{
	for (;;) {
		kind->hold();
		pthread_mutex_lock(&other);
		pthread_mutex_unlock(&other);
		kind->give();
		kind->want();
		pthread_mutex_lock(&other);
		pthread_mutex_unlock(&other);
		kind->give();
	}
	return argument;
}

static pthread_t start(void *(*body)(void *))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, body, NULL))
		_exit(2);
	pthread_setname_np(thread, "worker");
	return thread;
}

static void fork_and_want(void)
{
	if (!fork()) {
		alarm(60);
		say(getpid());
		kind->want();
		_exit(0);
	}
	sleep(60);
}

int main(int argc, char **argv)
{
	const char *way = string_argument(argc, argv, 2, "busy");
	size_t i;

	alarm(60);
	for (i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (!strcmp(kinds[i].name, string_argument(argc, argv, 1, "")))
			kind = &kinds[i];
	kind->make();
	pthread_barrier_init(&both, NULL, 2);
	if (!strcmp(way, "cycle")) {
		pthread_mutex_lock(&other);
		start(hold_then_other);
		pthread_barrier_wait(&both);
		say(getpid());
		kind->want();
	} else if (!strcmp(way, "orphan")) {
		start(hold_then_sleep);
		pthread_barrier_wait(&both);
		fork_and_want();
	} else if (!strcmp(way, "ended")) {
		pthread_join(start(hold_then_end), NULL);
		say(getpid());
		kind->want();
	} else if (!strcmp(way, "again")) {
		kind->hold();
		say(getpid());
		kind->want();
	} else {
		start(use);
		say(getpid());
		use(NULL);
	}
	return 0;
}
