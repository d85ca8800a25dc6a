// SPDX-License-Identifier: MIT
/*
 * See inherited.h.
 */
#include "inherited.h"

#include "config.h"
#include "hidden.h"
#include "libc_lock.h"
#include "origin.h"
#include "sys.h"

#include "poison.h"

/* Pages that were seen to be readable: most locks share a few. */
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

	return page_readable(pages, address) &&
	       page_readable(pages, address + libc_lock_size((enum held_kind)held->kind) - 8);
}

/*
 * A lock may be locked though nobody is known to have it: somebody was just taking it, or giving it back, and is one
 * of those who have an entry for it. Of what never keeps an owner only a spin lock is never waited for as an event.
 */
static enum claim claim_of_lock(const struct held *held, uint32_t tid)
{
	enum held_kind kind = (enum held_kind)held->kind;

	if (kind == HELD_SEM && origin_use(held->lock) == ORIGIN_SIGNAL)
		return CLAIM_NONE;
	if (held_by(held, tid))
		return CLAIM_HELD;
	if (held->flags & HELD_WAITING || held_search(held->lock) != HELD_NONE)
		return CLAIM_NONE;
	if (kind != HELD_MUTEX && kind != HELD_WRITE && kind != HELD_SPIN)
		return CLAIM_NONE;
	return libc_lock_taken(kind, held->lock, true) ? CLAIM_NOBODY : CLAIM_NONE;
}

/*
 * The thread has given it back, or was about to. The memory may be another's since; a spin lock says too little to
 * tell, so that only the gate can, which has looked at the thread.
 */
static enum claim claim_of_left(const struct held *held, uint32_t tid)
{
	enum held_kind kind = (enum held_kind)held->kind;

	if ((kind == HELD_SPIN && !config.gate) || !libc_lock_left(kind, held->lock, tid))
		return CLAIM_NONE;
	return claim_of_lock(held, tid);
}

/* fork() opens the locks of streams. */
static enum claim claim_of(struct pages *pages, const struct thread *thread, uint32_t at)
{
	const struct held *held = &thread->held[at];

	if (!held->lock || held->kind == HELD_FILE ||
	    hidden_is(held->lock) != (held->kind == HELD_HIDDEN))
		return CLAIM_NONE;
	/* It may hold what that function takes, which is seen when somebody asks. */
	if (held->kind == HELD_HIDDEN)
		return CLAIM_HELD;
	if (!lock_readable(pages, held))
		return CLAIM_NONE;
	return at < thread->held_count ? claim_of_lock(held, thread->tid) :
					 claim_of_left(held, thread->tid);
}

/*
 * Was the thread in dlopen() at the fork? Has it come back since, then the place of its return address serves other
 * calls, as a rule.
 */
static bool opening(const struct held *held)
{
	const uintptr_t *pushed = (const uintptr_t *)held->stack - 1;

	return held->lock &&
	       (!ARCH_RETURN_PUSHED || (sys_readable(pushed) && *pushed == held->where));
}

void inherited_walk(uint32_t generation, bool (*each)(const struct inherited *one, void *data),
		    void *data)
{
	struct inherited nobodys[16];
	struct pages pages = { .known = { 0 } };
	struct thread *thread;
	uint32_t i, entries, others = 0;

	for (thread = thread_first(); thread; thread = thread->next) {
		struct inherited one = { .thread = thread };

		if (thread->used != generation || thread == thread_words.self)
			continue;
		entries = thread->held_count + !!held_leaving(thread);
		for (i = 0; i < entries; i++) {
			one.held = &thread->held[i];
			one.claim = claim_of(&pages, thread, i);
			if (one.claim == CLAIM_HELD && !each(&one, data))
				return;
			if (one.claim == CLAIM_NOBODY && others < COUNT(nobodys))
				nobodys[others++] = one;
		}
		one.held = thread_opening(thread);
		one.claim = CLAIM_HELD;
		if (opening(one.held) && !each(&one, data))
			return;
	}
	for (i = 0; i < others; i++)
		if (!each(&nobodys[i], data))
			return;
}
