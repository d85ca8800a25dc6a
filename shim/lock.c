// SPDX-License-Identifier: MIT
/*
 * The hooks of everything that is a lock. Those of mutexes are on the fast path of every threaded program:
 * an entry in the thread's own array, one load of lock_attention, and libc's function; no atomic operation. A
 * fork pays for that: see gate.c and orphan.c.
 *
 * Reached through the hot stubs (hooks.def), so that a child in a window has left it before it comes here, and
 * with locks=off nobody does.
 */
#include "lock.h"

#include <semaphore.h>
#include <threads.h>

#include "config.h"
#include "gate.h"
#include "handler.h"
#include "hook.h"
#include "libc_lock.h"
#include "order.h"
#include "origin.h"
#include "orphan.h"
#include "sys.h"

#include "poison.h"

/* The lock call came back: `got` it or not. */
static inline __attribute__((always_inline)) void taken(uint32_t at, const void *lock, bool got)
{
	struct held *held = held_same(at, lock);

	if (!held)
		return;
	if (!got) {
		held_drop(at, lock);
		return;
	}
	held->flags |= HELD_TAKEN;
	if (lock_attended())
		orphan_taken(lock, (enum held_kind)held->kind);
}

/* A thread that waited for a condition has its mutex again. */
static inline __attribute__((always_inline)) void waited(uint32_t at, const void *lock)
{
	struct held *held = held_same(at, lock);

	if (!held || !(held->flags & HELD_WAITING))
		return;
	held->flags &= (uint8_t)~HELD_WAITING;
	/* Before the gate is looked at: see gate.c. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (lock_attended())
		gate_return();
}

#define NEXT(id) ((__typeof__(&id))real_table[HOOK_##id])

/* lock_attend() for an entry that tells the rest itself. */
static __attribute__((noinline)) uint32_t attend(uint32_t at, void *lock, enum held_kind kind,
						 bool waits)
{
	const struct held *held = held_same(at, lock);

	if (!lock_attended())
		return at;
	if (held)
		return lock_attend(at, lock, kind,
				   (struct held_caller){ held->where, held->stack, held->frame },
				   waits);
	/* There was no room for an entry; what the child is about to wait for is told all the same. */
	if (waits && __atomic_load_n(&lock_attention, __ATOMIC_RELAXED) & ATTEND_ORPHANS)
		orphan_check(lock, kind);
	return at;
}

/* taken() where nothing has come in between, as a rule. */
static inline __attribute__((always_inline)) void took(uint32_t at, const void *lock, bool got)
{
	struct held *held = &thread_words.self->held[at];

	if (LIKELY(got && held->lock == lock) && !lock_attended())
		held->flags = HELD_TAKEN;
	else
		taken(at, lock, got);
}

#define UNPACK(...) __VA_ARGS__

/*
 * ACQUIRE(id, kind, waits, got, lock, (parameters), (arguments)): a hook that asks for a lock; `got` tells
 * by `result` whether it did.
 */
#define ACQUIRE(id, kind, waits, got, lock, parameters, arguments)                                 \
	static __attribute__((noinline)) int attended_##id(uint32_t at, UNPACK parameters)         \
	{                                                                                          \
		void *object = (void *)(uintptr_t)(lock);                                          \
		int result;                                                                        \
                                                                                                   \
		at = attend(at, object, kind, waits);                                              \
		result = NEXT(id) arguments;                                                       \
		taken(at, object, got);                                                            \
		return result;                                                                     \
	}                                                                                          \
                                                                                                   \
	static __attribute__((noinline)) int unready_##id(uintptr_t where, uintptr_t stack,        \
							  uint32_t frame, UNPACK parameters)       \
	{                                                                                          \
		struct held_caller caller = { where, stack, frame };                               \
                                                                                                   \
		return attended_##id(held_push((void *)(uintptr_t)(lock), kind, caller),           \
				     UNPACK arguments);                                            \
	}                                                                                          \
                                                                                                   \
	int lock_##id parameters;                                                                  \
	int lock_##id parameters                                                                   \
	{                                                                                          \
		struct held_caller caller = HELD_CALLER;                                           \
		struct thread *self = thread_words.self;                                           \
		void *object = (void *)(uintptr_t)(lock);                                          \
		uint32_t at;                                                                       \
		int result;                                                                        \
                                                                                                   \
		if (UNLIKELY(!held_ready(self)))                                                   \
			return unready_##id(caller.where, caller.stack, caller.frame,              \
					    UNPACK arguments);                                     \
		at = held_push_at(self, object, kind, caller);                                     \
		if (lock_attended())                                                               \
			return attended_##id(at, UNPACK arguments);                                \
		result = NEXT(id) arguments;                                                       \
		took(at, object, got);                                                             \
		return result;                                                                     \
	}

