// SPDX-License-Identifier: MIT
/*
 * See lean.h. Owns what is left out of the calling process, if that is a lean child.
 *
 * Nothing here may use what could itself be left out: not libc's memcpy(), say, which looks at variables of libc's.
 *
 * In the place of what is left out lie mappings that nothing can be done with. A stretch becomes memory again when the
 * program touches it, by the handler of SIGSEGV.
 */
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "lean_share.h"
#include "memory.h"

#include "poison.h"

struct lean *lean_self;

struct lean_range *lean_find(uintptr_t address)
{
	struct lean *lean = lean_self;
	uint32_t i;

	for (i = 0; i < lean->ranges; i++)
		if (address >= lean->range[i].low && address < lean->range[i].high)
			return &lean->range[i];
	return NULL;
}

bool lean_touches(uintptr_t low, uintptr_t high)
{
	struct lean *lean = lean_self;
	uint32_t i;

	for (i = 0; i < lean->ranges; i++)
		if (low < lean->range[i].high && high > lean->range[i].low)
			return true;
	return false;
}

bool lean_can_cut(uintptr_t low, uintptr_t high)
{
	if (!lean_touches(low, high))
		return true;
	if (lean_self->ranges == LEAN_PIECES)
		return false;
	/* Of two pieces neither may have a part of a batch that is still to be fetched. */
	lean_touch(low & (lean_self->batch - 1) ? low : 0, 1);
	lean_touch(high & (lean_self->batch - 1) ? high : 0, 1);
	return true;
}

void lean_cut(uintptr_t low, uintptr_t high)
{
	struct lean *lean = lean_self;
	uint32_t i;

	for (i = lean->ranges; i; i--) {
		struct lean_range *range = &lean->range[i - 1], whole = *range;

		if (low >= whole.high || high <= whole.low)
			continue;
		range->high = low > whole.low ? low : whole.low;
		if (range->high == range->low)
			*range = lean->range[--lean->ranges];
		/* Only one of them is cut in two. */
		if (high < whole.high)
			lean->range[lean->ranges++] =
				(struct lean_range){ high, whole.high, whole.base };
	}
}

void lean_die(void)
{
	SYS(kill, sys_pid(), SIGKILL);
	/* The first process of a pid namespace cannot be killed from there. */
	for (;;)
		SYS(exit_group, 128 + SIGKILL);
}

static const struct timespec look_again = { .tv_nsec = 100000000 };

/* Whose end cannot be seen is waited for up to five seconds. */
#define LOOKS 50

/* The kernel says so, but of one that was killed as soon as it was made. */
static bool keeper_is_lost(void)
{
	uint32_t word = __atomic_load_n(&lean_self->share->answers, __ATOMIC_ACQUIRE);

	return word & FUTEX_OWNER_DIED ||
	       (word && !lean_self->apart && SYS(kill, word & FUTEX_TID_MASK, 0) == -ESRCH);
}

static bool is_lost(int looks)
{
	if (__atomic_load_n(&lean_self->share->kept, __ATOMIC_SEQ_CST))
		return keeper_is_lost();
	return lean_self->apart ? looks > LOOKS : SYS(getppid) != lean_self->parent;
}

/* The parent, or whoever stands for it, answers. */
static int64_t ask(enum lean_question question, uintptr_t address, size_t size)
{
	struct lean_share *share = lean_self->share;
	int looks = 0;

	share->question = question;
	share->address = address;
	share->size = size;
	__atomic_store_n(&share->request, LEAN_ASKED, __ATOMIC_RELEASE);
	SYS(futex, &share->request, FUTEX_WAKE, 1);
	while (__atomic_load_n(&share->request, __ATOMIC_ACQUIRE) == LEAN_ASKED) {
		SYS(futex, &share->request, FUTEX_WAIT, LEAN_ASKED, &look_again);
		if (is_lost(looks++))
			lean_die();
	}
	return share->answer;
}

/*
 * Reads the parent's memory into the child's at the same place. What is read while the parent begins to go on again may
 * be old or new: it is asked for once more. Bytes.
 */
static uintptr_t copy(uintptr_t low, size_t size)
{
	struct lean *lean = lean_self;
	struct iovec same = { (void *)low, size };
	int64_t got = -EPERM;

	if (!lean->asks && !__atomic_load_n(&lean->share->kept, __ATOMIC_SEQ_CST))
		got = SYS(process_vm_readv, lean->reads, &same, 1, &same, 1, 0);
	if (got == (int64_t)size && !__atomic_load_n(&lean->share->kept, __ATOMIC_SEQ_CST))
		return size;
	lean->asks = got < 0;
	if (size > LEAN_BYTES)
		size = LEAN_BYTES;
	got = ask(LEAN_DATA, low, size);
	if (got > 0)
		arch_copy((void *)low, lean->share->bytes, (size_t)got);
	else if (got != -EFAULT)
		lean_die();
	return got > 0 ? (uintptr_t)got : 0;
}

