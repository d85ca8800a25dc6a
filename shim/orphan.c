// SPDX-License-Identifier: MIT
/*
 * Owns the table of orphans of this process, those of its parents included. Only ever changed by a forked
 * child's one thread, or, once it has made others, marked by one store.
 *
 * The records of the parent's threads are in the memory that the child inherited, as they were at the fork.
 */
#include "orphan.h"

#include "config.h"
#include "hook.h"
#include "inherited.h"
#include "libc_lock.h"
#include "lock.h"
#include "memory.h"
#include "orphan_hidden.h"
#include "orphan_report.h"
#include "record.h"
#include "seccomp.h"
#include "sys.h"

#include "poison.h"

/* Powers of two, and so many that both tables fit a chunk each. */
#define ORPHANS 16384
#define SLOTS (2 * ORPHANS)
#define SLOTS_FEW 1024

_Static_assert(ORPHANS * sizeof(struct orphan) <= MEMORY_CHUNK, "memory_take()");

static struct orphan *orphans;
static uint16_t *slots;	    /* by address: index of the orphan plus one */
static uint32_t slots_used; /* so many of SLOTS: a page that is not touched costs the child nothing */
static uint32_t count;
static struct spin repair_lock CHILD_STATE;

/*
 * The table is made when somebody asks for a lock: most children execute or end before. Until then the records of
 * the parent's threads are what there is; `pending` is their generation, zero: the table has them all.
 */
static uint32_t pending CHILD_STATE;
static uint32_t fork_of_pending CHILD_STATE;
static struct spin settle_lock CHILD_STATE;

static uint16_t *slot_of(const void *lock)
{
	uint32_t at = (uint32_t)(hash_mix(0, (uintptr_t)lock) & (slots_used - 1));

	while (slots[at] && orphans[slots[at] - 1].held.lock != lock)
		at = (at + 1) & (slots_used - 1);
	return &slots[at];
}

/* At most half of them are taken, as all of SLOTS allow. */
static void slots_grow(void)
{
	uint32_t i;

	memset(slots, 0, slots_used * sizeof(*slots));
	slots_used = slots_used ? 2 * slots_used : SLOTS_FEW;
	for (i = 0; i < count; i++)
		*slot_of(orphans[i].held.lock) = (uint16_t)(i + 1);
}

static void add(const struct orphan *orphan)
{
	uint16_t *slot;

	if (!orphans)
		orphans = memory_take(ORPHANS * sizeof(*orphans));
	if (!slots)
		slots = memory_take(SLOTS * sizeof(*slots));
	if (!orphans || !slots || count == ORPHANS) {
		RECORD_ADD(locks_lost, 1);
		return;
	}
	if (2 * count >= slots_used)
		slots_grow();
	slot = slot_of(orphan->held.lock);
	if (!*slot) {
		orphans[count] = *orphan;
		*slot = (uint16_t)++count;
	} else if (orphans[*slot - 1].gone) {
		/* not taken more than once, or by several readers, nor an orphan of the parent's */
		orphans[*slot - 1] = *orphan;
	}
}

struct orphan orphan_new(const struct inherited *one, uint32_t fork)
{
	const struct thread *holder = one->thread;

	if (holder->ended)
		orphan_holder_ended(holder);
	return (struct orphan){
		.held = *one->held,
		.holder = holder->tid,
		.fork = fork,
		.nobody = one->claim == CLAIM_NOBODY,
		.ended = holder->ended,
		.stack_end = holder->stack_high,
	};
}

static bool settle(const struct inherited *one, void *unused)
{
	const struct hidden_function *function = one->held->lock;
	struct orphan orphan = orphan_new(one, fork_of_pending);
	unsigned i;

	(void)unused;
	if (one->held->kind != HELD_HIDDEN) {
		orphan.told = orphan_reported();
		add(&orphan);
		return true;
	}
	for (i = 0; i < HIDDEN_LOCKS && function->holds[i]; i++) {
		orphan_hide(&orphan, function, i);
		add(&orphan);
	}
	return true;
}

/*
 * By one thread: a child may make some without a record being taken, by thrd_create() or a timer. The others wait, as
 * they would find half of the table; so do signals.
 */
