// SPDX-License-Identifier: MIT
/*
 * Boxes, from the tool's side: making an empty one for `spork run`, and reading one.
 *
 * A box may be written while it is read, may end anywhere, and may be hostile. It is copied with
 * pread (a mapping would kill the reader when somebody truncates the file), and everything that the
 * other files index or print by is brought into range here.
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"
#include "trust.h"

#define PAGE 4096

static const struct {
	const char *name;
	uint32_t stride, capacity; /* the most that a box may have */
} tables[BOX_TABLE_COUNT] = {
	[BOX_TABLE_PROCESS] = { "process", sizeof(struct box_process), BOX_CAPACITY_PROCESS },
	[BOX_TABLE_MODULE] = { "module", sizeof(struct box_module), BOX_CAPACITY_MODULE },
	[BOX_TABLE_SITE] = { "site", sizeof(struct box_site), BOX_CAPACITY_SITE },
	[BOX_TABLE_VIOLATION] = { "violation", sizeof(struct box_violation),
				  BOX_CAPACITY_VIOLATION },
	[BOX_TABLE_EVENT] = { "event", sizeof(struct box_event), BOX_CAPACITY_EVENT_MOST },
	[BOX_TABLE_GATE] = { "gate", sizeof(struct box_gate), BOX_CAPACITY_GATE },
};

_Static_assert(offsetof(struct box_header, magic) == 0,
	       "the magic comes last, in a write of its own");

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static int write_at(int fd, const void *bytes, size_t size, off_t offset)
{
	ssize_t written = pwrite(fd, bytes, size, offset);

	if (written < 0)
		return -errno;
	return (size_t)written == size ? 0 : -ENOSPC;
}

/*
 * A full disk must be met now: later it would be a signal for whoever writes the mapping. Where there is no
 * fallocate(2) for that, every block is written.
 */
static int reserve_blocks(int fd, off_t size)
{
	static const char zeros[64 * PAGE];
	off_t at;
	int error = 0;

	if (!fallocate(fd, 0, 0, size))
		return 0;
	if (errno != EOPNOTSUPP)
		return -errno;
	for (at = 0; at < size && !error; at += (off_t)sizeof(zeros))
		error = write_at(
			fd, zeros,
			size - at < (off_t)sizeof(zeros) ? (size_t)(size - at) : sizeof(zeros), at);
	return error;
}

int box_create(int fd, uint32_t events, bool reserve)
{
	struct box_header header = {
		.version = SPORK_BOX_VERSION,
		.header_size = BOX_HEADER_SIZE,
		.created_ns = clock_ns(CLOCK_REALTIME),
		.created_mono_ns = clock_ns(CLOCK_MONOTONIC),
		.creator_pid = (uint32_t)getpid(),
	};
	uint64_t at = BOX_TABLES_OFFSET, magic = SPORK_BOX_MAGIC;
	int i, error;

	for (i = 0; i < BOX_TABLE_COUNT; i++) {
		header.table[i].offset = at;
		header.table[i].stride = tables[i].stride;
		header.table[i].capacity = i == BOX_TABLE_EVENT ? events : tables[i].capacity;
		at += (uint64_t)tables[i].stride * header.table[i].capacity;
		at = (at + PAGE - 1) / PAGE * PAGE;
	}
	header.size = at;
	/* The shim uses none that others may write; a memfd starts as one. */
	if (fchmod(fd, 0600) || ftruncate(fd, (off_t)at))
		return -errno;
	error = reserve ? reserve_blocks(fd, (off_t)at) : 0;
	if (error)
		return error;
	error = write_at(fd, &header, sizeof(header), 0);
	return error ? error : write_at(fd, &magic, sizeof(magic), 0);
}

static bool starts_with(int fd, uint64_t wanted)
{
	uint64_t magic = 0;

	return pread(fd, &magic, sizeof(magic), 0) == sizeof(magic) && magic == wanted;
}

bool box_is_one(int fd)
{
	return starts_with(fd, SPORK_BOX_MAGIC);
}

/* The shim looks closer; see shim/profile.c for why it is so particular. */
int profile_check(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	const char *problem = NULL;
	struct stat status;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0)
		problem = errno == ELOOP ? "is a symbolic link" : strerror(errno);
	else if (fstat(fd, &status) || !S_ISREG(status.st_mode))
		problem = "is not a regular file";
	else if (!(problem = trust_problem(&status, geteuid(), false)) &&
		 !starts_with(fd, SPORK_PROFILE_MAGIC))
		problem = "is not a profile";
	if (fd >= 0)
		close(fd);
	if (!problem)
		return 0;
	complain("%s: %s; choose another file", path, problem);
	return STATUS_FAILED;
}

