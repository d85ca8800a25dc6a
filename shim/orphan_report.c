// SPDX-License-Identifier: MIT
/*
 * See orphan_report.h. Owns the places of the forks, and what is due to be told.
 */
#include "orphan_report.h"

#include "config.h"
#include "inherited.h"
#include "libc_lock.h"
#include "lock.h"
#include "module.h"
#include "origin.h"
#include "orphan_hidden.h"
#include "proc.h"
#include "record.h"
#include "report.h"
#include "seccomp.h"
#include "sys.h"
#include "unwind.h"

#include "poison.h"

/* Bytes of a stack of unknown extent that are looked at for frames. */
#define STACK_GUESS 65536
/* The same of one whose end is known. */
#define STACK_KNOWN 1048576

/* No page has a module's data and other data; the heap may begin where the program's data end. */
#define SMALL_PAGE 4096

static bool reported CHILD_STATE; /* what the last fork left */
static bool due CHILD_STATE;	  /* a report, unless the child only executes a program */

/* The forks that left them: the last few between the first process and this one. */
static struct fork_place {
	uint32_t site, frames;
	uint64_t key; /* tells it from other forks of the program */
	struct box_frame frame[BOX_STACK_FRAMES];
} forks[4] CHILD_STATE;
static uint32_t fork_count CHILD_STATE;
static uint32_t fork_last CHILD_STATE; /* the last of them */

uint32_t orphan_fork(void)
{
	uint32_t at = fork_count < COUNT(forks) - 1 ? fork_count++ : COUNT(forks) - 1;
	const struct thread *self = thread_words.self;
	uint64_t key = hash_mix(thread_words.fork_from.pc, thread_words.fork_site);

	/* Of frames further up than a site has it knows by how far down its stack they put this one. */
	key = hash_mix(key, (self ? self->stack_high : 0) - (uintptr_t)__builtin_frame_address(0));
	forks[at].site = thread_words.fork_site;
	forks[at].key = hash_mix(key, module_generation());
	forks[at].frames = 0;
	fork_last = at;
	reported = false;
	return at;
}

bool orphan_reported(void)
{
	return reported;
}

/* Before the fork returns, while the stack of its caller is there. */
static void fork_unwind(struct fork_place *fork)
{
	if (!fork->frames)
		fork->frames = unwind_box_from(&thread_words.fork_from, fork->frame);
}

/* Names of holders, which may have ended when one is asked for again. */
static struct {
	uint32_t tid;
	char name[BOX_NAME];
} names[64];

static void holder_name(uint32_t tid, char name[BOX_NAME])
{
	uint32_t at = tid % COUNT(names);

	if (names[at].tid != tid) {
		proc_thread_name((uint32_t)SYS(getppid), tid, names[at].name);
		names[at].tid = tid;
	}
	memcpy(name, names[at].name, sizeof(names[at].name));
}

/* A thread that has ended has left its name in its record. */
void orphan_holder_ended(const struct thread *holder)
{
	uint32_t at = holder->tid % COUNT(names);

	memcpy(names[at].name, holder->name, sizeof(names[at].name));
	names[at].tid = holder->tid;
}

/*
 * How far the holder's stack can be read: to its end, where that is known, or a few pages. libc unmaps stacks of
 * threads that fork left behind when the child's own threads end (glibc's __nptl_free_stacks()).
 */
static uintptr_t stack_end(const struct orphan *orphan)
{
	uintptr_t stack = orphan->held.stack, end = stack & -(uintptr_t)ARCH_PAGE_MAX;
	uintptr_t until = stack + STACK_GUESS;

	if (orphan->ended)
		return stack;
	if (orphan->stack_end > stack)
		until = orphan->stack_end - stack < STACK_KNOWN ? orphan->stack_end :
								  stack + STACK_KNOWN;
	while (end < until && sys_readable((const void *)end))
		end += ARCH_PAGE_MAX;
	return end < until ? end : until;
}

