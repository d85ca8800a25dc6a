// SPDX-License-Identifier: MIT
/*
 * See handler.h. Runs in the thread that forks, inside libc's fork() or around a window; in the child before
 * fork() returns there. Whether a lock is held the lock itself is asked, where it keeps that.
 */
#include "handler.h"

#include <sys/prctl.h>

#include "config.h"
#include "libc_lock.h"
#include "lock.h"
#include "module.h"
#include "origin.h"
#include "record.h"
#include "report.h"
#include "seccomp.h"
#include "sys.h"
#include "unwind.h"

#include "poison.h"

static __thread struct handler_run current;
/* The thread that ran the prepare handlers, by the id that its locks keep; the child has another. */
static __thread uint32_t forker;

static bool running(void)
{
	if (LIKELY(!current.phase))
		return false;
	if ((uintptr_t)__builtin_frame_address(0) < current.frame)
		return true;
	/* It never came back: it jumped out. */
	current.phase = ATFORK_NONE;
	thread_words.atfork_phase = ATFORK_NONE;
	return false;
}

void handler_enter(struct handler_run *outer, enum atfork_phase phase, uintptr_t function)
{
	*outer = current;
	current.phase = phase;
	current.function = function;
	current.frame = (uintptr_t)outer;
	thread_words.atfork_phase = phase;
}

void handler_leave(const struct handler_run *outer, uint16_t place)
{
	struct thread *self = thread_words.self;
	uint32_t i;

	if (self && !outer->phase && current.phase == ATFORK_PREPARE)
		for (i = 0; i < self->held_count; i++)
			if (!self->held[i].handler)
				self->held[i].handler = place;
	current = *outer;
	thread_words.atfork_phase = outer->phase;
}

/* Is there an entry with such a mark? */
static bool marked(const struct thread *self, bool before_only)
{
	uint32_t i;

	for (i = 0; i < self->held_count; i++)
		if (self->held[i].lock && (before_only ? self->held[i].handler == HANDLER_BEFORE :
							 self->held[i].handler != 0))
			return true;
	return false;
}

/*
 * A child that only executes a program needs no locks: so what the caller of fork() held is noted in the child, and told
 * when that does something with locks, or ends.
 */
static struct own {
	struct held held;
	uint32_t holder;
	struct box_violation violation;
} own[4];
static uint32_t own_count CHILD_STATE;

void handler_after_fork(void)
{
	lock_attention_set(ATTEND_HANDLER, false);
	RESET(own_count, 0);
	lock_attention_set(ATTEND_CHILD, false);
}

void handler_begin(enum atfork_phase phase)
{
	struct thread *self = thread_words.self;
	uint32_t i;

	if (!config.locks || running())
		return;
	if (phase != ATFORK_PREPARE) {
		if (phase == ATFORK_CHILD)
			handler_after_fork();
		/* Where nothing is marked, all that is wrong to give back is not in the array either. */
		lock_attention_set(ATTEND_HANDLER, self && marked(self, phase == ATFORK_PARENT));
		return;
	}
	if (!seccomp_confined())
		forker = (uint32_t)SYS(gettid);
	for (i = 0; self && i < self->held_count; i++)
		self->held[i].handler = HANDLER_BEFORE;
}

/* By this thread: in a forked child it is the one that it was in the parent, or itself. */
static bool still_held(const struct held *held)
{
	return held_readable(held) &&
	       (held_by(held, forker) || held_by(held, (uint32_t)SYS(gettid)));
}

/* Where the call that took the lock came from, and the frames above it that are still there. */
static uint32_t acquired(const struct held *held, struct box_frame *frame)
{
	struct unwind_frame found[2 * BOX_STACK_FRAMES];
	unsigned count = unwind(0, found, COUNT(found)), i = 0;
	uint32_t frames = 1;

	module_frame(held->where, &frame[0]);
	while (i < count && found[i].stack != held->stack)
		i++;
	for (i++; i < count && frames < BOX_STACK_FRAMES; i++)
		module_frame(found[i].pc, &frame[frames++]);
	return frames;
}