/*
 * RELEASE(name, id, type, kind): a hook, lock_NAME, that gives one back. As a rule it is the innermost, and nobody is
 * curious.
 */
#define RELEASE(name, id, type, kind)                                                              \
	static __attribute__((noinline)) int release_##name(type *lock)                            \
	{                                                                                          \
		void *object = (void *)(uintptr_t)(lock);                                          \
		uint32_t at = held_search(object);                                                 \
		int result;                                                                        \
                                                                                                   \
		/* A wait that was cancelled does not come back through its hook. */               \
		waited(at, object);                                                                \
		if ((at == HELD_NONE || lock_attended()) && handler_release(at, object, kind)) {   \
			held_drop(at, object);                                                     \
			return 0;                                                                  \
		}                                                                                  \
		result = NEXT(id)(lock);                                                           \
		if (!result && at == HELD_NONE)                                                    \
			orphan_given(object);                                                      \
		if (!result)                                                                       \
			held_drop(at, object);                                                     \
		return result;                                                                     \
	}                                                                                          \
                                                                                                   \
	int lock_##name(type *lock);                                                               \
	int lock_##name(type *lock)                                                                \
	{                                                                                          \
		void *object = (void *)(uintptr_t)(lock);                                          \
		const struct thread *self = thread_words.self;                                     \
		uint32_t count;                                                                    \
		int result;                                                                        \
                                                                                                   \
		if (UNLIKELY(!held_innermost(self, object)) || lock_attended())                    \
			return release_##name(lock);                                               \
		count = self->held_count;                                                          \
		result = NEXT(id)(lock);                                                           \
		if (LIKELY(!result))                                                               \
			held_pop(count, object);                                                   \
		return result;                                                                     \
	}