static bool is_fetched(const struct lean_range *range, uintptr_t address)
{
	uint64_t bit = (uint64_t)((intptr_t)(address / lean_self->batch) + range->base);

	return lean_self->fetched[bit / 64] >> bit % 64 & 1;
}

static void set_fetched(const struct lean_range *range, uintptr_t address)
{
	uint64_t bit = (uint64_t)((intptr_t)(address / lean_self->batch) + range->base);

	lean_self->fetched[bit / 64] |= 1ULL << bit % 64;
}

static bool make_usable(uintptr_t low, uintptr_t high)
{
	return !SYS(mprotect, low, high - low, PROT_READ | PROT_WRITE);
}

static void unprotect(uintptr_t low, uintptr_t high)
{
	if (!make_usable(low, high))
		lean_die();
}

/* Into memory that is there. What another thread of the parent has unmapped meanwhile is zero. */
static void read_in(uintptr_t low, uintptr_t high)
{
	uintptr_t got;

	lean_self->share->pages += (high - low) / sys_page();
	for (; low < high; low += got) {
		got = copy(low, high - low);
		if (!got)
			got = sys_page() - (low & (sys_page() - 1));
	}
}

/* The part of the batch of `address` that lies in the range. */
static struct memory_range batch_of(const struct lean_range *range, uintptr_t address)
{
	uintptr_t low = address & ~(lean_self->batch - 1), high = low + lean_self->batch;

	return (struct memory_range){ low > range->low ? low : range->low,
				      high < range->high ? high : range->high };
}

static void note(uintptr_t low, uintptr_t high)
{
	struct lean_share *share = lean_self->share;

	if (share->touched < LEAN_TOUCHED)
		share->touch[share->touched++] = (struct memory_range){ low, high };
}

/*
 * Each stretch that is fetched for itself makes two mappings more, and the kernel allows 65530 (vm.max_map_count): a child
 * that would have too many gets all of a range, as one.
 */
#define STRETCHES_MOST 16384

static uint32_t stretches;

static bool have_stretch(uintptr_t low, uintptr_t high)
{
	return stretches++ < STRETCHES_MOST && make_usable(low, high);
}

static void settle_range(const struct lean_range *range, uintptr_t low, uintptr_t high);

static uintptr_t fetch_range(const struct lean_range *range)
{
	uintptr_t at;

	settle_range(range, range->low, range->high);
	for (at = range->low; at < range->high; at = batch_of(range, at).high)
		set_fetched(range, at);
	return range->high;
}

/* From the batch of `address` on as many as are not there yet, up to `end`. Where they end. */
static uintptr_t fetch(const struct lean_range *range, uintptr_t address, uintptr_t end)
{
	uintptr_t low = batch_of(range, address).low, at = low, done;

	do
		at = batch_of(range, at).high;
	while (at < end && at < range->high && !is_fetched(range, at));
	if (!have_stretch(low, at))
		return fetch_range(range);
	for (done = low; done < at; done = batch_of(range, done).high)
		set_fetched(range, done);
	read_in(low, at);
	note(low, at);
	return at;
}

void lean_touch(uintptr_t low, size_t size)
{
	struct lean *lean = lean_self;
	uintptr_t high = low + size < low ? UINTPTR_MAX : low + size, at;
	uint32_t i;

	for (i = 0; i < lean->ranges; i++) {
		const struct lean_range *range = &lean->range[i];

		for (at = low > range->low ? low : range->low; at < high && at < range->high;)
			at = is_fetched(range, at) ? batch_of(range, at).high :
						     fetch(range, at, high);
	}
}

/* Bytes that are read at a time where all is read. */
#define SETTLE_BYTES ((uintptr_t)1 << 20)

/* Of pages the parent has: a byte each, from `low` on. */
static void settle_window(const struct lean_range *range, uintptr_t low, uintptr_t high)
{
	uintptr_t page = sys_page(), at = low, end;
	const uint8_t *present = lean_self->present;

	while (at < high) {
		if (is_fetched(range, at)) {
			at = batch_of(range, at).high;
			continue;
		}
		for (end = at; end < high && end - at < SETTLE_BYTES &&
			       present[(end - low) / page] && !is_fetched(range, end);)
			end += page;
		if (end > at)
			read_in(at, end);
		at = end > at ? end : at + page;
	}
}

static bool is_zero(const uint8_t *bytes, uintptr_t size)
{
	const uint64_t *word = (const uint64_t *)bytes, *end = (const uint64_t *)(bytes + size);

	while (word < end && !*word)
		word++;
	return word == end;
}