/* What all these reports say. */
static void describe(struct box_violation *violation, enum spork_violation kind,
		     enum atfork_phase phase, const void *lock, enum held_kind type)
{
	memset(violation, 0, sizeof(*violation));
	violation->kind = kind;
	/* The two enumerations name the same. */
	violation->phase = phase;
	violation->lock_type = libc_lock_type(type);
	module_frame((uintptr_t)lock, &violation->lock);
	module_frame(origin_of(lock), &violation->origin);
	violation->call = BOX_CALL_FORK + 1;
	violation->site = thread_words.fork_site;
	if (thread_words.fork_from.pc)
		violation->fork_frames = unwind_box_from(&thread_words.fork_from, violation->fork);
}

_Static_assert((int)ATFORK_CHILD == BOX_PHASE_CHILD && (int)ATFORK_PARENT == BOX_PHASE_PARENT &&
		       (int)ATFORK_PREPARE == BOX_PHASE_PREPARE,
	       "describe()");

static void describe_held(struct box_violation *violation, const struct held *held)
{
	violation->holder_tid = forker;
	SYS(prctl, PR_GET_NAME, violation->holder_name);
	violation->acquired_frames = acquired(held, violation->acquired);
}

/* Code is looked up as a return address is, which lies behind the call. */
static void describe_function(struct box_frame *frame, uintptr_t function)
{
	if (function)
		module_frame(function + 1, frame);
}

/* With strict=1 a semaphore is one until it was seen to be none. */
static bool is_lock(const struct held *held)
{
	return origin_is_lock((enum held_kind)held->kind, held->lock) ||
	       (config.strict && held->kind == HELD_SEM && origin_use(held->lock) != ORIGIN_SIGNAL);
}

static void check_prepared(const struct held *held, uint16_t place, enum atfork_phase phase)
{
	struct box_violation violation;

	if (!is_lock(held) || !still_held(held))
		return;
	/* The parent gives it back for both. */
	if (phase == ATFORK_CHILD && libc_lock_shared((enum held_kind)held->kind, held->lock))
		return;
	describe(&violation, BOX_VIOLATION_ATFORK_NOT_RELEASED, phase, held->lock,
		 (enum held_kind)held->kind);
	describe_held(&violation, held);
	describe_function(&violation.handler, atfork_prepare_of(place));
	report_violation(&violation);
}

static void note_own(const struct held *held)
{
	struct own *noted = &own[own_count];

	if (own_count == COUNT(own) || held->kind == HELD_SEM || !is_lock(held) ||
	    !still_held(held) || libc_lock_shared((enum held_kind)held->kind, held->lock))
		return;
	own_count++;
	noted->held = *held;
	noted->holder = forker;
	describe(&noted->violation, BOX_VIOLATION_FORK_HOLDING_LOCK, ATFORK_NONE, held->lock,
		 (enum held_kind)held->kind);
	describe_held(&noted->violation, held);
}

void handler_forget_own(void)
{
	RESET(own_count, 0);
}

void handler_tell_own(void)
{
	int error = errno;
	uint32_t i, count;

	/* The child may have made threads: one of them tells. */
	count = __atomic_load_n(&own_count, __ATOMIC_RELAXED);
	if (count)
		count = __atomic_exchange_n(&own_count, 0, __ATOMIC_ACQ_REL);
	for (i = 0; i < count && !seccomp_confined(); i++) {
		if (!held_readable(&own[i].held) || !held_by(&own[i].held, own[i].holder))
			continue;
		own[i].violation.stack_frames = unwind_box(0, own[i].violation.stack);
		report_violation(&own[i].violation);
	}
	errno = error;
}

void handler_over(enum atfork_phase phase)
{
	struct thread *self = thread_words.self;
	bool silent = seccomp_confined();
	int error = errno;
	uint32_t i;

	if (!config.locks || running())
		return;
	lock_attention_set(ATTEND_HANDLER, false);
	for (i = 0; self && i < self->held_count; i++) {
		struct held *held = &self->held[i];
		uint16_t mark = held->handler;

		held->handler = 0;
		if (!mark || !held->lock || silent)
			continue;
		if (mark != HANDLER_BEFORE)
			check_prepared(held, mark, phase);
		else if (phase == ATFORK_CHILD)
			note_own(held);
	}
	if (own_count && phase == ATFORK_CHILD)
		lock_attention_set(ATTEND_CHILD, true);
	if (own_count && phase == ATFORK_CHILD && config.strict)
		handler_tell_own();
	errno = error;
}

