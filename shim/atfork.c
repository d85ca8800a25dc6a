// SPDX-License-Identifier: MIT
/*
 * Owns the registry of atfork handlers. glibc knows one set, ours; it stands for all that the program
 * registered, so that forks inside libc (daemon, forkpty) run them as well.
 *
 * Order is POSIX's: prepare handlers last registered first, parent and child handlers first registered
 * first. Handlers run without the registry's lock, and may register and remove others meanwhile, so a
 * walk goes by ids, which only grow (glibc's posix/register-atfork.c does the same).
 */
#include "atfork.h"

#include <sys/single_threaded.h>

#include "gate.h"
#include "handler.h"
#include "hidden.h"
#include "hook.h"
#include "inherit.h"
#include "lean.h"
#include "memory.h"
#include "module.h"
#include "orphan.h"
#include "seccomp.h"
#include "stale.h"
#include "sys.h"
#include "thread.h"
#include "window.h"

#include "poison.h"

struct handler {
	uint64_t id; /* zero: free */
	void (*function[ATFORK_PHASES])(void);
	struct stale_place origin[ATFORK_PHASES];
	void *dso;
	uint32_t generation; /* of modules: all functions were there then */
};

#define BLOCK_HANDLERS 64

struct block {
	struct block *next;
	struct handler handler[BLOCK_HANDLERS];
};

static struct block first_block;
static struct spin registry_lock CHILD_STATE;
static uint64_t last_id START_STATE;
static uint64_t changes; /* of the registry */
static uint64_t key, key_version;
/* Handlers registered later than this took no part in the prepare of the fork that now runs. */
static __thread uint64_t fork_id;

/*
 * Without blocking signals under a filter that the program has added, which need not let it: glibc's fork()
 * and exit() do without. True: they are blocked.
 */
static bool registry_take(void)
{
	bool masked = !seccomp_confined();

	if (masked)
		spin_lock(&registry_lock);
	else
		spin_take(&registry_lock);
	return masked;
}

static void registry_give(bool masked)
{
	if (masked)
		spin_unlock(&registry_lock);
	else
		spin_give(&registry_lock);
}

/* A handler, as it was when it was found, and where. */
struct visit {
	struct handler handler;
	struct handler *slot;
	uint16_t place; /* of the slot, plus one; zero: too far down to be told */
};

/* The registered handler whose id is next below (or above) `id`; false: none. */
static bool handler_next(uint64_t id, bool below, struct visit *found)
{
	struct handler *best = NULL;
	struct block *block;
	uint32_t at = 0;
	bool masked;
	int i;

	if (!__atomic_load_n(&last_id, __ATOMIC_ACQUIRE))
		return false;
	masked = registry_take();
	for (block = &first_block; block; block = block->next, at += BLOCK_HANDLERS)
		for (i = 0; i < BLOCK_HANDLERS; i++) {
			struct handler *handler = &block->handler[i];

			if (!handler->id || (below ? handler->id >= id : handler->id <= id) ||
			    (best && (below ? handler->id < best->id : handler->id > best->id)))
				continue;
			best = handler;
			found->place = 0;
			if (at + (uint32_t)i + 1 < HANDLER_BEFORE)
				found->place = (uint16_t)(at + (uint32_t)i + 1);
		}
	if (best)
		found->handler = *best;
	found->slot = best;
	registry_give(masked);
	return best != NULL;
}

bool atfork_registered(void)
{
	struct visit visit;

	return handler_next(0, false, &visit);
}

uintptr_t atfork_prepare_of(uint32_t place)
{
	struct block *block = &first_block;

	for (; block && place > BLOCK_HANDLERS; place -= BLOCK_HANDLERS)
		block = block->next;
	return block && place ? (uintptr_t)block->handler[place - 1].function[ATFORK_PREPARE] : 0;
}

/* Is it told of this function of the handler, and not of one that a fork comes to earlier? */
static bool tells(const struct handler *handler, enum atfork_phase phase)
{
	return phase == ATFORK_PREPARE || !handler->function[ATFORK_PREPARE];
}

