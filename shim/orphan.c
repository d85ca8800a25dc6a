// SPDX-License-Identifier: MIT
/*
 * Owns the table of orphans of this process, those of its parents included. Only ever changed by a forked
 * child's one thread, or, once it has made others, marked by one store.
 *
 * The records of the parent's threads are in the memory that the child inherited, as they were at the fork.
 */
#include "orphan.h"

#include "config.h"
#include "hook.h"
#include "libc_lock.h"
#include "lock.h"
#include "memory.h"
#include "module.h"
#include "origin.h"
#include "orphan_hidden.h"
#include "proc.h"
#include "record.h"
#include "report.h"
#include "seccomp.h"
#include "sys.h"
#include "unwind.h"
#include "walk.h"

#include "poison.h"

/* Powers of two, and so many that both tables fit a chunk each. */
#define ORPHANS 16384
#define SLOTS (2 * ORPHANS)
#define SLOTS_FEW 1024

/* Bytes of a stack of unknown extent that are looked at for frames. */
#define STACK_GUESS 65536
/* The same of one whose end is known. */
#define STACK_KNOWN 1048576

/* No page has a module's data and other data; the heap may begin where the program's data end. */
#define SMALL_PAGE 4096

_Static_assert(ORPHANS * sizeof(struct orphan) <= MEMORY_CHUNK, "memory_take()");

static struct orphan *orphans;
static uint16_t *slots;	    /* by address: index of the orphan plus one */
static uint32_t slots_used; /* so many of SLOTS: a page that is not touched costs the child nothing */
static uint32_t count;
static struct spin repair_lock;

/*
 * The table is made when somebody asks for a lock: most children execute or end before. Until then the records of
 * the parent's threads are what there is; `pending` is their generation, zero: the table has them all.
 */
static uint32_t pending;
static bool reported; /* those that are pending */
static bool due;      /* a report, unless the child only executes a program */

/* The forks that left them: the last few between the first process and this one. */
static struct fork_place {
	uint32_t site, frames;
	uint64_t key; /* tells it from other forks of the program */
	struct box_frame frame[BOX_STACK_FRAMES];
} forks[4];
static uint32_t fork_count, fork_last; /* the last of them */

/* The fork that is being made. Its stack is looked at where something is to be told. */
static __attribute__((noinline)) void note_fork(void)
{
	uint32_t at = fork_count < COUNT(forks) - 1 ? fork_count++ : COUNT(forks) - 1;
	const struct thread *self = thread_words.self;
	uint64_t key = hash_mix(thread_words.fork_from, thread_words.fork_site);

	/* Of frames further up than a site has it knows by how far down its stack they put this one. */
	key = hash_mix(key, (self ? self->stack_high : 0) - (uintptr_t)__builtin_frame_address(0));
	forks[at].site = thread_words.fork_site;
	forks[at].key = hash_mix(key, module_generation());
	forks[at].frames = 0;
	fork_last = at;
}

/* Before the fork returns, while the stack of its caller is there. */
static void fork_unwind(struct fork_place *fork)
{
	if (!fork->frames)
		fork->frames = unwind_box(thread_words.fork_from, fork->frame);
}

/* Pages that were seen to be readable, or to belong to a module: most locks share a few. */
struct pages {
	uintptr_t known[64];
	bool module[64];
};

static uintptr_t *page_entry(struct pages *pages, uintptr_t page)
{
	return &pages->known[page % COUNT(pages->known)];
}

static bool page_readable(struct pages *pages, uintptr_t address)
{
	uintptr_t page = address / ARCH_PAGE_MAX + 1;
	uintptr_t *known = page_entry(pages, page);

	if (*known == page)
		return true;
	if (!sys_readable((const void *)address))
		return false;
	*known = page;
	return true;
}

static bool page_in_module(struct pages *pages, uintptr_t address)
{
	uintptr_t page = address / SMALL_PAGE + 1;
	uintptr_t *known = page_entry(pages, page);
	bool *module = &pages->module[known - pages->known];
	struct box_frame frame;

	if (*known != page) {
		module_frame(address, &frame);
		*known = page;
		*module = frame.module != 0;
	}
	return *module;
}

