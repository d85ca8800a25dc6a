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
#include "libc_lock.h"
#include "lock.h"
#include "memory.h"
#include "module.h"
#include "origin.h"
#include "proc.h"
#include "record.h"
#include "report.h"
#include "seccomp.h"
#include "sys.h"
#include "unwind.h"

#include "poison.h"

/* A power of two, and so many that both tables fit a chunk each. */
#define ORPHANS 16384
#define SLOTS (2 * ORPHANS)

_Static_assert(ORPHANS * sizeof(struct orphan) <= MEMORY_CHUNK, "memory_take()");

static struct orphan *orphans;
static uint16_t *slots; /* by address: index of the orphan plus one */
static uint32_t count;
static bool found; /* orphan_find() ran for the fork that is being made */
static struct spin repair_lock;

/* The forks that left them: the last few between the first process and this one. */
static struct fork_place {
	uint32_t site, frames;
	struct box_frame frame[BOX_STACK_FRAMES];
} forks[4];
static uint32_t fork_count;

/* Called once for a fork, while the stack of its caller is there. */
static uint32_t note_fork(void)
{
	uint32_t at = fork_count < COUNT(forks) - 1 ? fork_count++ : COUNT(forks) - 1;

	forks[at].site = thread_words.fork_site;
	forks[at].frames = unwind_box(thread_words.fork_from, forks[at].frame);
	return at;
}

/* Pages that were seen to be readable while the child looked at locks: most share a few. */
struct pages {
	uintptr_t known[64];
};

static bool page_readable(struct pages *pages, uintptr_t address)
{
	uintptr_t page = address / ARCH_PAGE_MAX + 1;
	uintptr_t *known = &pages->known[page % COUNT(pages->known)];

	if (*known == page)
		return true;
	if (!sys_readable((const void *)address))
		return false;
	*known = page;
	return true;
}

static bool lock_readable(struct pages *pages, const struct held *held)
{
	uintptr_t address = (uintptr_t)held->lock;

	return held->kind == HELD_HIDDEN ||
	       (page_readable(pages, address) &&
		page_readable(pages, address + libc_lock_size((enum held_kind)held->kind) - 8));
}

static uint16_t *slot_of(const void *lock)
{
	uint32_t at = (uint32_t)(hash_mix(0, (uintptr_t)lock) % SLOTS);

	while (slots[at] && orphans[slots[at] - 1].held.lock != lock)
		at = (at + 1) % SLOTS;
	return &slots[at];
}

struct orphan *orphan_of(const void *lock)
{
	uint16_t at = count ? *slot_of(lock) : 0;

	return at ? &orphans[at - 1] : NULL;
}

static struct orphan orphan_made(const struct held *held, const struct thread *holder,
				 uint32_t fork)
{
	struct orphan orphan = { .held = *held, holder->tid, fork, .ended = holder->ended };

	if (holder->ended)
		memcpy(orphan.name, holder->name, sizeof(orphan.name));
	return orphan;
}

static void add(const struct held *held, const struct thread *holder, uint32_t fork)
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
	slot = slot_of(held->lock);
	if (*slot) {
		struct orphan *known = &orphans[*slot - 1];

		/* taken more than once, or by several readers, or an orphan of the parent's */
		if (!known->gone)
			return;
		*known = orphan_made(held, holder, fork);
		return;
	}
	orphans[count] = orphan_made(held, holder, fork);
	*slot = (uint16_t)++count;
}

void orphan_find(void)
{
	const struct thread *thread, *self = thread_words.self;
	struct pages pages = { { 0 } };
	uint32_t i, before = count, fork = fork_count;

	found = true;
	spin_reset(&repair_lock);
	if (seccomp_confined())
		return;
	for (thread = thread_first(); thread; thread = thread->next) {
		const struct held *left = held_left(thread);

		if (!thread->used || thread == self)
			continue;

		for (i = 0; i < thread->held_count + !!left; i++) {
			const struct held *held = &thread->held[i];

			/* fork() opens the locks of streams */
			if (!held->lock || held->kind == HELD_FILE)
				continue;
			if (lock_readable(&pages, held) && held_by(held, thread->tid))
				add(held, thread, fork < COUNT(forks) ? fork : COUNT(forks) - 1);
		}
	}
	if (count != before)
		note_fork();
	if (count)
		lock_attention_set(ATTEND_ORPHANS, true);
}

bool orphan_found(void)
{
	return found;
}

/* Whoever waits for it gets it only from its holder, who is not here. */
static bool orphaned(struct orphan *orphan)
{
	if (orphan->gone)
		return false;
	/* A child handler may have assigned an initialiser to it. */
	if (!held_by(&orphan->held, orphan->holder))
		orphan->gone = true;
	return !orphan->gone &&
	       !libc_lock_shared((enum held_kind)orphan->held.kind, orphan->held.lock);
}

void orphan_describe(const struct orphan *orphan, struct box_violation *violation)
{
	const struct fork_place *fork = &forks[orphan->fork];
	const struct held *held = &orphan->held;

	memset(violation, 0, sizeof(*violation));
	violation->lock_type = libc_lock_type((enum held_kind)held->kind);
	violation->holder_tid = orphan->holder;
	violation->holder_ended = orphan->ended;
	memcpy(violation->holder_name, orphan->name, sizeof(violation->holder_name));
	module_frame((uintptr_t)held->lock, &violation->lock);
	module_frame(origin_of(held->lock), &violation->origin);
	violation->acquired_frames = unwind_from(held->where, held->stack, held_frame_pointer(held),
						 violation->acquired, BOX_STACK_FRAMES);
	violation->call = BOX_CALL_FORK + 1;
	violation->site = fork->site;
	violation->fork_frames = fork->frames;
	memcpy(violation->fork, fork->frame, sizeof(violation->fork));
}

static void tell(struct orphan *orphan, struct box_violation *violation, enum spork_violation kind)
{
	if (!orphan->name[0] && !orphan->ended)
		proc_thread_name((uint32_t)SYS(getppid), orphan->holder, orphan->name);
	orphan_describe(orphan, violation);
	violation->kind = kind;
	if (kind == BOX_VIOLATION_ORPHAN_DEADLOCK) {
		violation->stack_frames = unwind_box(0, violation->stack);
		violation->remedy = config.on_orphan == ON_ORPHAN_REPAIR ? BOX_REMEDY_REPAIR :
				    config.on_orphan == ON_ORPHAN_ABORT	 ? BOX_REMEDY_ABORT :
									   BOX_REMEDY_NONE;
	}
	report_violation(violation);
}

void orphan_report(void)
{
	struct box_violation violation;
	int error = errno;
	uint32_t i;

	found = false;
	for (i = 0; i < count; i++) {
		struct orphan *orphan = &orphans[i];

		if (orphan->told || orphan->gone)
			continue;
		orphan->told = true;
		/* Of a semaphore nobody knows that it is a lock until somebody waits for it. */
		if ((orphan->held.kind == HELD_SEM && !config.strict) || !orphaned(orphan))
			continue;
		tell(orphan, &violation, BOX_VIOLATION_ORPHANED_LOCK);
	}
	errno = error;
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

	if (!orphan || orphan->gone || !blocks(orphan, kind))
		return;
	/* Of several threads that the child may have by now, one repairs it, and the others see that it did. */
	if (repairs)
		spin_lock(&repair_lock);
	if (orphaned(orphan)) {
		if (orphan->held.kind == HELD_SEM && !config.strict)
			tell(orphan, &violation, BOX_VIOLATION_ORPHANED_LOCK);
		tell(orphan, &violation, BOX_VIOLATION_ORPHAN_DEADLOCK);
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
