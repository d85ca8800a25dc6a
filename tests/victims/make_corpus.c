/* flags: -iquote shim */
// SPDX-License-Identifier: MIT
/*
 * Makes files that nobody should believe: make_corpus FOLDER writes FOLDER/box/NAME, FOLDER/profile/NAME and
 * FOLDER/suppression/NAME, in the format of today. The fuzz targets start from them, and the tests of the tool read each.
 * FOLDER/elf is make_corpus_elf's.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "box.h"

enum { RECORDS = 3, EVENTS = 20, ROOM = 4 << 20 };

static char bytes[ROOM];
static size_t size;
static struct box_header *const header = (struct box_header *)bytes;
static uint64_t state; /* of noise() */

/* The same on every machine. */
static uint64_t noise(void)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return state >> 11;
}

static void *record(int which, uint32_t index)
{
	const struct box_table *table = &header->table[which];

	return bytes + table->offset + (size_t)index * table->stride;
}

static void layout(const uint32_t *capacity)
{
	static const uint32_t strides[BOX_TABLE_COUNT] = {
		sizeof(struct box_process),   sizeof(struct box_module), sizeof(struct box_site),
		sizeof(struct box_violation), sizeof(struct box_event),	 sizeof(struct box_gate),
	};
	int i;

	size = BOX_HEADER_SIZE;
	for (i = 0; i < BOX_TABLE_COUNT; i++) {
		header->table[i] =
			(struct box_table){ size, strides[i], capacity[i], capacity[i], 0 };
		size += (size_t)capacity[i] * strides[i];
	}
	header->size = size;
}

static void frames_fill(struct box_frame *frame, uint32_t count)
{
	uint32_t i;

	for (i = 0; i < count; i++)
		frame[i] = (struct box_frame){ 0x400000 + noise() % 4096, 0x1000 + noise() % 4096,
					       (uint32_t)(noise() % 4), 0 };
}

static void violation_fill(struct box_violation *violation, uint32_t kind)
{
	*violation = (struct box_violation){
		.ready = 1,
		.kind = kind,
		.count = 2,
		.time_ns = 5000,
		.pid = 101,
		.ppid = 100,
		.tid = 101,
		.exe = 1,
		.lock_type = kind % 6,
		.holder_tid = 102,
		.holder_name = "worker",
		.phase = kind % 4,
		.acquired_frames = 2,
		.call = 1 + kind % BOX_CALL_COUNT,
		.site = 1,
		.stack_frames = 3,
		.fork_frames = 2,
		.leak = { 0x1010, 8, 1 },
		.text = "malloc",
		.held_in = "tzset",
		.asked_in = "localtime",
		.order = { .locks = kind % 4, .stack_frames = 2 },
		.local = { -16, 0, 1 },
		.signal = kind % 40,
	};
	frames_fill(&violation->lock, 3); /* and origin, and handler */
	frames_fill(violation->acquired, 2);
	frames_fill(violation->stack, 3);
	frames_fill(violation->fork, 2);
	frames_fill(violation->order.stack, 2);
}

static void site_fill(struct box_site *site, uint32_t number)
{
	*site = (struct box_site){
		.ready = 1,
		.state = number % BOX_SITE_STATE_COUNT,
		.reason = number % BOX_REASON_COUNT,
		.key = number + 1,
		.frames = 2,
		.spawns = 10 * number + 1,
		.by_tier = { number + 1, number },
		.writes = 2,
		.write = { { 0x2000, 8, 1 }, { (uint64_t)-24, 8, 0 } },
		.stack_writes = 1,
		.stack_write = { { 16, 8 } },
		.fallbacks = number,
		.function = "malloc",
	};
	frames_fill(site->frame, 2);
	site->latency[box_bucket(50000)] = 7;
}