static void describe(const struct orphan *orphan, struct box_violation *violation)
{
	const struct fork_place *fork = &forks[orphan->fork];
	const struct held *held = &orphan->held;
	struct walk_start start;

	memset(violation, 0, sizeof(*violation));
	violation->lock_type = libc_lock_type((enum held_kind)held->kind);
	violation->holder_tid = orphan->holder;
	violation->holder_ended = orphan->ended;
	holder_name(orphan->holder, violation->holder_name);
	if (held->kind == HELD_HIDDEN) {
		orphan_describe_hidden(orphan, violation);
	} else {
		module_frame((uintptr_t)held->lock, &violation->lock);
		module_frame(origin_of(held->lock), &violation->origin);
	}
	start = (struct walk_start){ held->where, held->stack, held_frame_pointer(held),
				     stack_end(orphan) };
	violation->acquired_frames = unwind_left(&start, violation->acquired, BOX_STACK_FRAMES);
	violation->call = BOX_CALL_FORK + 1;
	violation->site = fork->site;
	violation->fork_frames = fork->frames;
	memcpy(violation->fork, fork->frame, sizeof(violation->fork));
}

enum spork_remedy orphan_remedy(void)
{
	return config.on_orphan == ON_ORPHAN_REPAIR ? BOX_REMEDY_REPAIR :
	       config.on_orphan == ON_ORPHAN_ABORT  ? BOX_REMEDY_ABORT :
						      BOX_REMEDY_NONE;
}

static void tell(struct orphan *orphan, struct box_violation *violation, enum spork_violation kind)
{
	if (thread_words.orphans_found)
		fork_unwind(&forks[orphan->fork]);
	describe(orphan, violation);
	violation->kind = kind;
}

void orphan_tell(struct orphan *orphan, struct box_violation *violation)
{
	tell(orphan, violation, BOX_VIOLATION_ORPHANED_LOCK);
	report_violation(violation);
}

void orphan_tell_deadlock(struct orphan *orphan, struct box_violation *violation,
			  enum spork_remedy remedy)
{
	tell(orphan, violation, BOX_VIOLATION_ORPHAN_DEADLOCK);
	violation->stack_frames = unwind_box(0, violation->stack);
	violation->remedy = remedy;
	report_violation(violation);
}

/* While the orphans of one fork are reported. */
struct report {
	struct {
		uintptr_t page;
		bool module;
	} known[64]; /* pages that belong to modules, or not: most locks share a few */
	/* The last one outside of modules: most locks have the key of the one before. */
	struct {
		uintptr_t page, where;
		uint64_t key;
		uint32_t fork;
		uint8_t kind;
	} last;
	/* Known already, and not counted yet: a run of the same at once. */
	uint64_t key, times;
	uint32_t record;
	/* Those that may be held more than once, or by several. */
	const void *several[128];
	struct box_violation violation;
};

static bool in_module(struct report *report, uintptr_t address)
{
	uintptr_t page = address / SMALL_PAGE + 1;
	uint32_t at = (uint32_t)(page % COUNT(report->known));
	struct box_frame frame;

	if (report->known[at].page != page) {
		module_frame(address, &frame);
		report->known[at].page = page;
		report->known[at].module = frame.module != 0;
	}
	return report->known[at].module;
}

/*
 * What makes its report the one that it is, short of describing it: where the lock is in a module, the lock itself,
 * elsewhere the page, which tells whether it is shared.
 */
static uint64_t report_key(struct report *report, const struct held *held, uint32_t fork)
{
	uintptr_t address = (uintptr_t)held->lock, page = address / SMALL_PAGE;
	bool module;
	uint64_t key;

	if (page == report->last.page && held->where == report->last.where &&
	    fork == report->last.fork && held->kind == report->last.kind)
		return report->last.key;
	module = in_module(report, address);
	key = hash_mix(forks[fork].key, held->where);
	key = hash_mix(hash_mix(key, module ? address : page), held->kind);
	if (!module) {
		report->last.page = page;
		report->last.where = held->where;
		report->last.fork = fork;
		report->last.kind = held->kind;
		report->last.key = key;
	}
	return key;
}