/*
 * The thread has no entry for it: is it the thread's all the same? Entries get lost where there is no memory; of
 * what keeps no owner it cannot be told then.
 */
static bool may_hold(const void *lock, enum held_kind kind)
{
	uint32_t tid = (uint32_t)SYS(gettid);

	if (kind == HELD_MUTEX)
		return libc_lock_held(kind, lock, tid) || libc_lock_held(kind, lock, forker);
	if (kind == HELD_READ &&
	    (libc_lock_held(HELD_WRITE, lock, tid) || libc_lock_held(HELD_WRITE, lock, forker)))
		return true;
	return record_header()->locks_lost && libc_lock_held(kind, lock, tid);
}

static void report_release(enum spork_violation kind, const struct held *held, const void *lock,
			   enum held_kind type)
{
	struct box_violation violation;

	describe(&violation, kind, (enum atfork_phase)current.phase, lock, type);
	if (held)
		describe_held(&violation, held);
	if (kind == BOX_VIOLATION_ATFORK_WRONG_OWNER)
		strcpy(violation.text, libc_lock_owner_word(type, lock));
	describe_function(&violation.handler, current.function);
	violation.stack_frames = unwind_box(0, violation.stack);
	report_violation(&violation);
}

/* Nothing more is checked of this lock. */
static void forget(const void *lock)
{
	struct thread *self = thread_words.self;
	uint32_t i;

	for (i = 0; i < self->held_count; i++)
		if (self->held[i].lock == lock)
			self->held[i].handler = 0;
}

/* A child handler gives back what prepare took: can it? True: it was done for it. */
static bool release_prepared(struct held *held)
{
	enum held_kind kind = (enum held_kind)held->kind;

	if (!libc_lock_owned(kind, held->lock) || libc_lock_shared(kind, held->lock) ||
	    forker == (uint32_t)SYS(gettid) || !libc_lock_held(kind, held->lock, forker))
		return false;
	report_release(BOX_VIOLATION_ATFORK_WRONG_OWNER, held, held->lock, kind);
	if (config.on_orphan == ON_ORPHAN_REPAIR) {
		libc_lock_disown(kind, held->lock);
		return true;
	}
	/* That it stays locked then is the same fault. */
	forget(held->lock);
	return false;
}

bool handler_release(uint32_t at, void *lock, enum held_kind kind)
{
	struct held *held;
	int error = errno;
	bool done = false;

	if (__atomic_load_n(&lock_attention, __ATOMIC_RELAXED) & ATTEND_CHILD)
		lock_child_goes_on();
	if (LIKELY(!thread_words.atfork_phase) || !running() || current.phase == ATFORK_PREPARE ||
	    seccomp_confined())
		return false;
	held = held_same(at, lock);
	if (!held) {
		if (!may_hold(lock, kind))
			report_release(BOX_VIOLATION_ATFORK_NOT_ACQUIRED, NULL, lock, kind);
	} else if (held->handler == HANDLER_BEFORE) {
		report_release(BOX_VIOLATION_ATFORK_NOT_ACQUIRED, held, lock,
			       (enum held_kind)held->kind);
		held->handler = 0;
	} else if (held->handler && current.phase == ATFORK_CHILD) {
		done = release_prepared(held);
	}
	errno = error;
	return done;
}

void handler_made(uint32_t at)
{
	struct thread *self = thread_words.self;
	struct box_violation violation;
	const struct held *held;
	int error = errno;

	if (LIKELY(!thread_words.atfork_phase) || !config.strict || at == HELD_NONE || !running() ||
	    current.phase != ATFORK_CHILD || seccomp_confined())
		return;
	held = &self->held[at];
	if (!held->handler || held->handler == HANDLER_BEFORE)
		return;
	describe(&violation, BOX_VIOLATION_ATFORK_NOT_RELEASED, ATFORK_CHILD, held->lock,
		 (enum held_kind)held->kind);
	describe_held(&violation, held);
	describe_function(&violation.handler, current.function);
	strcpy(violation.text, "initialised anew");
	violation.stack_frames = unwind_box(0, violation.stack);
	report_violation(&violation);
	errno = error;
}
