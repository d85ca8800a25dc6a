// SPDX-License-Identifier: MIT
/*
 * See box_map.h. Owns where the tables of the box lie; the format is box.h's.
 */
#include "box_map.h"

#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "config.h"
#include "file.h"
#include "report.h"
#include "sys.h"

#include "poison.h"

struct box_table_map box_tables[BOX_TABLE_COUNT] START_STATE = {
	[BOX_TABLE_PROCESS] = { 0, sizeof(struct box_process), BOX_CAPACITY_PROCESS },
	[BOX_TABLE_MODULE] = { 0, sizeof(struct box_module), BOX_CAPACITY_MODULE },
	[BOX_TABLE_SITE] = { 0, sizeof(struct box_site), BOX_CAPACITY_SITE },
	[BOX_TABLE_VIOLATION] = { 0, sizeof(struct box_violation), BOX_CAPACITY_VIOLATION },
	[BOX_TABLE_EVENT] = { 0, sizeof(struct box_event), 0 }, /* see lay_out() */
	[BOX_TABLE_GATE] = { 0, sizeof(struct box_gate), BOX_CAPACITY_GATE },
};

static uint64_t box_size START_STATE;

/* What a box is that has room for so many events. From then on tables are taken to lie there. */
static void lay_out(uint32_t events)
{
	uint64_t offset = BOX_TABLES_OFFSET;
	int i;

	box_tables[BOX_TABLE_EVENT].capacity = events;
	for (i = 0; i < BOX_TABLE_COUNT; i++) {
		struct box_table_map *table = &box_tables[i];

		table->offset = offset;
		offset += ((uint64_t)table->stride * table->capacity + 4095) & ~4095ULL;
	}
	box_size = offset;
}

/* Makes a box of fresh memory. */
static void stamp(struct box_header *header)
{
	int i;

	for (i = 0; i < BOX_TABLE_COUNT; i++) {
		header->table[i].offset = box_tables[i].offset;
		header->table[i].stride = box_tables[i].stride;
		header->table[i].capacity = box_tables[i].capacity;
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

bool box_is_named(void)
{
	return strcmp(config.box, "none") && strcmp(config.box, "memory");
}

struct box_header *box_map(void)
{
	struct box_header *header = NULL;

	lay_out(config.events);
	if (box_is_named())
		header = open_path(config.box);
	if (header)
		return header;
	lay_out(config.events);
	header = map(-1);
	if (header)
		stamp(header);
	return header;
}

struct box_header *box_map_named(void)
{
	struct box_header *header;

	lay_out(config.events);
	header = open_path(config.box);
	if (header && !header->magic)
		stamp(header);
	return header;
}
