/* SPDX-License-Identifier: MIT */
/*
 * atfork_lock LOCK WHAT [use|give|exec [MS]]: main forks once, with handlers for a lock of that kind: normal, adaptive, recursive,
 * errorcheck, robust, inherit, mtx, mtx_recursive, read, write (of an rwlock), spin or sem. WHAT:
 *
 *   init, assign                the textbook, where the child makes the lock anew: the clean twins
 *   unlock                      the child unlocks instead: clean where the lock keeps no owner
 *   keep_parent, keep_child     that handler forgets to unlock
 *   extra_parent, extra_child   that handler unlocks what no prepare handler took
 *   balanced                    each handler locks and unlocks for itself: clean
 *   twice                       prepare locks twice, the others unlock twice
 *   own                         main holds the lock itself, and no handler knows of it
 *   own_init                    the same, and the child makes it anew: clean
 *   own_parent                  the same, and the parent handler unlocks it
 *   order, ordered              no fork: two threads take it and a mutex in opposite orders, and in one: clean
 *
 * With `use` the child locks and unlocks it afterwards, for MS at most; with `give` it unlocks it, and then does
 * the same. With `exec` there are eight children, and each executes /bin/true.
 */
#include <pthread.h>
#include <semaphore.h>
#include <threads.h>

#include "victim.h"

static union {
	pthread_mutex_t mutex;
	pthread_rwlock_t rwlock;
	pthread_spinlock_t spin;
	sem_t sem;
	mtx_t mtx;
} the_lock, pristine;

static const char *kind, *what;

#define IS(word) (!strcmp(kind, word))
#define DO(word) (!strcmp(what, word))

static void make(void)
{
	pthread_mutexattr_t attributes;

	if (IS("read") || IS("write")) {
		pthread_rwlock_init(&the_lock.rwlock, NULL);
		return;
	}
	if (IS("spin")) {
		pthread_spin_init(&the_lock.spin, 0);
		return;
	}
	if (IS("sem")) {
		sem_init(&the_lock.sem, 0, 1);
		return;
	}
	if (IS("mtx") || IS("mtx_recursive")) {
		mtx_init(&the_lock.mtx, IS("mtx") ? mtx_plain : mtx_plain | mtx_recursive);
		return;
	}
	pthread_mutexattr_init(&attributes);
	if (IS("adaptive"))
		pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ADAPTIVE_NP);
	else if (IS("recursive"))
		pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_RECURSIVE);
	else if (IS("errorcheck"))
		pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
	else if (IS("robust"))
		pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	else if (IS("inherit"))
		pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
	else if (!IS("normal"))
		exit(2);
	pthread_mutex_init(&the_lock.mutex, &attributes);
}

static __attribute__((noinline)) int take(void)
{
	int result = IS("read")		      ? pthread_rwlock_rdlock(&the_lock.rwlock) :
		     IS("write")	      ? pthread_rwlock_wrlock(&the_lock.rwlock) :
		     IS("spin")		      ? pthread_spin_lock(&the_lock.spin) :
		     IS("sem")		      ? sem_wait(&the_lock.sem) :
		     !strncmp(kind, "mtx", 3) ? mtx_lock(&the_lock.mtx) :
						pthread_mutex_lock(&the_lock.mutex);

	__asm__ volatile("" ::: "memory"); /* no tail call */
	return result;
}

static __attribute__((noinline)) int give(void)
{
	int result = IS("read") || IS("write") ? pthread_rwlock_unlock(&the_lock.rwlock) :
		     IS("spin")		       ? pthread_spin_unlock(&the_lock.spin) :
		     IS("sem")		       ? sem_post(&the_lock.sem) :
		     !strncmp(kind, "mtx", 3)  ? mtx_unlock(&the_lock.mtx) :
						 pthread_mutex_unlock(&the_lock.mutex);

	__asm__ volatile("" ::: "memory");
	return result;
}

static pthread_mutex_t other = PTHREAD_MUTEX_INITIALIZER;

static void *take_first(void *unused)
{
	take();
	pthread_mutex_lock(&other);
	pthread_mutex_unlock(&other);
	give();
	return unused;
}

static void *take_last(void *unused)
{
	pthread_mutex_lock(&other);
	take();
	give();
	pthread_mutex_unlock(&other);
	return unused;
}

/* One after the other, which ends well. */
static int take_both(void *(*second)(void *))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, take_first, NULL) || pthread_join(thread, NULL) ||
	    pthread_create(&thread, NULL, second, NULL) || pthread_join(thread, NULL))
		return 2;
	return 0;
}

static void prepare(void)
{
	if (DO("extra_parent") || DO("extra_child") || DO("own_init") || DO("own_parent"))
		return;
	take();
	if (DO("twice"))
		take();
	if (DO("balanced"))
		give();
}

static void parent(void)
{
	if (DO("keep_parent") || DO("extra_child") || DO("own_init"))
		return;
	if (DO("balanced"))
		take();
	if (DO("twice"))
		give();
	give();
}

static void child(void)
{
	if (DO("init") || DO("own_init"))
		make();
	else if (DO("assign") || DO("keep_parent"))
		memcpy(&the_lock, &pristine, sizeof(the_lock));
	else if (DO("balanced"))
		take();
	if (DO("unlock") || DO("extra_child") || DO("balanced") || DO("twice"))
		give();
	if (DO("twice"))
		give();
}

int main(int argc, char **argv)
{
	const char *then = string_argument(argc, argv, 3, "");
	char *args[] = { "/bin/true", NULL };
	pid_t pid;
	int i;

	kind = string_argument(argc, argv, 1, "normal");
	what = string_argument(argc, argv, 2, "init");
	make();
	pristine = the_lock;
	/* Seen to be used as a lock, which a semaphore need not be. */
	take();
	give();
	if (DO("order") || DO("ordered"))
		return take_both(DO("order") ? take_last : take_first);
	if (strcmp(what, "own"))
		pthread_atfork(prepare, parent, child);
	if (!strncmp(what, "own", 3))
		take();
	for (i = 0; i < (strcmp(then, "exec") ? 0 : 8); i++) {
		pid = xfork();
		if (pid == 0) {
			execv(args[0], args);
			_exit(127);
		}
		print_status("child", i, wait_for(pid));
	}
	if (i)
		return 0;
	pid = xfork();
	if (pid == 0) {
		if (!strcmp(then, "give"))
			give();
		if (*then) {
			ualarm(1000 * (useconds_t)number_argument(argc, argv, 4, 200), 0);
			take();
			give();
		}
		_exit(0);
	}
	print_status("child", 0, wait_for(pid));
	return 0;
}
