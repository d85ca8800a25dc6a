// SPDX-License-Identifier: MIT
/*
 * Owns the held locks of each thread (in its thread record) and, in a forked child, the table of orphans.
 *
 * The fast path of a lock hook is a store of the lock and of the return address in the thread's own
 * record; no atomic operation. A forked child finds the records of its parent's threads in the memory it
 * inherited, as they were at the fork, and asks the lock itself for its owner, so that a record made
 * half-way, or a lock released inside pthread_cond_wait, is never taken for an orphan.
 */
#include "lock.h"

#include "config.h"
#include "hook.h"
#include "module.h"
#include "proc.h"
#include "report.h"
#include "seccomp.h"
#include "sys.h"
#include "thread.h"
#include "unwind.h"

#include "poison.h"

struct orphan {
	pthread_mutex_t *lock;
	uintptr_t where;
	uint32_t holder;
	char holder_name[BOX_NAME];
	uint32_t site; /* of the fork */
	uint32_t fork_frames;
	struct box_frame fork[BOX_STACK_FRAMES];
};

#define ORPHANS 256

static struct orphan orphans[ORPHANS];
static uint32_t orphan_count;

#define KIND_ROBUST 16
#define KIND_PROCESS_SHARED 128 /* set in every robust mutex, too */

static bool mutex_held_by(const pthread_mutex_t *lock, uint32_t tid)
{
	/* A record may be stale, and its memory unmapped: a lock that another thread released. */
	if (!sys_readable(lock) || !sys_readable((const char *)(lock + 1) - 8))
		return false;
	if (!lock->__data.__lock || (uint32_t)lock->__data.__owner != tid)
		return false;
	if (!(lock->__data.__kind & KIND_PROCESS_SHARED))
		return true;
	return (lock->__data.__kind & KIND_ROBUST) && proc_private((uintptr_t)lock);
}

static void lock_held_push(pthread_mutex_t *lock, uintptr_t where)
{
	struct thread *self = thread_words.self;
	uint32_t at;

	/* A record for the thread costs system calls, for which the program's own filter may end it. */
	if (UNLIKELY(!self) && !seccomp_confined())
		self = thread_self();
	if (UNLIKELY(!self))
		return;
	/* Counted first: a signal handler that locks and unlocks here uses the slots above. */
	at = self->held_count;
	self->held_count = at + 1;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (LIKELY(at < THREAD_HELD)) {
		self->held[at].lock = lock;
		self->held[at].where = where;
	}
}

static void lock_held_pop(const pthread_mutex_t *lock)
{
	struct thread *self = thread_words.self;
	uint32_t count, at;

	if (UNLIKELY(!self || !self->held_count))
		return;
	count = self->held_count < THREAD_HELD ? self->held_count : THREAD_HELD;
	for (at = count; at; at--)
		if (self->held[at - 1].lock == lock) {
			for (; at < count; at++)
				self->held[at - 1] = self->held[at];
			self->held_count--;
			return;
		}
	if (self->held_count > THREAD_HELD)
		self->held_count--;
}

static void orphan_describe(const struct orphan *orphan, struct box_violation *violation)
{
	memset(violation, 0, sizeof(*violation));
	violation->lock_type = BOX_LOCK_MUTEX;
	violation->holder_tid = orphan->holder;
	memcpy(violation->holder_name, orphan->holder_name, sizeof(violation->holder_name));
	module_frame((uintptr_t)orphan->lock, &violation->lock);
	module_frame(orphan->where, &violation->acquired);
	violation->call = BOX_CALL_FORK + 1;
	violation->site = orphan->site;
	violation->fork_frames = orphan->fork_frames;
	memcpy(violation->fork, orphan->fork, sizeof(violation->fork));
}

