/* flags: -iquote shim */
// SPDX-License-Identifier: MIT
/*
 * Makes boxes for the tests of the tool, without the shim: good ones, foreign ones, and broken ones
 * fed to a reader by the hundred. The records name this program itself, so that symbols, files and
 * lines are known. The tables are small, which a reader must accept.
 *
 * make_box good|empty|newer|full|reasons FILE  writes a box; reasons: with a refused site for each reason
 * make_box twins FILE                          two violations of a kind, with the innermost function in common
 * make_box events COUNT FILE                   a good one with spawns, and a lock-order violation
 * make_box hostile COUNT FILE                  the same, with markup for names
 * make_box scattered COUNT FILE                as events, but each by a process of its own, in no order
 * make_box cut BOX SCRATCH COMMAND...          runs COMMAND SCRATCH on prefixes of BOX, by 64 bytes
 * make_box flip COUNT BOX SCRATCH COMMAND...   the same on copies of BOX with random bits flipped
 * make_box violate SECONDS                     adds a violation to the box in SPORK_OPTIONS, sleeps
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <linux/futex.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "box.h"

int cache_lock[10];

/* A function whose name is markup; assembly, since C has no such names. */
__asm__(".text\n.type \"<script>alert(1)</script>;x\", @function\n"
	"\"<script>alert(1)</script>;x\": nop\n nop\n nop\n nop\n"
	".size \"<script>alert(1)</script>;x\", 4\n"
	".globl markup_function\nmarkup_function = \"<script>alert(1)</script>;x\" + 4\n");
extern const char markup_function[];

static uint32_t events;

static uint32_t module_index = 1; /* of this program, plus one */

struct self {
	uint64_t bias;
	uint32_t build_id_size;
	uint8_t build_id[32];
};

__attribute__((noreturn)) static void die(const char *what)
{
	perror(what);
	exit(1);
}

__attribute__((noinline)) static uint64_t here(void)
{
	return (uint64_t)(uintptr_t)__builtin_return_address(0);
}

/* The lines that the tests look for end in these marks. */
__attribute__((noinline)) static uint64_t cache_get(void)
{
	uint64_t address = here(); /* line: cache_get */

	__asm__ volatile("" ::: "memory");
	return address;
}

__attribute__((noinline)) static uint64_t run_child(void)
{
	uint64_t address = here(); /* line: run_child */

	__asm__ volatile("nop" ::: "memory");
	return address;
}

static int find_self(struct dl_phdr_info *info, size_t size, void *argument)
{
	struct self *self = argument;
	int i;

	(void)size;
	self->bias = info->dlpi_addr;
	for (i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		const char *at = (const char *)(uintptr_t)(info->dlpi_addr + segment->p_vaddr);
		const char *end = at + segment->p_memsz;

		if (segment->p_type != PT_NOTE)
			continue;
		while (at + sizeof(ElfW(Nhdr)) < end) {
			const ElfW(Nhdr) *note = (const ElfW(Nhdr) *)at;
			const char *name = at + sizeof(*note);
			const char *desc = name + ((note->n_namesz + 3) & ~3U);

			if (note->n_type == NT_GNU_BUILD_ID && !memcmp(name, "GNU", 4) &&
			    note->n_descsz <= sizeof(self->build_id)) {
				self->build_id_size = note->n_descsz;
				memcpy(self->build_id, desc, note->n_descsz);
			}
			at = desc + ((note->n_descsz + 3) & ~3U);
		}
	}
	return 1; /* the program itself comes first */
}

static struct box_frame frame(const struct self *self, uint64_t address)
{
	return (struct box_frame){ .addr = address,
				   .offset = address - self->bias,
				   .module = module_index };
}

static void module_fill(struct box_module *module, const struct self *self)
{
	if (readlink("/proc/self/exe", module->path, sizeof(module->path) - 1) < 0)
		die("/proc/self/exe");
	module->build_id_size = self->build_id_size;
	memcpy(module->build_id, self->build_id, sizeof(module->build_id));
	module->ready = 1;
}

