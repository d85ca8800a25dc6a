// SPDX-License-Identifier: MIT
/*
 * Owns the file that `profile` names. Its format is the box's (box.h), with tables of modules and sites that
 * are just as long as they must be, a magic of its own and a checksum.
 *
 * A profile decides which memory of the process is put back, so it is trusted only if it belongs to the
 * same user and nobody else may write it. A site in it is found by build-ids alone. The file is replaced by
 * rename(), after what other processes have added to it meanwhile was read; whatever is not a profile is
 * left alone.
 */
#include "profile.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "config.h"
#include "module.h"
#include "real.h"
#include "record.h"
#include "report.h"
#include "sys.h"
#include "thread.h"
#include "undo.h"

#include "poison.h"

#define SAVE_INTERVAL_NS 5000000000ULL

enum { PROFILE_NEW, PROFILE_USED, PROFILE_LEFT_ALONE };

static char path[CONFIG_PATH_SIZE * 2];	 /* absolute; empty: none */
static char temporary[sizeof(path) + 8]; /* the file that takes its place; also the lock */
static int busy;
static long started; /* the process that this program was started as */

/* The bytes of a file, or room for them: memory that is given back. */
struct image {
	struct box_header *header;
	uint64_t size;
};

struct counts {
	uint32_t modules, sites;
};

