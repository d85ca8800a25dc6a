// SPDX-License-Identifier: MIT
/*
 * See gate_look.h. Owns the places that ran into the limit.
 */
#include "gate_look.h"

#include "libc_lock.h"
#include "memory.h"
#include "module.h"
#include "origin.h"
#include "proc.h"
#include "record.h"
#include "sys.h"

#include "poison.h"

/* Of its own time, which a thread does not take for unlocking. */
#define LEFT_LIMIT_NS 100000

/* Places where locks are taken that were held at the limit, and how often in a row. */
static struct place {
	uintptr_t where;
	uint32_t limits;
	bool waited; /* a fork waits for it */
} places[64];

static struct place *place_of(uintptr_t where, bool make)
{
	uint32_t i;

	for (i = 0; i < COUNT(places) && places[i].where; i++)
		if (places[i].where == where)
			return &places[i];
	if (!make || i == COUNT(places))
		return NULL;
	places[i].where = where;
	return &places[i];
}

static bool exempt(uintptr_t where)
{
	const struct place *place = place_of(where, false);

	return place && place->limits >= BOX_GATE_LIMITS;
}

/*
 * Was the call left without an end, by a cancellation or a jump? Then the place of its return address serves other
 * calls, as a rule, or the thread waits in a call of the kernel's further up its stack.
 */
static bool left_behind(const struct thread *thread, const struct held *held)
{
	uint64_t call[8]; /* number, six arguments, stack pointer */
	uintptr_t where;

	if (ARCH_RETURN_PUSHED &&
	    memory_copy((void *)(held->stack - sizeof(where)), &where, sizeof(where)) &&
	    where != held->where)
		return true;
	return proc_syscall(thread->tid, call, COUNT(call)) && call[0] != UINT64_MAX &&
	       call[7] > held->stack && call[7] < thread->stack_high;
}

static enum gate_state entry_state(const struct thread *thread, const struct held *held,
				   bool closely)
{
	void *lock = __atomic_load_n(&held->lock, __ATOMIC_ACQUIRE);

	if (!lock || held->flags & HELD_WAITING)
		return GATE_LOOK_QUIET;
	if (closely && held->kind == HELD_HIDDEN && left_behind(thread, held))
		return GATE_LOOK_QUIET;
	/* Who waits for a lock of the caller's cannot get it before the fork is over. */
	if (held_search(lock) != HELD_NONE)
		return GATE_LOOK_QUIET;
	/* Who waits for a semaphore waits for an event, unless it was seen to be a lock. */
	if (held->kind == HELD_SEM) {
		enum origin_use use = origin_use(lock);

		if (use == ORIGIN_SIGNAL || (use != ORIGIN_LOCK && !(held->flags & HELD_TAKEN)))
			return GATE_LOOK_QUIET;
	}
	return exempt(held->where) ? GATE_LOOK_EXEMPT : GATE_LOOK_BUSY;
}

static bool has_mutex(const struct thread *thread, const struct held *held)
{
	pthread_mutex_t mutex;

	return memory_copy(held->lock, &mutex, sizeof(mutex)) &&
	       libc_lock_held(HELD_MUTEX, &mutex, thread->tid);
}

/*
 * Has the thread gone on since, though the memory of the lock it gave back looks locked: is it reused? It sleeps in a
 * call of its own, or has run for longer than unlocking takes since that was seen first.
 */
static bool gone_on(struct thread *thread, void *lock)
{
	/* The clock of a thread's processor time: CPUCLOCK_PERTHREAD_MASK | CPUCLOCK_SCHED */
	clockid_t clock = (clockid_t)(~thread->tid << 3 | 6);
	struct timespec ran;
	uint64_t ran_ns, call;

	if (SYS(clock_gettime, clock, &ran))
		return true;
	ran_ns = (uint64_t)ran.tv_sec * 1000000000 + (uint64_t)ran.tv_nsec;
	if (thread->left_seen != lock) {
		thread->left_seen = lock;
		thread->left_ns = ran_ns;
		return proc_syscall(thread->tid, &call, 1) && call != UINT64_MAX;
	}
	return ran_ns - thread->left_ns > LEFT_LIMIT_NS ||
	       (proc_syscall(thread->tid, &call, 1) && call != UINT64_MAX);
}

