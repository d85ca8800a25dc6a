// SPDX-License-Identifier: MIT
/*
 * Owns the arrays of held locks, apart from the fast path in held.h. An array starts inside its thread's
 * record and moves to a larger one when it is full; it is never given back, and serves the record's next thread.
 */
#include "held.h"

#include "libc_lock.h"
#include "memory.h"
#include "record.h"
#include "seccomp.h"
#include "sys.h"

#include "poison.h"

#define HELD_LIMIT (MEMORY_CHUNK / sizeof(struct held))

bool held_by(const struct held *held, uint32_t tid)
{
	if (held->flags & HELD_WAITING || held->kind == HELD_MUTEX)
		return libc_lock_held((enum held_kind)held->kind, held->lock, tid);
	return held->flags & HELD_TAKEN &&
	       libc_lock_held((enum held_kind)held->kind, held->lock, tid);
}

bool held_readable(const struct held *held)
{
	return held->kind == HELD_HIDDEN ||
	       (sys_readable(held->lock) &&
		sys_readable((const char *)held->lock + libc_lock_size((enum held_kind)held->kind) -
			     8));
}

bool held_mine(const struct held *held)
{
	uint32_t tid = (uint32_t)SYS(gettid);

	/* The record of a forked child's only thread has its parent's id, as have locks from before the fork. */
	return held_readable(held) && (held_by(held, tid) || held_by(held, thread_words.self->tid));
}

/*
 * Drops what another thread has unlocked since, or a longjmp has left behind. Locks that the thread waits for are
 * below no other, so all that is here and not held is stale.
 */
static void drop_stale(struct thread *self)
{
	uint32_t at;

	for (at = 0; at < self->held_count; at++)
		if (self->held[at].lock && !held_mine(&self->held[at]))
			self->held[at].lock = NULL;
}

/* Closes the gaps. */
static void compact(struct thread *self)
{
	uint32_t from, to = 0;

	for (from = 0; from < self->held_count; from++) {
		struct held *held = &self->held[from];

		if (!held->lock)
			continue;
		if (from != to)
			self->held[to] = *held;
		to++;
	}
	for (from = to; from < self->held_count; from++)
		self->held[from].lock = NULL;
	self->held_count = to;
}

static bool grow(struct thread *self)
{
	uint32_t capacity = (self->held_capacity + 1) * 4;
	struct held *larger;

	if (capacity > HELD_LIMIT)
		capacity = HELD_LIMIT;
	larger = capacity > self->held_capacity + 1 ? memory_take(capacity * sizeof(*larger)) :
						      NULL;
	if (!larger)
		return false;
	memcpy(larger + 1, self->held, self->held_count * sizeof(*larger));
	__atomic_store_n(&self->held, larger + 1, __ATOMIC_RELEASE);
	__atomic_store_n(&self->held_capacity, capacity - 1, __ATOMIC_RELEASE);
	return true;
}

bool held_room(void)
{
	struct thread *self = thread_words.self;
	int error = errno;
	sys_sigset mask;
	bool room;

	/* A record, and memory, cost system calls, for which the program's own filter may end it. */
	if (seccomp_confined())
		return false;
	if (!self)
		self = thread_self();
	if (!self)
		return false;
	if (held_ready(self))
		return true;
	if (self->held_full) {
		self->held_full--;
		RECORD_ADD(locks_lost, 1);
		return false;
	}
	mask = sys_sigmask(SYS_SIGNALS_ALL);
	drop_stale(self);
	compact(self);
	room = self->held_count < self->held_capacity - self->held_capacity / 4 || grow(self);
	sys_sigmask(mask);
	if (!room) {
		self->held_full = self->held_capacity / 4;
		RECORD_ADD(locks_lost, 1);
	}
	errno = error;
	return room;
}

uint32_t held_search(const void *lock)
{
	const struct thread *self = thread_words.self;
	uint32_t at;

	if (self)
		for (at = self->held_count; at; at--)
			if (self->held[at - 1].lock == lock)
				return at - 1;
	return HELD_NONE;
}

void held_drop(uint32_t at, const void *lock)
{
	struct held *held = held_same(at, lock);
	struct thread *self = thread_words.self;

	if (!held)
		return;
	__atomic_store_n(&held->lock, NULL, __ATOMIC_RELEASE);
	for (at = self->held_count; at && !self->held[at - 1].lock; at--)
		;
	self->held_count = at;
}

bool held_outermost(uint32_t at)
{
	const struct thread *self = thread_words.self;

	for (; at && at != HELD_NONE && !self->held[at - 1].lock; at--)
		;
	return !at;
}

/* Or it would be the next thread's that has this record. */
static void forget_left(struct thread *thread)
{
	if (thread->held_count < thread->held_capacity)
		thread->held[thread->held_count].lock = NULL;
}

bool held_leave(struct thread *thread)
{
	uint32_t at;

	thread_opening(thread)->lock = NULL;
	forget_left(thread);
	for (at = 0; at < thread->held_count; at++) {
		struct held *held = &thread->held[at];

		/* A semaphore or a reader's lock may be given back by anyone; these two say whose they are. */
		if (held->lock && (held->kind == HELD_MUTEX || held->kind == HELD_WRITE) &&
		    held_readable(held) && held_by(held, thread->tid))
			continue;
		held->lock = NULL;
	}
	compact(thread);
	return thread->held_count;
}

void held_forget(struct thread *thread)
{
	uint32_t at;

	thread_opening(thread)->lock = NULL;
	forget_left(thread);
	thread->left_past = thread->left_seen = NULL;
	for (at = 0; at < thread->held_count; at++)
		thread->held[at].lock = NULL;
	thread->held_count = 0;
}