static void fill(void)
{
	uint32_t i;

	for (i = 0; i < header->table[BOX_TABLE_PROCESS].used; i++)
		*(struct box_process *)record(BOX_TABLE_PROCESS, i) =
			(struct box_process){ 1,	 100 + i, i ? 100 : 1, 1, 1000 + i * 1000,
					      "program", 0,	  { 0 } };
	for (i = 0; i < header->table[BOX_TABLE_MODULE].used; i++)
		*(struct box_module *)record(BOX_TABLE_MODULE, i) =
			(struct box_module){ 1, 4, i + 1, { 1, 2, 3, (uint8_t)i }, "/nowhere/app" };
	for (i = 0; i < header->table[BOX_TABLE_SITE].used; i++)
		site_fill(record(BOX_TABLE_SITE, i), i);
	for (i = 0; i < header->table[BOX_TABLE_VIOLATION].used; i++)
		violation_fill(record(BOX_TABLE_VIOLATION, i), i % BOX_VIOLATION_COUNT);
	for (i = 0; i < header->table[BOX_TABLE_EVENT].used; i++)
		*(struct box_event *)record(BOX_TABLE_EVENT, i) = (struct box_event){
			.ready = 1,
			.call = (uint16_t)(i % BOX_CALL_COUNT),
			.tier = (uint16_t)(i % BOX_TIER_COUNT),
			.pid = 100 + i % 2,
			.tid = 100,
			.child = 101 + i,
			.site = 1 + i % RECORDS,
			.time_ns = 1500 + i * 1000,
			.duration_ns = 40000 + noise() % 10000,
		};
	for (i = 0; i < header->table[BOX_TABLE_GATE].used; i++) {
		struct box_gate *gate = record(BOX_TABLE_GATE, i);

		*gate = (struct box_gate){ .ready = 1, .lock_type = 1, .limits = 3, .given_up = i };
		frames_fill(&gate->acquired, 2);
	}
	header->spawns[BOX_CALL_FORK][BOX_TIER_FORK] = 30;
	header->spawn_ns[BOX_CALL_FORK] = 3000000;
	header->violations[BOX_VIOLATION_ORPHAN_DEADLOCK] = 2;
	header->gate_forks = header->gate_waits = 3;
}

/* A box in which nothing is wrong. */
static void base(uint32_t violations, uint32_t sites)
{
	uint32_t capacity[BOX_TABLE_COUNT] = {
		RECORDS, RECORDS, sites, violations, EVENTS, RECORDS
	};

	memset(bytes, 0, sizeof(bytes));
	state = 1;
	header->magic = SPORK_BOX_MAGIC;
	header->version = SPORK_BOX_VERSION;
	header->header_size = BOX_HEADER_SIZE;
	header->created_mono_ns = 1000;
	header->creator_pid = 100;
	layout(capacity);
	fill();
}

static struct box_table *table(int which)
{
	return &header->table[which];
}

static void set_all(size_t offset, uint64_t value, size_t width)
{
	int i;

	for (i = 0; i < BOX_TABLE_COUNT; i++)
		memcpy((char *)table(i) + offset, &value, width);
}

#define SET_ALL(field, value)                                                                      \
	set_all(offsetof(struct box_table, field), (value), sizeof(((struct box_table *)0)->field))

static void change_good(void)
{
}

static void change_kinds(void)
{
	base(BOX_VIOLATION_COUNT + 2, RECORDS);
}

static void change_offset_max(void)
{
	SET_ALL(offset, UINT64_MAX - 63);
}

static void change_offset_header(void)
{
	SET_ALL(offset, 8);
}

static void change_overlap(void)
{
	SET_ALL(offset, BOX_HEADER_SIZE);
}

static void change_stride_zero(void)
{
	SET_ALL(stride, 0);
}

static void change_stride_max(void)
{
	SET_ALL(stride, UINT32_MAX);
}

static void change_capacity_max(void)
{
	SET_ALL(capacity, UINT32_MAX);
}

/* More events than the file has, and than there is memory, in a box that is said to be large enough. */
static void change_capacity_most(void)
{
	table(BOX_TABLE_EVENT)->capacity = table(BOX_TABLE_EVENT)->used = BOX_CAPACITY_EVENT_MOST;
	header->size = UINT64_MAX;
}

static void change_used_max(void)
{
	SET_ALL(used, UINT32_MAX);
}

static void change_size_max(void)
{
	header->size = UINT64_MAX;
}

static void change_size_zero(void)
{
	header->size = 0;
}

/* Whatever is a count, an index, a time or an enumeration is as large as it can be; strings do not end. */
static void change_ones(void)
{
	memset(bytes + BOX_HEADER_SIZE, 0xff, size - BOX_HEADER_SIZE);
	memset(header->spawns, 0xff, sizeof(header->spawns));
	memset(header->spawn_ns, 0xff, sizeof(header->spawn_ns));
	memset(header->violations, 0xff, sizeof(header->violations));
	header->created_mono_ns = header->gate_waits = header->audits = UINT64_MAX;
}

