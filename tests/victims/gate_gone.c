/* SPDX-License-Identifier: MIT */
/*
 * gate_gone WHAT: locks, and stacks, that are gone when a fork, or its child, comes to them.
 *
 * mutex spin  another thread has given one back, whose memory looks locked since; it sleeps
 * busy        the same of a mutex, and the thread computes
 * cond        threads wait for conditions with mutexes that are unmapped when the wait is over
 * stack       libc has unmapped the stack of an orphan's holder when the child asks for the lock
 */
#include <pthread.h>
#include <sys/mman.h>
#include <time.h>

#include "victim.h"

static pthread_barrier_t barrier;
static pthread_mutex_t orphan = PTHREAD_MUTEX_INITIALIZER;

static union {
	pthread_mutex_t mutex;
	pthread_spinlock_t spin;
	volatile int words[16];
} memory;

static void sleep_on(void)
{
	pthread_barrier_wait(&barrier);
	for (;;)
		pause();
}

static void *reuse_mutex(void *busy)
{
	pthread_mutex_init(&memory.mutex, NULL);
	pthread_mutex_lock(&memory.mutex);
	pthread_mutex_unlock(&memory.mutex);
	pthread_mutex_destroy(&memory.mutex);
	memset(&memory, 0, sizeof(memory));
	memory.words[0] = 1;
	if (!busy)
		sleep_on();
	pthread_barrier_wait(&barrier);
	for (;;)
		memory.words[15]++;
	return NULL;
}

static void *reuse_spin(void *unused)
{
	int locked;

	(void)unused;
	pthread_spin_init(&memory.spin, PTHREAD_PROCESS_PRIVATE);
	pthread_spin_lock(&memory.spin);
	locked = memory.words[0];
	pthread_spin_unlock(&memory.spin);
	pthread_spin_destroy(&memory.spin);
	memory.words[0] = locked;
	sleep_on();
	return NULL;
}

struct own {
	pthread_mutex_t mutex;
	pthread_cond_t cond;
};

static void *wait_often(void *unused)
{
	struct timespec until;
	struct own *own;

	for (;;) {
		own = mmap(NULL, sizeof(*own), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			   -1, 0);
		pthread_mutex_init(&own->mutex, NULL);
		pthread_cond_init(&own->cond, NULL);
		pthread_mutex_lock(&own->mutex);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += 50000;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
		pthread_cond_timedwait(&own->cond, &own->mutex, &until);
		pthread_mutex_unlock(&own->mutex);
		munmap(own, sizeof(*own));
	}
	return unused;
}

static void *hold(void *unused)
{
	pthread_mutex_lock(&orphan);
	sleep_on();
	return unused;
}

static void *rest(void *unused)
{
	sleep_on();
	return unused;
}

static void *nothing(void *unused)
{
	return unused;
}

static void start(void *(*routine)(void *), void *argument)
{
	pthread_t thread;

	pthread_create(&thread, NULL, routine, argument);
}

static void in_child(const char *what)
{
	pthread_t thread;
	int i;

	if (strcmp(what, "stack"))
		_exit(0);
	for (i = 0; i < 20; i++) {
		pthread_create(&thread, NULL, nothing, NULL);
		pthread_join(thread, NULL);
	}
	alarm(2);
	pthread_mutex_lock(&orphan);
	_exit(1);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int forks = 5, i;

	pthread_barrier_init(&barrier, NULL, 2);
	if (!strcmp(what, "cond")) {
		forks = 2000;
		for (i = 0; i < 20; i++)
			start(wait_often, NULL);
	} else if (!strcmp(what, "stack")) {
		forks = 1;
		for (i = 0; i < 16; i++) {
			start(i ? rest : hold, NULL);
			pthread_barrier_wait(&barrier);
		}
	} else {
		start(!strcmp(what, "spin") ? reuse_spin : reuse_mutex,
		      strcmp(what, "busy") ? NULL : &memory);
		pthread_barrier_wait(&barrier);
	}
	for (i = 0; i < forks; i++) {
		pid_t pid = xfork();
		int status;

		if (!pid)
			in_child(what);
		waitpid(pid, &status, 0);
		if (status)
			printf("child: signal %d\n", WTERMSIG(status));
	}
	printf("done\n");
	fflush(stdout);
	_exit(0);
}
