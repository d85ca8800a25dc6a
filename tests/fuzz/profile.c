// SPDX-License-Identifier: MIT
/*
 * Fuzz target: a profile, read by the shim's own profile.c, image.c, box_map.c and record.c, and written again. The rest of the
 * shim, whose hooks this program could not do with, is a few stand-ins below. `spork sites` reads it too.
 *
 * The fuzzer cannot guess a checksum, nor that tables lie one behind the other: each input is tried as it is, and once
 * more with these put right.
 */
#include "fuzz.h"
#include "shim/image.c" /* for its checksum(), build() and tables_of() */
#include "shim/profile.h"
#include "shim/report.h"
#include "shim/seccomp.h"
#include "shim/thread.h"

#include <sys/mman.h>

enum { MODULES_MOST = 6, SITES_MOST = 6 };

struct config config;
void *real_table[HOOK_COUNT];
__thread struct thread_words thread_words;
struct window {
	int unused;
} window_watch;

static char path[64];
static bool refused; /* the shim said something */

void *real_find(enum hook hook)
{
	(void)hook;
	return (void *)fuzz_file;
}

uint64_t sys_clock(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

bool module_find(uintptr_t address, struct module *module)
{
	module->key = address ? 1 : 2;
	return true;
}

uint32_t module_program(void)
{
	return 0;
}

void report_problem(const char *what, const char *where, const char *problem,
		    const char *consequence)
{
	if (!what || !where || !problem || !consequence)
		abort();
	refused = true;
}

void config_drop(const char *key)
{
	(void)key;
}

bool seccomp_confined(void)
{
	return false;
}

bool seccomp_forbids_extras(void)
{
	return false;
}

void site_take_refusal(struct box_site *known, const struct box_site *told)
{
	known->reason = told->reason;
}

static void file_write(const void *bytes, size_t size)
{
	long fd = SYS(openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || SYS(write, fd, bytes, size) != (long)size)
		abort();
	SYS(close, fd);
}

/* What every window takes for granted of a site that came from a profile. */
static void site_check(const struct box_site *site, uint32_t modules)
{
	uint32_t i;

	if (!site_valid(site, modules))
		abort();
	for (i = 0; i < site->frames; i++)
		if (!record_at(BOX_TABLE_MODULE, site->frame[i].module))
			abort();
	for (i = 0; i < site->writes; i++)
		if (site->write[i].module && !record_at(BOX_TABLE_MODULE, site->write[i].module))
			abort();
}

/* What was learned goes into a file that is read again as the same. */
static void pack_check(void)
{
	struct image image = { 0 };

	if (!image_pack(&image) || !image_valid(&image) || !image_is_ours(&image) ||
	    !image_unpack(&image))
		abort();
	image_close(&image);
}

static void table_empty(enum spork_table table)
{
	uint32_t used = record_used(table);

	if (used)
		memset(record_at(table, 1), 0, (size_t)used * box_tables[table].stride);
	record_header()->table[table].used = 0;
}

static void profile_try(const void *bytes, size_t size)
{
	uint32_t sites, i;

	file_write(bytes, size);
	table_empty(BOX_TABLE_MODULE);
	table_empty(BOX_TABLE_SITE);
	record_header()->profile = 0;
	refused = false;
	profile_init();
	sites = record_used(BOX_TABLE_SITE);
	if (refused && sites)
		abort();
	for (i = 1; i <= sites; i++)
		site_check(record_at(BOX_TABLE_SITE, i), record_used(BOX_TABLE_MODULE));
	pack_check();
	record_header()->changes++;
	profile_save();
	fuzz_spork("sites -O /dev/null FILE");
	fuzz_spork("report -f html -O /dev/null FILE");
}

/* The input as a file whose frame is right, to be given back with munmap(). */
static struct box_header *repaired(const uint8_t *bytes, size_t size)
{
	struct box_header *header;
	struct counts counts;
	struct image image;
	uint64_t whole;

	header = (struct box_header *)bytes;
	counts.modules = header->table[BOX_TABLE_MODULE].capacity % (MODULES_MOST + 1);
	counts.sites = header->table[BOX_TABLE_SITE].capacity % (SITES_MOST + 1);
	whole = BOX_HEADER_SIZE + counts.modules * sizeof(struct box_module) +
		counts.sites * sizeof(struct box_site);
	if (!image_open(&image, whole))
		abort();
	memcpy(image.header, bytes, size < whole ? size : whole);
	layout(&image, counts);
	image.header->checksum = checksum(image.header);
	return image.header;
}

/* The profile, and the file beside it that replaces it, lie in a folder in memory. */
static void set_up(void)
{
	char folder[] = "/dev/shm/spork-fuzz-XXXXXX";

	if (!mkdtemp(folder))
		abort();
	strcpy(path, folder);
	strcat(path, "/profile");
	config.profile = path;
	config.box = "memory";
	config.reaudit = 1024;
	record_init();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct box_header *header;
	struct image image;

	if (!path[0])
		set_up();
	fuzz_file(bytes, size);
	profile_try(bytes, size);
	if (size < BOX_HEADER_SIZE)
		return 0;
	header = repaired(bytes, size);
	fuzz_file((const uint8_t *)header, header->size);
	profile_try(header, header->size);
	image = (struct image){ header, header->size };
	image_close(&image);
	return 0;
}
