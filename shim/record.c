// SPDX-License-Identifier: MIT
/*
 * Owns the mapping of the box: opens it, lays it out, and appends records to it. The format is box.h's.
 *
 * The mapping is shared with every child, however it is made, and outlives the descriptor it came from,
 * so it survives chroot, closefrom, set*id and SIGKILL. No descriptor is kept. But what decides over windows is shared
 * by those alone who have the same rights: see record_part().
 */
#include "record.h"

#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "config.h"
#include "file.h"
#include "module.h"
#include "report.h"
#include "sys.h"

#include "poison.h"

static const struct {
	uint32_t stride, capacity;
} layout[BOX_TABLE_COUNT] = {
	[BOX_TABLE_PROCESS] = { sizeof(struct box_process), BOX_CAPACITY_PROCESS },
	[BOX_TABLE_MODULE] = { sizeof(struct box_module), BOX_CAPACITY_MODULE },
	[BOX_TABLE_SITE] = { sizeof(struct box_site), BOX_CAPACITY_SITE },
	[BOX_TABLE_VIOLATION] = { sizeof(struct box_violation), BOX_CAPACITY_VIOLATION },
	[BOX_TABLE_EVENT] = { sizeof(struct box_event), 0 }, /* see room_for_events */
	[BOX_TABLE_GATE] = { sizeof(struct box_gate), BOX_CAPACITY_GATE },
};

/* Takes what is recorded before there is a box: counters work, tables have no room. */
static struct box_header early;
static struct box_header *box = &early;

struct box_header *record_header(void)
{
	return box;
}

/* The tables that decide are a copy of its own. A forked child has it, too. */
static bool parted;

/* Where each table starts. What the header says of it is for readers: another process may change it. */
static uint64_t offsets[BOX_TABLE_COUNT] START_STATE;

static uint32_t room_for_events START_STATE;
static uint64_t box_size START_STATE;

static uint32_t capacity(int table)
{
	return table == BOX_TABLE_EVENT ? room_for_events : layout[table].capacity;
}

/* What a box is that has room for so many events. From then on tables are taken to lie there. */
static void lay_out(uint32_t events)
{
	uint64_t offset = BOX_TABLES_OFFSET;
	int i;

	room_for_events = events;
	for (i = 0; i < BOX_TABLE_COUNT; i++) {
		offsets[i] = offset;
		offset += ((uint64_t)layout[i].stride * capacity(i) + 4095) & ~4095ULL;
	}
	box_size = offset;
}

/* Makes a box of fresh memory. */
static void stamp(struct box_header *header)
{
	int i;

	for (i = 0; i < BOX_TABLE_COUNT; i++) {
		header->table[i].offset = offsets[i];
		header->table[i].stride = layout[i].stride;
		header->table[i].capacity = capacity(i);
	}
	header->version = SPORK_BOX_VERSION;
	header->header_size = BOX_HEADER_SIZE;
	header->size = box_size;
	header->created_ns = sys_clock(CLOCK_REALTIME);
	header->created_mono_ns = sys_now();
	header->creator_pid = (uint32_t)SYS(getpid);
	__atomic_store_n(&header->magic, SPORK_BOX_MAGIC, __ATOMIC_RELEASE);
}

static struct box_header *map(int fd)
{
	int flags = fd < 0 ? MAP_SHARED | MAP_ANONYMOUS : MAP_SHARED;
	long at = SYS(mmap, NULL, box_size, PROT_READ | PROT_WRITE, flags, fd, 0);

	return at < 0 && at > -4096 ? NULL : (struct box_header *)at;
}

#define NO_FILE "cannot be opened or created"
#define NO_BOX "is not a box of this version of spork"

/* An existing file is used only if it is ours in every respect. NULL: it is. */
static const char *problem_with(int fd, struct stat *status)
{
	if (!sys_stat(fd, "", AT_EMPTY_PATH, status) || !S_ISREG(status->st_mode))
		return NO_BOX;
	/* By a second name another user may have put an old box here. */
	return status->st_nlink > 1 ? "has more than one name" : file_problem(status, false);
}

/* How many events a box has room for is its own affair. */
static struct box_header *attach(int fd, const char **problem)
{
	uint64_t at = offsetof(struct box_header, table[BOX_TABLE_EVENT].capacity);
	struct box_header *header;
	struct stat status;
	uint32_t events;

	if (SYS(pread64, fd, &events, sizeof(events), at) == sizeof(events) &&
	    events <= BOX_CAPACITY_EVENT_MOST)
		lay_out(events);
	*problem = problem_with(fd, &status);
	if (*problem)
		return NULL;
	*problem = NO_BOX;
	if ((uint64_t)status.st_size != box_size)
		return NULL;
	header = map(fd);
	if (!header) {
		*problem = "cannot be mapped";
		return NULL;
	}
	if (header->magic != SPORK_BOX_MAGIC || header->version != SPORK_BOX_VERSION ||
	    header->header_size != BOX_HEADER_SIZE || header->size != box_size) {
		SYS(munmap, header, box_size);
		return NULL;
	}
	*problem = NULL;
	return header;
}

/* Leaves the file empty if it fails. */
static struct box_header *create(int fd, const char **problem)
{
	struct file_signals signals;
	struct box_header *header;
	long error;