/* The same where nothing is left to do when a `plain` one was given back: see held_pop_plain(). */
#define RELEASE_PLAIN(id, type, kind, plain)                                                       \
	RELEASE(id##_attended, id, type, kind)                                                     \
                                                                                                   \
	int lock_##id(type *lock);                                                                 \
	int lock_##id(type *lock)                                                                  \
	{                                                                                          \
		struct thread *self = thread_words.self;                                           \
                                                                                                   \
		if (UNLIKELY(!held_innermost(self, (void *)(uintptr_t)lock)) || lock_attended() || \
		    UNLIKELY(!(plain)))                                                            \
			return lock_##id##_attended(lock);                                         \
		held_pop_plain(self);                                                              \
		return NEXT(id)(lock);                                                             \
	}

/* EOWNERDEAD is success: a robust mutex whose holder died. */
#define GOT_MUTEX (!result || result == EOWNERDEAD)
#define GOT (!result)
#define TRIES false

/* Anything but a plain mutex in a quiet process. */
static __attribute__((noinline)) int mutex_lock_attended(pthread_mutex_t *lock, uint32_t at)
{
	int result;

	at = attend(at, lock, HELD_MUTEX, true);
	result = NEXT(pthread_mutex_lock)(lock);
	taken(at, lock, GOT_MUTEX);
	return result;
}

static __attribute__((noinline)) int mutex_lock_unready(pthread_mutex_t *lock, uintptr_t where,
							uintptr_t stack, uint32_t frame)
{
	struct held_caller caller = { where, stack, frame };

	return mutex_lock_attended(lock, held_push(lock, HELD_MUTEX, caller));
}

int lock_pthread_mutex_lock(pthread_mutex_t *lock);

/* A plain mutex cannot fail to be taken, and keeps its owner: nothing is left to do when it is. */
int lock_pthread_mutex_lock(pthread_mutex_t *lock)
{
	struct held_caller caller = HELD_CALLER;
	struct thread *self = thread_words.self;
	uint32_t at;

	if (UNLIKELY(!held_ready(self)))
		return mutex_lock_unready(lock, caller.where, caller.stack, caller.frame);
	at = held_push_at(self, lock, HELD_MUTEX, caller);
	if (lock_attended() || UNLIKELY(lock->__data.__kind))
		return mutex_lock_attended(lock, at);
	return NEXT(pthread_mutex_lock)(lock);
}

ACQUIRE(pthread_mutex_trylock, HELD_MUTEX, TRIES, GOT_MUTEX, lock, (pthread_mutex_t * lock), (lock))
ACQUIRE(pthread_mutex_timedlock, HELD_MUTEX, TRIES, GOT_MUTEX, lock,
	(pthread_mutex_t * lock, const struct timespec *until), (lock, until))
ACQUIRE(pthread_mutex_clocklock, HELD_MUTEX, TRIES, GOT_MUTEX, lock,
	(pthread_mutex_t * lock, clockid_t clock, const struct timespec *until),
	(lock, clock, until))
RELEASE_PLAIN(pthread_mutex_unlock, pthread_mutex_t, HELD_MUTEX, !lock->__data.__kind)

ACQUIRE(mtx_lock, HELD_MUTEX, true, GOT, lock, (mtx_t * lock), (lock))
ACQUIRE(mtx_trylock, HELD_MUTEX, TRIES, GOT, lock, (mtx_t * lock), (lock))
ACQUIRE(mtx_timedlock, HELD_MUTEX, TRIES, GOT, lock, (mtx_t * lock, const struct timespec *until),
	(lock, until))
RELEASE(mtx_unlock, mtx_unlock, mtx_t, HELD_MUTEX)

ACQUIRE(pthread_rwlock_rdlock, HELD_READ, true, GOT, lock, (pthread_rwlock_t * lock), (lock))
ACQUIRE(pthread_rwlock_tryrdlock, HELD_READ, TRIES, GOT, lock, (pthread_rwlock_t * lock), (lock))
ACQUIRE(pthread_rwlock_timedrdlock, HELD_READ, TRIES, GOT, lock,
	(pthread_rwlock_t * lock, const struct timespec *until), (lock, until))
ACQUIRE(pthread_rwlock_clockrdlock, HELD_READ, TRIES, GOT, lock,
	(pthread_rwlock_t * lock, clockid_t clock, const struct timespec *until),
	(lock, clock, until))
ACQUIRE(pthread_rwlock_wrlock, HELD_WRITE, true, GOT, lock, (pthread_rwlock_t * lock), (lock))
ACQUIRE(pthread_rwlock_trywrlock, HELD_WRITE, TRIES, GOT, lock, (pthread_rwlock_t * lock), (lock))
ACQUIRE(pthread_rwlock_timedwrlock, HELD_WRITE, TRIES, GOT, lock,
	(pthread_rwlock_t * lock, const struct timespec *until), (lock, until))
ACQUIRE(pthread_rwlock_clockwrlock, HELD_WRITE, TRIES, GOT, lock,
	(pthread_rwlock_t * lock, clockid_t clock, const struct timespec *until),
	(lock, clock, until))
RELEASE(pthread_rwlock_unlock, pthread_rwlock_unlock, pthread_rwlock_t, HELD_READ)

ACQUIRE(pthread_spin_lock, HELD_SPIN, true, GOT, lock, (pthread_spinlock_t * lock), (lock))
ACQUIRE(pthread_spin_trylock, HELD_SPIN, TRIES, GOT, lock, (pthread_spinlock_t * lock), (lock))
RELEASE_PLAIN(pthread_spin_unlock, pthread_spinlock_t, HELD_SPIN, true)

/*
 * A semaphore is a lock while those who wait for it post it. One that others post is a signal, and so is one
 * that a thread waits for twice; it is left alone from then on.
 */
#define SEM_ACQUIRE(id, waits, parameters, arguments)                                              \
	int lock_##id parameters;                                                                  \
	int lock_##id parameters                                                                   \
	{                                                                                          \
		struct held_caller caller = HELD_CALLER;                                           \
		uint32_t at = HELD_NONE;                                                           \
		int result;                                                                        \
                                                                                                   \
		if (origin_use(lock) != ORIGIN_SIGNAL && !semaphore_is_mine(lock))                 \
			at = held_push(lock, HELD_SEM, caller);                                    \
		if (lock_attended() && at != HELD_NONE)                                            \
			at = lock_attend(at, lock, HELD_SEM, caller, waits);                       \
		result = NEXT(id) arguments;                                                       \
		taken(at, lock, GOT);                                                              \
		return result;                                                                     \
	}

static bool semaphore_is_mine(sem_t *lock)
{
	uint32_t at = held_search(lock);

	if (at == HELD_NONE)
		return false;
	origin_used(lock, ORIGIN_SIGNAL);
	held_drop(at, lock);
	return true;
}

SEM_ACQUIRE(sem_wait, true, (sem_t * lock), (lock))
SEM_ACQUIRE(sem_trywait, TRIES, (sem_t * lock), (lock))
SEM_ACQUIRE(sem_timedwait, TRIES, (sem_t * lock, const struct timespec *until), (lock, until))
SEM_ACQUIRE(sem_clockwait, TRIES, (sem_t * lock, clockid_t clock, const struct timespec *until),
	    (lock, clock, until))

int lock_sem_post(sem_t *lock);

int lock_sem_post(sem_t *lock)
{
	uint32_t at = held_search(lock);
	int result;

	origin_used(lock, at == HELD_NONE ? ORIGIN_SIGNAL : ORIGIN_LOCK);
	result = NEXT(sem_post)(lock);
	if (at == HELD_NONE)
		orphan_given(lock);
	held_drop(at, lock);
	return result;
}

/* The mutex of a condition is asked for again when the wait is over. */
static __attribute__((noinline)) void lock_attend_return(uint32_t at, const void *lock)
{
	int error = errno;

	if (__atomic_load_n(&lock_attention, __ATOMIC_RELAXED) & ATTEND_ORDER)
		order_ask(at, lock, HELD_MUTEX);
	errno = error;
}

/*
 * The mutex is given back while its thread waits, and taken again before it goes on, without passing the gate:
 * see gate.c. A version of its own for programs from before 2.3.2, whose condition variables are others.
 */
#define COND_WAIT(id, parameters, arguments)                                                       \
	int lock_##id parameters;                                                                  \
	int lock_##id parameters                                                                   \
	{                                                                                          \
		uint32_t at = held_search(lock);                                                   \
		struct held *held = held_same(at, lock);                                           \
		int result;                                                                        \
                                                                                                   \
		if (held)                                                                          \
			held->flags |= HELD_WAITING;                                               \
		if (lock_attended())                                                               \
			lock_attend_return(at, lock);                                              \
		result = NEXT(id) arguments;                                                       \
		waited(at, lock);                                                                  \
		return result;                                                                     \
	}

COND_WAIT(pthread_cond_wait, (pthread_cond_t * cond, pthread_mutex_t *lock), (cond, lock))
COND_WAIT(pthread_cond_timedwait,
	  (pthread_cond_t * cond, pthread_mutex_t *lock, const struct timespec *until),
	  (cond, lock, until))
COND_WAIT(pthread_cond_clockwait,
	  (pthread_cond_t * cond, pthread_mutex_t *lock, clockid_t clock,
	   const struct timespec *until),
	  (cond, lock, clock, until))
COND_WAIT(cnd_wait, (cnd_t * cond, mtx_t *lock), (cond, lock))
COND_WAIT(cnd_timedwait, (cnd_t * cond, mtx_t *lock, const struct timespec *until),
	  (cond, lock, until))
#if ARCH_OLD_VERSIONS
extern __typeof__(pthread_cond_wait) pthread_cond_wait_2_2_5;
extern __typeof__(pthread_cond_timedwait) pthread_cond_timedwait_2_2_5;

COND_WAIT(pthread_cond_wait_2_2_5, (pthread_cond_t * cond, pthread_mutex_t *lock), (cond, lock))
COND_WAIT(pthread_cond_timedwait_2_2_5,
	  (pthread_cond_t * cond, pthread_mutex_t *lock, const struct timespec *until),
	  (cond, lock, until))
#endif

/* The locks of streams may be taken again by their holder, and fork() opens them in the child. */
#define FILE_ACQUIRE(id)                                                                           \
	void lock_##id(FILE *lock);                                                                \
	void lock_##id(FILE *lock)                                                                 \
	{                                                                                          \
		struct held_caller caller = HELD_CALLER;                                           \
		uint32_t at = held_push(lock, HELD_FILE, caller);                                  \
                                                                                                   \
		if (lock_attended())                                                               \
			at = lock_attend(at, lock, HELD_FILE, caller, true);                       \
		NEXT(id)(lock);                                                                    \
		taken(at, lock, true);                                                             \
	}
#define FILE_RELEASE(id)                                                                           \
	void lock_##id(FILE *lock);                                                                \
	void lock_##id(FILE *lock)                                                                 \
	{                                                                                          \
		uint32_t at = held_search(lock);                                                   \
                                                                                                   \
		NEXT(id)(lock);                                                                    \
		held_drop(at, lock);                                                               \
	}

FILE_ACQUIRE(flockfile)
FILE_RELEASE(funlockfile)
ACQUIRE(ftrylockfile, HELD_FILE, TRIES, GOT, lock, (FILE * lock), (lock))

/* A lock that is made anew is nobody's, whatever was there before. */
static void made(void *lock, uintptr_t where, unsigned value)
{
	uint32_t at = held_search(lock);

	handler_made(at);
	held_drop(at, lock);
	orphan_forget(lock);
	origin_note(lock, where, value);
	if (config.locks == LOCKS_ORDER)
		order_made(lock);
}

static void unmade(void *lock)
{
	orphan_forget(lock);
	origin_forget(lock);
}

#define MAKE(id, value, parameters, arguments)                                                     \
	int lock_##id parameters;                                                                  \
	int lock_##id parameters                                                                   \
	{                                                                                          \
		int result = NEXT(id) arguments;                                                   \
                                                                                                   \
		if (!result)                                                                       \
			made((void *)(uintptr_t)lock, CALLER, value);                              \
		return result;                                                                     \
	}
#define UNMAKE(id, type)                                                                           \
	int lock_##id(type *lock);                                                                 \
	int lock_##id(type *lock)                                                                  \
	{                                                                                          \
		int result = NEXT(id)(lock);                                                       \
                                                                                                   \
		if (!result)                                                                       \
			unmade((void *)(uintptr_t)lock);                                           \
		return result;                                                                     \
	}

MAKE(pthread_mutex_init, 1, (pthread_mutex_t * lock, const pthread_mutexattr_t *attributes),
     (lock, attributes))
UNMAKE(pthread_mutex_destroy, pthread_mutex_t)
MAKE(pthread_rwlock_init, 1, (pthread_rwlock_t * lock, const pthread_rwlockattr_t *attributes),
     (lock, attributes))
UNMAKE(pthread_rwlock_destroy, pthread_rwlock_t)
MAKE(pthread_spin_init, 1, (pthread_spinlock_t * lock, int shared), (lock, shared))
UNMAKE(pthread_spin_destroy, pthread_spinlock_t)
MAKE(sem_init, shared ? 0 : value, (sem_t * lock, int shared, unsigned value),
     (lock, shared, value))
UNMAKE(sem_destroy, sem_t)
MAKE(mtx_init, 1, (mtx_t * lock, int type), (lock, type))

void lock_mtx_destroy(mtx_t *lock);

void lock_mtx_destroy(mtx_t *lock)
{
	NEXT(mtx_destroy)(lock);
	unmade(lock);
}

/* For libraries linked before 2.34 hid these names, and for libc where it gives back what a cancelled thread had. */
#define ALIAS(id, of) extern __typeof__(lock_##of) lock_##id __attribute__((alias("lock_" #of)));
ALIAS(__pthread_mutex_lock, pthread_mutex_lock)
ALIAS(__pthread_mutex_trylock, pthread_mutex_trylock)
ALIAS(__pthread_mutex_unlock, pthread_mutex_unlock)
ALIAS(__pthread_rwlock_rdlock, pthread_rwlock_rdlock)
ALIAS(__pthread_rwlock_tryrdlock, pthread_rwlock_tryrdlock)
ALIAS(__pthread_rwlock_wrlock, pthread_rwlock_wrlock)
ALIAS(__pthread_rwlock_trywrlock, pthread_rwlock_trywrlock)
ALIAS(__pthread_rwlock_unlock, pthread_rwlock_unlock)
ALIAS(__pthread_mutex_init, pthread_mutex_init)
ALIAS(__pthread_mutex_destroy, pthread_mutex_destroy)
ALIAS(__pthread_rwlock_init, pthread_rwlock_init)
ALIAS(__pthread_rwlock_destroy, pthread_rwlock_destroy)
ALIAS(_IO_flockfile, flockfile)
ALIAS(_IO_ftrylockfile, ftrylockfile)
ALIAS(_IO_funlockfile, funlockfile)

void lock_init(void)
{
	libc_lock_init();
	if (!config.locks)
		real_without_bodies();
	lock_attention_set(ATTEND_ORDER, config.locks == LOCKS_ORDER);
}
