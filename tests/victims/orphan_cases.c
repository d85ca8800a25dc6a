/* SPDX-License-Identifier: MIT */
/*
 * orphan_cases CASE [MS]: what a fork may find other threads at, besides holding a lock of their own. The child does
 * what it can do there; in the cases marked so at the end it hangs all the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>

#include "orphan.h"

static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER;
static mtx_t c11_lock;
static cnd_t c11_filled;
static pthread_barrier_t barrier;
static pthread_rwlock_t book = PTHREAD_RWLOCK_INITIALIZER;
static sem_t sem;
static FILE *file;

static struct timespec later(clockid_t clock)
{
	struct timespec until;

	clock_gettime(clock, &until);
	until.tv_sec += 5;
	return until;
}

/* Waits for a condition; the mutex it gives back is whole when main has had it once. */
static int done;

static void cond_wait(void)
{
	pthread_mutex_lock(&queue_lock);
	worker_stay(0);
	while (!done)
		pthread_cond_wait(&filled, &queue_lock);
	pthread_mutex_unlock(&queue_lock);
}

static void cond_timedwait(void)
{
	struct timespec until = later(CLOCK_REALTIME);

	pthread_mutex_lock(&queue_lock);
	worker_stay(0);
	while (!done)
		pthread_cond_timedwait(&filled, &queue_lock, &until);
	pthread_mutex_unlock(&queue_lock);
}

static void cond_clockwait(void)
{
	struct timespec until = later(CLOCK_MONOTONIC);

	pthread_mutex_lock(&queue_lock);
	worker_stay(0);
	while (!done)
		pthread_cond_clockwait(&filled, &queue_lock, CLOCK_MONOTONIC, &until);
	pthread_mutex_unlock(&queue_lock);
}

static void queue_use(void)
{
	pthread_mutex_lock(&queue_lock);
	pthread_mutex_unlock(&queue_lock);
}

static void queue_end(void)
{
	pthread_mutex_lock(&queue_lock);
	done = 1;
	pthread_cond_signal(&filled);
	pthread_mutex_unlock(&queue_lock);
}

static void c11_make(void)
{
	mtx_init(&c11_lock, mtx_plain);
	cnd_init(&c11_filled);
}

static void c11_wait(void)
{
	mtx_lock(&c11_lock);
	worker_stay(0);
	while (!done)
		cnd_wait(&c11_filled, &c11_lock);
	mtx_unlock(&c11_lock);
}

static void c11_use(void)
{
	mtx_lock(&c11_lock);
	mtx_unlock(&c11_lock);
}

static void c11_end(void)
{
	mtx_lock(&c11_lock);
	done = 1;
	cnd_signal(&c11_filled);
	mtx_unlock(&c11_lock);
}

/* Came back from a wait: it holds the mutex again. */
static void cond_held(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	pthread_mutex_lock(&queue_lock);
	pthread_cond_timedwait(&filled, &queue_lock, &until);
	worker_stay(-1);
	pthread_mutex_unlock(&queue_lock);
}

static void barrier_make(void)
{
	pthread_barrier_init(&barrier, NULL, 2);
}

static void barrier_wait(void)
{
	worker_stay(0);
	pthread_barrier_wait(&barrier);
}

static void barrier_end(void)
{
	pthread_barrier_wait(&barrier);
}

static void file_make(void)
{
	file = fopen("/dev/null", "w");
}

static void file_hold(void)
{
	flockfile(file);
	worker_stay(-1);
	funlockfile(file);
}

static void file_try(void)
{
	if (ftrylockfile(file))
		abort();
	worker_stay(-1);
	funlockfile(file);
}

static void file_use(void)
{
	flockfile(file);
	fputc('x', file);
	fflush(file);
	funlockfile(file);
}

static void read_hold(void)
{
	pthread_rwlock_rdlock(&book);
	worker_stay(-1);
	pthread_rwlock_unlock(&book);
}

static void read_use(void)
{
	pthread_rwlock_rdlock(&book);
	pthread_rwlock_unlock(&book);
}

/* An event: made with no token, posted by main. */
static void event_make(void)
{
	sem_init(&sem, 0, 0);
	sem_post(&sem);
}

static void event_wait(void)
{
	sem_wait(&sem);
	worker_stay(-1);
}

static void event_use(void)
{
	sem_post(&sem);
	sem_wait(&sem);
}

/* Like event, but the child is told by a signal handler. */
static void posted(int signal)
{
	(void)signal;
	sem_post(&sem);
}

static void timer_use(void)
{
	struct itimerval timer = { .it_value.tv_usec = 20000 };

	signal(SIGALRM, posted);
	setitimer(ITIMER_REAL, &timer, NULL);
	while (sem_wait(&sem) && errno == EINTR)
		;
}

/*
 * What Python's locks are: made with one token, and used as events, too. The one who waits takes it twice, and
 * another posts it.
 */
static void *poster(void *unused)
{
	usleep(10000);
	sem_post(&sem);
	return unused;
}