static void violation_fill(struct box_violation *violation, const struct self *self, uint32_t kind)
{
	violation->kind = kind;
	violation->count = 2;
	violation->pid = 4711;
	violation->ppid = 4700;
	violation->tid = 4711;
	violation->exe = module_index;
	violation->lock_type = BOX_LOCK_MUTEX;
	violation->holder_tid = 4702;
	strcpy(violation->holder_name, "wor\"\nker\xff");
	violation->lock = frame(self, (uint64_t)(uintptr_t)cache_lock);
	violation->acquired[0] = frame(self, cache_get());
	violation->acquired_frames = 1;
	violation->call = BOX_CALL_FORK + 1;
	violation->site = 1;
	violation->stack_frames = 2;
	violation->stack[0] = frame(self, cache_get());
	violation->stack[1] = (struct box_frame){ .addr = 0xdead };
	violation->fork_frames = 1;
	violation->fork[0] = frame(self, run_child());
	violation->ready = 1;
}

static void site_fill(struct box_site *site, const struct self *self, uint32_t state,
		      uint32_t reason)
{
	site->state = state;
	site->reason = reason;
	site->call = BOX_CALL_FORK;
	site->key = 0xfedcba9876543210;
	site->frames = 1;
	site->frame[0] = frame(self, run_child());
	site->spawns = state == BOX_SITE_PROMOTED ? 100 : 7;
	site->by_tier[BOX_TIER_FORK] = 7;
	site->by_tier[BOX_TIER_VFORK] = site->spawns - 7;
	site->upgrades = 1;
	site->latency[box_bucket(100000)] = 98;
	site->latency[box_bucket(5000000)] = 2;
	site->writes = 2;
	site->write[0].module = 1;
	site->write[0].offset = (uint64_t)(uintptr_t)&cache_lock[2] - self->bias;
	site->write[0].size = 4;
	site->write[1].offset = (uint64_t)-24;
	site->write[1].size = 8;
	site->ready = 1;
}

/* Where table `which` has its record `index`. */
static void *record(char *box, int which, uint32_t index)
{
	const struct box_table *table = &((struct box_header *)box)->table[which];

	return box + table->offset + (size_t)index * table->stride;
}

/* Three processes take turns, in bursts; spawns at the second site are fast. */
static void events_fill(char *box, const struct self *self)
{
	struct box_header *header = (struct box_header *)box;
	struct box_violation *violation = record(box, BOX_TABLE_VIOLATION, 2);
	uint32_t i;

	header->table[BOX_TABLE_EVENT].used = events;
	for (i = 0; i < events; i++) {
		struct box_event *event = record(box, BOX_TABLE_EVENT, i);
		uint32_t fast = i % 8 != 0;

		*event = (struct box_event){
			.ready = 1,
			.call = i % 100 == 99 ? BOX_CALL_POSIX_SPAWN : BOX_CALL_FORK,
			.tier = i % 100 == 99 ? BOX_TIER_SPAWN :
				fast	      ? BOX_TIER_VFORK :
						BOX_TIER_FORK,
			.pid = i % 3 ? 4700 : 4711,
			.tid = 4700,
			.child = i ? 5000 + i : 4711,
			.site = 1 + fast,
			.time_ns = 2500 + i * 50000ULL + (i / 1000) * 20000000ULL,
			.duration_ns =
				(fast ? 30000 : 900000) + (i * 7919ULL % 1000) * (fast ? 20 : 900),
		};
	}
	header->table[BOX_TABLE_VIOLATION].used = 3;
	violation_fill(violation, self, BOX_VIOLATION_LOCK_ORDER);
	violation->order.locks = 2;
	violation->order.held.type = violation->order.outer.type = BOX_LOCK_MUTEX;
	violation->order.held.lock = frame(self, (uint64_t)(uintptr_t)&events);
	violation->order.outer.lock = violation->lock;
	violation->order.stack[0] = frame(self, run_child());
	violation->order.stack_frames = 1;
	header->violations[BOX_VIOLATION_LOCK_ORDER] = 2;
}