/* Objects are looked for only if one has been unloaded since they were seen. */
static bool stale(const struct visit *visit, enum atfork_phase phase)
{
	const struct handler *handler = &visit->handler;
	uint32_t generation = module_generation();
	bool found = false;
	int i;

	if (LIKELY(handler->generation == generation))
		return false;
	for (i = ATFORK_PREPARE; i < ATFORK_PHASES; i++)
		found |= stale_is((uintptr_t)handler->function[i], &handler->origin[i]);
	if (!found) {
		/* Should it be another's slot by now, that one's functions are there as well. */
		__atomic_store_n(&visit->slot->generation, generation, __ATOMIC_RELAXED);
		return false;
	}
	if (!stale_is((uintptr_t)handler->function[phase], &handler->origin[phase]))
		return false;
	if (tells(handler, phase))
		stale_report((uintptr_t)handler->function[phase], &handler->origin[phase], phase);
	return true;
}

/*
 * A handler may fork itself: all that a fork keeps in its thread is the outer fork's again when it returns, in
 * both processes.
 */
static void run(const struct visit *visit, enum atfork_phase phase)
{
	uint32_t mode = thread_words.atfork_mode, watch = thread_words.atfork_watch;
	struct walk_start from = thread_words.fork_from;
	uint32_t site = thread_words.fork_site;
	struct handler_run outer;
	uint64_t id = fork_id;

	if (!visit->handler.function[phase] || stale(visit, phase))
		return;
	handler_enter(&outer, phase, (uintptr_t)visit->handler.function[phase]);
	thread_words.atfork_mode = ATFORK_FULL;
	visit->handler.function[phase]();
	RESET(fork_id, id);
	RESET(thread_words.atfork_mode, mode);
	RESET(thread_words.atfork_watch, watch);
	thread_words.fork_from = from;
	RESET(thread_words.fork_site, site);
	handler_leave(&outer, visit->place);
}

void atfork_prepare(void)
{
	struct visit visit;
	uint64_t id;

	RESET(fork_id, __atomic_load_n(&last_id, __ATOMIC_ACQUIRE));
	handler_begin(ATFORK_PREPARE);
	for (id = fork_id + 1; handler_next(id, true, &visit); id = visit.handler.id)
		run(&visit, ATFORK_PREPARE);
}

/* Those that took part in the prepare of this fork. */
static void run_all(enum atfork_phase phase)
{
	uint64_t id, until = fork_id;
	struct visit visit;

	handler_begin(phase);
	for (id = 0; handler_next(id, false, &visit) && visit.handler.id <= until;
	     id = visit.handler.id)
		run(&visit, phase);
	handler_over(phase);
}

void atfork_parent(void)
{
	run_all(ATFORK_PARENT);
}

/* Do child handlers matter to a program that the child executes? A window would go without them. */
static void atfork_child_watched(void)
{
	uint64_t before = inherit_hash();

	run_all(ATFORK_CHILD);
	if (inherit_hash() != before)
		thread_words.atfork_watch = ATFORK_MATTERS;
}

uint64_t atfork_key(void)
{
	uint64_t version = __atomic_load_n(&changes, __ATOMIC_ACQUIRE), hash = 0, id;
	struct module module;
	struct visit visit;
	uintptr_t child;

	if (__atomic_load_n(&key_version, __ATOMIC_ACQUIRE) == version)
		return key;
	for (id = 0; handler_next(id, false, &visit); id = visit.handler.id) {
		child = (uintptr_t)visit.handler.function[ATFORK_CHILD];
		if (child && module_find(child, &module))
			hash = hash_mix(hash_mix(hash, module.key), child - module.bias);
	}
	key = hash;
	__atomic_store_n(&key_version, version, __ATOMIC_RELEASE);
	return hash;
}

static void set_prepare(void)
{
	gate_close();
	if (thread_words.atfork_mode != ATFORK_PREPARED)
		atfork_prepare();
	gate_settle();
	lean_fork_begin(thread_words.atfork_mode == ATFORK_HELD &&
			(__libc_single_threaded || gate_is_quiet()));
}

static void set_parent(void)
{
	lean_fork_end();
	if (thread_words.atfork_mode == ATFORK_HELD) {
		thread_words.atfork_mode = ATFORK_DEFERRED;
		return;
	}
	gate_open();
	atfork_parent();
}

