/* SPDX-License-Identifier: MIT */
/*
 * orphan_kinds KIND HOW CASE [MS]: orphan_mutex for every kind of lock, which the worker takes by lock, trylock,
 * timedlock or clocklock. CASE:
 *  orphan    the worker holds it at the fork, and the child waits for it
 *  repaired  the same; then the child uses it in all the ways of its kind, and says what does not work
 *  released  the worker has given it back before the fork
 *  remade    a child handler initialises it anew
 *  destroyed the worker has given it back and destroyed it; the child makes it anew
 *  shared    it lies in shared memory, made for that: the worker gives it back to both
 *  private   orphan, made for shared memory, but in private memory
 *  other     main has unlocked it for the worker before the fork
 * Exits with 77 where the kind cannot be had.
 */
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <string.h>
#include <sys/mman.h>
#include <threads.h>
#include <time.h>

#include "orphan.h"

enum kind {
	NORMAL,
	RECURSIVE,
	ERRORCHECK,
	ADAPTIVE,
	ROBUST,
	INHERIT,
	PROTECT,
	C11,
	C11_RECURSIVE,
	READ,
	WRITE,
	SPIN,
	SEM,
	KINDS
};

static const char *const kinds[KINDS] = {
	"normal", "recursive",	   "errorcheck", "adaptive", "robust", "inherit", "protect",
	"c11",	  "c11_recursive", "read",	 "write",    "spin",   "sem"
};

/* Of a mutex that raises its holder's priority: what may take it has a schedule with priorities. */
#define CEILING 2

enum how { LOCK, TRY, TIMED, CLOCK, HOWS };
static const char *const hows[HOWS] = { "lock", "trylock", "timedlock", "clocklock" };

union lock {
	pthread_mutex_t mutex;
	mtx_t mtx;
	pthread_rwlock_t rwlock;
	pthread_spinlock_t spin;
	sem_t sem;
};

static union lock the_lock, *lock = &the_lock;
static enum kind kind;
static enum how way;
static int pshared;

static int find(const char *const *names, int count, const char *name)
{
	int i;

	for (i = 0; i < count; i++)
		if (!strcmp(names[i], name))
			return i;
	exit(2);
}

static __attribute__((noinline)) void make_mutex(void)
{
	static const int types[] = { PTHREAD_MUTEX_NORMAL, PTHREAD_MUTEX_RECURSIVE,
				     PTHREAD_MUTEX_ERRORCHECK, PTHREAD_MUTEX_ADAPTIVE_NP };
	pthread_mutexattr_t attributes;

	pthread_mutexattr_init(&attributes);
	if (kind <= ADAPTIVE)
		pthread_mutexattr_settype(&attributes, types[kind]);
	if (kind == ROBUST)
		pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	if (kind == INHERIT)
		pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
	if (kind == PROTECT) {
		pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_PROTECT);
		pthread_mutexattr_setprioceiling(&attributes, CEILING);
	}
	if (pshared)
		pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	pthread_mutex_init(&lock->mutex, &attributes);
}

static void make(void)
{
	pthread_rwlockattr_t attributes;

	pthread_rwlockattr_init(&attributes);
	if (pshared)
		pthread_rwlockattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	if (kind < C11)
		make_mutex();
	else if (kind == C11 || kind == C11_RECURSIVE)
		mtx_init(&lock->mtx, mtx_timed | (kind == C11_RECURSIVE ? mtx_recursive : 0));
	else if (kind == READ || kind == WRITE)
		pthread_rwlock_init(&lock->rwlock, &attributes);
	else if (kind == SPIN)
		pthread_spin_init(&lock->spin, pshared);
	else
		sem_init(&lock->sem, pshared, 1);
}

static void destroy(void)
{
	if (kind < C11)
		pthread_mutex_destroy(&lock->mutex);
	else if (kind == C11 || kind == C11_RECURSIVE)
		mtx_destroy(&lock->mtx);
	else if (kind == READ || kind == WRITE)
		pthread_rwlock_destroy(&lock->rwlock);
	else if (kind == SPIN)
		pthread_spin_destroy(&lock->spin);
	else
		sem_destroy(&lock->sem);
}

/* Returns 0 or what went wrong. */
static __attribute__((noinline)) int take(enum how how, enum kind as)
{
	struct timespec until;
	int result = -1;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 5;
	switch (as) {
	case C11:
	case C11_RECURSIVE:
		result = how == LOCK  ? mtx_lock(&lock->mtx) :
			 how == TRY   ? mtx_trylock(&lock->mtx) :
			 how == TIMED ? mtx_timedlock(&lock->mtx, &until) :
					-1;
		break;
	case READ:
		result = how == LOCK  ? pthread_rwlock_rdlock(&lock->rwlock) :
			 how == TRY   ? pthread_rwlock_tryrdlock(&lock->rwlock) :
			 how == TIMED ? pthread_rwlock_timedrdlock(&lock->rwlock, &until) :
					pthread_rwlock_clockrdlock(&lock->rwlock, CLOCK_REALTIME,
								   &until);
		break;
	case WRITE:
		result = how == LOCK  ? pthread_rwlock_wrlock(&lock->rwlock) :
			 how == TRY   ? pthread_rwlock_trywrlock(&lock->rwlock) :
			 how == TIMED ? pthread_rwlock_timedwrlock(&lock->rwlock, &until) :
					pthread_rwlock_clockwrlock(&lock->rwlock, CLOCK_REALTIME,
								   &until);
		break;
	case SPIN:
		result = how == LOCK ? pthread_spin_lock(&lock->spin) :
			 how == TRY  ? pthread_spin_trylock(&lock->spin) :
				       -1;
		break;
	case SEM:
		result = how == LOCK  ? sem_wait(&lock->sem) :
			 how == TRY   ? sem_trywait(&lock->sem) :
			 how == TIMED ? sem_timedwait(&lock->sem, &until) :
					sem_clockwait(&lock->sem, CLOCK_REALTIME, &until);
		if (result)
			result = errno;
		break;
	default:
		result = how == LOCK ? pthread_mutex_lock(&lock->mutex) :
			 how == TRY  ? pthread_mutex_trylock(&lock->mutex) :
			 how == TIMED ?
				      pthread_mutex_timedlock(&lock->mutex, &until) :
				      pthread_mutex_clocklock(&lock->mutex, CLOCK_REALTIME, &until);
	}
	return result;
}