static void change_noise(void)
{
	size_t at;

	for (at = BOX_HEADER_SIZE; at < size; at++)
		bytes[at] = (char)noise();
}

/* Small numbers, which are more often in range. */
static void change_small_noise(void)
{
	size_t at;

	memset(bytes + BOX_HEADER_SIZE, 0, size - BOX_HEADER_SIZE);
	for (at = BOX_HEADER_SIZE; at < size; at += 4)
		bytes[at] = (char)(noise() % 5);
}

static void change_unready(void)
{
	int which;
	uint32_t i;

	for (which = 0; which < BOX_TABLE_COUNT; which++)
		for (i = 0; i < table(which)->used; i++)
			*(uint32_t *)record(which, i) = 0;
}

/* Each process is its own parent, child and ancestor. */
static void change_circles(void)
{
	struct box_process *process = record(BOX_TABLE_PROCESS, 0);
	struct box_event *event = record(BOX_TABLE_EVENT, 0);
	uint32_t i;

	for (i = 0; i < RECORDS; i++) {
		process[i].ppid = 100 + (i + 1) % RECORDS;
		process[i].start_ns = 1000;
	}
	for (i = 0; i < EVENTS; i++) {
		event[i].pid = 200 + i % 5;
		event[i].child = 200 + (i + i / 5) % 5;
		event[i].time_ns = 1000 + i % 3;
	}
}

/* The first at the start of time, the last at its end, each without end. */
static void change_times(void)
{
	struct box_event *event = record(BOX_TABLE_EVENT, 0);
	uint32_t i;

	for (i = 0; i < EVENTS; i++) {
		event[i].time_ns = i % 2 ? UINT64_MAX - i : i;
		event[i].duration_ns = UINT64_MAX - i;
	}
}

static void change_markup(void)
{
	static const char *const names[RECORDS] = { "</pre><script>a", "\"onload='b'\x01;&",
						    "\xff\xfe\xed\xa0\x80\xf4\x90\x80\x80\xc2" };
	struct box_process *process = record(BOX_TABLE_PROCESS, 0);
	struct box_module *module = record(BOX_TABLE_MODULE, 0);
	struct box_violation *violation = record(BOX_TABLE_VIOLATION, 0);
	struct box_site *site = record(BOX_TABLE_SITE, 0);
	uint32_t i;

	for (i = 0; i < RECORDS; i++) {
		memset(process[i].comm, 0, sizeof(process[i].comm));
		strncpy(process[i].comm, names[i], sizeof(process[i].comm) - 1);
		snprintf(module[i].path, sizeof(module[i].path), "/\\n]];%s\n\033[2J\\", names[i]);
		snprintf(violation[i].text, sizeof(violation[i].text), "%s", names[i]);
		snprintf(violation[i].holder_name, BOX_NAME, "%s", names[i]);
		snprintf(site[i].function, sizeof(site[i].function), "%s", names[i]);
	}
}

/* Names as long as there is room, which do not end. */
static void change_long_names(void)
{
	struct box_process *process = record(BOX_TABLE_PROCESS, 0);
	struct box_module *module = record(BOX_TABLE_MODULE, 0);
	uint32_t i;

	for (i = 0; i < RECORDS; i++) {
		memset(process[i].comm, 'n' + (int)i, sizeof(process[i].comm));
		memset(module[i].path, '/', sizeof(module[i].path));
		memset(module[i].path + 1 + i, 'p', sizeof(module[i].path) - 1 - i);
	}
}

/* All that can be asked of symbols, of a file that is there: the tool itself. */
static void change_symbols(void)
{
	struct box_module *module;
	struct box_site *site;
	uint32_t i, at;

	base(512, 512);
	module = record(BOX_TABLE_MODULE, 0);
	site = record(BOX_TABLE_SITE, 0);
	for (i = 0; i < RECORDS; i++) {
		strcpy(module[i].path, i ? "/etc/passwd" : "/proc/self/exe");
		module[i].build_id_size = 0;
	}
	for (i = 0; i < 512; i++) {
		site[i].writes = BOX_SITE_WRITES;
		for (at = 0; at < BOX_SITE_WRITES; at++)
			site[i].write[at] =
				(struct box_write){ 64 * noise() % 65536, BOX_SITE_WRITTEN, 1 };
	}
}