void atfork_parent_deferred(void)
{
	if (LIKELY(thread_words.atfork_mode != ATFORK_DEFERRED))
		return;
	thread_words.atfork_mode = ATFORK_FULL;
	gate_open();
	atfork_parent();
}

static void set_child(void)
{
	lean_child();
	window_locks_after_fork();
	gate_after_fork();
	orphan_find();
	if (thread_words.atfork_watch && atfork_key())
		atfork_child_watched();
	else
		run_all(ATFORK_CHILD);
}

void atfork_after_fork(void)
{
	spin_reset(&registry_lock);
}

static int handler_add(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *dso)
{
	struct handler *slot = NULL, fresh = { .dso = dso };
	struct block *block, *last = NULL;
	int i;

	fresh.function[ATFORK_PREPARE] = prepare;
	fresh.function[ATFORK_PARENT] = parent;
	fresh.function[ATFORK_CHILD] = child;
	fresh.generation = module_generation();
	for (i = ATFORK_PREPARE; i < ATFORK_PHASES; i++)
		stale_note((uintptr_t)fresh.function[i], &fresh.origin[i]);
	spin_lock(&registry_lock);
	for (block = &first_block; block && !slot; last = block, block = block->next)
		for (i = 0; i < BLOCK_HANDLERS && !slot; i++)
			if (!block->handler[i].id)
				slot = &block->handler[i];
	if (!slot) {
		block = memory_take(sizeof(*block));
		if (block) {
			last->next = block;
			slot = &block->handler[0];
		}
	}
	if (slot) {
		*slot = fresh;
		slot->id = ++last_id;
		__atomic_add_fetch(&changes, 1, __ATOMIC_RELEASE);
	}
	spin_unlock(&registry_lock);
	return slot ? 0 : ENOMEM;
}

/* What pthread_atfork, a static stub in every program, calls; `dso` is the caller's __dso_handle. */
EXPORT int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
			     void *dso)
{
	HOOK_UNLESS_PASSIVE(REAL(__register_atfork)(prepare, parent, child, dso));
	hook_enter(HOOK___register_atfork, NULL);
	return handler_add(prepare, parent, child, dso);
}

#if ARCH_OLD_VERSIONS
/* For programs linked against glibc 2.2.5's libpthread, which had it as a function. */
EXPORT int pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
	HOOK_UNLESS_PASSIVE(REAL(pthread_atfork)(prepare, parent, child));
	hook_enter(HOOK_pthread_atfork, NULL);
	return handler_add(prepare, parent, child, NULL);
}
#endif

static void handlers_remove(const void *dso)
{
	struct block *block;
	bool masked;
	int i;

	masked = registry_take();
	for (block = &first_block; block; block = block->next)
		for (i = 0; i < BLOCK_HANDLERS; i++)
			if (block->handler[i].id && block->handler[i].dso == dso)
				block->handler[i].id = 0;
	__atomic_add_fetch(&changes, 1, __ATOMIC_RELEASE);
	registry_give(masked);
}

/*
 * An object runs this when it is unloaded (d is its __dso_handle), and exit runs it with NULL. Every program
 * comes here at its end, confined or not, and most have never registered a handler.
 */
EXPORT START_TEXT void __cxa_finalize(void *dso)
{
	/* Not in real_table, which a process need not touch that only starts and ends. */
	static void (*next)(void *) START_STATE;

	HIDDEN_BODY(__cxa_finalize, dso);

	if (dso) {
		if (__atomic_load_n(&last_id, __ATOMIC_ACQUIRE))
			handlers_remove(dso);
		if (hook_ready())
			module_forget();
	}
	if (!next)
		next = (void (*)(void *))(uintptr_t)real_address(START_STRING("__cxa_finalize"));
	next(dso);
	/* Its destructors may have made it known again. */
	if (dso && hook_ready())
		module_forget();
}

void atfork_init(void)
{
	int (*real)(void (*)(void), void (*)(void), void (*)(void), void *) =
		(int (*)(void (*)(void), void (*)(void), void (*)(void), void *))real_get(
			HOOK___register_atfork);

	if (real)
		real(set_prepare, set_parent, set_child, NULL);
}
