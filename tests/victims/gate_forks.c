/* SPDX-License-Identifier: MIT */
/*
 * gate_forks WHAT FORKS [PATIENCE]: four threads do WHAT all the time while main forks children that do the same once.
 * Prints how many children hung for PATIENCE ms, and had to be killed.
 *
 * mutex       short critical sections, nested two deep
 * rwlock spin sem mtx  the same of other kinds
 * cond        a queue with producers and consumers that wait for a condition, with and without a time limit
 * short       threads that are made, lock once, and end
 * held        a mutex that one thread holds for good, another for short times
 * late        a mutex held for 30 ms, and at two forks of three until the fork has gone on without it
 * syscall     a mutex held during a system call that takes longer than the gate waits
 * handlers    prepare handlers that take the mutex, and wait for the threads to say that they stand still
 * two         a second thread forks, too
 *
 * Functions of libc with hidden locks:
 *
 * time        localtime_r, mktime
 * environment setenv, unsetenv, getenv
 * addrinfo    getaddrinfo of an address and of a name in /etc/hosts
 * passwd      getpwnam
 * syslog      openlog, syslog, closelog: with or without one that listens
 * random      random, srandom
 * all         each thread another one of them, and one the mutexes; children all of them
 */
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <pwd.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t outer = PTHREAD_MUTEX_INITIALIZER, inner = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spin;
static sem_t semaphore;
static mtx_t mtx;
static pthread_cond_t filled = PTHREAD_COND_INITIALIZER, emptied = PTHREAD_COND_INITIALIZER;
static int queue;
static volatile int over, forks_of_other;
static int patience = 4000;

static struct timespec from_now(long ns)
{
	struct timespec at;

	clock_gettime(CLOCK_REALTIME, &at);
	at.tv_nsec += ns;
	at.tv_sec += at.tv_nsec / 1000000000;
	at.tv_nsec %= 1000000000;
	return at;
}

static void work(int turns)
{
	volatile int i;

	for (i = 0; i < turns; i++)
		;
}

static void do_mutex(void)
{
	pthread_mutex_lock(&outer);
	pthread_mutex_lock(&inner);
	work(50);
	pthread_mutex_unlock(&inner);
	work(50);
	pthread_mutex_unlock(&outer);
}

static void do_rwlock(void)
{
	static unsigned turn;

	if (++turn % 3)
		pthread_rwlock_rdlock(&rwlock);
	else
		pthread_rwlock_wrlock(&rwlock);
	work(50);
	pthread_rwlock_unlock(&rwlock);
}

static void do_spin(void)
{
	pthread_spin_lock(&spin);
	work(50);
	pthread_spin_unlock(&spin);
}

static void do_sem(void)
{
	while (sem_wait(&semaphore))
		;
	work(50);
	sem_post(&semaphore);
}

static void do_mtx(void)
{
	mtx_lock(&mtx);
	work(50);
	mtx_unlock(&mtx);
}

static void do_produce(void)
{
	pthread_mutex_lock(&outer);
	queue++;
	pthread_cond_signal(&filled);
	pthread_mutex_unlock(&outer);
	work(200);
}

static void do_consume(void)
{
	struct timespec until = from_now(20000);

	pthread_mutex_lock(&outer);
	while (queue == 0 && pthread_cond_timedwait(&filled, &outer, &until) == 0)
		;
	if (queue)
		queue--;
	pthread_cond_signal(&emptied);
	pthread_mutex_unlock(&outer);
}

static void do_held(void)
{
	static __thread int mine;
	static int taken;

	if (!mine && !__atomic_exchange_n(&taken, 1, __ATOMIC_SEQ_CST)) {
		mine = 1;
		pthread_mutex_lock(&inner);
		while (!over)
			usleep(1000);
		pthread_mutex_unlock(&inner);
		return;
	}
	pthread_mutex_lock(&outer);
	work(50);
	pthread_mutex_unlock(&outer);
}

static void do_held_child(void)
{
	pthread_mutex_lock(&outer);
	pthread_mutex_unlock(&outer);
}

static volatile int late;

static void do_late(void)
{
	pthread_mutex_lock(&outer);
	do
		usleep(30000);
	while (late);
	pthread_mutex_unlock(&outer);
	usleep(1000);
}

static void do_pause(void)
{
	usleep(1000);
}

static void do_syscall(void)
{
	pthread_mutex_lock(&outer);
	usleep(30000);
	pthread_mutex_unlock(&outer);
	work(1000);
}

static void *lock_once(void *unused)
{
	do_mutex();
	return unused;
}

static void do_short(void)
{
	pthread_t thread;

	if (!pthread_create(&thread, NULL, lock_once, NULL))
		pthread_join(thread, NULL);
}

/* Every thread says that it has seen the request to stand still, under a lock. */
static int asked, said;
#define THREADS 4

static void do_answer(void)
{
	static __thread int seen;

	pthread_mutex_lock(&outer);
	if (asked != seen) {
		seen = asked;
		said++;
	}
	pthread_mutex_unlock(&outer);
}

static void ask(void)
{
	int all;

	pthread_mutex_lock(&outer);
	asked++;
	said = 0;
	pthread_mutex_unlock(&outer);
	do {
		pthread_mutex_lock(&outer);
		all = said;
		pthread_mutex_unlock(&outer);
	} while (all < THREADS);
	pthread_mutex_lock(&outer);
}