static void lock_event_make(void)
{
	sem_init(&sem, 0, 1);
}

static void lock_event_wait(void)
{
	pthread_t thread;

	sem_wait(&sem);
	pthread_create(&thread, NULL, poster, NULL);
	sem_wait(&sem);
	pthread_join(thread, NULL);
	worker_stay(-1);
}

/* A semaphore with a name is for all processes that know it. */
static sem_t *named;

static void named_make(void)
{
	char name[32];

	snprintf(name, sizeof(name), "/orphan_cases.%d", (int)getpid());
	named = sem_open(name, O_CREAT | O_EXCL, 0600, 1);
	sem_unlink(name);
	if (named == SEM_FAILED)
		abort();
}

static void named_hold(void)
{
	sem_wait(named);
	worker_stay(100);
	sem_post(named);
}

static void named_use(void)
{
	sem_wait(named);
	sem_post(named);
}

/* Ends with the lock in hand. */
static void ended(void)
{
	pthread_mutex_lock(&queue_lock);
	worker_stay(0);
}

static void ended_exit(void)
{
	pthread_mutex_lock(&queue_lock);
	worker_stay(0);
	pthread_exit(NULL);
}

/* Held no more: the memory has gone before the fork. */
static void unmapped(void)
{
	pthread_mutex_t *lock = mmap(NULL, sizeof(*lock), PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	pthread_mutex_lock(lock);
	munmap(lock, sizeof(*lock));
	worker_stay(-1);
}

/* Taken once more than given back. */
static pthread_mutex_t recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

static void recursive_hold(void)
{
	pthread_mutex_lock(&recursive);
	pthread_mutex_lock(&recursive);
	pthread_mutex_unlock(&recursive);
	worker_stay(-1);
	pthread_mutex_unlock(&recursive);
}

static void recursive_use(void)
{
	pthread_mutex_lock(&recursive);
	pthread_mutex_unlock(&recursive);
}

/* Robust, and the one who held it has died: whoever takes it next is told so, and makes it whole. */
static pthread_mutex_t robust;

static void *die(void *unused)
{
	pthread_mutex_lock(&robust);
	return unused;
}

static void robust_make(void)
{
	pthread_mutexattr_t attributes;
	pthread_t thread;

	pthread_mutexattr_init(&attributes);
	pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	pthread_mutex_init(&robust, &attributes);
	pthread_create(&thread, NULL, die, NULL);
	pthread_join(thread, NULL);
}

static void robust_hold(void)
{
	if (pthread_mutex_lock(&robust) != EOWNERDEAD)
		abort();
	pthread_mutex_consistent(&robust);
	worker_stay(-1);
	pthread_mutex_unlock(&robust);
}

static void robust_use(void)
{
	pthread_mutex_lock(&robust);
	pthread_mutex_unlock(&robust);
}

/* Waits for a lock of main's, which main gives back in the child as well. */
static void queue_take(void)
{
	worker_stay(0);
	pthread_mutex_lock(&queue_lock);
	pthread_mutex_unlock(&queue_lock);
}

static void queue_hold(void)
{
	pthread_mutex_lock(&queue_lock);
}

static void queue_give(void)
{
	pthread_mutex_unlock(&queue_lock);
	queue_use();
}

static void nothing(void)
{
}

/* The child gives back for the worker what keeps no owner, and uses it from then on with a thread of its own. */
static pthread_spinlock_t spin;
static int child_ms;

static void spin_make(void)
{
	pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE);
}

static void spin_hold(void)
{
	pthread_spin_lock(&spin);
	worker_stay(-1);
}

static void *spin_briefly(void *unused)
{
	pthread_spin_lock(&spin);
	if (write(reached[1], "x", 1) != 1)
		abort();
	usleep(100000);
	pthread_spin_unlock(&spin);
	return unused;
}

static void spin_give(void)
{
	pthread_t thread;
	char byte;

	pthread_spin_unlock(&spin);
	pthread_create(&thread, NULL, spin_briefly, NULL);
	if (read(reached[0], &byte, 1) != 1)
		abort();
	pthread_spin_lock(&spin);
	pthread_spin_unlock(&spin);
	pthread_join(thread, NULL);
}

static void *read_briefly(void *unused)
{
	pthread_rwlock_rdlock(&book);
	if (write(reached[1], "x", 1) != 1)
		abort();
	usleep(100000);
	pthread_rwlock_unlock(&book);
	return unused;
}

static void read_give(void)
{
	pthread_t thread;
	char byte;

	pthread_rwlock_unlock(&book);
	pthread_create(&thread, NULL, read_briefly, NULL);
	if (read(reached[0], &byte, 1) != 1)
		abort();
	pthread_rwlock_wrlock(&book);
	pthread_rwlock_unlock(&book);
	pthread_join(thread, NULL);
}

static void lock_hold(void)
{
	sem_wait(&sem);
	worker_stay(-1);
}

