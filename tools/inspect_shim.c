// SPDX-License-Identifier: MIT
/*
 * What the shim knows of a process, read out of that process's memory: shim/exposed.h. Nothing there is trusted: sizes
 * and counts are bounded, lists may lead anywhere, and whether a lock is held the lock itself is asked.
 */
#include <stdlib.h>
#include <string.h>

#include "inspect.h"

#define RECORDS (2 * INSPECT_THREADS)
#define RECORD_SIZE 4096
#define ENTRIES 32768 /* of a thread, or of the table of orphans */
#define ENTRIES_ALL (1U << 20)
#define HOLDINGS 262144 /* of a process */
#define DESCRIBED 1024	/* of which stacks are unwound */
#define SLOTS 65536

/* What of it is needed while it is read. */
struct shim {
	struct inspection *inspection;
	struct exposed exposed;
	uint32_t generation, pending;
	struct origin *origin; /* sorted by lock */
	size_t origins;
	size_t holdings;
	uint32_t entries; /* that were read */
	/* Of records of this process's threads: one is the main thread's, and one has an id that it does not have. */
	bool own;
	uint32_t other;
};

static bool module_is_shim(const struct proc_map *map)
{
	return map->path && !strncmp(path_base(map->path), "libspork.so", 11);
}

static bool exposed_sane(const struct exposed *exposed)
{
	const uint16_t size = exposed->thread.size;

	return exposed->magic == SPORK_EXPOSED_MAGIC && exposed->version == SPORK_EXPOSED_VERSION &&
	       exposed->size == sizeof(*exposed) && exposed->origin_slots <= SLOTS &&
	       exposed->function_size && size <= RECORD_SIZE && exposed->thread.used + 4U <= size &&
	       exposed->thread.tid + 4U <= size && exposed->thread.held + 8U <= size &&
	       exposed->thread.held_count + 4U <= size && exposed->thread.ended + 1U <= size &&
	       exposed->thread.next + 8U <= size &&
	       exposed->thread.name + (unsigned)BOX_NAME <= size &&
	       exposed->orphan.size <= RECORD_SIZE && exposed->orphan.size >= sizeof(struct held) &&
	       exposed->orphan.holder + 4U <= exposed->orphan.size &&
	       exposed->orphan.ended + 1U <= exposed->orphan.size &&
	       exposed->orphan.gone + 1U <= exposed->orphan.size;
}

#define DATA_LIMIT (4U << 20)

static bool exposed_find(const struct inspection *inspection, struct exposed *exposed)
{
	const struct proc_map *map;
	struct exposed candidate;
	size_t i, at, got;
	char *data;
	bool found = false;

	for (i = 0; i < inspection->maps.count && !found; i++) {
		map = &inspection->maps.map[i];
		if (!map->writable || map->shared || map->end - map->start > DATA_LIMIT ||
		    !module_is_shim(map))
			continue;
		data = malloc(map->end - map->start);
		if (!data)
			abort();
		got = proc_memory_some(inspection->pid, map->start, data, map->end - map->start);
		for (at = 0; at + sizeof(candidate) <= got && !found; at += EXPOSED_ALIGN) {
			memcpy(&candidate, data + at, sizeof(candidate));
			found = exposed_sane(&candidate);
		}
		free(data);
	}
	if (found)
		*exposed = candidate;
	return found;
}

static uint64_t word_at(const struct shim *shim, uint64_t address)
{
	uint64_t word = 0;

	return proc_memory(shim->inspection->pid, address, &word, sizeof(word)) ? word : 0;
}

static uint32_t half_at(const struct shim *shim, uint64_t address)
{
	uint32_t half = 0;

	return proc_memory(shim->inspection->pid, address, &half, sizeof(half)) ? half : 0;
}

/*
 * Where locks were initialised.
 */
static int by_origin(const void *one, const void *other)
{
	uintptr_t a = ((const struct origin *)one)->lock, b = ((const struct origin *)other)->lock;

	return a < b ? -1 : a > b;
}

static void origins_read(struct shim *shim)
{
	uint64_t table = word_at(shim, shim->exposed.origins);
	size_t size = shim->exposed.origin_slots * sizeof(*shim->origin), got, i;

	if (!table || !size)
		return;
	shim->origin = malloc(size);
	if (!shim->origin)
		abort();
	got = proc_memory_some(shim->inspection->pid, table, shim->origin, size);
	for (i = 0; i < got / sizeof(*shim->origin); i++)
		if (shim->origin[i].lock > ORIGIN_FREED)
			shim->origin[shim->origins++] = shim->origin[i];
	qsort(shim->origin, shim->origins, sizeof(*shim->origin), by_origin);
}