void gate_look_over(void)
{
	struct thread *thread;

	for (thread = thread_first(); thread; thread = thread->next)
		if (UNLIKELY(thread->left_past || thread->left_seen))
			thread->left_past = thread->left_seen = NULL;
}

/* Is it still inside the call that gives back the lock it has no entry for any more? */
static bool leaving(struct thread *thread)
{
	const struct held *left = held_left(thread);
	void *lock = left ? __atomic_load_n(&left->lock, __ATOMIC_RELAXED) : NULL;
	union {
		pthread_mutex_t mutex;
		pthread_spinlock_t spin;
	} copy;
	enum held_kind kind;

	if (!lock || thread->left_past == lock)
		return false;
	/* By now it may have become an entry of any kind: the kind, and how much is copied, are settled once. */
	kind = __atomic_load_n(&left->kind, __ATOMIC_RELAXED) == HELD_SPIN ? HELD_SPIN : HELD_MUTEX;
	if (!memory_copy(lock, &copy, kind == HELD_SPIN ? sizeof(copy.spin) : sizeof(copy.mutex)) ||
	    !libc_lock_left(kind, &copy, thread->tid)) {
		thread->left_seen = NULL;
		return false;
	}
	if (!gone_on(thread, lock))
		return true;
	thread->left_past = lock;
	return false;
}

/* `each` is called for every entry that the fork has to wait for. */
static enum gate_state look(const struct thread *self, bool closely,
			    void (*each)(const struct thread *, const struct held *))
{
	enum gate_state state = GATE_LOOK_QUIET, one;
	const struct held *held;
	struct thread *thread;
	uint32_t count, i;

	for (thread = thread_first(); thread; thread = thread->next) {
		if (!thread_used(thread) || thread == self || thread->ended)
			continue;
		count = __atomic_load_n(&thread->held_count, __ATOMIC_ACQUIRE);
		if (leaving(thread))
			state = GATE_LOOK_BUSY;
		held = __atomic_load_n(&thread->held, __ATOMIC_ACQUIRE);
		for (i = 0; i < count; i++) {
			one = entry_state(thread, &held[i], closely);
			if (one == GATE_LOOK_BUSY && each)
				each(thread, &held[i]);
			if (one == GATE_LOOK_BUSY || state == GATE_LOOK_QUIET)
				state = one;
		}
	}
	return state;
}

bool gate_look_returned(const struct thread *thread, const struct held *held)
{
	return !exempt(held->where) && has_mutex(thread, held);
}

void gate_look_blame(const struct thread *thread, const struct held *held)
{
	struct box_gate record = { .lock_type = libc_lock_type((enum held_kind)held->kind) };
	struct place *place;
	uint64_t call;

	if (proc_syscall(thread->tid, &call, 1) && call == UINT64_MAX)
		return;

	if (!(held->flags & HELD_TAKEN) && (held->kind != HELD_MUTEX || !has_mutex(thread, held)))
		return;
	place = place_of(held->where, true);
	record.given_up = place && ++place->limits >= BOX_GATE_LIMITS;
	module_frame(held->where, &record.acquired);
	module_frame((uintptr_t)held->lock, &record.lock);
	record_gate(&record);
}

static void note_wait(const struct thread *thread, const struct held *held)
{
	struct place *place = place_of(held->where, false);

	(void)thread;
	if (place)
		place->waited = true;
}

enum gate_state gate_look(const struct thread *self, bool closely)
{
	return look(self, closely, NULL);
}

void gate_look_wait(const struct thread *self)
{
	if (places[0].where)
		look(self, false, note_wait);
}

void gate_look_limit(const struct thread *self)
{
	look(self, true, gate_look_blame);
}

void gate_look_forgive(bool left)
{
	uint32_t i;

	for (i = 0; i < COUNT(places) && places[i].where; i++) {
		if (left && places[i].waited)
			places[i].limits = 0;
		places[i].waited = false;
	}
}
