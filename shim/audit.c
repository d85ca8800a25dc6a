// SPDX-License-Identifier: MIT
/*
 * The audit of one child. Runs in the child of a real fork, on its own memory; the window's undo buffers,
 * which such a child has no other use for, are its scratch space.
 *
 * The child first clones a twin, which never touches memory. From then on a page that only the child maps
 * (bit 56 of /proc/PID/pagemap, Documentation/admin-guide/mm/pagemap.rst) is one that it wrote, whatever
 * the parent's threads do; those pages are compared with the twin's through process_vm_readv, which a
 * process may always do to its descendant.
 */
#include "audit.h"

#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "automaton.h"
#include "entry.h"
#include "lean_site.h"
#include "memory.h"
#include "module.h"
#include "proc.h"
#include "record.h"
#include "report.h"
#include "site.h"
#include "thread.h"

#include "poison.h"

#define PAGE_PRESENT (1ULL << 63)
#define PAGE_SWAPPED (1ULL << 62)
#define PAGE_FILE (1ULL << 61)
#define PAGE_EXCLUSIVE (1ULL << 56)

/* A child that takes longer to reach exec is waiting for something. */
#define AUDIT_DEADLINE_NS 500000000ULL

/* Of every page the kernel is asked, there or not: holes of terabytes (a sanitizer's shadow) would take minutes. */
#define MAPPED_MAX ((uint64_t)1 << 40)

/* How far below the caller's frame a child's own frames may lie. */
#define FRAMES_BELOW ((uintptr_t)256 << 10)

/* Differing bytes closer than this are one write. */
#define WRITE_GAP (WRITE_UNIT - 1)

struct audit {
	struct window *window;
	struct thread *self;
	struct site_writes writes;
	enum spork_reason finding;
	uintptr_t found_at; /* what `finding` is about */
	uintptr_t stack;    /* the caller's stack pointer */
	uintptr_t returned; /* see undo.h */
	bool others;	    /* the parent has other threads */
	long pagemap;
	uintptr_t page; /* bytes a page */
	uint64_t entry[512];
	uint8_t theirs[ARCH_PAGE_MAX];
};

_Static_assert(sizeof(struct audit) <= UNDO_STACK, "the audit outgrew its scratch space");

static void twin_end(struct window *window)
{
	if (window->twin_pid) {
		/* It goes by itself, later: a sandbox that forbids this costs that time once. */
		if (sys_kill(window->twin_pid, SIGKILL))
			site_refuse_for(window->site, BOX_REASON_NO_TWIN, NULL, 0);
		while (SYS(wait4, window->twin_pid, NULL, __WALL, NULL) == -EINTR)
			;
	}
	window->twin_pid = 0;
}

/* For this reason, or none. */
static void audit_close(struct window *window, enum spork_reason reason)
{
	twin_end(window);
	if (reason && lean_site_goes_on(window, reason))
		return;
	window_drop(window);
}

enum spork_reason audit_refuses(enum spork_reason why)
{
	int adopts = 0;

	if (proc_status("TracerPid") > 0)
		return BOX_REASON_TRACED;
	/* The twin of a child that dies would become the parent's. */
	SYS(prctl, PR_GET_CHILD_SUBREAPER, &adopts);
	return adopts || sys_pid() == 1 ? BOX_REASON_SUBREAPER : why;
}

void audit_begin(struct window *window)
{
	sys_sigset mask = sys_sigmask(SYS_SIGNALS_ALL);
	uint64_t before = sys_now();
	long pid = entry_twin(sys_pid());

	sys_sigmask(mask);
	if (pid < 0) {
		audit_refuse(window, BOX_REASON_NO_TWIN, NULL, 0);
		return;
	}
	window->twin_pid = (int32_t)pid;
	site_audit_child(window->site);
	window->audit_ns = sys_now();
	RECORD_ADD(audit_ns, window->audit_ns - before);
}

/*
 * What a child of a promoted site does off the paths that were learned tells nothing of those: in a window it
 * would have given way before. Nor does a machine that is busy.
 */
static bool tells(const struct window *window, enum spork_reason finding)
{
	return __atomic_load_n(&window->site->state, __ATOMIC_ACQUIRE) != BOX_SITE_PROMOTED ||
	       (finding != BOX_REASON_DEADLINE && !automaton_is_new(window));
}

void audit_refuse(struct window *window, enum spork_reason reason, const char *function,
		  uintptr_t where)
{
	if (tells(window, reason))
		site_refuse_for(window->site, reason, function, where);
	else
		site_audit_cancel(window->site);
	audit_close(window, reason);
}

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

			if (entry & PAGE_SWAPPED)
				compare_page(audit, at + i * audit->page, false);
			else if ((entry & PAGE_PRESENT) && (entry & PAGE_EXCLUSIVE) &&
				 !(entry & PAGE_FILE))
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

static void compare(struct audit *audit)
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

/* A site that had been promoted, and whose child nevertheless wrote something new, `place`. */
static void report_leak(struct audit *audit, const struct box_write *write, uintptr_t where,
			const char *place)
{
	struct box_violation violation;

	memset(&violation, 0, sizeof(violation));
	strcpy(violation.text, place);
	violation.kind = BOX_VIOLATION_REROUTE_LEAK;
	violation.call = audit->window->call + 1;
	violation.site = record_site_index(audit->window->site);
	violation.leak = *write;
	module_frame(where, &violation.lock);
	violation.stack_frames = unwind_box(0, violation.stack);
	violation.fork_frames = audit->window->site->frames;
	if (violation.fork_frames > BOX_SITE_FRAMES)
		violation.fork_frames = BOX_SITE_FRAMES;
	memcpy(violation.fork, audit->window->site->frame, sizeof(audit->window->site->frame));
	report_violation(&violation);
}