/* The same where the parent may not look at which pages it has: one that has given rights up is not "dumpable". */
static void settle_unknown(const struct lean_range *range, uintptr_t low, uintptr_t high)
{
	uintptr_t page = sys_page(), at = low, from;
	const uint8_t *bytes = lean_self->share->bytes;
	int64_t got;

	while (at < high) {
		if (is_fetched(range, at)) {
			at = batch_of(range, at).high;
			continue;
		}
		got = ask(LEAN_DATA, at, high - at);
		if (got < 0 && got != -EFAULT)
			lean_die();
		if (got < (int64_t)page)
			at += page;
		for (from = 0; (int64_t)(from + page) <= got; from += page, at += page) {
			if (is_fetched(range, at) || is_zero(bytes + from, page))
				continue;
			arch_copy((void *)at, bytes + from, page);
			lean_self->share->pages++;
		}
	}
}

/* What the parent has no page for is zero, and stays without one. */
static void settle_range(const struct lean_range *range, uintptr_t low, uintptr_t high)
{
	uintptr_t page = sys_page(), end;
	int64_t pages;

	unprotect(low, high);
	for (; low < high; low = end) {
		end = high - low > LEAN_BYTES * page ? low + LEAN_BYTES * page : high;
		pages = ask(LEAN_PRESENT, low, end - low);
		if (pages <= 0) {
			settle_unknown(range, low, end);
			continue;
		}
		end = low + (uintptr_t)pages * page;
		arch_copy(lean_self->present, lean_self->share->bytes, (size_t)pages);
		settle_window(range, low, end);
	}
}

bool lean_settle(uintptr_t low, uintptr_t high)
{
	struct lean *lean = lean_self;
	uint32_t i;

	if (!lean_can_cut(low, high))
		return false;
	for (i = 0; i < lean->ranges; i++) {
		const struct lean_range *range = &lean->range[i];

		if (low < range->high && high > range->low)
			settle_range(range, low > range->low ? low : range->low,
				     high < range->high ? high : range->high);
	}
	lean_cut(low, high);
	return true;
}

/* Who goes through a large stretch comes here for twice as much each time. */
static void fetch_more(const struct lean_range *range, uintptr_t address)
{
	struct lean *lean = lean_self;

	if (address / lean->batch == lean->run_end / lean->batch)
		lean->run = lean->run < LEAN_RUN ? lean->run * 2 : LEAN_RUN;
	else
		lean->run = lean->batch;
	lean->run_end = fetch(range, address, (address & ~(lean->batch - 1)) + lean->run);
}

bool lean_fetch(uintptr_t address)
{
	const struct lean_range *range = lean_find(address);

	if (!range || is_fetched(range, address))
		return false;
	fetch_more(range, address);
	return true;
}

void lean_settle_all(void)
{
	struct lean *lean = lean_self;

	while (lean->ranges) {
		const struct lean_range *range = &lean->range[lean->ranges - 1];

		settle_range(range, range->low, range->high);
		lean->ranges--;
	}
	/* It may have lean children of its own. */
	arch_fill(lean->fetched, 0, (lean->batches + 63) / 64 * sizeof(*lean->fetched));
}

/* A piece more of what is left out. Pieces of a range come one after the other, from the lowest on. */
static void piece_add(struct lean *lean, struct lean_range piece)
{
	struct lean_range *last = lean->ranges ? &lean->range[lean->ranges - 1] : NULL;

	if (last && last->high == piece.low && last->base == piece.base)
		last->high = piece.high;
	else if (lean->ranges == LEAN_PIECES)
		lean_die();
	else
		lean->range[lean->ranges++] = piece;
}

/*
 * Between the marks and the fork another thread may have mapped something else in a part: that the child has, as every
 * child does. Found by halves, since memory for a list there may be none.
 */
static void keep_space(struct lean *lean, struct lean_range range)
{
	uintptr_t low = range.low, high, half;
	long at;

	for (; low < range.high; low = high) {
		for (high = range.high;; high = half) {
			at = SYS(mmap, low, high - low, PROT_NONE,
				 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
				 -1, 0);
			half = (low + (high - low) / 2) & ~(lean->batch - 1);
			if (at != -EEXIST || half <= low)
				break;
		}
		if (at == (long)low)
			piece_add(lean, (struct lean_range){ low, high, range.base });
		else if (at != -EEXIST)
			lean_die();
	}
}

void lean_fetch_begin(struct lean *lean)
{
	struct lean_range range[LEAN_RANGES];
	uint32_t i, ranges = lean->ranges;

	arch_copy(range, lean->range, sizeof(range));
	lean->ranges = 0;
	for (i = 0; i < ranges; i++)
		keep_space(lean, range[i]);
	lean->asks = lean->apart = SYS(getppid) != lean->parent;
	lean_self = lean;
	stretches = 0;
}