static bool image_open(struct image *image, uint64_t size)
{
	long at = SYS(mmap, NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	image->header = at < 0 && at > -4096 ? NULL : (struct box_header *)at;
	image->size = size;
	return image->header != NULL;
}

static void image_close(struct image *image)
{
	if (image->header)
		SYS(munmap, image->header, image->size);
	image->header = NULL;
}

static struct box_module *image_module(const struct image *image, uint32_t index)
{
	uint64_t offset = image->header->table[BOX_TABLE_MODULE].offset;

	return (struct box_module *)((char *)image->header + offset) + index;
}

static struct box_site *image_site(const struct image *image, uint32_t index)
{
	uint64_t offset = image->header->table[BOX_TABLE_SITE].offset;

	return (struct box_site *)((char *)image->header + offset) + index;
}

/* Of a whole file but for the checksum itself. */
static uint64_t checksum(const struct box_header *header)
{
	const uint64_t *word = (const uint64_t *)header;
	uint64_t hash = 1, i;

	for (i = 0; i < header->size / 8; i++)
		if (&word[i] != &header->checksum)
			hash = hash_mix(hash, word[i]);
	return hash;
}

/* Of the shim and of libc: what children write before exec is theirs as much as the program's. */
static uint64_t build(void)
{
	struct module shim = { 0 }, libc = { 0 };

	module_find((uintptr_t)build, &shim);
	module_find((uintptr_t)real_get(HOOK_fork), &libc);
	return hash_mix(shim.key, libc.key);
}

static void layout(struct image *image, struct counts counts)
{
	struct box_header *header = image->header;
	uint64_t offset = BOX_HEADER_SIZE;
	int i;

	header->magic = SPORK_PROFILE_MAGIC;
	header->version = SPORK_BOX_VERSION;
	header->header_size = BOX_HEADER_SIZE;
	header->build = build();
	for (i = 0; i < BOX_TABLE_COUNT; i++) {
		struct box_table *table = &header->table[i];

		table->stride = record_stride((enum spork_table)i);
		table->capacity = i == BOX_TABLE_MODULE ? counts.modules :
				  i == BOX_TABLE_SITE	? counts.sites :
							  0;
		table->used = table->capacity;
		table->offset = offset;
		offset += (uint64_t)table->stride * table->capacity;
	}
	header->size = offset;
}

static bool layout_valid(const struct image *image)
{
	const struct box_header *header = image->header;
	uint64_t offset = BOX_HEADER_SIZE;
	int i;

	if (image->size < BOX_HEADER_SIZE || image->size % 8 ||
	    header->magic != SPORK_PROFILE_MAGIC || header->version != SPORK_BOX_VERSION ||
	    header->size != image->size || header->checksum != checksum(header))
		return false;
	for (i = 0; i < BOX_TABLE_COUNT; i++) {
		const struct box_table *table = &header->table[i];

		if (table->stride != record_stride((enum spork_table)i) ||
		    table->offset != offset || table->used != table->capacity)
			return false;
		offset += (uint64_t)table->stride * table->capacity;
	}
	return offset == image->size && !header->table[BOX_TABLE_PROCESS].used &&
	       !header->table[BOX_TABLE_VIOLATION].used && !header->table[BOX_TABLE_EVENT].used;
}

static bool site_valid(const struct box_site *site, uint32_t modules)
{
	uint32_t i;

	if (site->call != BOX_CALL_FORK || site->state >= BOX_SITE_STATE_COUNT ||
	    site->reason >= BOX_REASON_COUNT || !site->frames || site->frames > BOX_SITE_FRAMES ||
	    site->writes > BOX_SITE_WRITES || site->stack_writes > BOX_SITE_STACK ||
	    site->returned > UNDO_STACK)
		return false;
	for (i = 0; i < site->frames; i++)
		if (!site->frame[i].module || site->frame[i].module > modules)
			return false;
	for (i = 0; i < site->writes; i++)
		if (site->write[i].module > modules || site->write[i].size > BOX_SITE_WRITTEN)
			return false;
	for (i = 0; i < site->stack_writes; i++)
		if (site->stack_write[i].offset > UNDO_STACK ||
		    site->stack_write[i].size > UNDO_STACK - site->stack_write[i].offset)
			return false;
	return true;
}

/* Was a file of the same path loaded that is another build? Then nothing of this one will come back. */
static bool replaced(const struct box_module *module)
{
	uint32_t i, count = record_used(BOX_TABLE_MODULE);

	for (i = 1; i <= count; i++) {
		const struct box_module *loaded = record_at(BOX_TABLE_MODULE, i);

		if (loaded->ready && loaded->key != module->key &&
		    !strcmp(loaded->path, module->path))
			return true;
	}
	return false;
}

/* What a site is without the run that it was learned in. */
static void site_reset(struct box_site *site)
{
	uint32_t i;

	for (i = 0; i < BOX_SITE_FRAMES; i++)
		site->frame[i].addr = 0;
	memset(site->by_tier, 0, sizeof(site->by_tier));
	memset(site->latency, 0, sizeof(site->latency));
	site->spawns = site->upgrades = site->audits = site->fallbacks = site->audit_since = 0;
	site->fallback_reason = site->audit_pid = site->strikes = site->phase = 0;
}

/* Adds a site to the box, with the module numbers of the box. */
static void site_add(const struct image *image, const struct box_site *stored)
{
	struct box_site site = *stored;
	uint32_t i;

	for (i = 0; i < site.frames + site.writes; i++) {
		uint32_t *module = i < site.frames ? &site.frame[i].module :
						     &site.write[i - site.frames].module;
		const struct box_module *from = image_module(image, *module - 1);

		if (!*module)
			continue;
		*module = replaced(from) ? 0 : record_module(from);
		if (!*module)
			return;
	}
	site_reset(&site);
	/* Runs that are too short to come to a re-audit have one now and then all the same. */
	if (config.reaudit)
		site.phase = (uint32_t)(hash_mix(sys_now(), site.key) % config.reaudit);
	record_site(&site);
}

/* Puts the sites of a valid image into the box; false: one of them makes no sense. */
static bool sites_add(const struct image *image)
{
	uint32_t modules = image->header->table[BOX_TABLE_MODULE].used;
	uint32_t sites = image->header->table[BOX_TABLE_SITE].used, i;

	for (i = 0; i < modules; i++) {
		const struct box_module *module = image_module(image, i);

		if (!module->key || !module->build_id_size ||
		    module->build_id_size > sizeof(module->build_id) ||
		    module->path[sizeof(module->path) - 1])
			return false;
	}
	for (i = 0; i < sites; i++)
		if (!site_valid(image_site(image, i), modules))
			return false;
	for (i = 0; i < sites; i++)
		site_add(image, image_site(image, i));
	return true;
}

static const char *read_all(long fd, struct image *image)
{
	struct stat status;
	uint64_t done = 0;
	long got;

	if (fstat((int)fd, &status) || !S_ISREG(status.st_mode))
		return "is not a regular file";
	if (status.st_uid != (uid_t)SYS(geteuid))
		return "belongs to another user";
	if (status.st_mode & (S_IWGRP | S_IWOTH))
		return "can be written by others";
	if (status.st_size < BOX_HEADER_SIZE || (uint64_t)status.st_size > record_header()->size)
		return "is not a profile of this version of spork";
	if (!image_open(image, (uint64_t)status.st_size))
		return "is larger than memory allows";
	while (done < image->size) {
		got = SYS(read, fd, (char *)image->header + done, image->size - done);
		if (got <= 0)
			return "cannot be read";
		done += (uint64_t)got;
	}
	return layout_valid(image) ? NULL : "is not a profile of this version of spork";
}

/* Takes the file in. NULL, or why it must be left alone. A file that does not exist is an empty one. */
static const char *load(bool *foreign)
{
	long fd = SYS(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
	struct image image = { 0 };
	const char *problem;

	*foreign = false;
	if (fd < 0)
		return fd == -ENOENT ? NULL : "cannot be opened";
	problem = read_all(fd, &image);
	SYS(close, fd);
	if (!problem) {
		*foreign = image.header->build != build();
		if (!*foreign && !sites_add(&image))
			problem = "is damaged";
	}
	image_close(&image);
	return problem;
}

static bool has_build_ids(const struct box_site *site)
{
	uint32_t i;

	for (i = 0; i < site->frames + site->writes; i++) {
		uint32_t index = i < site->frames ? site->frame[i].module :
						    site->write[i - site->frames].module;
		const struct box_module *module = record_at(BOX_TABLE_MODULE, index);

		if (i >= site->frames && !index) /* thread-local storage */
			continue;
		if (!module || !module->ready || !module->build_id_size)
			return false;
	}
	return site->frames > 0;
}

/* Is it worth keeping? What depends on the circumstances of one run is not. */
static bool is_kept(const struct box_site *site)
{
	if (!site->ready || site->call != BOX_CALL_FORK || !has_build_ids(site))
		return false;
	switch (site->state) {
	case BOX_SITE_LEARNING:
		return site->clean > 0;
	case BOX_SITE_REFUSED:
		return site->reason != BOX_REASON_NO_PROC && site->reason != BOX_REASON_NO_TWIN &&
		       site->reason != BOX_REASON_NO_MEMORY;
	default:
		return true;
	}
}

/* The image's number of a module of the box, plus one, adding it if need be; 0: no room. */
static uint32_t module_add(struct image *image, struct counts *counts, uint32_t index)
{
	const struct box_module *module = record_at(BOX_TABLE_MODULE, index);
	uint32_t i;

	for (i = 0; i < counts->modules; i++)
		if (image_module(image, i)->key == module->key &&
		    !strcmp(image_module(image, i)->path, module->path))
			return i + 1;
	if (counts->modules == image->header->table[BOX_TABLE_MODULE].capacity)
		return 0;
	*image_module(image, counts->modules) = *module;
	return ++counts->modules;
}

/* Gives a site of the image the image's numbers of modules; false: other processes have added too many. */
static bool site_renumber(struct image *image, struct counts *counts, struct box_site *site)
{
	uint32_t i;

	for (i = 0; i < site->frames + site->writes; i++) {
		uint32_t *module = i < site->frames ? &site->frame[i].module :
						      &site->write[i - site->frames].module;

		if (!*module)
			continue;
		*module = module_add(image, counts, *module);
		if (!*module)
			return false;
	}
	return true;
}

/* An image of the sites that are worth keeping. */
static bool image_fill(struct image *image)
{
	struct counts room = { record_used(BOX_TABLE_MODULE), record_used(BOX_TABLE_SITE) };
	struct counts counts = { 0, 0 };
	struct box_site *first;
	uint32_t i;

	if (!image_open(image, BOX_HEADER_SIZE + room.modules * sizeof(struct box_module) +
				       room.sites * sizeof(struct box_site)))
		return false;
	layout(image, room);
	first = image_site(image, 0);
	for (i = 1; i <= room.sites; i++) {
		const struct box_site *site = record_at(BOX_TABLE_SITE, i);

		if (!is_kept(site))
			continue;
		first[counts.sites] = *site;
		site_reset(&first[counts.sites]);
		if (site_renumber(image, &counts, &first[counts.sites]))
			counts.sites++;
	}
	layout(image, counts);
	memmove(image_site(image, 0), first, counts.sites * sizeof(*first));
	image->header->checksum = checksum(image->header);
	return true;
}

/* Whoever has made the new file may save; one that is this old was left by somebody who was killed. */
#define LOCK_STALE_SECONDS 10
#define LOCK_TRIES 50
#define LOCK_WAIT_NS 1000000

static bool lock_stale(void)
{
	struct stat status;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return !fstatat(AT_FDCWD, temporary, &status, AT_SYMLINK_NOFOLLOW) &&
	       now.tv_sec - status.st_mtime > LOCK_STALE_SECONDS;
}

/* A descriptor of the new file, or -errno. */
static long lock_take(bool wait)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
	struct timespec pause = { 0, LOCK_WAIT_NS };
	long fd = -EEXIST;
	int i;

	for (i = 0; i < (wait ? LOCK_TRIES : 1) && fd == -EEXIST; i++) {
		if (i)
			SYS(nanosleep, &pause, NULL);
		fd = SYS(openat, AT_FDCWD, temporary, flags, 0600);
		if (fd == -EEXIST && lock_stale())
			SYS(unlinkat, AT_FDCWD, temporary, 0);
	}
	return fd;
}

/* Writes the new file and puts it in the old one's place. */
static const char *store(long fd, const struct image *image)
{
	const char *bytes = (const char *)image->header;
	uint64_t size = image->header->size, done = 0;
	struct rlimit limit;
	long put = 1;

	/* A write past RLIMIT_FSIZE raises SIGXFSZ. */
	if (getrlimit(RLIMIT_FSIZE, &limit) || limit.rlim_cur < size)
		return "would be larger than the limit of file sizes";
	while (done < size && put > 0) {
		put = SYS(write, fd, bytes + done, size - done);
		done += put > 0 ? (uint64_t)put : 0;
	}
	if (done < size || SYS(renameat2, AT_FDCWD, temporary, AT_FDCWD, path, 0))
		return "cannot be written";
	return NULL;
}

static void leave_alone(const char *problem)
{
	record_header()->profile = PROFILE_LEFT_ALONE;
	report_problem("profile", path, problem, "it is left as it is");
}

static const char *save(long fd)
{
	struct image image = { 0 };
	const char *problem;
	bool foreign;

	problem = load(&foreign);
	if (!problem && image_fill(&image))
		problem = store(fd, &image);
	image_close(&image);
	return problem;
}

/*
 * `wait`: for others who save, for a short while. A process that cannot make a file there has changed its
 * root or its user: it leaves saving to those that have not.
 */
static void save_if_changed(bool wait)
{
	struct box_header *header = record_header();
	uint64_t changes = __atomic_load_n(&header->changes, __ATOMIC_ACQUIRE);
	int error = errno;
	const char *problem;
	long fd;

	if (!path[0] || thread_words.window || header->profile != PROFILE_USED ||
	    changes == header->saved || __atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE))
		return;
	header->saved_ns = sys_now();
	fd = lock_take(wait);
	if (fd >= 0) {
		problem = save(fd);
		SYS(close, fd);
		if (problem) {
			SYS(unlinkat, AT_FDCWD, temporary, 0);
			leave_alone(problem);
		}
		__atomic_store_n(&header->saved, changes, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
	errno = error;
}

void profile_save(void)
{
	save_if_changed(true);
}

void profile_save_leaving(void)
{
	if (path[0] && record_header()->changes != record_header()->saved && sys_pid() == started)
		profile_save();
}

void profile_save_soon(void)
{
	const struct box_header *header = record_header();

	if (path[0] && header->changes != header->saved &&
	    sys_now() - header->saved_ns > SAVE_INTERVAL_NS)
		save_if_changed(false);
}

/* May a file be made beside it? */
static bool folder_serves(void)
{
	char *end = strrchr(path, '/');
	long failed;

	*end = 0;
	failed = SYS(faccessat, AT_FDCWD, path[0] ? path : "/", W_OK | X_OK);
	*end = '/';
	return !failed;
}

/* The file's name must hold when the program goes elsewhere. */
static bool path_find(void)
{
	size_t size = 0;
	long got;

	if (!strcmp(config.profile, "none"))
		return false;
	if (config.profile[0] != '/') {
		got = SYS(getcwd, path, sizeof(path) - CONFIG_PATH_SIZE);
		if (got <= 0 || path[0] != '/') {
			path[0] = 0;
			return false;
		}
		size = (size_t)got - 1;
		path[size++] = '/';
	}
	strcpy(path + size, config.profile);
	strcpy(temporary, path);
	strcat(temporary, ".tmp");
	return true;
}

void profile_init(void)
{
	uint32_t fresh = PROFILE_NEW;
	const char *problem;
	bool foreign;

	started = sys_pid();
	/* One process of a session reads it, for all. */
	if (!path_find() ||
	    !__atomic_compare_exchange_n(&record_header()->profile, &fresh, PROFILE_USED, false,
					 __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return;
	problem = load(&foreign);
	if (problem)
		leave_alone(problem);
	else if (foreign)
		report_problem("profile", path, "was learned with another build of spork or libc",
			       "learning anew");
	else if (!folder_serves())
		report_problem("profile", path, "its folder does not exist or cannot be written",
			       "what is learned is not kept");
	else
		return;
	/* A tree of programs says it once. */
	config_drop("profile");
}
