/* SPDX-License-Identifier: MIT */
/*
 * old_versions CASE: a program linked long ago, against the oldest version of each function that glibc still
 * has. Cases: spawn, condition, atfork and atfork-clean (a child handler that keeps what prepare took),
 * and orphan LOCK and clean LOCK: the worker holds, or held, LOCK when main forks: trylock, timedlock,
 * rwlock, mtx, spin. arguments: functions whose old versions take other arguments.
 */
#if defined(__x86_64__)
#include <pthread.h>
#include <pty.h>
#include <sched.h>
#include <semaphore.h>
#include <spawn.h>
#include <sys/stat.h>
#include <threads.h>
#include <time.h>

#define OLD(name, version) __asm__(".symver " #name ", " #name "@" version)

OLD(fork, "GLIBC_2.2.5");
OLD(__fork, "GLIBC_2.2.5");
OLD(vfork, "GLIBC_2.2.5");
OLD(__vfork, "GLIBC_2.2.5");
OLD(forkpty, "GLIBC_2.2.5");
OLD(posix_spawn, "GLIBC_2.2.5");
OLD(posix_spawnp, "GLIBC_2.2.5");
OLD(pthread_atfork, "GLIBC_2.2.5");
OLD(pthread_create, "GLIBC_2.2.5");
OLD(pthread_join, "GLIBC_2.2.5");
OLD(pthread_cond_init, "GLIBC_2.2.5");
OLD(pthread_cond_destroy, "GLIBC_2.2.5");
OLD(pthread_cond_wait, "GLIBC_2.2.5");
OLD(pthread_cond_timedwait, "GLIBC_2.2.5");
OLD(pthread_cond_signal, "GLIBC_2.2.5");
OLD(pthread_cond_broadcast, "GLIBC_2.2.5");
OLD(pthread_mutex_trylock, "GLIBC_2.2.5");
OLD(pthread_mutex_timedlock, "GLIBC_2.2.5");
OLD(pthread_rwlock_wrlock, "GLIBC_2.2.5");
OLD(pthread_rwlock_unlock, "GLIBC_2.2.5");
OLD(pthread_spin_init, "GLIBC_2.2.5");
OLD(pthread_spin_lock, "GLIBC_2.2.5");
OLD(pthread_spin_unlock, "GLIBC_2.2.5");
OLD(mtx_init, "GLIBC_2.28");
OLD(mtx_lock, "GLIBC_2.28");
OLD(mtx_unlock, "GLIBC_2.28");
OLD(sem_init, "GLIBC_2.2.5");
OLD(sem_post, "GLIBC_2.2.5");
OLD(sem_wait, "GLIBC_2.2.5");

#include "orphan.h"
#include "victim.h"

int old_timer_create(clockid_t, struct sigevent *, int *);
int old_timer_delete(int);
int old_timer_settime(int, int, const struct itimerspec *, struct itimerspec *);
int old_sched_setaffinity(pid_t, cpu_set_t *);
int old_pthread_setaffinity_np(pthread_t, cpu_set_t *);

__asm__(".symver old_timer_create, timer_create@GLIBC_2.2.5");
__asm__(".symver old_timer_delete, timer_delete@GLIBC_2.2.5");
__asm__(".symver old_timer_settime, timer_settime@GLIBC_2.2.5");
__asm__(".symver old_sched_setaffinity, sched_setaffinity@GLIBC_2.3.3");
__asm__(".symver old_pthread_setaffinity_np, pthread_setaffinity_np@GLIBC_2.3.3");

pid_t __fork(void);
pid_t __vfork(void);

static void spawned(const char *name, int pid)
{
	print_status(name, 0, wait_for(pid));
}

