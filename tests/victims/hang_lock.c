/* SPDX-License-Identifier: MIT */
/*
 * hang_lock WAY: a process that hangs in a known way, for `spork inspect`. Prints the pid to look at when all its
 * threads are about to wait; ends by itself after a minute.
 *
 * none       nothing hangs: threads sleep, and hold locks
 * self       a thread takes a mutex again
 * self-write the same with a rwlock
 * two        two threads, two mutexes
 * three      three threads: a mutex, a rwlock, a recursive mutex
 * ring N     N threads, each holds a mutex and wants the next one's
 * lost       a thread waits for a condition, is woken, and another ended with the mutex
 * barrier    a thread holds a mutex, waits for a barrier, and the other wants the mutex
 * once       what runs once asks for itself
 * stream     two threads, two streams
 * joined     a thread that main waits for wants a mutex of main's
 * sem        two threads, a mutex and a semaphore: nobody owns the latter
 * orphan     a forked child waits for a mutex that a thread of its parent holds
 * orphan-gone  the same, and that thread has ended
 * orphan-pool N  a forked child has N threads that wait for it
 * orphan-exec  a forked child waits for a mutex of main's, and the parent has executed this program again
 * unseen     main waits for a mutex that a thread ended with, by a system call of its own
 * unseen-other  the same, but it is another thread that waits, and main sleeps
 * hidden     a forked child waits for the lock inside localtime_r(), or ends if it came through
 * spin       a forked child spins
 * vfork      a vfork() child sleeps
 * join       main waits for the end of a thread that sleeps
 * condition  the only thread waits for a condition
 * timed      as two, but both give up some day
 * pool N     N threads wait for a condition
 * silent     main sleeps, and nothing is printed
 */
#include <pthread.h>
#include <semaphore.h>
#include <sys/syscall.h>
#include <time.h>

#include "victim.h"

static pthread_mutex_t first_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t second_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static pthread_rwlock_t table_lock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spin_lock;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static sem_t slots;
static pthread_barrier_t all;
static int timed;

static void say(pid_t pid)
{
	printf("%d\n", (int)pid);
	fflush(stdout);
}

static void start(void *(*body)(void *), const char *name)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, body, NULL))
		_exit(2);
	pthread_setname_np(thread, name);
}

static void mutex_take(pthread_mutex_t *lock)
{
	struct timespec end;

	clock_gettime(CLOCK_REALTIME, &end);
	end.tv_sec += 50;
	if (timed)
		pthread_mutex_timedlock(lock, &end);
	else
		pthread_mutex_lock(lock);
}

static void *second_then_first(void *argument)
{
	mutex_take(&second_lock);
	pthread_barrier_wait(&all);
	mutex_take(&first_lock);
	return argument;
}

static void *table_then_second(void *argument)
{
	pthread_rwlock_wrlock(&table_lock);
	pthread_barrier_wait(&all);
	pthread_mutex_lock(&second_lock);
	return argument;
}

static void *slot_then_first(void *argument)
{
	sem_wait(&slots);
	pthread_barrier_wait(&all);
	pthread_mutex_lock(&first_lock);
	return argument;
}

static void *hold(void *argument)
{
	pthread_mutex_lock(&first_lock);
	pthread_spin_lock(&spin_lock);
	pthread_barrier_wait(&all);
	if (!argument)
		sleep(60);
	return NULL;
}

static void *hold_and_end(void *argument)
{
	(void)argument;
	return hold(&first_lock);
}

static void *hold_and_vanish(void *argument)
{
	pthread_mutex_lock(&first_lock);
	syscall(SYS_exit, 0);
	return argument;
}

static void *wait_changed(void *argument)
{
	pthread_mutex_lock(&first_lock);
	pthread_cond_wait(&changed, &first_lock);
	return argument;
}

static void *use_timezone(void *argument)
{
	struct tm fields;
	time_t now = 0;

	for (;;)
		localtime_r(&now, &fields);
	return argument;
}

static void two(void)
{
	pthread_barrier_init(&all, NULL, 2);
	start(second_then_first, "second");
	mutex_take(&first_lock);
	pthread_barrier_wait(&all);
	say(getpid());
	mutex_take(&second_lock);
}