static void give(void)
{
	pthread_mutex_unlock(&outer);
}

static void do_time(void)
{
	struct tm fields;
	time_t now = 1000000000;

	localtime_r(&now, &fields);
	mktime(&fields);
}

static void do_environment(void)
{
	setenv("VICTIM", "value", 1);
	getenv("VICTIM");
	unsetenv("VICTIM");
}

static void do_addrinfo(void)
{
	static const char *const names[] = { "127.0.0.1", "localhost" };
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG }, *list;
	int i;

	for (i = 0; i < 2; i++)
		if (!getaddrinfo(names[i], "80", &hints, &list))
			freeaddrinfo(list);
}

static void do_passwd(void)
{
	getpwnam("root");
	getpwnam("nobody");
}

static void do_syslog(void)
{
	openlog("gate_forks", LOG_PID, LOG_USER);
	syslog(LOG_DEBUG, "one of the %d", 4);
	closelog();
}

static void do_random(void)
{
	if (random() % 100 == 0)
		srandom(1);
}

static void (*const hidden[])(void) = { do_time,   do_environment, do_addrinfo, do_passwd,
					do_syslog, do_random,	   do_mutex };
#define HIDDEN (int)(sizeof(hidden) / sizeof(*hidden))

static void do_one(void)
{
	static unsigned threads;
	static __thread void (*mine)(void);

	if (!mine)
		mine = hidden[__atomic_fetch_add(&threads, 1, __ATOMIC_RELAXED) % HIDDEN];
	mine();
}

static void do_each(void)
{
	int i;

	for (i = 0; i < HIDDEN; i++)
		hidden[i]();
}

static const struct {
	const char *name;
	void (*thread)(void), (*other)(void), (*child)(void);
} whats[] = {
	{ "mutex", do_mutex, do_mutex, do_mutex },
	{ "rwlock", do_rwlock, do_rwlock, do_rwlock },
	{ "spin", do_spin, do_spin, do_spin },
	{ "sem", do_sem, do_sem, do_sem },
	{ "mtx", do_mtx, do_mtx, do_mtx },
	{ "cond", do_produce, do_consume, do_consume },
	{ "short", do_short, do_mutex, do_mutex },
	{ "held", do_held, do_held, do_held_child },
	{ "late", do_late, do_pause, do_sem },
	{ "syscall", do_syscall, do_mutex, do_mutex },
	{ "handlers", do_answer, do_answer, do_mutex },
	{ "two", do_mutex, do_mutex, do_mutex },
	{ "time", do_time, do_time, do_time },
	{ "environment", do_environment, do_environment, do_environment },
	{ "addrinfo", do_addrinfo, do_addrinfo, do_addrinfo },
	{ "passwd", do_passwd, do_passwd, do_passwd },
	{ "syslog", do_syslog, do_syslog, do_syslog },
	{ "random", do_random, do_random, do_random },
	{ "all", do_one, do_one, do_each },
};

static void *run(void *what)
{
	void (*function)(void) = *(void (**)(void))what;

	while (!over)
		function();
	return NULL;
}

/* 1: it hung. */
static int fork_one(void (*function)(void))
{
	struct timespec wait = { 0, 100000 }, start, now;
	int status;
	pid_t child = fork();

	if (child == 0) {
		function();
		_exit(0);
	}
	if (child < 0)
		return 0;
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		if (waitpid(child, &status, WNOHANG) == child)
			return 0;
		nanosleep(&wait, NULL);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 <
		 patience);
	kill(child, SIGKILL);
	waitpid(child, &status, 0);
	return 1;
}

static void *fork_too(void *unused)
{
	int hung = 0;

	while (!over)
		hung += fork_one(do_mutex);
	forks_of_other = hung;
	return unused;
}

int main(int argc, char **argv)
{
	int forks = argc > 2 ? atoi(argv[2]) : 100, hung = 0, threads = THREADS, i;
	pthread_t thread[HIDDEN], second;
	size_t what;

	for (what = 0; what < sizeof(whats) / sizeof(*whats); what++)
		if (argc > 1 && !strcmp(argv[1], whats[what].name))
			break;
	if (argc > 3)
		patience = atoi(argv[3]);
	if (what == sizeof(whats) / sizeof(*whats))
		return 2;
	pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE);
	sem_init(&semaphore, 0, 1);
	mtx_init(&mtx, mtx_plain);
	if (!strcmp(argv[1], "handlers"))
		pthread_atfork(ask, give, give);
	if (!strcmp(argv[1], "all"))
		threads = HIDDEN;
	for (i = 0; i < threads; i++)
		pthread_create(&thread[i], NULL, run,
			       i % 2 ? (void *)&whats[what].other : (void *)&whats[what].thread);
	if (!strcmp(argv[1], "two"))
		pthread_create(&second, NULL, fork_too, NULL);
	usleep(20000);
	for (i = 0; i < forks; i++) {
		late = !strcmp(argv[1], "late") && i % 3 < 2;
		if (late)
			usleep(100000);
		hung += fork_one(whats[what].child);
	}
	late = 0;
	over = 1;
	if (!strcmp(argv[1], "two"))
		pthread_join(second, NULL);
	for (i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	printf("%d of %d hung\n", hung + forks_of_other, forks);
	return 0;
}