static void settle_pending(void)
{
	spin_lock(&settle_lock);
	if (pending) {
		inherited_walk(pending, settle, NULL);
		__atomic_store_n(&pending, 0, __ATOMIC_RELEASE);
	}
	spin_unlock(&settle_lock);
}

void orphan_settle(void)
{
	int error = errno;

	if (LIKELY(!__atomic_load_n(&pending, __ATOMIC_ACQUIRE)))
		return;
	if (seccomp_confined())
		__atomic_store_n(&pending, 0, __ATOMIC_RELEASE);
	else
		settle_pending();
	errno = error;
}

struct orphan *orphan_of(const void *lock)
{
	uint16_t at;

	orphan_settle();
	at = count ? *slot_of(lock) : 0;
	return at ? &orphans[at - 1] : NULL;
}

uint32_t orphan_pending(void)
{
	return pending;
}

void orphan_each(void (*each)(struct orphan *orphan, void *data), void *data)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		each(&orphans[i], data);
}

static bool note(const struct inherited *one, void *unused)
{
	(void)one;
	(void)unused;
	fork_of_pending = orphan_fork();
	pending = thread_generation;
	return false;
}

void orphan_find(void)
{
	thread_words.orphans_found = true;
	spin_reset(&repair_lock);
	spin_reset(&settle_lock);
	orphan_hidden_after_fork();
	if (!config.locks || seccomp_confined())
		return;
	orphan_settle();
	if (thread_others())
		inherited_walk(thread_generation, note, NULL);
	if (count || pending)
		lock_attention_set(ATTEND_ORPHANS, true);
}

bool orphan_found(void)
{
	return thread_words.orphans_found;
}

/* Whoever waits for it gets it only from its holder, who is not here. Once it was given back it is a lock as any. */
bool orphan_stands(struct orphan *orphan)
{
	enum held_kind kind = (enum held_kind)orphan->held.kind;
	const void *lock = orphan->held.lock;

	if (!orphan->gone)
		orphan->gone = !(orphan->nobody ? libc_lock_taken(kind, lock, true) :
						  held_by(&orphan->held, orphan->holder)) ||
			       libc_lock_shared(kind, lock);
	return !orphan->gone;
}

/* Would one who asks for it so have to wait? Readers let readers in. */
static bool blocks(const struct orphan *orphan, enum held_kind kind)
{
	return !(orphan->held.kind == HELD_READ && kind == HELD_READ);
}

void orphan_check(void *lock, enum held_kind kind)
{
	struct orphan *orphan = orphan_of(lock);
	bool repairs = config.on_orphan == ON_ORPHAN_REPAIR;
	struct box_violation violation;
	int error = errno;

	if (!orphan || orphan->gone || !blocks(orphan, kind) || seccomp_confined())
		return;
	/* Of several threads that the child may have by now, one repairs it, and the others see that it did. */
	if (repairs)
		spin_lock(&repair_lock);
	if (orphan_stands(orphan)) {
		if (orphan->held.kind == HELD_SEM && !config.strict)
			orphan_tell(orphan, &violation);
		orphan_tell_deadlock(orphan, &violation, orphan_remedy());
		if (config.on_orphan == ON_ORPHAN_ABORT)
			REAL(abort)();
		if (repairs) {
			libc_lock_remake((enum held_kind)orphan->held.kind, lock);
			orphan_forget(lock);
		}
	}
	if (repairs)
		spin_unlock(&repair_lock);
	errno = error;
}

void orphan_taken(const void *lock, enum held_kind kind)
{
	if (kind != HELD_READ)
		orphan_forget(lock);
}

void orphan_given(const void *lock)
{
	struct orphan *orphan = orphan_of(lock);

	if (!orphan || libc_lock_owned((enum held_kind)orphan->held.kind, lock))
		return;
	if (orphan->held.kind != HELD_READ || !held_by(&orphan->held, orphan->holder))
		orphan->gone = true;
}

void orphan_forget(const void *lock)
{
	struct orphan *orphan = orphan_of(lock);

	if (orphan)
		orphan->gone = true;
}