static const struct origin *origin_find(const struct shim *shim, uint64_t lock)
{
	const struct origin key = { .lock = lock };

	return shim->origins ? bsearch(&key, shim->origin, shim->origins, sizeof(key), by_origin) :
			       NULL;
}

/*
 * Entries.
 */
static const enum wait_type types[] = {
	[HELD_MUTEX] = WAIT_MUTEX,   [HELD_READ] = WAIT_RWLOCK, [HELD_WRITE] = WAIT_RWLOCK,
	[HELD_SPIN] = WAIT_SPIN,     [HELD_SEM] = WAIT_SEM,	[HELD_FILE] = WAIT_NONE,
	[HELD_HIDDEN] = WAIT_HIDDEN,
};

#define TYPES (sizeof(types) / sizeof(*types))

/* False: it is none that is shown. */
static bool holding_make(struct shim *shim, const struct held *held, struct holding *holding)
{
	const struct exposed *exposed = &shim->exposed;
	uint64_t lock = (uintptr_t)held->lock, into = lock - exposed->functions;
	const struct origin *origin;

	memset(holding, 0, sizeof(*holding));
	if (!lock || held->kind >= TYPES || types[held->kind] == WAIT_NONE)
		return false;
	holding->type = types[held->kind];
	holding->read = held->kind == HELD_READ;
	if (held->kind == HELD_HIDDEN) {
		if (into % exposed->function_size)
			return false;
		holding->inside = known_hidden(into / exposed->function_size);
		if (holding->inside)
			holding->class = known_class(holding->inside->holds[0]);
		return holding->inside != NULL;
	}
	holding->lock = lock;
	origin = origin_find(shim, lock);
	if (!origin)
		return true;
	holding->origin.pc = origin->detail & ~(~0ULL << ORIGIN_USE_SHIFT);
	holding->signals = held->kind == HELD_SEM &&
			   origin->detail >> ORIGIN_USE_SHIFT >= ORIGIN_SIGNAL;
	return true;
}

/* Stacks are unwound later: the address of the call waits where its frame will be. */
static void acquired_keep(struct holding *holding, const struct held *held)
{
	struct inspect_frame *frame = calloc(1, sizeof(*frame));

	if (!frame)
		abort();
	frame->pc = held->where;
	frame->offset = held->stack;
	frame->place.into = held_frame_pointer(held);
	holding->acquired = (struct inspect_stack){ .frame = frame, .frames = 1 };
}

static struct held *entries_read(struct shim *shim, const char *record, uint32_t *count)
{
	struct held *held;
	uint64_t array;
	size_t size;

	memcpy(count, record + shim->exposed.thread.held_count, sizeof(*count));
	memcpy(&array, record + shim->exposed.thread.held, sizeof(array));
	if (!*count || *count > ENTRIES || *count > ENTRIES_ALL - shim->entries)
		return NULL;
	shim->entries += *count;
	size = *count * sizeof(*held);
	held = malloc(size);
	if (!held)
		abort();
	*count = (uint32_t)(proc_memory_some(shim->inspection->pid, array, held, size) /
			    sizeof(*held));
	return held;
}

static bool asked_again(const struct held *held, uint32_t count, uint32_t at)
{
	const void *lock = held[at].lock;

	while (++at < count)
		if (held[at].lock == lock && !(held[at].flags & HELD_TAKEN))
			return true;
	return false;
}

static void thread_holds(struct shim *shim, struct inspect_thread *thread, const char *record)
{
	struct holding *holding;
	uint32_t count, i;
	struct held *held = entries_read(shim, record, &count);

	if (!held || !count || thread->holding) {
		free(held);
		return;
	}
	thread->holding = calloc(count, sizeof(*holding));
	if (!thread->holding)
		abort();
	for (i = 0; i < count && shim->holdings < HOLDINGS; i++) {
		holding = &thread->holding[thread->holdings];
		if (!holding_make(shim, &held[i], holding) ||
		    !lock_held_by(thread->process, &held[i], (uint32_t)thread->status.inner,
				  thread->alias))
			continue;
		holding->again = asked_again(held, count, i);
		acquired_keep(holding, &held[i]);
		thread->holdings++;
		shim->holdings++;
	}
	free(held);
}

