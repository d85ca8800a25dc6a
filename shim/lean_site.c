// SPDX-License-Identifier: MIT
/*
 * See lean_site.h. Owns what the records of sites know of the lean tier.
 */
#include "lean_site.h"

#include "config.h"
#include "proc.h"
#include "record.h"

#include "poison.h"

/* A child executes soon if it takes no more than this, but for when it waits for its turn on a busy machine. */
#define SOON_NS 200000000ULL

/* The first so many forks after a child took too long are not lean, and eight times as many after the next. */
#define AGAIN_SPAWNS 64
#define AGAIN_SHIFT 3
#define AGAIN_SHIFT_MOST 30

/* Children that may end without exec before their site is taken for one whose children do. */
#define STRIKES_LEARNING 3
#define STRIKES_MOST 16

/* Children in a row that slept when other threads could not be kept waiting any longer: on a busy machine some do. */
#define KEPT_MOST 3

/* A child that needs more than this part of its parent's memory is better off with all of it. */
#define PAGES_PART 16

static bool is_allowed(void)
{
	return ARCH_DISPATCH && (config.reroute == REROUTE_AUTO || config.reroute == REROUTE_LEAN);
}

static void refuse(struct box_site *site, enum spork_reason reason)
{
	if (site->lean_reason && site->lean_reason != BOX_REASON_DEADLINE)
		return;
	site->lean_reason = reason;
	RECORD_ADD(changes, 1);
}

/* It may have been the moment: but children that wait for their parent each time must not hold it each time. */
static void put_off(struct box_site *site)
{
	uint32_t shift = AGAIN_SHIFT * __atomic_fetch_add(&site->lean_late, 1, __ATOMIC_RELAXED);

	site->lean_again =
		site->spawns +
		((uint64_t)AGAIN_SPAWNS << (shift < AGAIN_SHIFT_MOST ? shift : AGAIN_SHIFT_MOST));
	refuse(site, BOX_REASON_DEADLINE);
}

enum spork_reason lean_site_refuses(const struct box_site *site)
{
	if (!is_allowed())
		return BOX_REASON_REROUTE_OFF;
	if (!site)
		return BOX_REASON_TABLE_FULL;
	if (site->lean_reason &&
	    (site->lean_reason != BOX_REASON_DEADLINE || site->spawns < site->lean_again))
		return (enum spork_reason)site->lean_reason;
	return __atomic_load_n(&site->lean_seen, __ATOMIC_ACQUIRE) >= config.learn ?
		       BOX_REASON_NONE :
		       BOX_REASON_LEARNING;
}

bool lean_site_learns(const struct box_site *site)
{
	return lean_site_refuses(site) == BOX_REASON_LEARNING;
}

static void ended(struct box_site *site)
{
	__atomic_store_n(&site->lean_seen, 0, __ATOMIC_RELEASE);
	if (__atomic_add_fetch(&site->lean_strikes, 1, __ATOMIC_ACQ_REL) >= STRIKES_LEARNING)
		refuse(site, BOX_REASON_NO_EXEC);
}

/* What it does by then, or waits for, a lean child could not, or not without all of its memory. False: it may go on. */
static bool finds(struct box_site *site, enum spork_reason reason)
{
	switch (reason) {
	case BOX_REASON_NO_EXEC:
	case BOX_REASON_EXIT:
		ended(site);
		return true;
	case BOX_REASON_SPAWN:
	case BOX_REASON_BLOCKS:
	case BOX_REASON_SECCOMP:
		refuse(site, reason);
		return true;
	default:
		return false;
	}
}

void lean_site_call(struct window *window, enum hook hook, enum spork_reason reason)
{
	if (hook == HOOK_pthread_create || hook == HOOK_thrd_create)
		refuse(window->site, BOX_REASON_THREAD);
	else if (hook == HOOK_sched_yield || !finds(window->site, reason))
		return;
	window_drop(window);
}

bool lean_site_goes_on(struct window *window, enum spork_reason reason)
{
	if (!lean_site_learns(window->site) || finds(window->site, reason))
		return false;
	window->kind = WINDOW_TRIAL;
	window->busy = false;
	return true;
}

/* Has the calling child, a process of its own, taken its time? */
static bool was_slow(const struct window *window)
{
	uint64_t took = sys_now() - window->opened_ns;
	struct proc_turns turns;

	if (took <= SOON_NS)
		return false;
	proc_turns(0, &turns);
	return took > turns.waited_ns + SOON_NS;
}

void lean_site_executes(struct window *window)
{
	struct box_site *site = window->site;

	if (!lean_site_learns(site))
		return;
	/* An audit takes its time before. */
	if (window->kind == WINDOW_TRIAL && !window->audit_ns && was_slow(window)) {
		if (__atomic_add_fetch(&site->lean_strikes, 1, __ATOMIC_ACQ_REL) %
			    STRIKES_LEARNING ==
		    0)
			put_off(site);
		return;
	}
	__atomic_add_fetch(&site->lean_seen, 1, __ATOMIC_ACQ_REL);
	RECORD_ADD(changes, 1);
}

void lean_site_exec_failed(struct window *window)
{
	struct box_site *site = window->site;
	uint32_t seen = __atomic_load_n(&site->lean_seen, __ATOMIC_ACQUIRE);

	if (seen)
		__atomic_compare_exchange_n(&site->lean_seen, &seen, seen - 1, false,
					    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

void lean_site_count(struct box_site *site, const struct lean_outcome *outcome, uint64_t resident)
{
	uint32_t strikes = __atomic_load_n(&site->lean_strikes, __ATOMIC_ACQUIRE);

	__atomic_add_fetch(&site->lean_pages, outcome->pages, __ATOMIC_RELAXED);
	if (outcome->kept &&
	    (outcome->ended != BOX_REASON_DEADLINE ||
	     __atomic_add_fetch(&site->lean_kept, 1, __ATOMIC_RELAXED) < KEPT_MOST))
		return;
	site->lean_kept = 0;
	if (outcome->ended == BOX_REASON_DEADLINE) {
		put_off(site);
		return;
	}
	if (outcome->ended) {
		refuse(site, outcome->ended);
		return;
	}
	/* No other fork was possible, and it is this one that teaches. */
	if (lean_site_learns(site)) {
		if (outcome->executed)
			__atomic_add_fetch(&site->lean_seen, 1, __ATOMIC_ACQ_REL);
		else
			ended(site);
		return;
	}
	if (site->lean_reason == BOX_REASON_DEADLINE && site->spawns >= site->lean_again)
		site->lean_reason = BOX_REASON_NONE;
	if (!outcome->executed || outcome->pages > resident / PAGES_PART)
		strikes = __atomic_add_fetch(&site->lean_strikes, 1, __ATOMIC_ACQ_REL);
	if (strikes > STRIKES_MOST && strikes > site->by_tier[BOX_TIER_LEAN] / 4)
		refuse(site, outcome->executed ? BOX_REASON_PAGES : BOX_REASON_NO_EXEC);
}