static void twins_fill(char *box, const struct self *self)
{
	struct box_violation *first = record(box, BOX_TABLE_VIOLATION, 0);
	struct box_violation *second = record(box, BOX_TABLE_VIOLATION, 1);

	first->kind = second->kind;
	first->fork_frames = second->fork_frames = 0;
	second->stack[1] = frame(self, run_child());
}

/* What takes a reader longest: nothing is in order, and no two spawns have the process in common. */
static void events_scatter(char *box)
{
	uint32_t i;

	for (i = 0; i < events; i++) {
		struct box_event *event = record(box, BOX_TABLE_EVENT, i);
		uint64_t hash = (i + 1) * 0x9e3779b97f4a7c15ULL;

		event->pid = 1 + (uint32_t)(hash >> 33) % (2 * events);
		event->child = 1 + (uint32_t)(hash >> 13) % (2 * events);
		event->time_ns = hash >> 30;
		event->site = (uint32_t)hash % 3;
	}
}

static void hostile_fill(char *box, const struct self *self)
{
	struct box_violation *violation = record(box, BOX_TABLE_VIOLATION, 0);
	struct box_site *site = record(box, BOX_TABLE_SITE, 0);
	struct box_process *process = record(box, BOX_TABLE_PROCESS, 0);
	struct box_module *module = record(box, BOX_TABLE_MODULE, 1);

	((struct box_header *)box)->table[BOX_TABLE_MODULE].used = 2;
	module->ready = 1;
	strcpy(module->path, "/no/<img src=x onerror='alert(2)'>\";\n.so");
	memcpy(process->comm, "<script>x;\"\n\\</", sizeof(process->comm));
	memcpy(violation->holder_name, "</pre><script>\n\"", sizeof(violation->holder_name));
	violation->stack[0] = frame(self, (uint64_t)(uintptr_t)markup_function);
	violation->stack[1] = (struct box_frame){ .addr = 1, .offset = 0x10, .module = 2 };
	site->frames = 2;
	site->frame[1] = violation->stack[0];
	site->frame[0] = violation->stack[1];
}

static size_t layout(struct box_header *header)
{
	static const uint32_t strides[] = {
		sizeof(struct box_process),   sizeof(struct box_module), sizeof(struct box_site),
		sizeof(struct box_violation), sizeof(struct box_event),	 sizeof(struct box_gate),
	};
	size_t at = BOX_HEADER_SIZE;
	int i;

	for (i = 0; i < BOX_TABLE_COUNT; i++) {
		header->table[i].offset = at;
		header->table[i].stride = strides[i];
		header->table[i].capacity = i == BOX_TABLE_EVENT && events > 3 ? events :
					    i == BOX_TABLE_SITE		       ? BOX_REASON_COUNT :
										 3;
		at += (size_t)header->table[i].capacity * strides[i];
	}
	return at;
}

