// SPDX-License-Identifier: MIT
/*
 * See audit_compare.h. A page that only the child maps and not its twin (/proc/PID/pagemap) is one that it wrote, whatever
 * the parent's threads do; those pages are compared with the twin's through process_vm_readv, which a process may always
 * do to its descendant.
 */
#include "audit_compare.h"

#include <sys/uio.h>

#include "memory.h"
#include "module.h"
#include "proc.h"
#include "thread.h"

#include "poison.h"

/* Of every page the kernel is asked, there or not: holes of terabytes (a sanitizer's shadow) would take minutes. */
#define MAPPED_MAX ((uint64_t)1 << 40)

/* How far below the caller's frame a child's own frames may lie. */
#define FRAMES_BELOW ((uintptr_t)256 << 10)

/* Differing bytes closer than this are one write. */
#define WRITE_GAP (WRITE_UNIT - 1)

static void find(struct audit *audit, enum spork_reason reason, uintptr_t where)
{
	if (!audit->finding) {
		audit->finding = reason;
		audit->found_at = where;
	}
}

/* What the site is known for needs no entry: a few bytes here and there of a large range would take many. */
static void write_add(struct audit *audit, uint32_t module, uint64_t offset, uint64_t end)
{
	struct site_writes *writes = &audit->writes;
	struct box_write *last = writes->count ? &writes->write[writes->count - 1] : NULL;
	/* A gap in static data, which comes back by pages, is no matter. */
	uint64_t gap = module ? 7 : WRITE_GAP;
	struct box_write write;

	write = (struct box_write){ .module = module,
				    .offset = offset,
				    .size = (uint32_t)(end - offset) };
	if (site_knows(audit->window->site, &write))
		return;
	/* relative to the thread pointer, `end` may be zero */
	if (end != offset && last && last->module == module && last->size &&
	    offset - last->offset - last->size <= gap) {
		last->size = (uint32_t)(end - last->offset);
		return;
	}
	if (writes->count == BOX_SITE_WRITES) {
		find(audit, BOX_REASON_WRITES_MANY, 0);
		return;
	}
	writes->write[writes->count++] = write;
}

/*
 * ld.so counts the symbols that lazy binding looks up (GL(dl_num_relocations), elf/dl-lookup.c): nothing
 * reads it, so it needs no undo.
 */
static bool counts_relocations(const struct audit *audit, const struct module *module,
			       uintptr_t start, uintptr_t end)
{
	uintptr_t word = start & ~(uintptr_t)7;
	uint64_t ours, theirs;

	if (!module->loader || end > word + 8)
		return false;
	memcpy(&ours, (void *)word, sizeof(ours));
	memcpy(&theirs, audit->theirs + (word & (audit->page - 1)), sizeof(theirs));
	return ours > theirs && ours - theirs < 10000;
}

static void stack_add(struct audit *audit, uintptr_t start, uintptr_t end)
{
	struct site_writes *writes = &audit->writes;
	uint32_t offset, size;

	/* Frames that have returned are put back whole, and what lies below is nobody's. */
	if (start < audit->returned)
		start = audit->returned;
	/* The child may call from further down than fork() was called from: by alloca, or pushed arguments. */
	if (start < audit->stack)
		start = audit->stack;
	if (start >= end)
		return;
	/* Beyond the frames of the site's key nothing tells whether the next caller's lie the same way. */
	if (end - audit->stack > UNDO_STACK ||
	    (audit->others && end - audit->stack > audit->window->extent)) {
		find(audit, BOX_REASON_WRITES_STACK, start);
		return;
	}
	offset = (uint32_t)(WRITE_LOW(start) - audit->stack);
	size = (uint32_t)(WRITE_HIGH(end) - WRITE_LOW(start));
	if (site_knows_stack(audit->window->site, offset, size))
		return;
	if (writes->stack_count == BOX_SITE_STACK) {
		/* With one thread the stack comes back whole; no window opens while there are more. */
		writes->shape = SITE_SHAPE_VARIES;
		if (audit->others)
			find(audit, BOX_REASON_WRITES_STACK, start);
		return;
	}
	writes->stack[writes->stack_count].offset = offset;
	writes->stack[writes->stack_count].size = size;
	writes->stack_count++;
}

/* The calling thread's stack, as far as the program's frames may reach. */
static bool on_stack(const struct audit *audit, uintptr_t address)
{
	uintptr_t low = audit->stack - FRAMES_BELOW;

	if (low < audit->self->stack_low || low > audit->stack)
		low = audit->self->stack_low;
	return address >= low && address < audit->self->stack_high;
}

static void classify(struct audit *audit, uintptr_t start, uintptr_t end)
{
	struct module module;

	if (on_stack(audit, start)) {
		stack_add(audit, start, end);
		return;
	}
	if (memory_owns(start) || thread_local_volatile(start, end))
		return;
	if (start >= (uintptr_t)&environ && end <= (uintptr_t)(&environ + 1)) {
		audit->writes.environment = true;
		return;
	}
	if (thread_local_owns(start, end))
		write_add(audit, 0, start - sys_thread_pointer(), end - sys_thread_pointer());
	else if (!module_find(start, &module))
		find(audit, BOX_REASON_WRITES_HEAP, start);
	else if (start >= module.got_low && end <= module.got_high)
		audit->writes.got = true;
	else if (!counts_relocations(audit, &module, start, end))
		write_add(audit, module.index, start - module.bias, end - module.bias);
}

