// SPDX-License-Identifier: MIT
/*
 * Owns the table of orphans of this process, those of its parents included. Only ever changed by a forked
 * child's one thread, or, once it has made others, marked by one store.
 *
 * The records of the parent's threads are in the memory that the child inherited, as they were at the fork.
 */
#include "orphan.h"

#include "config.h"
#include "hidden.h"
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
/* One thread at a time finds out about a hidden lock, and repairs it. */
static struct spin trial_lock;
/* Addresses of hidden locks, as they become known. */
static uintptr_t words[LOCK_COUNT];
static bool found; /* orphan_find() ran for the fork that is being made */

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
		*known =
			(struct orphan){ .held = *held, holder->tid, fork, .ended = holder->ended };
		return;
	}
	orphans[count] =
		(struct orphan){ .held = *held, holder->tid, fork, .ended = holder->ended };
	*slot = (uint16_t)++count;
}

/* What stands for a hidden lock in the table: an address that is no lock's. */
static void *hidden_object(enum hidden_lock lock)
{
	static const char objects[LOCK_COUNT];

	return (void *)(uintptr_t)&objects[lock];
}

/* A thread was in a function that takes hidden locks: it may hold them, which is seen when somebody asks. */
static void add_hidden(const struct held *held, const struct thread *holder, uint32_t fork)
{
	const struct hidden_function *function = held->lock;
	struct held one = *held;
	unsigned i;

	one.handler = (uint16_t)(function - hidden_functions);
	for (i = 0; i < HIDDEN_LOCKS && function->holds[i]; i++) {
		one.lock = hidden_object((enum hidden_lock)function->holds[i]);
		add(&one, holder, fork);
	}
}

/* Has it come back since? Then the place of its return address serves other calls, as a rule. */
static bool opening(const struct held *held)
{
	const uintptr_t *pushed = (const uintptr_t *)held->stack - 1;

	return held->lock &&
	       (!ARCH_RETURN_PUSHED || (sys_readable(pushed) && *pushed == held->where));
}

void orphan_find(void)
{
	const struct thread *self = thread_words.self;
	struct thread *thread;
	struct pages pages = { { 0 } };
	uint32_t i, before = count;
	uint32_t fork = fork_count < COUNT(forks) ? fork_count : COUNT(forks) - 1;

	found = true;
	spin_reset(&trial_lock);
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
			if (held->kind == HELD_HIDDEN) {
				add_hidden(held, thread, fork);
				continue;
			}
			if (lock_readable(&pages, held) && held_by(held, thread->tid))
				add(held, thread, fork);
		}
		if (opening(thread_opening(thread)))
			add_hidden(thread_opening(thread), thread, fork);
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
static bool orphaned(const struct orphan *orphan)
{
	return !orphan->gone && held_by(&orphan->held, orphan->holder) &&
	       !libc_lock_shared((enum held_kind)orphan->held.kind, orphan->held.lock);
}

static void put_name(char *to, size_t size, const char *name)
{
	memcpy(to, name, strnlen(name, size - 1));
}

static void describe_hidden(const struct orphan *orphan, struct box_violation *violation)
{
	const struct held *held = &orphan->held;
	size_t lock = (size_t)((char *)held->lock - (char *)hidden_object(LOCK_NONE));

	if (words[lock])
		module_frame(words[lock], &violation->lock);
	put_name(violation->text, sizeof(violation->text), hidden_class((enum hidden_lock)lock));
	put_name(violation->held_in, sizeof(violation->held_in),
		 hidden_name((enum hidden_id)held->handler));
	put_name(violation->asked_in, sizeof(violation->asked_in),
		 real_name((enum hook)orphan->asked));
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
	if (held->kind == HELD_HIDDEN) {
		describe_hidden(orphan, violation);
	} else {
		module_frame((uintptr_t)held->lock, &violation->lock);
		module_frame(origin_of(held->lock), &violation->origin);
	}
	violation->acquired_frames = unwind_from(held->where, held->stack, held_frame_pointer(held),
						 violation->acquired, BOX_STACK_FRAMES);
	violation->call = BOX_CALL_FORK + 1;
	violation->site = fork->site;
	violation->fork_frames = fork->frames;
	memcpy(violation->fork, fork->frame, sizeof(violation->fork));
}

