/* SPDX-License-Identifier: MIT */
/*
 * hang_hostile WAY: a process that shows to `spork inspect` what no shim would: a library of that name with data that
 * look like the shim's. Prints its pid and sleeps.
 *
 * loop     the list of threads is a ring, each with as many locks as can be said
 * wild     all addresses lead nowhere
 * sizes    sizes and offsets are the largest that there are
 * version  another version
 */
#include <stdint.h>
#include <sys/mman.h>

#include "../../shim/exposed.h"
#include "victim.h"

struct record {
	uint32_t used, tid;
	uint64_t held;
	uint32_t held_count, ended;
	char name[16];
	uint64_t next;
};

static struct record records[64];
static struct held entries[32768];
static uint64_t first, orphans;
static uint32_t generation = 1, count = UINT32_MAX;
static uint32_t locked = 2;

static void fill(struct exposed *exposed)
{
	unsigned i;

	for (i = 0; i < sizeof(entries) / sizeof(*entries); i++)
		entries[i] = (struct held){
			.lock = &locked, .kind = (uint8_t)i, .flags = HELD_TAKEN, .where = i
		};
	for (i = 0; i < 64; i++)
		records[i] = (struct record){
			.used = 1,
			.tid = i % 2 ? (uint32_t)getpid() : i,
			.held = (uintptr_t)entries,
			.held_count = 32768,
			.ended = i % 3,
			.name = "\033[31m\033[31m\033[3",
			.next = (uintptr_t)&records[(i + 1) % 64],
		};
	first = (uintptr_t)records;
	orphans = (uintptr_t)records;
	*exposed = (struct exposed){
		.magic = SPORK_EXPOSED_MAGIC,
		.version = SPORK_EXPOSED_VERSION,
		.size = sizeof(*exposed),
		.threads = (uintptr_t)&first,
		.generation = (uintptr_t)&generation,
		.orphans = (uintptr_t)&orphans,
		.orphan_count = (uintptr_t)&count,
		.orphan_pending = (uintptr_t)&generation,
		.origins = (uintptr_t)&first,
		.origin_slots = 65536,
		.functions = (uintptr_t)&locked,
		.function_size = 1,
		.thread = { sizeof(struct record), 0, 4, 8, 16, 20, 24, 40 },
		.orphan = { sizeof(struct held), 0, 4, 5 },
	};
}

int main(int argc, char **argv)
{
	const char *way = string_argument(argc, argv, 1, "loop");
	FILE *file = fopen("libspork.so", "w+");
	struct exposed *exposed;

	alarm(60);
	if (!file || ftruncate(fileno(file), 4096))
		return 2;
	exposed = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fileno(file), 0);
	if (exposed == MAP_FAILED)
		return 2;
	fill(exposed);
	if (!strcmp(way, "wild")) {
		exposed->threads = 8;
		exposed->generation = ~0ULL;
		exposed->orphans = ~7ULL;
		first = 1;
		exposed->origins = (uintptr_t)&exposed->threads;
		exposed->functions = ~0ULL;
	} else if (!strcmp(way, "sizes")) {
		memset(&exposed->thread, 0xff, sizeof(exposed->thread));
		memset(&exposed->orphan, 0xff, sizeof(exposed->orphan));
		exposed->origin_slots = ~0ULL;
		exposed->function_size = 0;
	} else if (!strcmp(way, "version")) {
		exposed->version++;
	}
	printf("%d\n", (int)getpid());
	fflush(stdout);
	sleep(60);
	return 0;
}