static void sem_give(void)
{
	pthread_t thread;

	sem_post(&sem);
	sem_wait(&sem);
	pthread_create(&thread, NULL, poster, NULL);
	sem_wait(&sem);
	pthread_join(thread, NULL);
}

/* Two threads of the child want the same orphan: repaired once, it lets in one at a time. */
static int inside, together;

static void *enter(void *unused)
{
	int i;

	for (i = 0; i < 1000; i++) {
		pthread_mutex_lock(&queue_lock);
		together |= inside;
		inside = 1;
		__asm__ volatile("" ::: "memory");
		inside = 0;
		pthread_mutex_unlock(&queue_lock);
	}
	return unused;
}

static void queue_stay(void)
{
	pthread_mutex_lock(&queue_lock);
	worker_stay(-1);
	pthread_mutex_unlock(&queue_lock);
}

static void both_enter(void)
{
	pthread_t thread[4];
	int i;

	for (i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, enter, NULL);
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	if (together)
		_exit(1);
}

/* A child whose thread has taken many locks, and forks in its turn, in another thread. */
static pthread_mutex_t many[40];

static void *fork_again(void *unused)
{
	pid_t child = fork();

	if (child == 0) {
		pthread_mutex_lock(&many[0]);
		_exit(0);
	}
	{
		int verdict = child_verdict(child, child_ms);

		fflush(stdout);
		_exit(verdict);
	}
	return unused;
}

static void deeper(void)
{
	pthread_t thread;
	int i;

	for (i = 0; i < 40; i++)
		pthread_mutex_init(&many[i], NULL);
	for (i = 0; i < 40; i++)
		pthread_mutex_lock(&many[i]);
	pthread_create(&thread, NULL, fork_again, NULL);
	pthread_join(thread, NULL);
}

static void idle(void)
{
	worker_stay(-1);
}

static void give_only(void)
{
	pthread_mutex_unlock(&queue_lock);
}

static const struct {
	const char *name;
	void (*before)(void); /* main */
	void (*worker)(void);
	void (*settle)(void); /* main, once the worker has called worker_stay() */
	void (*child)(void);
	void (*after)(void); /* main, to let the worker end */
} cases[] = {
	{ "cond_wait", nothing, cond_wait, queue_use, queue_use, queue_end },
	{ "cond_timedwait", nothing, cond_timedwait, queue_use, queue_use, queue_end },
	{ "cond_clockwait", nothing, cond_clockwait, queue_use, queue_use, queue_end },
	{ "cnd_wait", c11_make, c11_wait, c11_use, c11_use, c11_end },
	{ "barrier", barrier_make, barrier_wait, nothing, nothing, barrier_end },
	{ "flockfile", file_make, file_hold, nothing, file_use, nothing },
	{ "ftrylockfile", file_make, file_try, nothing, file_use, nothing },
	{ "event", event_make, event_wait, nothing, event_use, nothing },
	{ "event_handler", event_make, event_wait, nothing, timer_use, nothing },
	{ "lock_event", lock_event_make, lock_event_wait, nothing, timer_use, nothing },
	{ "named", named_make, named_hold, nothing, named_use, nothing },
	{ "unmapped", nothing, unmapped, nothing, nothing, nothing },
	{ "waited", queue_hold, queue_take, nothing, queue_give, give_only },
	{ "readers", nothing, read_hold, nothing, read_use, nothing },
	{ "read_given", nothing, read_hold, nothing, read_give, nothing },
	{ "spin_given", spin_make, spin_hold, nothing, spin_give, nothing },
	{ "sem_given", lock_event_make, lock_hold, nothing, sem_give, nothing },
	/* hang */
	{ "enter", nothing, queue_stay, nothing, both_enter, nothing },
	{ "deeper", nothing, idle, nothing, deeper, nothing },
	{ "cond_held", nothing, cond_held, nothing, queue_use, nothing },
	{ "ended", nothing, ended, nothing, queue_use, nothing },
	{ "ended_exit", nothing, ended_exit, nothing, queue_use, nothing },
	{ "recursive", nothing, recursive_hold, nothing, recursive_use, nothing },
	{ "robust", robust_make, robust_hold, nothing, robust_use, nothing },
};

int main(int argc, char **argv)
{
	size_t i;

	child_ms = patience(argc - 1, argv + 1);
	for (i = 0; argc > 1 && i < sizeof(cases) / sizeof(*cases); i++) {
		pid_t child;
		int verdict, gone = 0;

		if (strcmp(argv[1], cases[i].name))
			continue;
		cases[i].before();
		worker_run(cases[i].worker);
		cases[i].settle();
		if (!strncmp(argv[1], "ended", 5)) {
			pthread_join(worker_thread, NULL);
			gone = 1;
		}
		child = fork();
		if (child == 0) {
			cases[i].child();
			fflush(stdout);
			_exit(0);
		}
		/* a child that waits for one of its own, for as long, needs longer */
		verdict = child_verdict(child, 2 * child_ms);
		cases[i].after();
		if (!gone)
			worker_end();
		return verdict;
	}
	return 2;
}