/* A timer was an int once, and a set of CPUs came without its size. */
static int arguments(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct itimerspec soon = { .it_value.tv_nsec = 1000000 };
	struct {
		int timer, behind;
	} timer = { -1, 0x5a5a5a5a };
	cpu_set_t set;
	sigset_t usr1;
	int signal;

	sigemptyset(&usr1);
	sigaddset(&usr1, SIGUSR1);
	sigprocmask(SIG_BLOCK, &usr1, NULL);
	expect(!old_timer_create(CLOCK_MONOTONIC, &event, &timer.timer), "timer_create");
	expect(timer.behind == 0x5a5a5a5a, "a newer timer");
	expect(!old_timer_settime(timer.timer, 0, &soon, NULL), "timer_settime");
	expect(!sigwait(&usr1, &signal) && signal == SIGUSR1, "the timer's signal");
	expect(!old_timer_delete(timer.timer), "timer_delete");
	expect(!sched_getaffinity(0, sizeof(set), &set), "sched_getaffinity");
	expect(!old_sched_setaffinity(0, &set), "sched_setaffinity");
	expect(!old_pthread_setaffinity_np(pthread_self(), &set), "pthread_setaffinity_np");
	printf("arguments\n");
	return victim_faults != 0;
}

static int spawn(void)
{
	char *echo[] = { "echo", "spawned", NULL }, *script[] = { "./script", "argument", NULL };
	char *environment[] = { NULL };
	FILE *file = fopen("script", "w");
	int terminal, turn, error;
	pid_t pid;

	fputs("echo no interpreter line: $1\n", file);
	fchmod(fileno(file), 0755);
	fclose(file);
	for (turn = 0; turn < 5; turn++) {
		pid = fork();
		if (pid == 0) {
			execve("/bin/echo", echo, environment);
			_exit(1);
		}
		spawned("fork", pid);
		pid = vfork();
		if (pid == 0) {
			execve("/bin/echo", echo, environment);
			_exit(1);
		}
		spawned("vfork", pid);
	}
	pid = __fork();
	if (pid == 0)
		_exit(3);
	spawned("__fork", pid);
	pid = __vfork();
	if (pid == 0)
		_exit(4);
	spawned("__vfork", pid);
	pid = forkpty(&terminal, NULL, NULL, NULL);
	if (pid == 0)
		_exit(isatty(0) ? 5 : 6);
	spawned("forkpty", pid);
	error = posix_spawn(&pid, "/bin/echo", NULL, NULL, echo, environment);
	if (!error)
		spawned("posix_spawn", pid);
	error = posix_spawnp(&pid, "echo", NULL, NULL, echo, environment);
	if (!error)
		spawned("posix_spawnp", pid);
	/* Of 2.15 they say ENOEXEC. */
	error = posix_spawn(&pid, "./script", NULL, NULL, script, environment);
	if (!error)
		spawned("posix_spawn", pid);
	printf("posix_spawn of a script: %s\n", strerror(error));
	error = posix_spawnp(&pid, "./script", NULL, NULL, script, environment);
	if (!error)
		spawned("posix_spawnp", pid);
	printf("posix_spawnp of a script: %s\n", strerror(error));
	unlink("script");
	return 0;
}

/* The condition variables before 2.3.2 are a pointer; what follows them in pthread_cond_t is not theirs. */
static struct {
	pthread_cond_t condition;
	unsigned long behind;
} ball;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int turns, released;
static sem_t started;

static void *player(void *odd)
{
	pthread_mutex_lock(&lock);
	while (turns < 2000) {
		if (turns % 2 == (odd != NULL)) {
			turns++;
			pthread_cond_signal(&ball.condition);
		} else {
			pthread_cond_wait(&ball.condition, &lock);
		}
	}
	pthread_cond_signal(&ball.condition);
	pthread_mutex_unlock(&lock);
	return NULL;
}

static void *waiter(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&lock);
	sem_post(&started);
	while (!released)
		pthread_cond_wait(&ball.condition, &lock);
	released++;
	pthread_mutex_unlock(&lock);
	return NULL;
}

