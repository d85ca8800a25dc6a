// SPDX-License-Identifier: MIT
/*
 * Owns the box of this process, and appends records to it. The format is box.h's.
 *
 * The mapping is shared with every child, however it is made, and outlives the descriptor it came from,
 * so it survives chroot, closefrom, set*id and SIGKILL. No descriptor is kept. But what decides over windows is shared
 * by those alone who have the same rights: see record_part().
 */
#include "record.h"

#include <sys/mman.h>

#include "box_map.h"
#include "module.h"
#include "sys.h"

#include "poison.h"

/* Takes what is recorded before there is a box: counters work, tables have no room. */
static struct box_header early;
static struct box_header *box = &early;

struct box_header *record_header(void)
{
	return box;
}

/* The tables that decide are a copy of its own. A forked child has it, too. */
static bool parted;

/* Reserves a record; NULL when its table is full. */
static void *reserve(enum spork_table table, uint32_t *index)
{
	uint32_t *count = &box->table[table].used;
	uint32_t at = __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);

	if (box == &early || at >= box_tables[table].capacity) {
		if (at > UINT32_MAX / 2) /* it must not wrap */
			__atomic_fetch_sub(count, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	*index = at;
	return record_at(table, at + 1);
}

void *record_at(enum spork_table table, uint32_t index)
{
	if (box == &early || !index || index > box_tables[table].capacity)
		return NULL;
	return (char *)box + box_tables[table].offset +
	       (uint64_t)(index - 1) * box_tables[table].stride;
}

/* The record at `index` if it is finished. */
static void *ready(enum spork_table table, uint32_t index)
{
	void *record = record_at(table, index + 1);

	return record && __atomic_load_n((uint32_t *)record, __ATOMIC_ACQUIRE) ? record : NULL;
}

uint32_t record_used(enum spork_table table)
{
	uint32_t count = __atomic_load_n(&box->table[table].used, __ATOMIC_ACQUIRE);

	if (box == &early)
		return 0;
	return count < box_tables[table].capacity ? count : box_tables[table].capacity;
}

/* Copies a record and publishes it; its first word is `ready`. */
static void publish(void *record, const void *from, size_t size)
{
	memcpy((char *)record + sizeof(uint32_t), (const char *)from + sizeof(uint32_t),
	       size - sizeof(uint32_t));
	__atomic_store_n((uint32_t *)record, 1, __ATOMIC_RELEASE);
}

uint32_t record_module(const struct box_module *module)
{
	struct box_module *record;
	uint32_t count = record_used(BOX_TABLE_MODULE), i;

	for (i = 0; i < count; i++) {
		record = ready(BOX_TABLE_MODULE, i);
		if (record && record->key == module->key && !strcmp(record->path, module->path))
			return i + 1;
	}
	record = reserve(BOX_TABLE_MODULE, &i);
	if (!record)
		return 0;
	publish(record, module, sizeof(*module));
	return i + 1;
}

static struct box_site *site_with_key(uint64_t key)
{
	uint32_t count = record_used(BOX_TABLE_SITE), i;

	for (i = 0; i < count; i++) {
		struct box_site *site = ready(BOX_TABLE_SITE, i);

		if (site && site->key == key)
			return site;
	}
	return NULL;
}

/* Two processes that race to add a site may add it twice; from then on both find the first. */
struct box_site *record_site(const struct box_site *fresh)
{
	struct box_site *site = site_with_key(fresh->key);
	uint32_t index;

	if (site)
		return site;
	site = reserve(BOX_TABLE_SITE, &index);
	if (!site)
		return NULL;
	publish(site, fresh, sizeof(*fresh));
	return site_with_key(fresh->key);
}

uint32_t record_site_index(const struct box_site *site)
{
	const char *first = (const char *)box + box_tables[BOX_TABLE_SITE].offset;

	return site ? (uint32_t)(((const char *)site - first) / sizeof(*site)) + 1 : 0;
}

/* NULL before there is a box. */
static struct box_index *box_index(void)
{
	return box == &early ? NULL : (struct box_index *)((char *)box + BOX_HEADER_SIZE);
}

static uint32_t violation_tag(uint64_t hash)
{
	return (uint32_t)(hash >> 32) & ~BOX_INDEX_MASK;
}

/* Index plus one of the record with this hash; 0: there is none. */
static uint32_t violation_find(uint64_t hash)
{
	const struct box_index *index = box_index();
	const struct box_violation *record;
	uint32_t at = (uint32_t)(hash % BOX_INDEX_SLOTS), tries, slot;

	for (tries = 0; index && tries < BOX_INDEX_SLOTS; tries++) {
		slot = __atomic_load_n(&index->violation[at], __ATOMIC_ACQUIRE);
		if (!slot)
			break;
		if ((slot & ~BOX_INDEX_MASK) == violation_tag(hash)) {
			record = record_at(BOX_TABLE_VIOLATION, slot & BOX_INDEX_MASK);
			if (record && record->hash == hash)
				return slot & BOX_INDEX_MASK;
		}
		at = (at + 1) % BOX_INDEX_SLOTS;
	}
	return 0;
}

/* Twice as many slots as records: there is always a free one. */
static void violation_index(uint64_t hash, uint32_t record)
{
	struct box_index *index = box_index();
	uint32_t at = (uint32_t)(hash % BOX_INDEX_SLOTS), tries, none;

	for (tries = 0; tries < BOX_INDEX_SLOTS; tries++) {
		none = 0;
		if (__atomic_compare_exchange_n(&index->violation[at], &none,
						violation_tag(hash) | record, false,
						__ATOMIC_RELEASE, __ATOMIC_RELAXED))
			return;
		at = (at + 1) % BOX_INDEX_SLOTS;
	}
}

/* Processes that execute a program have addresses of their own; those that fork share theirs. */
static uint64_t family START_STATE;

#define AGAIN_PROBES 8

static uint64_t again_key(uint64_t key)
{
	/* Never zero, which is a free slot. */
	return (hash_mix(family, key) | (BOX_INDEX_MASK + 1ULL)) & ~(uint64_t)BOX_INDEX_MASK;
}

bool record_recall(uint64_t key, uint32_t *record)
{
	const struct box_index *index = box_index();
	uint32_t at, i;

	key = again_key(key);
	at = (uint32_t)((key >> 32) % BOX_AGAIN_SLOTS);
	for (i = 0; index && i < AGAIN_PROBES; i++) {
		uint64_t slot = __atomic_load_n(&index->again[(at + i) % BOX_AGAIN_SLOTS],
						__ATOMIC_ACQUIRE);

		if ((slot & ~(uint64_t)BOX_INDEX_MASK) == key) {
			*record = (uint32_t)slot & BOX_INDEX_MASK;
			return true;
		}
	}
	return false;
}

void record_remember(uint64_t key, uint64_t hash)
{
	struct box_index *index = box_index();
	uint32_t at, i;

	if (!index)
		return;
	key = again_key(key);
	at = (uint32_t)((key >> 32) % BOX_AGAIN_SLOTS);
	for (i = 0; i < AGAIN_PROBES - 1; i++)
		if (!__atomic_load_n(&index->again[(at + i) % BOX_AGAIN_SLOTS], __ATOMIC_RELAXED))
			break;
	/* Where all are in use, one of them is forgotten. */
	if (i == AGAIN_PROBES - 1)
		i = (uint32_t)(key >> 16) % AGAIN_PROBES;
	__atomic_store_n(&index->again[(at + i) % BOX_AGAIN_SLOTS], key | violation_find(hash),
			 __ATOMIC_RELEASE);
}

void record_violation_again(enum spork_violation kind, uint32_t index, uint64_t times)
{
	struct box_violation *record = record_at(BOX_TABLE_VIOLATION, index);

	RECORD_ADD(violations[kind], times);
	if (record)
		__atomic_add_fetch(&record->count, times, __ATOMIC_RELAXED);
}

bool record_violation(const struct box_violation *violation)
{
	struct box_violation *record;
	uint32_t i = violation_find(violation->hash);

	RECORD_ADD(violations[violation->kind], 1);
	if (i) {
		record = record_at(BOX_TABLE_VIOLATION, i);
		__atomic_add_fetch(&record->count, 1, __ATOMIC_RELAXED);
		return false;
	}
	record = reserve(BOX_TABLE_VIOLATION, &i);
	if (!record)
		return box == &early;
	publish(record, violation, sizeof(*violation));
	violation_index(violation->hash, i + 1);
	__atomic_add_fetch(&box->doorbell, 1, __ATOMIC_RELEASE);
	SYS(futex, &box->doorbell, 1 /* FUTEX_WAKE, between processes */, INT32_MAX);
	return true;
}

const struct box_violation *record_violation_of(uint64_t hash)
{
	return record_at(BOX_TABLE_VIOLATION, violation_find(hash));
}

void record_event(const struct box_event *event)
{
	uint32_t index;
	struct box_event *record = reserve(BOX_TABLE_EVENT, &index);

	RECORD_ADD(spawns[event->call][event->tier], 1);
	RECORD_ADD(spawn_ns[event->call], event->duration_ns);
	if (event->tier == BOX_TIER_SPAWN && event->reason)
		RECORD_ADD(by_libc[event->reason], 1);
	if (record)
		publish(record, event, sizeof(*event));
}

void record_gate(const struct box_gate *gate)
{
	uint32_t count = record_used(BOX_TABLE_GATE), i;
	struct box_gate *record;

	for (i = 0; i < count; i++) {
		record = ready(BOX_TABLE_GATE, i);
		if (record && record->acquired.module == gate->acquired.module &&
		    record->acquired.offset == gate->acquired.offset)
			break;
	}
	record = i < count ? ready(BOX_TABLE_GATE, i) : reserve(BOX_TABLE_GATE, &i);
	if (record && !record->ready)
		publish(record, gate, sizeof(*gate));
	if (!record)
		return;
	__atomic_add_fetch(&record->limits, 1, __ATOMIC_RELAXED);
	if (gate->given_up)
		__atomic_store_n(&record->given_up, 1, __ATOMIC_RELAXED);
}

/*
 * Its name, which is at first that of the file. The kernel is not asked: a sandbox may end whoever calls prctl().
 */
static void name_find(struct box_process *process)
{
	const char *path = (const char *)getauxval(AT_EXECFN),
		   *slash = path ? strrchr(path, '/') : NULL;

	if (path)
		strncpy(process->comm, slash ? slash + 1 : path, sizeof(process->comm) - 1);
}

static void record_process(bool passive)
{
	struct box_process process = { .pid = (uint32_t)SYS(getpid),
				       .ppid = (uint32_t)SYS(getppid),
				       .passive = passive };
	struct box_process *record;
	uint32_t index;

	process.exe = module_program();
	process.start_ns = sys_now();
	name_find(&process);
	record = reserve(BOX_TABLE_PROCESS, &index);
	if (record)
		publish(record, &process, sizeof(process));
}

void record_init(void)
{
	struct box_header *header;

	if (box != &early)
		return;
	header = box_map();
	if (header)
		box = header;
	family = hash_mix(sys_now(), (uint64_t)SYS(getpid));
	record_process(false);
}

/* Moves a copy of what the table holds to where it lies. Where there is no memory for one it stays as it is. */
static void table_part(enum spork_table table)
{
	char *at = (char *)box + box_tables[table].offset;
	size_t size = ((size_t)box_tables[table].stride * box_tables[table].capacity + 4095) &
		      ~(size_t)4095;
	long own =
		SYS(mmap, NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (own < 0 && own > -4096)
		return;
	memcpy((void *)own, at, (size_t)box_tables[table].stride * record_used(table));
	SYS(mremap, own, size, size, MREMAP_MAYMOVE | MREMAP_FIXED, at);
}

void record_part(void)
{
	if (box == &early || parted)
		return;
	parted = true;
	table_part(BOX_TABLE_MODULE);
	table_part(BOX_TABLE_SITE);
}

void record_part_from_user(void)
{
	/* The box was mapped with the rights that the program was started with. */
	uid_t owner = (uid_t)getauxval(AT_EUID), real, effective, saved;

	if (box == &early || parted || SYS(getresuid, &real, &effective, &saved))
		return;
	if (real != owner && effective != owner && saved != owner)
		record_part();
}

void record_passive(void)
{
	struct box_header *header = box_map_named();

	if (!header)
		return;
	box = header;
	record_process(true);
}