static void make(const char *kind, const char *path)
{
	char *box = calloc(1, (1 << 20) + events * sizeof(struct box_event));
	struct box_header *header = (struct box_header *)box;
	struct box_process *process;
	struct self self = { 0 };
	FILE *file;
	int i;

	dl_iterate_phdr(find_self, &self);
	header->magic = SPORK_BOX_MAGIC;
	header->version = SPORK_BOX_VERSION + !strcmp(kind, "newer");
	header->header_size = BOX_HEADER_SIZE;
	header->size = layout(header);
	header->created_mono_ns = 1000;
	header->creator_pid = 4600;
	if (strcmp(kind, "empty") && strcmp(kind, "newer")) {
		for (i = 0; i < BOX_TABLE_EVENT; i++)
			header->table[i].used = 2;
		header->table[BOX_TABLE_MODULE].used = 1;
		module_fill(record(box, BOX_TABLE_MODULE, 0), &self);
		process = record(box, BOX_TABLE_PROCESS, 0);
		*process = (struct box_process){ 1, 4711, 4700, 1, 3000, "child", 0, { 0 } };
		process = record(box, BOX_TABLE_PROCESS, 1);
		*process = (struct box_process){ 1, 4700, 1, 1, 2000, "parent", 0, { 0 } };
		site_fill(record(box, BOX_TABLE_SITE, 0), &self, BOX_SITE_REFUSED, BOX_REASON_HEAP);
		site_fill(record(box, BOX_TABLE_SITE, 1), &self, BOX_SITE_PROMOTED,
			  BOX_REASON_NONE);
		violation_fill(record(box, BOX_TABLE_VIOLATION, 0), &self,
			       BOX_VIOLATION_ORPHANED_LOCK);
		violation_fill(record(box, BOX_TABLE_VIOLATION, 1), &self,
			       BOX_VIOLATION_ORPHAN_DEADLOCK);
		((struct box_violation *)record(box, BOX_TABLE_VIOLATION, 0))->pid = 4700;
		header->violations[BOX_VIOLATION_ORPHANED_LOCK] = 2;
		header->violations[BOX_VIOLATION_ORPHAN_DEADLOCK] = 2;
		header->spawns[BOX_CALL_FORK][BOX_TIER_FORK] = 14;
		header->spawns[BOX_CALL_FORK][BOX_TIER_VFORK] = 93;
		header->spawn_ns[BOX_CALL_FORK] = 107000000;
		header->upgrades = 2;
		header->audits = 3;
		header->audit_ns = 1500000;
	}
	if (events)
		events_fill(box, &self);
	if (!strcmp(kind, "reasons"))
		for (i = 0; i < BOX_REASON_COUNT; i++) {
			site_fill(record(box, BOX_TABLE_SITE, (uint32_t)i), &self, BOX_SITE_REFUSED,
				  (uint32_t)i);
			header->table[BOX_TABLE_SITE].used = BOX_REASON_COUNT;
		}
	if (!strcmp(kind, "twins"))
		twins_fill(box, &self);
	if (!strcmp(kind, "scattered"))
		events_scatter(box);
	if (!strcmp(kind, "hostile"))
		hostile_fill(box, &self);
	if (!strcmp(kind, "full")) {
		header->table[BOX_TABLE_VIOLATION].used = 5; /* capacity 3: two dropped */
		header->table[BOX_TABLE_EVENT].used = 9;     /* six dropped */
	}
	file = fopen(path, "w");
	if (!file || fwrite(box, header->size, 1, file) != 1 || fclose(file))
		die(path);
	free(box);
}

static char *read_all(const char *path, size_t *size)
{
	char *bytes = malloc(1 << 24);
	FILE *file = fopen(path, "r");

	if (!file || !bytes)
		die(path);
	*size = fread(bytes, 1, 1 << 24, file);
	fclose(file);
	return bytes;
}

/* A reader may succeed, or refuse with 125; anything else is a crash. */
static int try(const char *scratch, const char *bytes, size_t size, char **command)
{
	FILE *file = fopen(scratch, "w");
	int status;
	pid_t pid;

	if (!file || (size && fwrite(bytes, size, 1, file) != 1) || fclose(file))
		die(scratch);
	if (posix_spawnp(&pid, command[0], NULL, NULL, command, environ))
		die(command[0]);
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && (!WEXITSTATUS(status) || WEXITSTATUS(status) == 125);
}

/* COMMAND with the scratch file as its last argument. */
static char **command_with(char **words, char *scratch)
{
	static char *command[32];
	int i;

	for (i = 0; words[i] && i < 30; i++)
		command[i] = words[i];
	command[i] = scratch;
	return command;
}