static void tell(struct orphan *orphan, struct box_violation *violation, enum spork_violation kind)
{
	if (!orphan->name[0])
		proc_thread_name((uint32_t)SYS(getppid), orphan->holder, orphan->name);
	orphan_describe(orphan, violation);
	violation->kind = kind;
	if (kind == BOX_VIOLATION_ORPHAN_DEADLOCK)
		violation->stack_frames = unwind_box(0, violation->stack);
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

		/* Hidden ones only once somebody asks for them, and the lock is seen to be taken. */
		if (orphan->told || orphan->gone || orphan->held.kind == HELD_HIDDEN)
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
	struct box_violation violation;
	int error = errno;

	if (!orphan || !blocks(orphan, kind) || !orphaned(orphan))
		return;
	if (orphan->held.kind == HELD_SEM && !config.strict)
		tell(orphan, &violation, BOX_VIOLATION_ORPHANED_LOCK);
	tell(orphan, &violation, BOX_VIOLATION_ORPHAN_DEADLOCK);
	if (config.on_orphan == ON_ORPHAN_ABORT)
		REAL(abort)();
	if (config.on_orphan == ON_ORPHAN_REPAIR) {
		libc_lock_remake((enum held_kind)orphan->held.kind, lock);
		orphan_forget(lock);
	}
	errno = error;
}

#define REPAIRS 4

/* One call may wait for several words, one after the other. */
static void repair_hidden(struct orphan *orphan, const struct hidden_function *function,
			  enum hidden_lock lock, const long arguments[6])
{
	uintptr_t word = words[lock];
	unsigned i;

	for (i = 0; i < REPAIRS && hidden_remake(lock, word); i++) {
		if (hidden_try(function, lock, arguments, &word) == HIDDEN_FREE) {
			orphan->gone = true;
			return;
		}
	}
	report_problem("on_orphan=repair", hidden_class(lock), "could not be unlocked",
		       "the child may block on it");
}

/* Returns whether the process is to be aborted. */
static bool check_hidden(struct orphan *orphan, const struct hidden_function *function,
			 enum hidden_lock lock, const long arguments[6])
{
	struct box_violation violation;
	enum hidden_verdict verdict;

	if (orphan->gone)
		return false;
	verdict = hidden_try(function, lock, arguments, &words[lock]);
	if (verdict == HIDDEN_FREE)
		orphan->gone = true;
	if (verdict == HIDDEN_FREE || verdict == HIDDEN_PASSES)
		return false;
	orphan->asked = function->hook;
	if (!orphan->told)
		tell(orphan, &violation, BOX_VIOLATION_ORPHANED_LOCK);
	orphan->told = true;
	tell(orphan, &violation, BOX_VIOLATION_ORPHAN_DEADLOCK);
	if (verdict == HIDDEN_BLOCKED && config.on_orphan == ON_ORPHAN_REPAIR)
		repair_hidden(orphan, function, lock, arguments);
	return verdict == HIDDEN_BLOCKED && config.on_orphan == ON_ORPHAN_ABORT;
}

void orphan_check_hidden(const struct hidden_function *function, const long arguments[6])
{
	struct orphan *orphan;
	int error = errno;
	bool end = false;
	unsigned i;

	for (i = 0; i < HIDDEN_LOCKS && function->takes[i]; i++) {
		orphan = orphan_of(hidden_object((enum hidden_lock)function->takes[i]));
		if (!orphan || orphan->gone || seccomp_confined())
			continue;
		spin_lock(&trial_lock);
		end |= check_hidden(orphan, function, (enum hidden_lock)function->takes[i],
				    arguments);
		spin_unlock(&trial_lock);
	}
	if (end)
		REAL(abort)();
	errno = error;
}

void orphan_forget(const void *lock)
{
	struct orphan *orphan = orphan_of(lock);

	if (orphan)
		orphan->gone = true;
}