static void again_flush(struct report *report)
{
	if (report->times)
		record_violation_again(BOX_VIOLATION_ORPHANED_LOCK, report->record, report->times);
	report->times = 0;
}

/* True: children of the same fork reported it before, so that it is only counted. */
static bool again(struct report *report, uint64_t key)
{
	if (!report->times || report->key != key) {
		again_flush(report);
		if (!record_recall(key, &report->record))
			return false;
		report->key = key;
	}
	report->times++;
	return true;
}

/* Has this report had the lock already? One that has had more of them than it can keep counts some twice. */
static bool repeated(struct report *report, const struct held *held)
{
	uint32_t at = (uint32_t)(hash_mix(0, (uintptr_t)held->lock) % COUNT(report->several)), i;

	if (held->kind != HELD_READ && held->kind != HELD_SEM && held->kind != HELD_SPIN &&
	    !(held->kind == HELD_MUTEX && libc_lock_owned(HELD_MUTEX, held->lock)))
		return false;
	for (i = 0; i < COUNT(report->several); i++) {
		const void **known = &report->several[(at + i) % COUNT(report->several)];

		if (*known == held->lock)
			return true;
		if (!*known) {
			*known = held->lock;
			return false;
		}
	}
	return false;
}

/*
 * Has it nothing to say? Of hidden ones only once somebody asks for them, and the lock is seen to be taken. Of a
 * semaphore nobody knows that it is a lock until somebody waits for it.
 */
static bool silent(struct report *report, const struct held *held)
{
	enum held_kind kind = (enum held_kind)held->kind;

	return kind == HELD_HIDDEN || (kind == HELD_SEM && !config.strict) ||
	       libc_lock_shared(kind, held->lock) || repeated(report, held);
}

static bool report_inherited(const struct inherited *one, void *data)
{
	struct report *report = data;
	struct orphan orphan;
	uint64_t key;

	if (silent(report, one->held))
		return true;
	key = report_key(report, one->held, fork_last);
	if (again(report, key))
		return true;
	orphan = orphan_new(one, fork_last);
	orphan_tell(&orphan, &report->violation);
	record_remember(key, report->violation.hash);
	return true;
}

static void report_orphan(struct orphan *orphan, void *data)
{
	struct report *report = data;
	uint64_t key;

	if (orphan->told || orphan->gone || orphan->held.kind == HELD_HIDDEN)
		return;
	orphan->told = true;
	if (silent(report, &orphan->held) || !orphan_stands(orphan))
		return;
	key = report_key(report, &orphan->held, orphan->fork);
	if (again(report, key))
		return;
	orphan_tell(orphan, &report->violation);
	record_remember(key, report->violation.hash);
}

static __attribute__((noinline)) void report_all(void)
{
	struct report report;

	memset(&report, 0, offsetof(struct report, violation));
	if (orphan_pending())
		inherited_walk(orphan_pending(), report_inherited, &report);
	reported = true;
	orphan_each(report_orphan, &report);
	again_flush(&report);
}

void orphan_report(void)
{
	int error = errno;

	/* What there is to tell is told later, when the fork's stack is gone. */
	if (orphan_pending()) {
		due = true;
		fork_unwind(&forks[fork_last]);
		lock_attention_set(ATTEND_CHILD, true);
	}
	thread_words.orphans_found = false;
	if (due && config.strict)
		orphan_tell_due();
	errno = error;
}

void orphan_tell_due(void)
{
	int error = errno;

	if (due && !seccomp_confined())
		report_all();
	RESET(due, false);
	errno = error;
}

void orphan_forget_due(void)
{
	RESET(due, false);
}
