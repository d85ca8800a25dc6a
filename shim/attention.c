// SPDX-License-Identifier: MIT
/*
 * Owns lock_attention, see lock.h, and knows what a hook of a lock does before it goes on where that is not zero.
 */
#include "lock.h"

#include "gate.h"
#include "handler.h"
#include "order.h"
#include "orphan.h"
#include "orphan_report.h"
#include "sys.h"

#include "poison.h"

uint32_t lock_attention CHILD_STATE;

void lock_attention_set(enum lock_attention which, bool on)
{
	if (on)
		__atomic_or_fetch(&lock_attention, (uint32_t)which, __ATOMIC_SEQ_CST);
	else if (__atomic_load_n(&lock_attention, __ATOMIC_RELAXED) & (uint32_t)which)
		__atomic_and_fetch(&lock_attention, ~(uint32_t)which, __ATOMIC_SEQ_CST);
}

void lock_child_goes_on(void)
{
	lock_attention_set(ATTEND_CHILD, false);
	orphan_tell_due();
	handler_tell_own();
}

void lock_child_executes(void)
{
	lock_attention_set(ATTEND_CHILD, false);
	orphan_forget_due();
	handler_forget_own();
}

uint32_t lock_attend(uint32_t at, void *lock, enum held_kind kind, struct held_caller caller,
		     bool waits)
{
	int error = errno;

	while (__atomic_load_n(&lock_attention, __ATOMIC_ACQUIRE) & ATTEND_GATE &&
	       held_outermost(at) && gate_stops()) {
		held_drop(at, lock);
		gate_wait();
		at = held_push(lock, kind, caller);
	}
	if (__atomic_load_n(&lock_attention, __ATOMIC_RELAXED) & ATTEND_CHILD)
		lock_child_goes_on();
	if (waits && __atomic_load_n(&lock_attention, __ATOMIC_RELAXED) & ATTEND_ORPHANS)
		orphan_check(lock, kind);
	if (waits && __atomic_load_n(&lock_attention, __ATOMIC_RELAXED) & ATTEND_ORDER)
		order_ask(at, lock, kind);
	errno = error;
	return at;
}

void lock_after_fork(void)
{
	gate_after_fork();
	/* No handlers ran. */
	if (!orphan_found()) {
		handler_after_fork();
		orphan_find();
	}
	orphan_report();
}