static void three(void)
{
	pthread_barrier_init(&all, NULL, 3);
	start(second_then_first, "second");
	start(table_then_second, "third");
	pthread_mutex_lock(&first_lock);
	pthread_barrier_wait(&all);
	say(getpid());
	pthread_rwlock_rdlock(&table_lock);
}

struct link {
	pthread_mutex_t lock;
	struct link *next;
};

static void *take_next(void *argument)
{
	struct link *link = argument;

	pthread_mutex_lock(&link->lock);
	pthread_barrier_wait(&all);
	pthread_mutex_lock(&link->next->lock);
	return NULL;
}

static void ring(int count)
{
	struct link *links = calloc((size_t)count, sizeof(*links));
	pthread_t thread;
	int i;

	pthread_barrier_init(&all, NULL, (unsigned)count);
	for (i = 0; i < count; i++) {
		pthread_mutex_init(&links[i].lock, NULL);
		links[i].next = &links[(i + 1) % count];
		if (i && pthread_create(&thread, NULL, take_next, &links[i]))
			_exit(2);
	}
	say(getpid());
	take_next(&links[0]);
}

static void *signal_and_end(void *argument)
{
	pthread_mutex_lock(&first_lock);
	pthread_cond_signal(&changed);
	return argument;
}

static void lost(void)
{
	pthread_mutex_lock(&first_lock);
	start(signal_and_end, "signaller");
	say(getpid());
	pthread_cond_wait(&changed, &first_lock);
}

static void *wait_all(void *argument)
{
	pthread_mutex_lock(&first_lock);
	pthread_barrier_wait(&all);
	pthread_barrier_wait(&all);
	return argument;
}

static void barrier(void)
{
	pthread_barrier_init(&all, NULL, 2);
	start(wait_all, "waiter");
	pthread_barrier_wait(&all);
	say(getpid());
	pthread_mutex_lock(&first_lock);
}

static pthread_once_t once = PTHREAD_ONCE_INIT;

static void once_again(void)
{
	say(getpid());
	pthread_once(&once, once_again);
}

static FILE *streams[2];

static void *second_stream(void *argument)
{
	flockfile(streams[1]);
	pthread_barrier_wait(&all);
	fputs("words", streams[0]);
	return argument;
}

static void stream(void)
{
	streams[0] = fopen("/dev/null", "w");
	streams[1] = fopen("/dev/null", "w");
	pthread_barrier_init(&all, NULL, 2);
	start(second_stream, "writer");
	flockfile(streams[0]);
	pthread_barrier_wait(&all);
	say(getpid());
	flockfile(streams[1]);
}

static void *want_first(void *argument)
{
	pthread_mutex_lock(&first_lock);
	return argument;
}

static void joined(void)
{
	pthread_t thread;

	pthread_mutex_lock(&first_lock);
	if (pthread_create(&thread, NULL, want_first, NULL))
		_exit(2);
	say(getpid());
	pthread_join(thread, NULL);
}

static void semaphore(void)
{
	pthread_barrier_init(&all, NULL, 2);
	start(slot_then_first, "slot");
	pthread_mutex_lock(&first_lock);
	pthread_barrier_wait(&all);
	say(getpid());
	sem_wait(&slots);
}

static void orphan(void *(*body)(void *), int spin)
{
	pthread_barrier_init(&all, NULL, 2);
	start(body, "worker");
	pthread_barrier_wait(&all);
	if (body == hold_and_end)
		usleep(200000);
	if (!fork()) {
		alarm(60);
		say(getpid());
		if (spin)
			pthread_spin_lock(&spin_lock);
		else
			pthread_mutex_lock(&first_lock);
		_exit(0);
	}
	sleep(60);
}

static void orphan_pool(int count)
{
	pthread_barrier_init(&all, NULL, 2);
	start(hold, "worker");
	pthread_barrier_wait(&all);
	if (!fork()) {
		alarm(60);
		while (count--)
			start(want_first, "pool");
		say(getpid());
	}
	sleep(60);
}