/*
 * A page that the child wrote, `changed` or not. A store may change nothing while the site is learned (a
 * flag that is already clear) and something later: static data is put back by whole pages while the
 * process has one thread. There is no such remedy for the heap, nor with other threads alive.
 */
static void classify_page(struct audit *audit, uintptr_t page, bool changed)
{
	uintptr_t end = page + audit->page;
	struct module module;

	if (on_stack(audit, page) || on_stack(audit, end - 1) || memory_owns(page) ||
	    thread_local_touches(page, end))
		return;
	if (!module_find(page, &module)) {
		find(audit, BOX_REASON_WRITES_HEAP, page);
		return;
	}
	write_add(audit, module.index, page - module.bias, page - module.bias);
	audit->writes.silent |= !changed;
}

/* `written`: the child broke the page away from its twin's, so it was stored to. */
static void compare_page(struct audit *audit, uintptr_t page, bool written)
{
	struct iovec local = { audit->theirs, audit->page }, remote = { (void *)page, audit->page };
	const uint8_t *ours = (const uint8_t *)page;
	long got = SYS(process_vm_readv, audit->window->twin_pid, &local, 1, &remote, 1, 0);
	uintptr_t at, start = 0, last = 0;

	if (got != (long)audit->page) {
		/* A page the twin does not have was mapped meanwhile. */
		find(audit, got == -EFAULT ? BOX_REASON_MAPS : BOX_REASON_NO_TWIN, page);
		return;
	}
	for (at = 0; at < audit->page; at++) {
		if (ours[at] == audit->theirs[at])
			continue;
		if (start && page + at - last > WRITE_GAP) {
			classify(audit, start, last);
			start = 0;
		}
		if (!start)
			start = page + at;
		last = page + at + 1;
	}
	if (start)
		classify(audit, start, last);
	if (written)
		classify_page(audit, page, last != 0);
}

static void compare_map(struct audit *audit, const struct proc_map *map)
{
	uintptr_t at = map->start;

	while (at < map->end && !audit->finding) {
		uint64_t pages = (map->end - at) / audit->page, i;
		long got;

		if (pages > COUNT(audit->entry))
			pages = COUNT(audit->entry);
		got = SYS(pread64, audit->pagemap, audit->entry, pages * 8, at / audit->page * 8);
		if (got <= 0 || got % 8) {
			find(audit, BOX_REASON_NO_PROC, at);
			return;
		}
		pages = (uint64_t)got / 8;
		for (i = 0; i < pages; i++) {
			uint64_t entry = audit->entry[i];

			if (entry & PROC_PAGE_SWAPPED)
				compare_page(audit, at + i * audit->page, false);
			else if ((entry & PROC_PAGE_PRESENT) && (entry & PROC_PAGE_EXCLUSIVE) &&
				 !(entry & PROC_PAGE_FILE))
				compare_page(audit, at + i * audit->page, true);
		}
		at += pages * audit->page;
	}
}

/* Hash of all mappings but the stack, which grows by itself. */
static uint64_t hash_maps(uint32_t pid)
{
	struct proc_maps maps;
	struct proc_map map;
	uint64_t hash = 1;

	if (proc_maps_open(&maps, pid))
		return 0;
	while (proc_maps_next(&maps, &map))
		if (!map.stack)
			hash = hash_mix(hash_mix(hash, map.start), map.end * 8 + map.readable * 4U +
									   map.writable * 2U +
									   map.private);
	proc_maps_close(&maps);
	return hash;
}

static void compare_maps(struct audit *audit)
{
	uint64_t ours = hash_maps(0), theirs = hash_maps((uint32_t)audit->window->twin_pid);
	struct proc_maps maps;
	struct proc_map map;
	uint64_t size = 0;

	if (!ours || !theirs || proc_maps_open(&maps, 0)) {
		find(audit, BOX_REASON_NO_PROC, 0);
		return;
	}
	if (ours != theirs)
		find(audit, BOX_REASON_MAPS, 0);
	while (!audit->finding && proc_maps_next(&maps, &map)) {
		if (!map.private || !map.readable || !map.writable)
			continue;
		size += map.end - map.start;
		if (size > MAPPED_MAX)
			find(audit, BOX_REASON_LARGE, 0);
		else
			compare_map(audit, &map);
	}
	proc_maps_close(&maps);
}

void audit_compare(struct audit *audit)
{
	audit->pagemap = SYS(openat, AT_FDCWD, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC, 0);
	if (audit->pagemap < 0) {
		find(audit, BOX_REASON_NO_PROC, 0);
		return;
	}
	compare_maps(audit);
	SYS(close, audit->pagemap);
}