static int condition(void)
{
	struct timespec past = { 1, 0 };
	pthread_t threads[3];
	int i, error;

	memset((char *)&ball + sizeof(void *), 0x5a, sizeof(ball) - sizeof(void *));
	pthread_create(&threads[0], NULL, player, NULL);
	pthread_create(&threads[1], NULL, player, &lock);
	pthread_join(threads[0], NULL);
	pthread_join(threads[1], NULL);
	printf("turns %d\n", turns);
	sem_init(&started, 0, 0);
	for (i = 0; i < 3; i++)
		pthread_create(&threads[i], NULL, waiter, NULL);
	for (i = 0; i < 3; i++)
		sem_wait(&started);
	pthread_mutex_lock(&lock);
	error = pthread_cond_timedwait(&ball.condition, &lock, &past);
	printf("timed wait: %s\n", strerror(error));
	released = 1;
	pthread_cond_broadcast(&ball.condition);
	pthread_mutex_unlock(&lock);
	for (i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	printf("released %d\n", released - 1);
	for (i = (int)sizeof(void *); i < (int)sizeof(ball); i++)
		expect(((char *)&ball)[i] == 0x5a, "a newer condition variable");
	expect(!pthread_cond_destroy(&ball.condition), "destroy");
	expect(!pthread_cond_init(&ball.condition, NULL), "init");
	return victim_faults != 0;
}

static void prepare(void)
{
	printf("prepare\n");
	pthread_mutex_lock(&lock);
}

static void release(void)
{
	pthread_mutex_unlock(&lock);
	printf("release\n");
}

static void release_child(void)
{
	pthread_mutex_unlock(&lock);
}

static int atfork(int clean)
{
	pid_t pid;

	pthread_atfork(prepare, release, clean ? release_child : NULL);
	pid = fork();
	if (pid == 0)
		_exit(pthread_mutex_trylock(&lock) ? 1 : 0);
	spawned("fork", pid);
	return 0;
}

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_spinlock_t spin;
static mtx_t mtx;
static const char *kind;
static int early;

static void take(void)
{
	struct timespec later = { .tv_sec = time(NULL) + 1000 };

	if (!strcmp(kind, "trylock"))
		expect(!pthread_mutex_trylock(&lock), "trylock");
	else if (!strcmp(kind, "timedlock"))
		expect(!pthread_mutex_timedlock(&lock, &later), "timedlock");
	else if (!strcmp(kind, "rwlock"))
		pthread_rwlock_wrlock(&rwlock);
	else if (!strcmp(kind, "mtx"))
		mtx_lock(&mtx);
	else
		pthread_spin_lock(&spin);
}

static void drop(void)
{
	if (!strcmp(kind, "rwlock"))
		pthread_rwlock_unlock(&rwlock);
	else if (!strcmp(kind, "mtx"))
		mtx_unlock(&mtx);
	else if (!strcmp(kind, "spin"))
		pthread_spin_unlock(&spin);
	else
		pthread_mutex_unlock(&lock);
}

static void work(void)
{
	take();
	if (early)
		drop();
	worker_stay(-1);
	if (!early)
		drop();
}

static int orphan(int ms)
{
	pid_t child;
	int verdict;

	mtx_init(&mtx, mtx_plain);
	pthread_spin_init(&spin, PTHREAD_PROCESS_PRIVATE);
	worker_run(work);
	child = fork();
	if (child == 0) {
		/* what does not wait, or not for ever, blocks nobody */
		if (!strcmp(kind, "trylock") || !strcmp(kind, "timedlock"))
			pthread_mutex_lock(&lock);
		else
			take();
		drop();
		_exit(0);
	}
	verdict = child_verdict(child, ms);
	worker_end();
	return verdict;
}

int main(int argc, char **argv)
{
	const char *what = string_argument(argc, argv, 1, "spawn");

	setvbuf(stdout, NULL, _IONBF, 0);
	kind = string_argument(argc, argv, 2, "trylock");
	early = !strcmp(what, "clean");
	if (early || !strcmp(what, "orphan"))
		return orphan(number_argument(argc, argv, 3, 3000));
	if (!strcmp(what, "condition"))
		return condition();
	if (!strcmp(what, "arguments"))
		return arguments();
	if (!strncmp(what, "atfork", 6))
		return atfork(!strcmp(what, "atfork-clean"));
	return spawn();
}
#else
/* Other machines came after these versions. */
int main(void)
{
	return 77;
}
#endif