static void orphan_add(const struct thread_held *held, uint32_t holder, uintptr_t from,
		       uint32_t site)
{
	struct box_violation violation;
	struct orphan *orphan;

	uint32_t i;

	if (orphan_count == ORPHANS)
		return;
	for (i = 0; i < orphan_count; i++)
		if (orphans[i].lock == held->lock && orphans[i].holder == holder)
			return; /* taken more than once, or inherited from the parent's own list */
	orphan = &orphans[orphan_count];
	orphan->lock = held->lock;
	orphan->where = held->where;
	orphan->holder = holder;
	orphan->site = site;
	proc_thread_name((uint32_t)SYS(getppid), holder, orphan->holder_name);
	orphan->fork_frames = unwind_box(from, orphan->fork);
	orphan_count++;
	orphan_describe(orphan, &violation);
	violation.kind = BOX_VIOLATION_ORPHANED_LOCK;
	report_violation(&violation);
}

void lock_after_fork(uintptr_t from, uint32_t site)
{
	const struct thread *thread, *self = thread_words.self;
	uint32_t count, i;
	int error = errno;

	for (thread = thread_first(); thread; thread = thread->next) {
		if (!thread->used || thread == self)
			continue;
		count = thread->held_count < THREAD_HELD ? thread->held_count : THREAD_HELD;
		for (i = 0; i < count; i++)
			if (thread->held[i].lock &&
			    mutex_held_by(thread->held[i].lock, thread->tid))
				orphan_add(&thread->held[i], thread->tid, from, site);
	}
	errno = error;
}

/* The child is about to block for ever on `lock`, if it is an orphan still. */
static void orphan_check(pthread_mutex_t *lock)
{
	struct box_violation violation;
	uint32_t i;

	for (i = 0; i < orphan_count; i++)
		if (orphans[i].lock == lock && mutex_held_by(lock, orphans[i].holder))
			break;
	if (i == orphan_count)
		return;
	orphan_describe(&orphans[i], &violation);
	violation.kind = BOX_VIOLATION_ORPHAN_DEADLOCK;
	violation.stack_frames = unwind_box(0, violation.stack);
	report_violation(&violation);
	if (config.on_orphan == ON_ORPHAN_ABORT)
		REAL(abort)();
	if (config.on_orphan == ON_ORPHAN_REPAIR) {
		/* As pthread_mutex_init leaves it, but of the same kind. */
		lock->__data.__lock = 0;
		lock->__data.__count = 0;
		lock->__data.__owner = 0;
		lock->__data.__nusers = 0;
		memset(&lock->__data.__list, 0, sizeof(lock->__data.__list));
	}
}

#define RETURN_ADDRESS ((uintptr_t)__builtin_return_address(0))

/* Keeps the result of a lock call. EOWNERDEAD is success: a robust mutex whose holder died. */
static int lock_taken(pthread_mutex_t *lock, int result, uintptr_t where)
{
	if (LIKELY(!result || result == EOWNERDEAD) && config.locks)
		lock_held_push(lock, where);
	return result;
}

EXPORT int pthread_mutex_lock(pthread_mutex_t *lock)
{
	hook_enter(HOOK_pthread_mutex_lock, NULL);
	if (UNLIKELY(orphan_count))
		orphan_check(lock);
	return lock_taken(lock, REAL(pthread_mutex_lock)(lock), RETURN_ADDRESS);
}

EXPORT int pthread_mutex_trylock(pthread_mutex_t *lock)
{
	hook_enter(HOOK_pthread_mutex_trylock, NULL);
	return lock_taken(lock, REAL(pthread_mutex_trylock)(lock), RETURN_ADDRESS);
}

EXPORT int pthread_mutex_timedlock(pthread_mutex_t *lock, const struct timespec *until)
{
	hook_enter(HOOK_pthread_mutex_timedlock, NULL);
	return lock_taken(lock, REAL(pthread_mutex_timedlock)(lock, until), RETURN_ADDRESS);
}

EXPORT int pthread_mutex_clocklock(pthread_mutex_t *lock, clockid_t clock,
				   const struct timespec *until)
{
	hook_enter(HOOK_pthread_mutex_clocklock, NULL);
	return lock_taken(lock, REAL(pthread_mutex_clocklock)(lock, clock, until), RETURN_ADDRESS);
}

EXPORT int pthread_mutex_unlock(pthread_mutex_t *lock)
{
	hook_enter(HOOK_pthread_mutex_unlock, NULL);
	lock_held_pop(lock);
	return REAL(pthread_mutex_unlock)(lock);
}
