// SPDX-License-Identifier: MIT
/*
 * See lean.h. Owns what is known of which memory the children of a site need: it is not left out of the next ones. A page
 * that is copied with its neighbours costs a fork less than a child that asks for it.
 */
#include "lean_share.h"

#include "poison.h"

/* So many sites at a time; one that comes later takes the place of another. */
#define NEED_SITES 64

/* Not to leave out so much costs a fork as little as one mapping more. */
#define NEED_APART ((uintptr_t)2 << 20)

/* With more than that a fork costs what leaving out was to save; children that need so much need other memory each time. */
#define NEED_MOST ((uintptr_t)16 << 20)

/* Children after which it is found out anew: what they needed may no longer be what they need. */
#define NEED_LASTS 256

struct need {
	const void *site;
	uint32_t children;
	bool much; /* more than NEED_MOST: it is not kept account of */
	uint32_t count;
	struct memory_range range[LEAN_NEEDS]; /* ascending, each apart from the next */
};

static struct need needs[NEED_SITES];
static struct spin needs_lock CHILD_STATE;

static struct need *need_of(const void *site)
{
	return &needs[(uintptr_t)site / sizeof(struct box_site) % NEED_SITES];
}

/* It is joined with what lies near. Where there is no room it is left out again. */
static void add(struct need *need, struct memory_range fresh)
{
	uint32_t first = 0, last;

	while (first < need->count && need->range[first].high + NEED_APART < fresh.low)
		first++;
	for (last = first; last < need->count && need->range[last].low < fresh.high + NEED_APART;
	     last++) {
		if (need->range[last].low < fresh.low)
			fresh.low = need->range[last].low;
		if (need->range[last].high > fresh.high)
			fresh.high = need->range[last].high;
	}
	if (first == last && need->count == LEAN_NEEDS)
		return;
	memmove(&need->range[first + 1], &need->range[last],
		(need->count - last) * sizeof(need->range[0]));
	need->range[first] = fresh;
	need->count += 1 - (last - first);
}

static bool is_much(const struct need *need)
{
	uintptr_t size = 0;
	uint32_t i;

	for (i = 0; i < need->count; i++)
		size += need->range[i].high - need->range[i].low;
	return size > NEED_MOST;
}

void lean_need_read(const void *site, struct lean *lean)
{
	const struct need *need = need_of(site);

	spin_lock(&needs_lock);
	lean->needs = need->site == site && !need->much ? need->count : 0;
	memcpy(lean->need, need->range, lean->needs * sizeof(need->range[0]));
	spin_unlock(&needs_lock);
}

void lean_need_note(const void *site, const struct lean_share *share)
{
	uint32_t count = __atomic_load_n(&share->touched, __ATOMIC_ACQUIRE), i;
	struct need *need = need_of(site);

	spin_lock(&needs_lock);
	if (need->site != site || ++need->children == NEED_LASTS) {
		need->site = site;
		need->children = need->count = 0;
		need->much = false;
	}
	/* The child could write what it liked there. */
	for (i = 0; i < count && i < LEAN_TOUCHED; i++) {
		struct memory_range range = share->touch[i];

		if (range.low < range.high && range.high < UINTPTR_MAX / 2)
			add(need, range);
	}
	need->much |= is_much(need);
	spin_unlock(&needs_lock);
}

void lean_need_after_fork(void)
{
	spin_reset(&needs_lock);
}