/* As much as there is, up to `size`. */
static size_t read_at(int fd, void *bytes, size_t size, uint64_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t got = pread(fd, (char *)bytes + done, size - done, (off_t)(offset + done));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		done += (size_t)got;
	}
	return done;
}

static void box_damaged(struct box *box, const char *table, const char *what)
{
	if (!box->partial)
		snprintf(box->problem, sizeof(box->problem), "its %s table %s", table, what);
	box->partial = true;
}

/* Bytes that are read at a time. */
#define CHUNK ((size_t)1 << 18)

/* A table of a box, as it is read. */
struct reading {
	int fd;
	uint64_t at; /* in the file */
	uint32_t stride, used;
	uint32_t ready[CHUNK / sizeof(struct box_event)];
};

_Static_assert(sizeof(struct box_event) <= sizeof(struct box_process) &&
		       sizeof(struct box_event) <= sizeof(struct box_gate),
	       "no other record is smaller: struct reading");

/*
 * Reads the records from `first` on, as many as a chunk has; how many there were. `ready` is looked at in a first
 * pass and the records are taken in a second, so that a record that says it is complete really is.
 */
static uint32_t chunk_read(struct reading *reading, char *bytes, uint32_t first)
{
	uint32_t stride = reading->stride, count = (uint32_t)(CHUNK / stride), i;
	uint64_t at = reading->at + (uint64_t)first * stride;

	count = count < reading->used - first ? count : reading->used - first;
	count = (uint32_t)(read_at(reading->fd, bytes, (size_t)count * stride, at) / stride);
	for (i = 0; i < count; i++)
		memcpy(&reading->ready[i], bytes + (size_t)i * stride, sizeof(*reading->ready));
	count = (uint32_t)(read_at(reading->fd, bytes, (size_t)count * stride, at) / stride);
	for (i = 0; i < count; i++)
		if (!reading->ready[i])
			memset(bytes + (size_t)i * stride, 0, sizeof(*reading->ready));
	return count;
}

/* Puts the records that are ready in the place of those that are not; how many there are. */
static uint32_t chunk_compact(char *bytes, uint32_t count, uint32_t stride)
{
	uint32_t kept = 0, ready, i;

	for (i = 0; i < count; i++) {
		memcpy(&ready, bytes + (size_t)i * stride, sizeof(ready));
		if (ready && kept++ != i)
			memcpy(bytes + (size_t)(kept - 1) * stride, bytes + (size_t)i * stride,
			       stride);
	}
	return kept;
}

/* Is the table where tables are, and no larger? Its bytes need not be there. */
static bool table_sound(const struct box *box, enum spork_table which)
{
	const struct box_table *table = &box->header.table[which];
	uint64_t size = box->header.size;

	return table->stride == tables[which].stride && table->capacity <= tables[which].capacity &&
	       table->offset >= BOX_HEADER_SIZE && table->offset <= size &&
	       (uint64_t)table->stride * table->capacity <= size - table->offset;
}

/*
 * Reads the used slots of a table, as many as the file has. A table that was read before keeps its memory, since
 * others point into it, and so its room. Nothing refers to events by their slots: those that are not ready are left
 * out.
 */
static void table_read(struct box *box, int fd, enum spork_table which, void **records)
{
	const struct box_table *table = &box->header.table[which];
	uint32_t used = table->used < table->capacity ? table->used : table->capacity;
	static struct reading reading;
	uint32_t first, got, *slots = &box->slots[which];
	char *bytes;

	if (!table_sound(box, which)) {
		box_damaged(box, tables[which].name, "is damaged");
		return;
	}
	*(which == BOX_TABLE_EVENT && !table->capacity ? &box->unasked : &box->dropped) +=
		table->used - used;
	if (which == BOX_TABLE_EVENT && !box->with_events)
		return;
	if (!*records) {
		box->room[which] = table->capacity;
		*records = calloc((size_t)table->capacity + 1, table->stride);
	}
	bytes = *records;
	if (!bytes) {
		box_damaged(box, tables[which].name, "needs more memory than there is");
		return;
	}
	used = used < box->room[which] ? used : box->room[which];
	reading.fd = fd;
	reading.at = table->offset;
	reading.stride = table->stride;
	reading.used = used;
	for (first = 0; first < used; first += got) {
		char *to = bytes + (size_t)*slots * table->stride;

		got = chunk_read(&reading, to, first);
		if (!got) {
			box_damaged(box, tables[which].name, "is cut short");
			return;
		}
		*slots += which == BOX_TABLE_EVENT ? chunk_compact(to, got, table->stride) : got;
	}
}