static int give(void)
{
	if (kind < C11)
		return pthread_mutex_unlock(&lock->mutex);
	if (kind == C11 || kind == C11_RECURSIVE)
		return mtx_unlock(&lock->mtx);
	if (kind == READ || kind == WRITE)
		return pthread_rwlock_unlock(&lock->rwlock);
	if (kind == SPIN)
		return pthread_spin_unlock(&lock->spin);
	return sem_post(&lock->sem);
}

static int stay = -1; /* how long the worker holds it */

static void worker_hold(void)
{
	if (take(way, kind))
		abort();
	worker_stay(stay);
	give();
}

static void worker_release(void)
{
	if (take(way, kind) || give())
		abort();
	worker_stay(-1);
}

static void worker_destroy(void)
{
	if (take(way, kind) || give())
		abort();
	destroy();
	worker_stay(-1);
}

static void worker_leave(void)
{
	if (take(way, kind))
		abort();
	worker_stay(-1);
}

static int wrong;

static void expect(int truth, const char *what)
{
	if (truth)
		return;
	wrong = 1;
	printf("%s: %s\n", kinds[kind], what);
	fflush(stdout);
}

/* The child has the lock, as `as`: does it do all that locks of its kind do? */
static void use(enum kind as)
{
	int again = kind == RECURSIVE || kind == C11_RECURSIVE;
	enum how how;

	if (again)
		expect(!take(LOCK, as) && !take(TRY, as) && !give() && !give(), "is not recursive");
	else if (kind == ERRORCHECK)
		expect(take(LOCK, as) == EDEADLK, "does not notice that it is held");
	else
		expect(take(TRY, as) != 0, "can be had twice");
	expect(!give(), "cannot be given back");
	if (kind == RECURSIVE || kind == ERRORCHECK || kind == ROBUST || kind == INHERIT)
		expect(give() == EPERM, "is held still");
	for (how = LOCK; how < HOWS; how++) {
		if ((kind == C11 || kind == C11_RECURSIVE) && how == CLOCK)
			continue;
		if (kind == SPIN && how > TRY)
			continue;
		expect(!take(how, as) && !give(), hows[how]);
		if (kind == READ || kind == WRITE) {
			expect(!take(how, READ) && !take(how, READ), "lets one reader in");
			expect(take(TRY, WRITE) == EBUSY, "lets a writer to readers");
			expect(!give() && !give(), "cannot be given back by readers");
			expect(!take(how, WRITE), "lets no writer in");
			expect(take(TRY, READ) == EBUSY, "lets a reader to a writer");
			expect(!give(), "cannot be given back by a writer");
		}
	}
}

int main(int argc, char **argv)
{
	enum kind as;
	const char *what;
	pid_t child;
	int verdict;

	if (argc < 4)
		return 2;
	kind = (enum kind)find(kinds, KINDS, argv[1]);
	if (kind == PROTECT && sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){ 1 }))
		return 77;
	way = (enum how)find(hows, HOWS, argv[2]);
	what = argv[3];
	/* A reader in the parent keeps writers out. */
	as = kind == READ ? WRITE : kind;
	if (!strcmp(what, "shared")) {
		pshared = PTHREAD_PROCESS_SHARED;
		stay = 100;
		lock = mmap(NULL, sizeof(*lock), PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_SHARED,
			    -1, 0);
	}
	if (!strcmp(what, "private"))
		pshared = PTHREAD_PROCESS_SHARED;
	make();
	if (!strcmp(what, "remade"))
		pthread_atfork(NULL, NULL, make);
	worker_run(!strcmp(what, "released")  ? worker_release :
		   !strcmp(what, "destroyed") ? worker_destroy :
		   !strcmp(what, "other")     ? worker_leave :
						worker_hold);
	if (!strcmp(what, "other"))
		give();
	child = fork();
	if (child == 0) {
		if (!strcmp(what, "destroyed"))
			make();
		if (take(LOCK, as))
			_exit(1);
		if (strcmp(what, "orphan") && !pshared)
			use(as);
		else
			give();
		_exit(wrong);
	}
	verdict = child_verdict(child, patience(argc - 3, argv + 3));
	worker_end();
	return verdict;
}
