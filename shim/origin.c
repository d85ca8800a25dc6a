// SPDX-License-Identifier: MIT
/*
 * Owns the table of initialised locks: open addressing, keys set by compare-and-swap and freed by a mark, so
 * that threads and signal handlers may use it at once.
 */
#include "origin.h"

#include "memory.h"
#include "record.h"
#include "seccomp.h"
#include "sys.h"

#include "poison.h"

#define SLOTS (MEMORY_CHUNK / sizeof(struct origin))
#define PROBES 32

static struct origin *table;

/* One each, in the same places: only with locks=order. */
static uint64_t *contexts;
static uint32_t last_number;
#define NUMBER_MASK 0xffffffU

static struct origin *slots(bool make)
{
	struct origin *found = __atomic_load_n(&table, __ATOMIC_ACQUIRE), *none = NULL;

	if (LIKELY(found) || !make || seccomp_confined())
		return found;
	found = memory_take(MEMORY_CHUNK);
	/* Who comes second loses a chunk of address space, which is never touched. */
	if (found && !__atomic_compare_exchange_n(&table, &none, found, false, __ATOMIC_ACQ_REL,
						  __ATOMIC_ACQUIRE))
		found = none;
	return found;
}

static uint32_t slot_of(const void *lock)
{
	return (uint32_t)(hash_mix(0, (uintptr_t)lock) % SLOTS);
}

static struct origin *search(const void *lock)
{
	struct origin *all = slots(false);
	uint32_t at = slot_of(lock), i;

	for (i = 0; all && i < PROBES; i++, at = (at + 1) % SLOTS) {
		uintptr_t key = __atomic_load_n(&all[at].lock, __ATOMIC_ACQUIRE);

		if (key == (uintptr_t)lock)
			return &all[at];
		if (!key)
			break;
	}
	return NULL;
}

static struct origin *insert(const void *lock)
{
	struct origin *found = search(lock), *all = slots(true);
	uint32_t at = slot_of(lock), i;

	for (i = 0; !found && all && i < PROBES; i++, at = (at + 1) % SLOTS) {
		uintptr_t key = __atomic_load_n(&all[at].lock, __ATOMIC_ACQUIRE);

		if (key <= ORIGIN_FREED &&
		    __atomic_compare_exchange_n(&all[at].lock, &key, (uintptr_t)lock, false,
						__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			found = &all[at];
	}
	if (!found)
		RECORD_ADD(locks_lost, 1);
	return found;
}

void origin_note(const void *lock, uintptr_t where, unsigned value)
{
	struct origin *origin = insert(lock);
	uint64_t use = value == 1 ? ORIGIN_UNKNOWN : ORIGIN_SIGNAL;

	if (origin)
		__atomic_store_n(&origin->detail, where | use << ORIGIN_USE_SHIFT,
				 __ATOMIC_RELEASE);
}

void origin_forget(const void *lock)
{
	struct origin *origin = search(lock);

	if (origin)
		__atomic_store_n(&origin->lock, ORIGIN_FREED, __ATOMIC_RELEASE);
}

uintptr_t origin_of(const void *lock)
{
	const struct origin *origin = search(lock);

	return origin ? __atomic_load_n(&origin->detail, __ATOMIC_ACQUIRE) &
				~(~0ULL << ORIGIN_USE_SHIFT) :
			0;
}

enum origin_use origin_use(const void *semaphore)
{
	const struct origin *origin = search(semaphore);

	uint64_t use =
		origin ? __atomic_load_n(&origin->detail, __ATOMIC_ACQUIRE) >> ORIGIN_USE_SHIFT : 0;

	return use >= ORIGIN_SIGNAL ? ORIGIN_SIGNAL : (enum origin_use)use;
}

void origin_used(const void *semaphore, enum origin_use use)
{
	struct origin *origin = search(semaphore);

	/* One bit each, so that a signal, once seen, outlasts what else is seen. */
	if (origin && origin_use(semaphore) < use)
		__atomic_or_fetch(&origin->detail, (uint64_t)use << ORIGIN_USE_SHIFT,
				  __ATOMIC_ACQ_REL);
}

void origin_context_note(const void *lock, uint64_t made)
{
	const struct origin *origin = search(lock);
	uint64_t *all = __atomic_load_n(&contexts, __ATOMIC_ACQUIRE), *none = NULL;
	uint64_t number = __atomic_add_fetch(&last_number, 1, __ATOMIC_RELAXED) & NUMBER_MASK;

	if (!origin)
		return;
	if (!all) {
		all = memory_take(SLOTS * sizeof(*all));
		if (all && !__atomic_compare_exchange_n(&contexts, &none, all, false,
							__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			all = none;
	}
	if (all)
		__atomic_store_n(&all[origin - table], (made & ~(uint64_t)NUMBER_MASK) | number,
				 __ATOMIC_RELEASE);
}

struct origin_context origin_context(const void *lock)
{
	const uint64_t *all = __atomic_load_n(&contexts, __ATOMIC_ACQUIRE);
	const struct origin *origin = all ? search(lock) : NULL;
	uint64_t context = origin ? __atomic_load_n(&all[origin - table], __ATOMIC_ACQUIRE) : 0;

	return (struct origin_context){ context & ~(uint64_t)NUMBER_MASK,
					(uint32_t)context & NUMBER_MASK };
}

bool origin_is_lock(enum held_kind kind, const void *lock)
{
	switch (kind) {
	case HELD_MUTEX:
	case HELD_READ:
	case HELD_WRITE:
	case HELD_SPIN:
		return true;
	case HELD_SEM:
		return origin_use(lock) == ORIGIN_LOCK;
	default:
		return false;
	}
}

void origin_expose(struct exposed *exposed)
{
	exposed->origins = (uintptr_t)&table;
	exposed->origin_slots = SLOTS;
}