static void orphan_exec(void)
{
	pthread_mutex_lock(&first_lock);
	if (fork()) {
		execl("/proc/self/exe", "again", "silent", (char *)NULL);
		_exit(2);
	}
	alarm(60);
	say(getpid());
	pthread_mutex_lock(&first_lock);
}

/* pthread_join() would return before the thread is gone from the process. */
static void unseen(int other)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, hold_and_vanish, NULL) || pthread_join(thread, NULL))
		_exit(2);
	usleep(100000);
	if (other)
		start(want_first, "other");
	say(getpid());
	if (other)
		sleep(60);
	else
		pthread_mutex_lock(&first_lock);
}

/* Forks until a child does not come back. */
static void hidden(void)
{
	struct tm fields;
	time_t now = 0;
	int i, status;
	pid_t child;

	start(use_timezone, "zones");
	for (i = 0; i < 20000; i++) {
		child = fork();
		if (!child) {
			alarm(60);
			localtime_r(&now, &fields);
			_exit(0);
		}
		for (status = 0; status < 500; status++) {
			if (waitpid(child, NULL, WNOHANG) == child)
				break;
			usleep(1000);
		}
		if (status == 500) {
			say(child);
			sleep(60);
		}
	}
}

static void vfork_sleeps(void)
{
	say(getpid());
	if (!vfork()) {
		sleep(60);
		_exit(0);
	}
}

static void *sleeper(void *argument)
{
	sleep(60);
	return argument;
}

static void join(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, sleeper, NULL))
		_exit(2);
	pthread_setname_np(thread, "sleeper");
	say(getpid());
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	const char *way = string_argument(argc, argv, 1, "none");
	int i;

	alarm(60);
	sem_init(&slots, 0, 1);
	pthread_spin_init(&spin_lock, PTHREAD_PROCESS_PRIVATE);
	timed = !strcmp(way, "timed");
	if (!strcmp(way, "self")) {
		pthread_mutex_lock(&first_lock);
		say(getpid());
		pthread_mutex_lock(&first_lock);
	} else if (!strcmp(way, "self-write")) {
		pthread_rwlock_rdlock(&table_lock);
		say(getpid());
		pthread_rwlock_wrlock(&table_lock);
	} else if (!strcmp(way, "two") || timed) {
		two();
	} else if (!strcmp(way, "three")) {
		three();
	} else if (!strcmp(way, "ring")) {
		ring(number_argument(argc, argv, 2, 10));
	} else if (!strcmp(way, "lost")) {
		lost();
	} else if (!strcmp(way, "barrier")) {
		barrier();
	} else if (!strcmp(way, "once")) {
		pthread_once(&once, once_again);
	} else if (!strcmp(way, "stream")) {
		stream();
	} else if (!strcmp(way, "joined")) {
		joined();
	} else if (!strcmp(way, "sem")) {
		semaphore();
	} else if (!strcmp(way, "orphan")) {
		orphan(hold, 0);
	} else if (!strcmp(way, "orphan-gone")) {
		orphan(hold_and_end, 0);
	} else if (!strcmp(way, "orphan-pool")) {
		orphan_pool(number_argument(argc, argv, 2, 10));
	} else if (!strcmp(way, "orphan-exec")) {
		orphan_exec();
	} else if (!strcmp(way, "unseen")) {
		unseen(0);
	} else if (!strcmp(way, "unseen-other")) {
		unseen(1);
	} else if (!strcmp(way, "spin")) {
		orphan(hold, 1);
	} else if (!strcmp(way, "hidden")) {
		hidden();
	} else if (!strcmp(way, "vfork")) {
		vfork_sleeps();
	} else if (!strcmp(way, "join")) {
		join();
	} else if (!strcmp(way, "condition")) {
		say(getpid());
		wait_changed(NULL);
	} else if (!strcmp(way, "silent")) {
		sleep(60);
	} else if (!strcmp(way, "pool")) {
		for (i = 0; i < number_argument(argc, argv, 2, 10); i++)
			start(wait_changed, "pool");
		usleep(100000);
		say(getpid());
		sleep(60);
	} else {
		pthread_barrier_init(&all, NULL, 2);
		start(hold, "worker");
		pthread_barrier_wait(&all);
		say(getpid());
		sleep(60);
	}
	return 0;
}