#define CLAMP(value, limit) ((value) = (value) < (limit) ? (value) : (limit))
#define TERMINATE(array) ((array)[sizeof(array) - 1] = '\0')

static void site_check(struct box_site *site)
{
	uint32_t left = BOX_SITE_WRITTEN, i;

	CLAMP(site->frames, BOX_SITE_FRAMES);
	CLAMP(site->writes, BOX_SITE_WRITES);
	CLAMP(site->stack_writes, BOX_SITE_STACK);
	TERMINATE(site->function);
	for (i = 0; i < site->writes; i++) {
		CLAMP(site->write[i].size, left);
		left -= site->write[i].size;
	}
}

static void records_check(struct box *box)
{
	uint32_t i;

	for (i = 0; i < box->slots[BOX_TABLE_PROCESS]; i++)
		TERMINATE(box->process[i].comm);
	for (i = 0; i < box->slots[BOX_TABLE_MODULE]; i++) {
		struct box_module *module = &box->module[i];

		TERMINATE(module->path);
		CLAMP(module->build_id_size, sizeof(module->build_id));
	}
	for (i = 0; i < box->slots[BOX_TABLE_SITE]; i++)
		site_check(&box->site[i]);
	for (i = 0; i < box->slots[BOX_TABLE_VIOLATION]; i++) {
		struct box_violation *violation = &box->violation[i];

		TERMINATE(violation->holder_name);
		TERMINATE(violation->text);
		TERMINATE(violation->held_in);
		TERMINATE(violation->asked_in);
		CLAMP(violation->stack_frames, BOX_STACK_FRAMES);
		CLAMP(violation->fork_frames, BOX_STACK_FRAMES);
		CLAMP(violation->acquired_frames, BOX_STACK_FRAMES);
		CLAMP(violation->order.stack_frames, BOX_STACK_FRAMES);
	}
}

static int box_refuse(struct box *box, const char *why)
{
	snprintf(box->problem, sizeof(box->problem), "%s", why);
	return -1;
}

int box_load(struct box *box, int fd)
{
	struct box_header *header = &box->header;
	void *tables_read[BOX_TABLE_COUNT] = {
		[BOX_TABLE_PROCESS] = box->process, [BOX_TABLE_MODULE] = box->module,
		[BOX_TABLE_SITE] = box->site,	    [BOX_TABLE_VIOLATION] = box->violation,
		[BOX_TABLE_GATE] = box->gate,	    [BOX_TABLE_EVENT] = box->event,
	};
	struct stat status;
	size_t got;
	int i;

	box->partial = false;
	box->dropped = box->unasked = 0;
	memset(box->slots, 0, sizeof(box->slots));
	memset(header, 0, sizeof(*header));
	got = read_at(fd, header, sizeof(*header), 0);
	/* Who makes one writes the magic number last. */
	if (!got || (got >= sizeof(header->magic) && !header->magic))
		return box_refuse(box,
				  "is empty; was the disk full, or is the box still being made?");
	if (got < sizeof(header->magic) ||
	    (header->magic != SPORK_BOX_MAGIC && header->magic != SPORK_PROFILE_MAGIC))
		return box_refuse(box, "is not a spork box; 'spork run --box FILE' makes one");
	if (got >= offsetof(struct box_header, header_size) && header->version &&
	    header->version != SPORK_BOX_VERSION) {
		snprintf(box->problem, sizeof(box->problem),
			 "was made by %s spork (version %u of the format); use that one",
			 header->version > SPORK_BOX_VERSION ? "a newer" : "an older",
			 header->version);
		return -1;
	}
	if (got < sizeof(*header))
		return box_refuse(box, "is cut off within its header; nothing can be read of it");
	if (header->version != SPORK_BOX_VERSION || header->header_size != BOX_HEADER_SIZE)
		return box_refuse(box, "has a damaged header; nothing can be read of it");

	/* Those that others point to come last, so that what a record names was read after it. */
	for (i = BOX_TABLE_COUNT - 1; i >= 0; i--)
		table_read(box, fd, (enum spork_table)i, &tables_read[i]);
	box->process = tables_read[BOX_TABLE_PROCESS];
	box->module = tables_read[BOX_TABLE_MODULE];
	box->site = tables_read[BOX_TABLE_SITE];
	box->violation = tables_read[BOX_TABLE_VIOLATION];
	box->gate = tables_read[BOX_TABLE_GATE];
	box->event = tables_read[BOX_TABLE_EVENT];
	records_check(box);
	if (!fstat(fd, &status) && (uint64_t)status.st_size < header->size && !box->partial) {
		box->partial = true;
		snprintf(box->problem, sizeof(box->problem), "it has %llu of its %llu bytes",
			 (unsigned long long)status.st_size, (unsigned long long)header->size);
	}
	return 0;
}