static int cut(const char *box, char *scratch, char **words)
{
	size_t size, at;
	char *bytes = read_all(box, &size);

	for (at = 0; at <= size; at += 64) {
		if (!try(scratch, bytes, at, command_with(words, scratch))) {
			fprintf(stderr, "make_box: crashed on %zu bytes of %zu\n", at, size);
			return 1;
		}
	}
	return 0;
}

static int flip(long count, const char *box, char *scratch, char **words)
{
	size_t size, at;
	char *bytes = read_all(box, &size), *copy = malloc(size);
	long round;
	int flips;

	for (round = 0; round < count; round++) {
		srandom((unsigned)round);
		memcpy(copy, bytes, size);
		for (flips = 1 + (int)(random() % 64); flips; flips--) {
			/* Half of them into the header's fields, past the magic. */
			at = 8 + (size_t)random() %
					 (random() % 2 ? sizeof(struct box_header) - 8 : size - 8);
			copy[at] = (char)(copy[at] ^ (random() % 4 ? 1 << random() % 8 : 0xff));
		}
		((struct box_header *)copy)->version = SPORK_BOX_VERSION;
		((struct box_header *)copy)->header_size = BOX_HEADER_SIZE;
		if (!try(scratch, copy, size, command_with(words, scratch))) {
			fprintf(stderr, "make_box: crashed on round %ld\n", round);
			return 1;
		}
	}
	return 0;
}

static int violate(long seconds)
{
	const char *options = getenv("SPORK_OPTIONS"),
		   *path = options ? strstr(options, "box=") : NULL;
	struct box_header *header;
	struct self self = { 0 };
	uint32_t slot, module;
	size_t size;
	char *box;
	int fd;

	if (!path || (fd = open(path + 4, O_RDWR | O_CLOEXEC)) < 0)
		die("box");
	size = (size_t)lseek(fd, 0, SEEK_END);
	box = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (box == MAP_FAILED)
		die("mmap");
	close(fd);
	header = (struct box_header *)box;
	dl_iterate_phdr(find_self, &self);
	module = __atomic_fetch_add(&header->table[BOX_TABLE_MODULE].used, 1, __ATOMIC_SEQ_CST);
	module_fill(record(box, BOX_TABLE_MODULE, module), &self);
	module_index = module + 1;
	slot = __atomic_fetch_add(&header->table[BOX_TABLE_VIOLATION].used, 1, __ATOMIC_SEQ_CST);
	violation_fill(record(box, BOX_TABLE_VIOLATION, slot), &self,
		       BOX_VIOLATION_ORPHAN_DEADLOCK);
	__atomic_fetch_add(&header->violations[BOX_VIOLATION_ORPHAN_DEADLOCK], 1, __ATOMIC_SEQ_CST);
	__atomic_fetch_add(&header->doorbell, 1, __ATOMIC_SEQ_CST);
	syscall(SYS_futex, &header->doorbell, FUTEX_WAKE, 1, NULL, NULL, 0);
	sleep((unsigned)seconds);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "violate"))
		return violate(atol(argv[2]));
	if (argc == 4 && (!strcmp(argv[1], "events") || !strcmp(argv[1], "hostile") ||
			  !strcmp(argv[1], "scattered"))) {
		events = (uint32_t)atol(argv[2]);
		make(argv[1], argv[3]);
		return 0;
	}
	if (argc == 3) {
		make(argv[1], argv[2]);
		return 0;
	}
	if (argc > 4 && !strcmp(argv[1], "cut"))
		return cut(argv[2], argv[3], argv + 4);
	if (argc > 5 && !strcmp(argv[1], "flip"))
		return flip(atol(argv[2]), argv[3], argv[4], argv + 5);
	fprintf(stderr, "usage: make_box good|empty|newer|full FILE, or see the source\n");
	return 1;
}
