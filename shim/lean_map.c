// SPDX-License-Identifier: MIT
/*
 * See lean.h. Chooses what is left out of a lean child, and owns the marks (MADV_DONTFORK) that are there while it is made.
 */
#include <sys/mman.h>
#include <sys/single_threaded.h>

#include "lean_share.h"
#include "memory.h"
#include "module.h"
#include "proc.h"
#include "thread.h"

#include "poison.h"

/* What is smaller costs a fork less than it costs to leave it out. */
#define LEAN_LEAST ((uintptr_t)512 << 10)

/* Stacks of threads are not larger, unless a descriptor ends the mapping. */
#define LEAN_STACK_MOST ((uintptr_t)64 << 20)

/* Keeps the largest; the smallest of them gives way. */
static void range_add(struct lean *lean, uintptr_t low, uintptr_t high)
{
	struct lean_range *least = NULL;
	uint32_t i;

	if (high <= low || high - low < LEAN_LEAST)
		return;
	if (lean->ranges < LEAN_RANGES) {
		lean->range[lean->ranges++] = (struct lean_range){ .low = low, .high = high };
		return;
	}
	for (i = 0; i < lean->ranges; i++)
		if (!least || lean->range[i].high - lean->range[i].low < least->high - least->low)
			least = &lean->range[i];
	if (high - low > least->high - least->low)
		*least = (struct lean_range){ .low = low, .high = high };
}

static struct memory_range pages_of(uintptr_t low, uintptr_t high)
{
	uintptr_t page = sys_page();

	return (struct memory_range){ low & ~(page - 1), (high + page - 1) & ~(page - 1) };
}

/*
 * What of the mapping the child cannot do without for a moment: its stack, its thread-local storage. The kernel joins
 * mappings that touch each other, so that much else may lie in the same one. Of a stack no more is known than where it
 * ends if it is a thread's own, with the thread's storage above it.
 */
static struct memory_range kept_of(const struct lean *lean, const struct proc_map *map)
{
	uintptr_t pointer = sys_thread_pointer(), end = map->end;
	struct thread_range storage = thread_storage();

	storage.low = storage.low < pointer ? storage.low : pointer;
	if (storage.high < pointer + ARCH_DESCRIPTOR_SIZE)
		storage.high = pointer + ARCH_DESCRIPTOR_SIZE;
	if (lean->stack >= map->start && lean->stack < map->end) {
		if (pointer > lean->stack && pointer < map->end)
			end = storage.high;
		return pages_of(map->start, end);
	}
	return storage.low < map->end && storage.high > map->start ?
		       pages_of(storage.low, storage.high) :
		       (struct memory_range){ end, end };
}

/* So often marks are looked for that have moved. */
#define UNMARK_TRIES 10

/* Where a heap of malloc's for threads starts, and of what it consists there (glibc's malloc/arena.c). */
#define HEAP_ALIGNED ((uintptr_t)64 << 20)

struct heap {
	uintptr_t arena, before;
	size_t size, writable;
};

/*
 * Other threads go on to allocate while a child fetches, and the lists of what is free are no longer what they were in
 * libc's own data, of which the child has a copy: so heaps are never left out then. The next one in [at, end).
 */
static struct memory_range heap_next(uintptr_t at, uintptr_t end)
{
	uintptr_t page = sys_page(), low;
	struct heap heap;

	for (low = (at + HEAP_ALIGNED - 1) & ~(HEAP_ALIGNED - 1); low < end; low += HEAP_ALIGNED)
		/* Another thread may have unmapped it since it was found. */
		if (memory_copy((const void *)low, &heap, sizeof(heap)) && heap.arena &&
		    heap.size && heap.size <= heap.writable && heap.writable <= HEAP_ALIGNED &&
		    !(heap.writable & (page - 1)))
			return (struct memory_range){ low, low + heap.writable };
	return (struct memory_range){ end, end };
}