	/* Blocks are reserved now: a full disk would raise SIGBUS later. */
	file_signals_hold(&signals);
	error = SYS(fallocate, fd, 0, 0, box_size);
	file_signals_release(&signals);
	if (error) {
		SYS(ftruncate, fd, 0);
		*problem = "has no room on its disk";
		return NULL;
	}
	header = map(fd);
	if (!header) {
		SYS(ftruncate, fd, 0);
		*problem = "cannot be mapped";
		return NULL;
	}
	stamp(header);
	return header;
}

static bool is_finished(int fd)
{
	uint64_t magic;

	return SYS(pread64, fd, &magic, sizeof(magic), offsetof(struct box_header, magic)) ==
		       sizeof(magic) &&
	       magic;
}

/* Has it been given room, and nothing else? */
static bool is_unfinished(int fd, uint64_t size)
{
	uint64_t word[64], at;
	size_t i;

	for (at = 0; size == box_size && at < BOX_HEADER_SIZE; at += sizeof(word)) {
		if (SYS(pread64, fd, word, sizeof(word), at) != sizeof(word))
			return false;
		for (i = 0; i < COUNT(word); i++)
			if (word[i])
				return false;
	}
	return size == box_size;
}

/* So long, in milliseconds, a process may take to make the box that others wait for. */
#define MAKE_LIMIT 2000

/*
 * Processes that start together find a file that one of them has just created. Whoever has its lock makes a box of it if
 * it is still empty: what a process leaves that is killed over it, the next one takes up. Where a network file system
 * has no locks, that is for the process that created the file. NULL: see `problem`.
 */
static struct box_header *take(int fd, const char *path, bool created, const char **problem)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	struct box_header *header;
	struct stat status;
	int tries;
	long error;

	for (tries = 0; tries < MAKE_LIMIT && !is_finished(fd); tries++) {
		error = SYS(flock, fd, LOCK_EX | LOCK_NB);
		*problem = problem_with(fd, &status);
		if (*problem)
			return NULL;
		if (error == -EWOULDBLOCK || (error && !created)) {
			SYS(nanosleep, &pause, NULL);
			continue;
		}
		if (status.st_size && !is_unfinished(fd, (uint64_t)status.st_size))
			break;
		*problem = NO_FILE;
		header = status.st_nlink ? create(fd, problem) : NULL;
		if (!header && created)
			SYS(unlinkat, AT_FDCWD, path, 0);
		/* A child that another thread has forked meanwhile would keep it. */
		SYS(flock, fd, LOCK_UN);
		return header;
	}
	return attach(fd, problem);
}

/*
 * The magic links of /proc, by which `spork run` hands over its box, are the one kind of symbolic link
 * that is followed.
 */
static struct box_header *open_path(const char *path)
{
	const char *problem = NO_FILE;
	struct box_header *header = NULL;
	bool handed_over = !strncmp(path, "/proc/", 6), created = false;
	long fd = handed_over ? SYS(openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0) :
				file_open(path, O_RDWR, &created);

	if (fd >= 0) {
		header = take((int)fd, path, created, &problem);
		SYS(close, fd);
	}
	/* One that `spork run` handed over may be gone, or out of reach of this user: no fault of the program's. */
	if (!header && !handed_over) {
		if (!file_is_out_of_reach(path, fd))
			report_problem("box", path, problem, "recording in memory instead");
		config_drop("box");
	}
	if (!header)
		config.box = "memory"; /* where memory itself is short, this is asked for again */
	return header;
}

/* Reserves a record; NULL when its table is full. */
static void *reserve(enum spork_table table, uint32_t *index)
{
	uint32_t *count = &box->table[table].used;
	uint32_t at = __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);

	if (box == &early || at >= capacity((int)table)) {
		if (at > UINT32_MAX / 2) /* it must not wrap */
			__atomic_fetch_sub(count, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	*index = at;
	return record_at(table, at + 1);
}

void *record_at(enum spork_table table, uint32_t index)
{
	if (box == &early || !index || index > capacity((int)table))
		return NULL;
	return (char *)box + offsets[table] + (uint64_t)(index - 1) * layout[table].stride;
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
	return count < capacity((int)table) ? count : capacity((int)table);
}

uint32_t record_stride(enum spork_table table)
{
	return layout[table].stride;
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
	const char *first = (const char *)box + offsets[BOX_TABLE_SITE];

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

bool record_is_named(void)
{
	return strcmp(config.box, "none") && strcmp(config.box, "memory");
}

void record_init(void)
{
	struct box_header *header = NULL;

	if (box != &early)
		return;
	lay_out(config.events);
	if (record_is_named())
		header = open_path(config.box);
	if (!header) {
		lay_out(config.events);
		header = map(-1);
		if (header)
			stamp(header);
	}
	if (header)
		box = header;
	family = hash_mix(sys_now(), (uint64_t)SYS(getpid));
	record_process(false);
}

/* Moves a copy of what the table holds to where it lies. Where there is no memory for one it stays as it is. */
static void table_part(enum spork_table table)
{
	char *at = (char *)box + offsets[table];
	size_t size = ((size_t)layout[table].stride * capacity(table) + 4095) & ~(size_t)4095;
	long own =
		SYS(mmap, NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (own < 0 && own > -4096)
		return;
	memcpy((void *)own, at, (size_t)layout[table].stride * record_used(table));
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
	struct box_header *header;

	lay_out(config.events);
	header = open_path(config.box);
	if (!header)
		return;
	if (!header->magic)
		stamp(header);
	box = header;
	record_process(true);
}
