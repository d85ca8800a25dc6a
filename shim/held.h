/* SPDX-License-Identifier: MIT */
/*
 * The locks that a thread holds: an array in its record, written by that thread alone.
 *
 * An entry is there from before the lock is asked for until after it was given back, so that whoever looks at
 * the arrays of other threads, a fork that waits for them or a child that inherited them, never misses a lock.
 * Whether it is held, or waited for, the lock itself is asked (libc_lock.h). An entry is in exposed.h.
 */
#ifndef SPORK_HELD_H
#define SPORK_HELD_H

#include <stdbool.h>
#include <stdint.h>

#include "box.h"
#include "exposed.h"
#include "thread.h"

/* Where a call came from: enough to unwind from there later, from a copy of the stack. */
struct held_caller {
	uintptr_t where; /* return address */
	uintptr_t stack; /* pointer after the return */
	uint32_t frame;	 /* frame pointer, its low half: it is near `stack`, or of no use */
};

/* In the hook itself: the compiler gives it a frame of its own for this. */
#define HELD_CALLER                                                                                \
	((struct held_caller){ (uintptr_t)__builtin_return_address(0),                             \
			       (uintptr_t)__builtin_dwarf_cfa(),                                   \
			       (uint32_t) * (uintptr_t *)__builtin_frame_address(0) })

#define HELD_NONE UINT32_MAX

/* Makes room for one more entry: a record for the thread, a larger array. False: this one is only counted. */
bool held_room(void);

static inline __attribute__((always_inline)) uint32_t
held_push_at(struct thread *self, void *lock, enum held_kind kind, struct held_caller caller)
{
	uint32_t at = self->held_count;
	struct held *held;

	/* Counted first: a signal handler that locks and unlocks here uses the entries above. */
	self->held_count = at + 1;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	held = &self->held[at];
	held->where = caller.where;
	held->stack = caller.stack;
	held->frame = caller.frame;
	held->kind = (uint8_t)kind;
	held->flags = 0;
	held->handler = 0;
	__atomic_store_n(&held->lock, lock, __ATOMIC_RELEASE);
	/* Before the gate is looked at: see gate.h. */
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return at;
}

/* May the next entry be pushed without held_room()? */
static inline __attribute__((always_inline)) bool held_ready(const struct thread *self)
{
	return LIKELY(self && self->held_count < self->held_capacity);
}

/* The caller is about to ask for `lock`. Returns the entry's index, HELD_NONE if there is no room for it. */
static inline __attribute__((always_inline)) uint32_t held_push(void *lock, enum held_kind kind,
								struct held_caller caller)
{
	if (UNLIKELY(!held_ready(thread_words.self)) && !held_room())
		return HELD_NONE;
	return held_push_at(thread_words.self, lock, kind, caller);
}

/* The caller's innermost entry for this lock; HELD_NONE: it holds none that is known. */
uint32_t held_search(const void *lock);

/*
 * The entry that was pushed at `at` for this lock, where a signal handler may have moved it meanwhile; NULL: there
 * is none any more.
 */
static inline __attribute__((always_inline)) struct held *held_same(uint32_t at, const void *lock)
{
	const struct thread *self = thread_words.self;

	if (UNLIKELY(at == HELD_NONE || !self))
		return NULL;
	if (UNLIKELY(at >= self->held_count || self->held[at].lock != lock)) {
		at = held_search(lock);
		if (at == HELD_NONE)
			return NULL;
	}
	return &self->held[at];
}

/* That entry is done with. */
void held_drop(uint32_t at, const void *lock);

/*
 * The same for the innermost entry, the `count`th, after a call in which signal handlers may have pushed others and
 * dropped them again. Entries of locks given back out of turn may now be the innermost: held_outermost() knows.
 */
static inline __attribute__((always_inline)) void held_pop(uint32_t count, const void *lock)
{
	struct thread *self = thread_words.self;
	struct held *held = &self->held[count - 1];

	if (UNLIKELY(held->lock != lock || self->held_count != count)) {
		held_drop(count - 1, lock);
		return;
	}
	__atomic_store_n(&held->lock, NULL, __ATOMIC_RELEASE);
	self->held_count = count - 1;
}

/*
 * The same for a plain mutex or a spin lock, before it is given back: the entry stays behind, one above the last,
 * until the next takes its place, and the lock tells whether it is locked still. So its hook ends in a jump.
 */
static inline __attribute__((always_inline)) void held_pop_plain(struct thread *self)
{
	uint32_t at = self->held_count - 1;

	self->held[at].flags = 0;
	self->held_count = at;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* The entry that held_pop_plain() left, or NULL. */
static inline const struct held *held_left(const struct thread *thread)
{
	/* In this order: an array that grows meanwhile is there before its capacity is told. */
	uint32_t count = __atomic_load_n(&thread->held_count, __ATOMIC_ACQUIRE);
	uint32_t capacity = __atomic_load_n(&thread->held_capacity, __ATOMIC_ACQUIRE);
	const struct held *held = __atomic_load_n(&thread->held, __ATOMIC_ACQUIRE) + count;

	return count < capacity && held->lock &&
			       (held->kind == HELD_MUTEX || held->kind == HELD_SPIN) ?
		       held :
		       NULL;
}

/* The same, unless its thread was seen to have gone on since. */
static inline const struct held *held_leaving(const struct thread *thread)
{
	const struct held *left = held_left(thread);

	return left && left->lock != thread->left_past ? left : NULL;
}

/* Is `lock` the innermost entry, so that held_pop() will do? There is always an entry below the first. */
static inline __attribute__((always_inline)) bool held_innermost(const struct thread *self,
								 const void *lock)
{
	return LIKELY(self && self->held[(size_t)self->held_count - 1].lock == lock);
}

/* The caller holds nothing but the entry at this index. */
bool held_outermost(uint32_t at);

/* May its lock be looked at? The memory of one that is gone need not be there. Costs system calls. */
bool held_readable(const struct held *held);

/* Is it an entry of the caller's, for a lock that it has? The same. */
bool held_mine(const struct held *held);

/* Its last call of dlopen(), which nobody noted the end of: see hidden.c. */
static inline struct held *thread_opening(struct thread *thread)
{
	return (struct held *)thread->opening;
}

/* Is it a lock that its thread has, and not one that it waits for? Reads the lock, which must be readable. */
bool held_by(const struct held *held, uint32_t tid);

/*
 * The thread ends. True: it leaves locks behind that are locked for good; its record has to stay, to say whose
 * they were.
 */
bool held_leave(struct thread *thread);

/* In a forked child, where only the caller is left: drops what `thread` had. */
void held_forget(struct thread *thread);

#endif
