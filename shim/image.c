// SPDX-License-Identifier: MIT
/*
 * The form of a profile is the box's (box.h), with tables of modules and sites that are just as long as they
 * must be, a magic of its own and a checksum. Modules have numbers of their own in it. What makes a site of
 * another process harmless here is checked in this file; where its writes lie, undo.c checks at each window.
 */
#include "image.h"

#include <sys/mman.h>

#include "box_map.h"
#include "config.h"
#include "module.h"
#include "real.h"
#include "record.h"
#include "site.h"
#include "sys.h"
#include "undo.h"

#include "poison.h"

struct counts {
	uint32_t modules, sites;
};

bool image_open(struct image *image, uint64_t size)
{
	long at = SYS(mmap, NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	image->header = at < 0 && at > -4096 ? NULL : (struct box_header *)at;
	image->size = size;
	return image->header != NULL;
}

void image_close(struct image *image)
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

/* Tables of that many records, one behind the other; where they end. */
static uint64_t tables_of(struct counts counts, struct box_table *table)
{
	uint64_t offset = BOX_HEADER_SIZE;
	int i;

	memset(table, 0, BOX_TABLE_COUNT * sizeof(*table));
	table[BOX_TABLE_MODULE].capacity = counts.modules;
	table[BOX_TABLE_SITE].capacity = counts.sites;
	for (i = 0; i < BOX_TABLE_COUNT; i++) {
		table[i].stride = box_tables[i].stride;
		table[i].used = table[i].capacity;
		table[i].offset = offset;
		offset += (uint64_t)table[i].stride * table[i].capacity;
	}
	return offset;
}

static void layout(struct image *image, struct counts counts)
{
	struct box_header *header = image->header;

	header->magic = SPORK_PROFILE_MAGIC;
	header->version = SPORK_BOX_VERSION;
	header->header_size = BOX_HEADER_SIZE;
	header->build = build();
	header->size = tables_of(counts, header->table);
}

bool image_valid(const struct image *image)
{
	const struct box_header *header = image->header;
	struct box_table table[BOX_TABLE_COUNT];
	struct counts counts;

	if (image->size < BOX_HEADER_SIZE || image->size % 8 ||
	    header->magic != SPORK_PROFILE_MAGIC || header->version != SPORK_BOX_VERSION ||
	    header->size != image->size || header->checksum != checksum(header))
		return false;
	counts.modules = header->table[BOX_TABLE_MODULE].capacity;
	counts.sites = header->table[BOX_TABLE_SITE].capacity;
	return tables_of(counts, table) == image->size &&
	       !memcmp(table, header->table, sizeof(table));
}

static bool site_valid(const struct box_site *site, uint32_t modules)
{
	uint32_t i;

	if (site->call != BOX_CALL_FORK || site->state >= BOX_SITE_STATE_COUNT ||
	    site->reason >= BOX_REASON_COUNT || !site->frames || site->frames > BOX_SITE_FRAMES ||
	    site->writes > BOX_SITE_WRITES || site->stack_writes > BOX_SITE_STACK ||
	    site->returned > UNDO_STACK || site->finding.module > modules ||
	    site->lean_reason >= BOX_REASON_COUNT)
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
	site->finding.addr = 0;
	site->version = 0;
	site->spawns = site->upgrades = site->audits = site->fallbacks = site->audit_since = 0;
	site->lean_pages = site->lean_fallback = site->lean_strikes = site->lean_late = 0;
	site->lean_again = 0;
	/* What had to do with the machine or the moment may not be so another time. */
	if (site->lean_reason == BOX_REASON_DEADLINE || site->lean_reason == BOX_REASON_FAULT)
		site->lean_reason = site->lean_seen = 0;
	site->fallback_reason = site->audit_pid = site->strikes = site->phase = 0;
}

/* The site's ith number of a module that it would be nothing without; NULL: there are no more. */
static uint32_t *site_module(struct box_site *site, uint32_t i)
{
	if (i < site->frames)
		return &site->frame[i].module;
	return i - site->frames < site->writes ? &site->write[i - site->frames].module : NULL;
}

/* What a run found that depends on its own circumstances: another one may fare better. */
static bool is_circumstance(const struct box_site *site)
{
	if (site->state != BOX_SITE_REFUSED && site->state != BOX_SITE_DEMOTED)
		return false;
	switch (site->reason) {
	case BOX_REASON_DEADLINE:
	case BOX_REASON_UNKNOWN_STACK:
	case BOX_REASON_TRACED:
	case BOX_REASON_LARGE:
	case BOX_REASON_VALGRIND:
	case BOX_REASON_NO_PROC:
	case BOX_REASON_NO_TWIN:
	case BOX_REASON_NO_MEMORY:
	case BOX_REASON_CLONE_FAILED:
	case BOX_REASON_EXEC_FAILED:
	case BOX_REASON_SECCOMP:
	case BOX_REASON_FAULT:
	case BOX_REASON_SUBREAPER:
	case BOX_REASON_ENVIRONMENT:
	case BOX_REASON_NO_TIMER:
		return true;
	default:
		return false;
	}
}

/* Adds a site to the box, with the module numbers of the box. */
static void site_add(const struct image *image, const struct box_site *stored)
{
	struct box_site site = *stored, *known;
	const struct box_module *from;
	uint32_t *module, i;

	if (is_circumstance(stored))
		return;
	for (i = 0; (module = site_module(&site, i)); i++) {
		if (!*module)
			continue;
		from = image_module(image, *module - 1);
		*module = replaced(from) ? 0 : record_module(from);
		if (!*module)
			return;
	}
	if (site.finding.module)
		site.finding.module = record_module(image_module(image, site.finding.module - 1));
	site_reset(&site);
	/* Runs that are too short to come to a re-audit have one now and then all the same. */
	if (config.reaudit)
		site.phase = (uint32_t)(hash_mix(sys_now(), site.key) % config.reaudit);
	known = record_site(&site);
	if (known)
		site_take_refusal(known, &site);
}

bool image_is_ours(const struct image *image)
{
	return image->header->build == build();
}

bool image_unpack(const struct image *image)
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

static bool has_build_id(uint32_t index)
{
	const struct box_module *module = record_at(BOX_TABLE_MODULE, index);

	return module && module->ready && module->build_id_size;
}

static bool has_build_ids(const struct box_site *site)
{
	uint32_t i;

	for (i = 0; i < site->frames; i++)
		if (!has_build_id(site->frame[i].module))
			return false;
	for (i = 0; i < site->writes; i++)
		if (site->write[i].module && !has_build_id(site->write[i].module))
			return false;
	return site->frames > 0;
}

/* Is it worth keeping? */
static bool is_kept(const struct box_site *site)
{
	if (!site->ready || !site_valid(site, BOX_CAPACITY_MODULE) || !has_build_ids(site))
		return false;
	return site->state == BOX_SITE_LEARNING ? site->clean > 0 : !is_circumstance(site);
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
	uint32_t *module, i;

	for (i = 0; (module = site_module(site, i)); i++) {
		if (!*module)
			continue;
		*module = module_add(image, counts, *module);
		if (!*module)
			return false;
	}
	if (site->finding.module)
		site->finding.module = has_build_id(site->finding.module) ?
					       module_add(image, counts, site->finding.module) :
					       0;
	return true;
}

bool image_pack(struct image *image)
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
		struct box_site *site = &first[counts.sites];

		/* A copy, which other processes do not change after it was looked at. */
		*site = *(const struct box_site *)record_at(BOX_TABLE_SITE, i);
		if (!is_kept(site))
			continue;
		site_reset(site);
		if (site_renumber(image, &counts, site))
			counts.sites++;
	}
	layout(image, counts);
	memmove(image_site(image, 0), first, counts.sites * sizeof(*first));
	image->header->checksum = checksum(image->header);
	return true;
}
