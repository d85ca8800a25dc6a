// SPDX-License-Identifier: MIT
/*
 * See libc_lock.h. Calls nothing but what it asks the kernel; may run anywhere.
 */
#include "libc_lock.h"

#include <semaphore.h>

#include "proc.h"
#include "real.h"
#include "sys.h"

#include "poison.h"

/* glibc's nptl/pthreadP.h */
#define MUTEX_TYPE 3
#define MUTEX_ROBUST 16
#define MUTEX_INHERIT 32
#define MUTEX_PROTECT 64
#define MUTEX_CEILING 0xfff80000U /* of the lock word of a protecting mutex */
#define MUTEX_SHARED 128	  /* set in every robust mutex, too */
#define FUTEX_TID 0x3fffffff

/* PTHREAD_RWLOCK_WRLOCKED, PTHREAD_RWLOCK_READER_SHIFT */
#define RWLOCK_WRITER 2
#define READER_SHIFT 3

/* sysdeps/nptl/internaltypes.h, struct new_sem where 64-bit atomics exist: the value is the low half. */
struct semaphore {
	uint32_t value, waiters;
	int shared;
};

_Static_assert(sizeof(struct semaphore) <= sizeof(sem_t), "struct new_sem");

static int spin_free;

void libc_lock_init(void)
{
	pthread_spinlock_t spin = 0;

	REAL(pthread_spin_init)(&spin, PTHREAD_PROCESS_PRIVATE);
	spin_free = (int)spin;
}

size_t libc_lock_size(enum held_kind kind)
{
	switch (kind) {
	case HELD_MUTEX:
		return sizeof(pthread_mutex_t);
	case HELD_READ:
	case HELD_WRITE:
		return sizeof(pthread_rwlock_t);
	case HELD_SEM:
		return sizeof(sem_t);
	default:
		return 8;
	}
}

static bool mutex_locked(const pthread_mutex_t *mutex)
{
	uint32_t word = (uint32_t)__atomic_load_n(&mutex->__data.__lock, __ATOMIC_RELAXED);

	/* One that was unlocked keeps its ceiling. */
	return mutex->__data.__kind & MUTEX_PROTECT ? word & ~MUTEX_CEILING : word;
}

static bool mutex_held(const pthread_mutex_t *mutex, uint32_t tid)
{
	uint32_t word = (uint32_t)__atomic_load_n(&mutex->__data.__lock, __ATOMIC_RELAXED);

	if (!word)
		return false;
	if (mutex->__data.__kind & (MUTEX_ROBUST | MUTEX_INHERIT))
		return (word & FUTEX_TID) == tid;
	return (uint32_t)__atomic_load_n(&mutex->__data.__owner, __ATOMIC_RELAXED) == tid;
}

bool libc_lock_held(enum held_kind kind, const void *lock, uint32_t tid)
{
	const pthread_rwlock_t *rwlock = lock;

	switch (kind) {
	case HELD_MUTEX:
		return mutex_held(lock, tid);
	case HELD_READ:
		return __atomic_load_n(&rwlock->__data.__readers, __ATOMIC_RELAXED) >> READER_SHIFT;
	case HELD_WRITE:
		return (uint32_t)__atomic_load_n(&rwlock->__data.__cur_writer, __ATOMIC_RELAXED) ==
		       tid;
	case HELD_SPIN:
		return __atomic_load_n((const int *)lock, __ATOMIC_RELAXED) != spin_free;
	case HELD_SEM:
		return !__atomic_load_n(&((const struct semaphore *)lock)->value, __ATOMIC_RELAXED);
	default:
		return true;
	}
}

bool libc_lock_taken(enum held_kind kind, const void *lock, bool nobody)
{
	const pthread_mutex_t *mutex = lock;
	const pthread_rwlock_t *rwlock = lock;

	switch (kind) {
	case HELD_MUTEX:
		return mutex_locked(mutex) &&
		       !(nobody && __atomic_load_n(&mutex->__data.__owner, __ATOMIC_RELAXED));
	case HELD_WRITE:
		return __atomic_load_n(&rwlock->__data.__readers, __ATOMIC_RELAXED) &
			       RWLOCK_WRITER &&
		       !(nobody && __atomic_load_n(&rwlock->__data.__cur_writer, __ATOMIC_RELAXED));
	default:
		return libc_lock_held(kind, lock, 0);
	}
}