static void change_newer(void)
{
	header->version = SPORK_BOX_VERSION + 1;
}

static void change_older(void)
{
	header->version = SPORK_BOX_VERSION - 1;
}

static void change_cut_header(void)
{
	size = 100;
}

static void change_cut_magic(void)
{
	size = 7;
}

static void change_cut_table(void)
{
	size = (size_t)table(BOX_TABLE_VIOLATION)->offset + 100;
}

static void change_cut_event(void)
{
	size = (size_t)table(BOX_TABLE_EVENT)->offset + 5 * sizeof(struct box_event) + 7;
}

static void change_zeros(void)
{
	memset(bytes, 0, size);
}

static void change_foreign(void)
{
	memcpy(bytes, "\177ELF\2\1\1", 8);
}

static void change_nothing(void)
{
	size = 0;
}

/* As the form of a profile is a box's, each of them is one too. */
static const struct {
	const char *name;
	void (*change)(void);
} changes[] = {
#define CHANGE(name) { #name, change_##name },
	CHANGE(good) CHANGE(kinds) CHANGE(offset_max) CHANGE(offset_header) CHANGE(overlap) CHANGE(
		stride_zero) CHANGE(stride_max) CHANGE(capacity_max) CHANGE(capacity_most)
		CHANGE(used_max) CHANGE(size_max) CHANGE(size_zero) CHANGE(ones) CHANGE(noise)
			CHANGE(small_noise) CHANGE(unready) CHANGE(circles) CHANGE(times)
				CHANGE(markup) CHANGE(long_names) CHANGE(symbols) CHANGE(newer)
					CHANGE(older) CHANGE(cut_header) CHANGE(cut_magic)
						CHANGE(cut_table) CHANGE(cut_event) CHANGE(zeros)
							CHANGE(foreign) CHANGE(nothing)
};

static void file_write(const char *folder, const char *kind, const char *name)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, kind);
	mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/%s/%s", folder, kind, name);
	file = fopen(path, "w");
	if (!file || fwrite(bytes, 1, size, file) != size || fclose(file)) {
		perror(path);
		exit(1);
	}
}

static void boxes_write(const char *folder)
{
	size_t i;

	for (i = 0; i < sizeof(changes) / sizeof(*changes); i++) {
		base(RECORDS, RECORDS);
		changes[i].change();
		file_write(folder, "box", changes[i].name);
		if (header->magic == SPORK_BOX_MAGIC)
			header->magic = SPORK_PROFILE_MAGIC;
		file_write(folder, "profile", changes[i].name);
	}
}

static void text_write(const char *folder, const char *name, const char *start, const char *again,
		       size_t times)
{
	strcpy(bytes, start);
	for (size = strlen(start); times; times--) {
		strcpy(bytes + size, again);
		size += strlen(again);
	}
	file_write(folder, "suppression", name);
}

static void suppressions_write(const char *folder)
{
	text_write(folder, "good", "# known\n\norphaned-lock:^cache_get$\n*:libfoo*.so\r\n", "", 0);
	text_write(folder, "no_newline", "*:main", "", 0);
	text_write(folder, "stars", "*:a", "*a", 500);
	text_write(folder, "stars_tied", "*:^", "*", 60000);
	text_write(folder, "many", "", "*:*a*b*c*d$\n", 5000);
	text_write(folder, "one_line", "*:", "x", 65534);
	text_write(folder, "too_large", "*:", "x", 65535);
	text_write(folder, "bad_kind", "*:x\nno-such-kind:x\n", "", 0);
	text_write(folder, "no_pattern", "lock-order:\n", "", 0);
	text_write(folder, "anchors", "*:^$\n", "", 0);
	text_write(folder, "blank", "", " \t\r\n", 1000);
	text_write(folder, "empty", "", "", 0);
	memcpy(bytes, "*:a\0b\n\xff:\n", size = 10);
	file_write(folder, "suppression", "zero_byte");
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: make_corpus FOLDER\n");
		return 1;
	}
	boxes_write(argv[1]);
	suppressions_write(argv[1]);
	return 0;
}