static void left_add(struct shim *shim, const struct held *held, uint32_t holder, const char *name,
		     bool ended)
{
	struct inspection *inspection = shim->inspection;
	struct holding holding;
	struct left *left;

	if (shim->holdings >= HOLDINGS || !holding_make(shim, held, &holding) ||
	    !lock_held_by(inspection->pid, held, holder, 0))
		return;
	left = realloc(inspection->left, (inspection->lefts + 1) * sizeof(*left));
	if (!left)
		abort();
	inspection->left = left;
	left += inspection->lefts++;
	shim->holdings++;
	*left = (struct left){ .holding = holding, .holder = holder, .ended = ended };
	if (name)
		snprintf(left->name, sizeof(left->name), "%.*s", BOX_NAME - 1, name);
	acquired_keep(&left->holding, held);
}

static void thread_left(struct shim *shim, const char *record, uint32_t tid, bool ended,
			bool unseen)
{
	struct inspection *inspection = shim->inspection;
	size_t before = inspection->lefts;
	uint32_t count, i;
	struct held *held = entries_read(shim, record, &count);

	for (i = 0; held && i < count; i++)
		left_add(shim, &held[i], tid, ended ? record + shim->exposed.thread.name : NULL,
			 ended || unseen);
	free(held);
	for (; before < inspection->lefts; before++)
		inspection->left[before].unseen = unseen;
}

/* What a record says of its thread. */
struct record {
	char bytes[RECORD_SIZE];
	uint32_t used, tid;
	bool ended;
};

static void record_parse(const struct shim *shim, struct record *record)
{
	const struct exposed *exposed = &shim->exposed;

	memcpy(&record->used, record->bytes + exposed->thread.used, sizeof(record->used));
	memcpy(&record->tid, record->bytes + exposed->thread.tid, sizeof(record->tid));
	record->ended = record->bytes[exposed->thread.ended];
}

/*
 * A thread of this process that it does not have has ended unseen. Of a record that was there at a fork which the shim
 * did not see only that is known: ids go up, and those of threads that were made here are above the process's.
 */
static void record_look(struct shim *shim, const struct record *record)
{
	const bool ours = record->used == shim->generation;
	struct inspection *inspection = shim->inspection;
	struct inspect_thread *thread = NULL;
	bool unseen = false;

	if (!record->used || (!ours && record->used != shim->pending))
		return;
	if (ours && record->tid && !record->ended) {
		thread = thread_find(inspection, record->tid);
		unseen = !thread && record->tid > (uint32_t)inspection->status.inner;
	}
	if (thread)
		thread_holds(shim, thread, record->bytes);
	else
		thread_left(shim, record->bytes, record->tid, record->ended, unseen);
}

typedef void record_function(struct shim *, const struct record *);

static void records_read(struct shim *shim, record_function *look)
{
	uint64_t at = word_at(shim, shim->exposed.threads);
	struct record record;
	unsigned i;

	for (i = 0; at && i < RECORDS; i++) {
		if (!proc_memory(shim->inspection->pid, at, record.bytes,
				 shim->exposed.thread.size))
			break;
		record_parse(shim, &record);
		look(shim, &record);
		memcpy(&at, record.bytes + shim->exposed.thread.next, sizeof(at));
	}
}

static void alias_look(struct shim *shim, const struct record *record)
{
	if (record->used != shim->generation || !record->tid || record->ended)
		return;
	if (record->tid == (uint32_t)shim->inspection->status.inner)
		shim->own = true;
	else if (!thread_find(shim->inspection, record->tid))
		shim->other = record->tid;
}

/*
 * The id that the main thread's locks may have noted besides its own. As long as a forked child made no thread, its
 * only record is that thread's, and has it; then the shim has kept it.
 */
static void alias_find(struct shim *shim)
{
	struct inspection *inspection = shim->inspection;
	struct exposed_first first = { 0 };
	uint32_t inner = (uint32_t)inspection->status.inner;

	if (!inspection->main ||
	    !proc_memory(inspection->pid, shim->exposed.first_thread, &first, sizeof(first)))
		return;
	if (first.pid != inner) {
		records_read(shim, alias_look);
		first.tid = shim->own ? 0 : shim->other;
	}
	if (first.tid != inner)
		inspection->main->alias = first.tid;
}

static int by_left(const void *one, const void *other)
{
	uint64_t a = ((const struct left *)one)->holding.lock,
		 b = ((const struct left *)other)->holding.lock;

	return a < b ? -1 : a > b;
}