/* The first write that its parents' windows would not have put back; false: there is none. */
static bool find_leak(struct audit *audit)
{
	const struct site_writes *writes = &audit->writes;
	const struct box_site *site = audit->window->site;
	uint32_t i;

	/* A page that was written without a change, by lazy binding say, gave its parents nothing to see. */
	for (i = 0; i < writes->count; i++)
		if (writes->write[i].size && !site_knows(site, &writes->write[i]) &&
		    (audit->others || !undo_saves_always(&writes->write[i]))) {
			report_leak(audit, &writes->write[i], undo_address(&writes->write[i]),
				    writes->write[i].module ? "" : " in thread-local storage");
			return true;
		}
	/* With one thread the stack and environ come back whole. */
	if (audit->others && writes->stack_count && writes->shape == site->shape) {
		report_leak(audit, &(struct box_write){ .size = writes->stack[0].size },
			    audit->stack + writes->stack[0].offset, " on the stack");
		return true;
	}
	if (audit->others && writes->environment && !site->environment) {
		report_leak(audit, &(struct box_write){ .size = sizeof(environ) },
			    (uintptr_t)&environ, " (environ)");
		return true;
	}
	return false;
}

/* A finding on a site that had been promoted is a leak: its parents may have seen such a write. */
static void check_leak(struct audit *audit)
{
	if (audit->finding == BOX_REASON_WRITES_HEAP)
		report_leak(audit, &(struct box_write){ .size = 1 }, audit->found_at,
			    " in the heap");
	else if (!audit->finding && find_leak(audit))
		audit->finding = BOX_REASON_LEAK;
}

/* A word of the stack as it was at the fork: the twin has it. */
static bool twin_word(void *data, uintptr_t address, uintptr_t *word)
{
	const struct audit *audit = data;
	struct iovec local = { word, sizeof(*word) }, remote = { (void *)address, sizeof(*word) };

	return address >= audit->stack && SYS(process_vm_readv, audit->window->twin_pid, &local, 1,
					      &remote, 1, 0) == sizeof(*word);
}

/* A signal handler's own stack may lie anywhere, in a frame of the program's too. */
static bool on_signal_stack(void)
{
	stack_t stack;

	return !SYS(sigaltstack, NULL, &stack) && stack.ss_flags & SS_ONSTACK;
}

/* Which frames have returned, and whether the stack is the thread's own. */
static enum spork_reason look_at_stack(struct audit *audit)
{
	audit->returned = unwind_returned(twin_word, audit);
	if (audit->returned == UINTPTR_MAX && audit->others)
		return BOX_REASON_UNREADABLE;
	if (audit->returned != UINTPTR_MAX && audit->returned > audit->stack)
		audit->writes.returned = (uint32_t)(audit->returned - audit->stack);
	return audit->self && thread_stack(audit->self, audit->stack) && !on_signal_stack() ?
		       BOX_REASON_NONE :
		       BOX_REASON_UNKNOWN_STACK;
}

static void look_at_memory(struct audit *audit)
{
	audit->pagemap = SYS(openat, AT_FDCWD, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC, 0);
	if (audit->pagemap < 0) {
		find(audit, BOX_REASON_NO_PROC, 0);
		return;
	}
	compare(audit);
	SYS(close, audit->pagemap);
}

/* Does it write, or may it, what cannot be put back while other threads run? See undo_save(). */
static bool writes_static(const struct site_writes *writes)
{
	uint32_t i;

	for (i = 0; i < writes->count; i++)
		if (writes->write[i].module && (writes->write[i].size || writes->silent))
			return true;
	return false;
}

void audit_end(struct window *window)
{
	struct audit *audit = (struct audit *)window->undo.stack_words;
	uint64_t began = sys_now();
	int error = errno;

	memset(audit, 0, offsetof(struct audit, entry));
	audit->window = window;
	audit->page = sys_page();
	audit->self = thread_self();
	audit->stack = window->registers.stack;
	window->busy = true;
	audit->others = window->others;
	audit->writes.shape = window->shape;
	audit->writes.others = window->others;
	audit->finding = look_at_stack(audit);
	if (!audit->finding && began - window->audit_ns > AUDIT_DEADLINE_NS)
		audit->finding = BOX_REASON_DEADLINE;
	if (!audit->finding)
		look_at_memory(audit);
	audit->writes.path = automaton_is_new(window);
	if (!audit->writes.path &&
	    __atomic_load_n(&window->site->state, __ATOMIC_ACQUIRE) == BOX_SITE_PROMOTED)
		check_leak(audit);
	/* With other threads alive it would close the fast tier to the paths that do not write. */
	if (!audit->finding && audit->others && !tells(window, BOX_REASON_NONE) &&
	    writes_static(&audit->writes))
		audit->finding = BOX_REASON_WRITES_STATIC;
	if (!audit->finding && !automaton_fits(window))
		audit->finding = BOX_REASON_CALLS_MANY;
	RECORD_ADD(audit_ns, sys_now() - began);
	if (audit->finding) {
		audit_refuse(window, audit->finding, NULL, audit->found_at);
	} else {
		if (site_audit_writes(window->site, &audit->writes)) {
			automaton_learn(window);
			site_audit_clean(window->site, &audit->writes);
		}
		audit_close(window, BOX_REASON_NONE);
	}
	errno = error;
}