/* The next stretch from `at` on that is kept, or children need, or is the shim's own. */
static struct memory_range kept_next(const struct lean *lean, struct memory_range kept,
				     uintptr_t at, uintptr_t end)
{
	struct memory_range best = memory_next(at, end);
	const struct lean *record;
	uint32_t i;

	if (!__libc_single_threaded) {
		struct memory_range heap = heap_next(at, end);

		if (heap.low < best.low)
			best = heap;
	}
	if (kept.high > at && kept.low < best.low)
		best = kept;
	for (i = 0; i < lean->needs; i++)
		if (lean->need[i].high > at && lean->need[i].low < best.low)
			best = pages_of(lean->need[i].low, lean->need[i].high);
	for (record = __atomic_load_n(&lean_records, __ATOMIC_ACQUIRE); record;
	     record = record->next) {
		kept = pages_of((uintptr_t)record, (uintptr_t)(record + 1));
		if (kept.high > at && kept.low < best.low)
			best = kept;
	}
	return best;
}

/* A thread's that is known to run. */
static bool is_stack(const struct proc_map *map)
{
	const struct thread *thread;

	for (thread = thread_first(); thread; thread = thread->next)
		if (thread_used(thread) && thread->stack_high > map->start &&
		    thread->stack_high < map->end)
			return true;
	return false;
}

/*
 * The descriptor at the end of a stack of libc's own, by what it says of itself (tcbhead_t: tcb, dtv, self). Where the
 * mapping ends: there is none.
 */
static uintptr_t descriptor_of(const struct proc_map *map)
{
	uintptr_t word[512], at = map->end - sizeof(word);
	size_t i;

	if (!memory_copy((const void *)at, word, sizeof(word)))
		return map->end;
	for (i = 0; i < COUNT(word); i += 8)
		if (word[i] == at + i * sizeof(*word) && word[i + 2] == word[i])
			return word[i];
	return map->end;
}

/*
 * In the child glibc goes through the lists of all stacks (reclaim_stacks()), which lie in the stacks: of threads that
 * begin, run, have ended. One that it found changed meanwhile it would go through for ever. So none is left out: what
 * lies above a guard may be one, and begin with one where the kernel has joined it with what lies above, and what a
 * descriptor ends is one without a guard.
 */
static struct memory_range without_stack(const struct proc_map *map, bool guarded)
{
	struct memory_range rest = { map->start, map->end };

	if (__libc_single_threaded)
		return rest;
	if (map->end - map->start <= LEAN_STACK_MOST) {
		if (guarded || is_stack(map) || descriptor_of(map) < map->end)
			rest.low = rest.high;
		return rest;
	}
	if (guarded)
		rest.low += LEAN_STACK_MOST;
	rest.high = descriptor_of(map) & ~(sys_page() - 1);
	return rest;
}

static bool may_be_left_out(const struct proc_map *map)
{
	return map->anonymous && (!map->heap || __libc_single_threaded) && map->private &&
	       map->readable && map->writable && !map->executable &&
	       map->end - map->start >= LEAN_LEAST && !module_is_shim(map->start) &&
	       !module_is_shim(map->end - 1);
}

static void map_add(struct lean *lean, const struct proc_map *map, bool guarded)
{
	struct memory_range kept = kept_of(lean, map), rest = without_stack(map, guarded), next;

	for (; rest.low < rest.high; rest.low = next.high) {
		next = kept_next(lean, kept, rest.low, rest.high);
		if (next.low >= rest.high)
			next = (struct memory_range){ rest.high, rest.high };
		range_add(lean, rest.low, next.low);
	}
}

/* Numbers the batches of all ranges, from zero on. */
static void batches_number(struct lean *lean)
{
	uintptr_t total;
	uint32_t i;

	for (lean->batch = LEAN_BATCH;; lean->batch *= 2) {
		for (total = i = 0; i < lean->ranges; i++) {
			struct lean_range *range = &lean->range[i];

			range->base = (intptr_t)(total - range->low / lean->batch);
			total += (range->high - 1) / lean->batch - range->low / lean->batch + 1;
		}
		lean->batches = total;
		if (total <= LEAN_BATCHES)
			return;
	}
}