/* A record may have been read of a thread that was made after those of the process were listed. */
static void lefts_finish(struct inspection *inspection)
{
	size_t i, kept = 0;

	for (i = 0; i < inspection->lefts; i++) {
		struct left *left = &inspection->left[i];

		if (left->unseen && thread_exists(inspection, left->holder))
			free(left->holding.acquired.frame);
		else
			inspection->left[kept++] = *left;
	}
	inspection->lefts = kept;
	if (kept)
		qsort(inspection->left, kept, sizeof(*inspection->left), by_left);
}

/* An orphan's entry of a hidden lock has the function where others have the handler. */
static void orphans_read(struct shim *shim)
{
	const struct exposed *exposed = &shim->exposed;
	uint32_t count = half_at(shim, exposed->orphan_count), holder, i;
	uint64_t table = word_at(shim, exposed->orphans);
	char orphan[RECORD_SIZE];
	struct held held;

	for (i = 0; table && i < count && i < ENTRIES; i++) {
		if (!proc_memory(shim->inspection->pid, table + (uint64_t)i * exposed->orphan.size,
				 orphan, exposed->orphan.size))
			break;
		memcpy(&held, orphan, sizeof(held));
		memcpy(&holder, orphan + exposed->orphan.holder, sizeof(holder));
		if (orphan[exposed->orphan.gone])
			continue;
		if (held.kind == HELD_HIDDEN)
			held.lock = (void *)(uintptr_t)(exposed->functions +
							(uint64_t)held.handler *
								exposed->function_size);
		left_add(shim, &held, holder, NULL, orphan[exposed->orphan.ended]);
	}
}

void shim_read(struct inspection *inspection)
{
	struct shim shim = { .inspection = inspection };

	inspection->shim = exposed_find(inspection, &shim.exposed);
	if (!inspection->shim)
		return;
	shim.generation = half_at(&shim, shim.exposed.generation);
	shim.pending = half_at(&shim, shim.exposed.orphan_pending);
	origins_read(&shim);
	alias_find(&shim);
	records_read(&shim, record_look);
	orphans_read(&shim);
	lefts_finish(inspection);
	free(shim.origin);
}

/*
 * Names and stacks.
 */

/*
 * The frames above an old call are right if the thread still has them all, but for the innermost, which has gone on. If
 * not, the function has returned; if it is in that very call, it may have returned and been called again. Then only the
 * call itself is known.
 */
static unsigned frames_sure(const struct inspect_stack *old, const struct inspect_stack *now)
{
	unsigned common = 0;

	while (common < old->frames && common < now->frames &&
	       old->frame[old->frames - 1 - common].pc == now->frame[now->frames - 1 - common].pc)
		common++;
	return common + 1 == old->frames ? old->frames : 1;
}

static void holding_describe(struct inspection *inspection, struct holding *holding,
			     const struct inspect_stack *now, bool unwind)
{
	struct inspect_frame start = *holding->acquired.frame;
	struct inspect_stack stack = { 0 };

	if (holding->lock)
		holding->place = stacks_data(inspection->stacks, holding->lock);
	if (holding->origin.pc)
		holding->origin = stacks_code(inspection->stacks, holding->origin.pc);
	if (unwind)
		stacks_from(inspection->stacks, start.pc, start.offset, start.place.into, &stack);
	if (now && stack.frames)
		stack.frames = frames_sure(&stack, now);
	if (stack.frames) {
		free(holding->acquired.frame);
		holding->acquired = stack;
	} else {
		*holding->acquired.frame = stacks_code(inspection->stacks, start.pc);
	}
}

void shim_describe(struct inspection *inspection)
{
	struct inspect_thread *thread;
	size_t i, j, described = 0;

	for (i = 0; i < inspection->threads; i++) {
		thread = &inspection->thread[i];
		for (j = 0; j < thread->holdings; j++)
			holding_describe(inspection, &thread->holding[j], &thread->stack,
					 described++ < DESCRIBED);
	}
	for (i = 0; i < inspection->lefts; i++)
		holding_describe(inspection, &inspection->left[i].holding, NULL,
				 !inspection->left[i].ended && described++ < DESCRIBED);
}

void shim_free(struct inspection *inspection)
{
	size_t i, j;

	for (i = 0; i < inspection->threads; i++) {
		for (j = 0; j < inspection->thread[i].holdings; j++)
			free(inspection->thread[i].holding[j].acquired.frame);
		free(inspection->thread[i].holding);
	}
	for (i = 0; i < inspection->lefts; i++)
		free(inspection->left[i].holding.acquired.frame);
	free(inspection->left);
}