int box_open(struct box *box, const char *path)
{
	struct stat status;
	int fd, failed;

	/* Opening what is not a file may hang, or do something. */
	if (stat(path, &status)) {
		complain("%s: %s; 'spork run --box FILE COMMAND' makes a box", path,
			 strerror(errno));
		return STATUS_FAILED;
	}
	if (!S_ISREG(status.st_mode)) {
		complain("%s: is %s, not a box; give the file that 'spork run --box FILE' wrote",
			 path, S_ISDIR(status.st_mode) ? "a directory" : "not a regular file");
		return STATUS_FAILED;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0) {
		complain("%s: %s; only the user who made a box may read it", path, strerror(errno));
		return STATUS_FAILED;
	}
	failed = box_load(box, fd);
	close(fd);
	if (failed) {
		complain("%s: %s", path, box->problem);
		return STATUS_FAILED;
	}
	if (box->partial)
		complain("%s: is not complete: %s; what is there follows", path, box->problem);
	return 0;
}

void box_free(struct box *box)
{
	free(box->process);
	free(box->module);
	free(box->site);
	free(box->violation);
	free(box->event);
	free(box->gate);
	memset(box, 0, sizeof(*box));
}

const struct box_module *box_module(const struct box *box, uint32_t index)
{
	if (!index || index > box->slots[BOX_TABLE_MODULE] || !box->module[index - 1].ready)
		return NULL;
	return &box->module[index - 1];
}

const struct box_site *box_site(const struct box *box, uint32_t index)
{
	if (!index || index > box->slots[BOX_TABLE_SITE] || !box->site[index - 1].ready)
		return NULL;
	return &box->site[index - 1];
}

struct box_totals box_totals(const struct box *box)
{
	const struct box_header *header = &box->header;
	struct box_totals totals = { 0 };
	uint32_t call, tier;

	for (call = 0; call < BOX_CALL_ROOM; call++) {
		for (tier = 0; tier < BOX_TIER_ROOM; tier++) {
			totals.by_call[call] += header->spawns[call][tier];
			totals.by_tier[tier] += header->spawns[call][tier];
		}
		totals.spawns += totals.by_call[call];
		totals.ns += header->spawn_ns[call];
	}
	return totals;
}

static int site_order(const void *left, const void *right)
{
	const struct box_site *a = *(const struct box_site *const *)left;
	const struct box_site *b = *(const struct box_site *const *)right;

	if (a->spawns != b->spawns)
		return a->spawns < b->spawns ? 1 : -1;
	return a < b ? -1 : a > b;
}

const struct box_site **box_sites_sorted(const struct box *box)
{
	const struct box_site **sorted = calloc(box->slots[BOX_TABLE_SITE] + 1, sizeof(*sorted));
	uint32_t i;
	size_t count = 0;

	if (!sorted)
		abort();
	for (i = 0; i < box->slots[BOX_TABLE_SITE]; i++)
		if (box->site[i].ready)
			sorted[count++] = &box->site[i];
	qsort(sorted, count, sizeof(*sorted), site_order);
	return sorted;
}

bool box_quantile(const uint32_t *latency, double quantile, uint64_t *ns)
{
	uint64_t total = 0, seen = 0, rank;
	uint32_t i;

	for (i = 0; i < BOX_BUCKETS; i++)
		total += latency[i];
	if (!total)
		return false;
	rank = (uint64_t)(quantile * (double)total + 0.999999);
	if (!rank)
		rank = 1;
	for (i = 0; i + 1 < BOX_BUCKETS; i++) {
		seen += latency[i];
		if (seen >= rank)
			break;
	}
	/* The middle of the bucket: it is known no closer. */
	*ns = i + 1 < BOX_BUCKETS ? (box_bucket_ns(i) + box_bucket_ns(i + 1)) / 2 :
				    box_bucket_ns(i);
	return true;
}