bool libc_lock_left(enum held_kind kind, const void *lock, uint32_t tid)
{
	const pthread_mutex_t *mutex = lock;
	uint32_t word, owner;

	if (kind == HELD_SPIN)
		return libc_lock_held(kind, lock, tid);
	word = (uint32_t)__atomic_load_n(&mutex->__data.__lock, __ATOMIC_RELAXED);
	owner = (uint32_t)__atomic_load_n(&mutex->__data.__owner, __ATOMIC_RELAXED);
	/* locked, or locked and waited for: nptl/lowlevellock.h */
	return (word == 1 || word == 2) && (owner == tid || !owner) &&
	       mutex->__data.__nusers <= 1 && !mutex->__data.__count && !mutex->__data.__kind &&
	       !mutex->__data.__list.__prev && !mutex->__data.__list.__next;
}

/* Of those that say so; a spin lock and a robust mutex do not tell. */
static bool marked_shared(enum held_kind kind, const void *lock)
{
	switch (kind) {
	case HELD_MUTEX:
		return ((const pthread_mutex_t *)lock)->__data.__kind & MUTEX_SHARED;
	case HELD_READ:
	case HELD_WRITE:
		return ((const pthread_rwlock_t *)lock)->__data.__shared;
	case HELD_SPIN:
		return true;
	case HELD_SEM:
		return ((const struct semaphore *)lock)->shared;
	default:
		return false;
	}
}

bool libc_lock_shared(enum held_kind kind, const void *lock)
{
	return marked_shared(kind, lock) && !proc_private((uintptr_t)lock);
}

bool libc_lock_owned(enum held_kind kind, const void *lock)
{
	int type;

	if (kind == HELD_WRITE)
		return true;
	if (kind != HELD_MUTEX)
		return false;
	type = ((const pthread_mutex_t *)lock)->__data.__kind;
	if (type & (MUTEX_ROBUST | MUTEX_INHERIT))
		return true;
	type &= MUTEX_TYPE;
	return type == PTHREAD_MUTEX_RECURSIVE || type == PTHREAD_MUTEX_ERRORCHECK;
}

void libc_lock_remake(enum held_kind kind, void *lock)
{
	pthread_mutex_t *mutex = lock;
	pthread_rwlock_t *rwlock = lock;

	switch (kind) {
	case HELD_MUTEX:
		/* A protecting one keeps its ceiling there. */
		mutex->__data.__lock =
			mutex->__data.__kind & MUTEX_PROTECT ?
				(int)((uint32_t)mutex->__data.__lock & MUTEX_CEILING) :
				0;
		mutex->__data.__count = 0;
		mutex->__data.__owner = 0;
		mutex->__data.__nusers = 0;
		memset(&mutex->__data.__list, 0, sizeof(mutex->__data.__list));
		break;
	case HELD_READ:
	case HELD_WRITE:
		rwlock->__data.__readers = 0;
		rwlock->__data.__writers = 0;
		rwlock->__data.__wrphase_futex = 0;
		rwlock->__data.__writers_futex = 0;
		rwlock->__data.__cur_writer = 0;
		break;
	case HELD_SPIN:
		__atomic_store_n((int *)lock, spin_free, __ATOMIC_RELEASE);
		break;
	case HELD_SEM:
		((struct semaphore *)lock)->value = 1;
		((struct semaphore *)lock)->waiters = 0;
		break;
	default:
		break;
	}
}

void libc_lock_disown(enum held_kind kind, void *lock)
{
	pthread_mutex_t *mutex = lock;

	if (kind == HELD_MUTEX && mutex->__data.__count > 1)
		mutex->__data.__count--;
	else
		libc_lock_remake(kind, lock);
}

const char *libc_lock_owner_word(enum held_kind kind, const void *lock)
{
	int type;

	if (kind == HELD_WRITE)
		return "held for writing";
	type = ((const pthread_mutex_t *)lock)->__data.__kind;
	if (type & MUTEX_INHERIT)
		return "priority-inheriting";
	if (type & MUTEX_ROBUST)
		return "robust";
	return (type & MUTEX_TYPE) == PTHREAD_MUTEX_RECURSIVE ? "recursive" : "error-checking";
}

enum spork_lock_type libc_lock_type(enum held_kind kind)
{
	switch (kind) {
	case HELD_MUTEX:
		return BOX_LOCK_MUTEX;
	case HELD_READ:
	case HELD_WRITE:
		return BOX_LOCK_RWLOCK;
	case HELD_SPIN:
		return BOX_LOCK_SPIN;
	case HELD_SEM:
		return BOX_LOCK_SEM;
	case HELD_HIDDEN:
		return BOX_LOCK_HIDDEN;
	default:
		return BOX_LOCK_NONE;
	}
}