static bool lock_readable(struct pages *pages, const struct held *held)
{
	uintptr_t address = (uintptr_t)held->lock;

	return held->kind == HELD_HIDDEN ||
	       (page_readable(pages, address) &&
		page_readable(pages, address + libc_lock_size((enum held_kind)held->kind) - 8));
}

static uint16_t *slot_of(const void *lock)
{
	uint32_t at = (uint32_t)(hash_mix(0, (uintptr_t)lock) & (slots_used - 1));

	while (slots[at] && orphans[slots[at] - 1].held.lock != lock)
		at = (at + 1) & (slots_used - 1);
	return &slots[at];
}

/* At most half of them are taken, as all of SLOTS allow. */
static void slots_grow(void)
{
	uint32_t i;

	memset(slots, 0, slots_used * sizeof(*slots));
	slots_used = slots_used ? 2 * slots_used : SLOTS_FEW;
	for (i = 0; i < count; i++)
		*slot_of(orphans[i].held.lock) = (uint16_t)(i + 1);
}

static void add(const struct orphan *orphan)
{
	uint16_t *slot;

	if (!orphans)
		orphans = memory_take(ORPHANS * sizeof(*orphans));
	if (!slots)
		slots = memory_take(SLOTS * sizeof(*slots));
	if (!orphans || !slots || count == ORPHANS) {
		RECORD_ADD(locks_lost, 1);
		return;
	}
	if (2 * count >= slots_used)
		slots_grow();
	slot = slot_of(orphan->held.lock);
	if (!*slot) {
		orphans[count] = *orphan;
		*slot = (uint16_t)++count;
	} else if (orphans[*slot - 1].gone) {
		/* not taken more than once, or by several readers, nor an orphan of the parent's */
		orphans[*slot - 1] = *orphan;
	}
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
static void holder_note(const struct thread *holder)
{
	uint32_t at = holder->tid % COUNT(names);

	memcpy(names[at].name, holder->name, sizeof(names[at].name));
	names[at].tid = holder->tid;
}

/* One that its thread has; or that is one of those, who are few, whose lock names no owner. */
enum claim { CLAIM_NONE, CLAIM_HELD, CLAIM_NOBODY };

/*
 * A lock may be locked though nobody is known to have it: somebody was just taking it, or giving it back, and is one
 * of those who have an entry for it. Of what never keeps an owner only a spin lock is never waited for as an event.
 */
static enum claim claim_of(const struct held *held, uint32_t tid)
{
	enum held_kind kind = (enum held_kind)held->kind;

	if (kind == HELD_SEM && origin_use(held->lock) == ORIGIN_SIGNAL)
		return CLAIM_NONE;
	if (held_by(held, tid))
		return CLAIM_HELD;
	if (held->flags & HELD_WAITING || held_search(held->lock) != HELD_NONE)
		return CLAIM_NONE;
	if (kind != HELD_MUTEX && kind != HELD_WRITE && kind != HELD_SPIN)
		return CLAIM_NONE;
	return libc_lock_taken(kind, held->lock, true) ? CLAIM_NOBODY : CLAIM_NONE;
}

/*
 * The thread has given it back, or was about to. The memory may be another's since; a spin lock says too little to
 * tell, so that only the gate can, which has looked at the thread.
 */
static enum claim claim_of_left(const struct held *held, uint32_t tid)
{
	enum held_kind kind = (enum held_kind)held->kind;

	if ((kind == HELD_SPIN && !config.gate) || !libc_lock_left(kind, held->lock, tid))
		return CLAIM_NONE;
	return claim_of(held, tid);
}

static struct orphan orphan_new(const struct held *held, const struct thread *holder,
				enum claim claim)
{
	if (holder->ended)
		holder_note(holder);
	return (struct orphan){
		.held = *held,
		.holder = holder->tid,
		.fork = fork_last,
		.nobody = claim == CLAIM_NOBODY,
		.ended = holder->ended,
		.stack_end = holder->stack_high,
	};
}

/* A thread was in a function that takes hidden locks: it may hold them, which is seen when somebody asks. */
static bool hidden_each(const struct held *held, const struct thread *thread,
			bool (*each)(struct orphan *orphan, void *data), void *data)
{
	const struct hidden_function *function = held->lock;
	struct orphan orphan;
	unsigned i;

	for (i = 0; i < HIDDEN_LOCKS && function->holds[i]; i++) {
		orphan = orphan_new(held, thread, CLAIM_HELD);
		orphan_hide(&orphan, function, i);
		if (!each(&orphan, data))
			return false;
	}
	return true;
}

/*
 * Calls `each` for what the threads of that generation, the caller aside, hold still, until it returns false. Those
 * that nobody may have come last: whoever is known to have one was seen before.
 */
static void walk(uint32_t generation, bool (*each)(struct orphan *orphan, void *data), void *data)
{
	struct orphan orphan, nobodys[16];
	struct pages pages = { .known = { 0 } };
	struct thread *thread;
	uint32_t i, entries, others = 0;
	enum claim claim;

	for (thread = thread_first(); thread; thread = thread->next) {
		if (thread->used != generation || thread == thread_words.self)
			continue;
		entries = thread->held_count + !!held_leaving(thread);
		for (i = 0; i < entries; i++) {
			const struct held *held = &thread->held[i];

			/* fork() opens the locks of streams */
			if (!held->lock || held->kind == HELD_FILE ||
			    hidden_is(held->lock) != (held->kind == HELD_HIDDEN) ||
			    !lock_readable(&pages, held))
				continue;
			if (held->kind == HELD_HIDDEN) {
				if (!hidden_each(held, thread, each, data))
					return;
				continue;
			}
			claim = i < thread->held_count ? claim_of(held, thread->tid) :
							 claim_of_left(held, thread->tid);
			if (claim == CLAIM_NONE)
				continue;
			orphan = orphan_new(held, thread, claim);
			if (claim == CLAIM_HELD && !each(&orphan, data))
				return;
			if (claim == CLAIM_NOBODY && others < COUNT(nobodys))
				nobodys[others++] = orphan;
		}
		if (orphan_opening(thread) &&
		    !hidden_each(thread_opening(thread), thread, each, data))
			return;
	}
	for (i = 0; i < others; i++)
		if (!each(&nobodys[i], data))
			return;
}

static bool settle(struct orphan *orphan, void *unused)
{
	(void)unused;
	orphan->told = reported && orphan->held.kind != HELD_HIDDEN;
	add(orphan);
	return true;
}

void orphan_settle(void)
{
	uint32_t generation = pending;
	int error = errno;

	if (LIKELY(!generation))
		return;
	/* First: a signal handler may come here, too, and finds what is there. */
	pending = 0;
	if (!seccomp_confined())
		walk(generation, settle, NULL);
	errno = error;
}

struct orphan *orphan_of(const void *lock)
{
	uint16_t at;

	orphan_settle();
	at = count ? *slot_of(lock) : 0;
	return at ? &orphans[at - 1] : NULL;
}

static bool note(struct orphan *orphan, void *unused)
{
	(void)orphan;
	(void)unused;
	note_fork();
	pending = thread_generation;
	reported = false;
	return false;
}

void orphan_find(void)
{
	thread_words.orphans_found = true;
	spin_reset(&repair_lock);
	orphan_hidden_after_fork();
	if (!config.locks || seccomp_confined())
		return;
	orphan_settle();
	if (thread_others())
		walk(thread_generation, note, NULL);
	if (count || pending)
		lock_attention_set(ATTEND_ORPHANS, true);
}

bool orphan_found(void)
{
	return thread_words.orphans_found;
}

/* Whoever waits for it gets it only from its holder, who is not here. Once it was given back it is a lock as any. */
static bool orphaned(struct orphan *orphan)
{
	enum held_kind kind = (enum held_kind)orphan->held.kind;
	const void *lock = orphan->held.lock;

	if (!orphan->gone)
		orphan->gone = !(orphan->nobody ? libc_lock_taken(kind, lock, true) :
						  held_by(&orphan->held, orphan->holder)) ||
			       libc_lock_shared(kind, lock);
	return !orphan->gone;
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

void orphan_tell(struct orphan *orphan, struct box_violation *violation, enum spork_violation kind)
{
	if (thread_words.orphans_found)
		fork_unwind(&forks[orphan->fork]);
	describe(orphan, violation);
	violation->kind = kind;
	if (kind == BOX_VIOLATION_ORPHAN_DEADLOCK) {
		violation->stack_frames = unwind_box(0, violation->stack);
		violation->remedy = config.on_orphan == ON_ORPHAN_REPAIR ? BOX_REMEDY_REPAIR :
				    config.on_orphan == ON_ORPHAN_ABORT	 ? BOX_REMEDY_ABORT :
									   BOX_REMEDY_NONE;
	}
	report_violation(violation);
}

/*
 * What makes its report the one that it is, short of describing it: where the lock is in a module, the lock itself,
 * elsewhere the page, which tells whether it is shared.
 */
static uint64_t orphan_key(const struct orphan *orphan, struct pages *modules)
{
	const struct held *held = &orphan->held;
	uintptr_t address = (uintptr_t)held->lock;
	uint64_t key = hash_mix(forks[orphan->fork].key, held->where);

	if (!page_in_module(modules, address))
		address /= SMALL_PAGE;
	return hash_mix(hash_mix(key, address), held->kind);
}

/* While the orphans of one fork are reported. */
struct report {
	struct pages modules;
	/* Known already, and not counted yet: a run of the same at once. */
	uint64_t key, times;
	uint32_t record;
	/* Those that may be held more than once, or by several. */
	const void *several[128];
	struct box_violation violation;
};

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

static bool report_one(struct orphan *orphan, void *data)
{
	struct report *report = data;
	uint64_t key;

	/* Hidden ones only once somebody asks for them, and the lock is seen to be taken. */
	if (orphan->told || orphan->gone || orphan->held.kind == HELD_HIDDEN)
		return true;
	orphan->told = true;
	/* Of a semaphore nobody knows that it is a lock until somebody waits for it. */
	if ((orphan->held.kind == HELD_SEM && !config.strict) || !orphaned(orphan) ||
	    repeated(report, &orphan->held))
		return true;
	key = orphan_key(orphan, &report->modules);
	if (again(report, key))
		return true;
	orphan_tell(orphan, &report->violation, BOX_VIOLATION_ORPHANED_LOCK);
	record_remember(key, report->violation.hash);
	return true;
}

static __attribute__((noinline)) void report_all(void)
{
	struct report report;
	uint32_t i;

	memset(&report, 0, offsetof(struct report, violation));
	if (pending)
		walk(pending, report_one, &report);
	reported = true;
	for (i = 0; i < count; i++)
		report_one(&orphans[i], &report);
	again_flush(&report);
}

void orphan_report(void)
{
	int error = errno;

	/* What there is to tell is told later, when the fork's stack is gone. */
	if (pending) {
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

/* Would one who asks for it so have to wait? Readers let readers in. */
static bool blocks(const struct orphan *orphan, enum held_kind kind)
{
	return !(orphan->held.kind == HELD_READ && kind == HELD_READ);
}

void orphan_check(void *lock, enum held_kind kind)
{
	struct orphan *orphan = orphan_of(lock);
	bool repairs = config.on_orphan == ON_ORPHAN_REPAIR;
	struct box_violation violation;
	int error = errno;

	if (!orphan || orphan->gone || !blocks(orphan, kind) || seccomp_confined())
		return;
	/* Of several threads that the child may have by now, one repairs it, and the others see that it did. */
	if (repairs)
		spin_lock(&repair_lock);
	if (orphaned(orphan)) {
		if (orphan->held.kind == HELD_SEM && !config.strict)
			orphan_tell(orphan, &violation, BOX_VIOLATION_ORPHANED_LOCK);
		orphan_tell(orphan, &violation, BOX_VIOLATION_ORPHAN_DEADLOCK);
		if (config.on_orphan == ON_ORPHAN_ABORT)
			REAL(abort)();
		if (repairs) {
			libc_lock_remake((enum held_kind)orphan->held.kind, lock);
			orphan_forget(lock);
		}
	}
	if (repairs)
		spin_unlock(&repair_lock);
	errno = error;
}

void orphan_taken(const void *lock, enum held_kind kind)
{
	if (kind != HELD_READ)
		orphan_forget(lock);
}

void orphan_given(const void *lock)
{
	struct orphan *orphan = orphan_of(lock);

	if (!orphan || libc_lock_owned((enum held_kind)orphan->held.kind, lock))
		return;
	if (orphan->held.kind != HELD_READ || !held_by(&orphan->held, orphan->holder))
		orphan->gone = true;
}

void orphan_forget(const void *lock)
{
	struct orphan *orphan = orphan_of(lock);

	if (orphan)
		orphan->gone = true;
}