static bool may_have_mark(const struct proc_map *map)
{
	return map->private && (map->anonymous || map->heap);
}

static void layout_add(uint64_t *layout, const struct proc_map *map)
{
	if (may_have_mark(map))
		*layout = hash_mix(hash_mix(*layout, map->start), map->end);
}

/* What malloc() may ask brk() for: M_MMAP_THRESHOLD_MAX, and what comes on top. */
#define HEAP_ROOM ((uintptr_t)64 << 20)

/* Finds what to leave out. False: libc's main heap could not grow where it is, and goes on in any mapping. */
static bool ranges_find(struct lean *lean, struct proc_maps *maps)
{
	uintptr_t guard = 0, heap = 0, above = 0;
	struct proc_map map;

	while (proc_maps_next(maps, &map)) {
		layout_add(&lean->layout, &map);
		if (may_be_left_out(&map))
			map_add(lean, &map, map.start == guard);
		guard = map.readable || map.writable ? 0 : map.end;
		if (map.heap) {
			heap = map.end;
			above = 0;
		} else if (!above) {
			above = map.start;
		}
	}
	return heap && above - heap >= HEAP_ROOM;
}

enum spork_reason lean_mark(struct lean *lean)
{
	struct proc_maps maps;
	uint32_t i, marked = 0;
	bool heap_known;

	if (proc_maps_open(&maps, 0))
		return BOX_REASON_NO_PROC;
	lean->layout = 0;
	heap_known = ranges_find(lean, &maps);
	proc_maps_close(&maps);
	if (!heap_known && !__libc_single_threaded)
		lean->ranges = 0;
	for (i = 0; i < lean->ranges; i++) {
		struct lean_range range = lean->range[i];

		if (!SYS(madvise, range.low, range.high - range.low, MADV_DONTFORK))
			lean->range[marked++] = range;
		else /* of a part, if anything */
			SYS(madvise, range.low, range.high - range.low, MADV_DOFORK);
	}
	lean->ranges = marked;
	batches_number(lean);
	if (marked)
		return BOX_REASON_NONE;
	return heap_known || __libc_single_threaded ? BOX_REASON_SMALL : BOX_REASON_THREADS;
}

/*
 * Takes the marks from all that may have one, if `unmark`: what is marked by the program itself rules out lean children.
 * `layout`: where that lies. False: some of it moves on.
 */
static bool look_over(bool unmark, uint64_t *layout)
{
	struct proc_maps maps;
	struct proc_map map;
	bool all = true;

	*layout = 0;
	if (proc_maps_open(&maps, 0))
		return true;
	while (proc_maps_next(&maps, &map)) {
		layout_add(layout, &map);
		if (unmark && may_have_mark(&map))
			all &= !SYS(madvise, map.start, map.end - map.start, MADV_DOFORK);
	}
	proc_maps_close(&maps);
	return all;
}

/*
 * A mark moves along with a mapping that another thread moves (mremap(), in realloc() as well), and where it was there may
 * be another one by now, which tells nothing: so all is looked over until it has been the same twice.
 */
void lean_unmark(const struct lean *lean)
{
	uint64_t before = lean->layout, layout;
	bool all = true;
	uint32_t i;

	for (i = 0; i < lean->ranges; i++)
		all &= !SYS(madvise, lean->range[i].low, lean->range[i].high - lean->range[i].low,
			    MADV_DOFORK);
	if (!lean->ranges || (all && __libc_single_threaded))
		return;
	for (i = 0; i < UNMARK_TRIES; i++) {
		all &= look_over(i > 0, &layout);
		if (all && layout == before)
			return;
		before = layout;
		all = true;
	}
}
