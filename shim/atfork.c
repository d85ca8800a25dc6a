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

#include "gate.h"
#include "hidden.h"
#include "hook.h"
#include "inherit.h"
#include "memory.h"
#include "module.h"
#include "orphan.h"
#include "seccomp.h"
#include "sys.h"
#include "thread.h"
#include "window.h"

#include "poison.h"

struct handler {
	uint64_t id; /* zero: free */
	void (*prepare)(void), (*parent)(void), (*child)(void);
	void *dso;
};

#define BLOCK_HANDLERS 64

struct block {
	struct block *next;
	struct handler handler[BLOCK_HANDLERS];
};

static struct block first_block;
static struct spin registry_lock;
static uint64_t last_id;
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

/* The registered handler whose id is next below (or above) `id`; false: none. */
static bool handler_next(uint64_t id, bool below, struct handler *found)
{
	struct block *block;
	bool masked;
	int i;

	found->id = 0;
	if (!__atomic_load_n(&last_id, __ATOMIC_ACQUIRE))
		return false;
	masked = registry_take();
	for (block = &first_block; block; block = block->next)
		for (i = 0; i < BLOCK_HANDLERS; i++) {
			struct handler *handler = &block->handler[i];

			if (!handler->id || (below ? handler->id >= id : handler->id <= id))
				continue;
			if (!found->id ||
			    (below ? handler->id > found->id : handler->id < found->id))
				*found = *handler;
		}
	registry_give(masked);
	return found->id != 0;
}

void atfork_prepare(void)
{
	struct handler handler;
	uint64_t id;

	RESET(fork_id, __atomic_load_n(&last_id, __ATOMIC_ACQUIRE));
	for (id = fork_id + 1; handler_next(id, true, &handler); id = handler.id)
		if (handler.prepare)
			handler.prepare();
}

void atfork_parent(void)
{
	struct handler handler;
	uint64_t id, until = fork_id;

	for (id = 0; handler_next(id, false, &handler) && handler.id <= until; id = handler.id)
		if (handler.parent)
			handler.parent();
}

static void atfork_child(void)
{
	struct handler handler;
	uint64_t id, until = fork_id;

	for (id = 0; handler_next(id, false, &handler) && handler.id <= until; id = handler.id)
		if (handler.child)
			handler.child();
}

static void set_prepare(void)
{
	gate_close();
	if (thread_words.atfork_mode == ATFORK_FULL)
		atfork_prepare();
	gate_settle();
}

static void set_parent(void)
{
	gate_open();
	atfork_parent();
}

/* Do child handlers matter to a program that the child executes? A window would go without them. */
static void atfork_child_watched(void)
{
	uint64_t before = inherit_hash();

	atfork_child();
	if (inherit_hash() != before)
		thread_words.atfork_watch = ATFORK_MATTERS;
}

uint64_t atfork_key(void)
{
	uint64_t version = __atomic_load_n(&changes, __ATOMIC_ACQUIRE), hash = 0, id;
	struct handler handler;
	struct module module;

	if (__atomic_load_n(&key_version, __ATOMIC_ACQUIRE) == version)
		return key;
	for (id = 0; handler_next(id, false, &handler); id = handler.id)
		if (handler.child && module_find((uintptr_t)handler.child, &module))
			hash = hash_mix(hash_mix(hash, module.key),
					(uintptr_t)handler.child - module.bias);
	key = hash;
	__atomic_store_n(&key_version, version, __ATOMIC_RELEASE);
	return hash;
}

static void set_child(void)
{
	window_locks_after_fork();
	gate_after_fork();
	orphan_find();
	if (thread_words.atfork_watch && atfork_key())
		atfork_child_watched();
	else
		atfork_child();
}

void atfork_after_fork(void)
{
	spin_reset(&registry_lock);
}

static int handler_add(void (*prepare)(void), void (*parent)(void), void (*child)(void), void *dso)
{
	struct handler *slot = NULL;
	struct block *block, *last = NULL;
	int i;

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
		slot->prepare = prepare;
		slot->parent = parent;
		slot->child = child;
		slot->dso = dso;
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
	hook_init();
	hook_enter(HOOK___register_atfork, NULL);
	return handler_add(prepare, parent, child, dso);
}

#if ARCH_OLD_VERSIONS
/* For programs linked against glibc 2.2.5's libpthread, which had it as a function. */
EXPORT int pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
	hook_init();
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
EXPORT void __cxa_finalize(void *dso)
{
	HIDDEN_BODY(__cxa_finalize, dso);

	if (dso) {
		if (__atomic_load_n(&last_id, __ATOMIC_ACQUIRE))
			handlers_remove(dso);
		module_forget();
	}
	((void (*)(void *))real_get(HOOK___cxa_finalize))(dso);
	/* Its destructors may have made it known again. */
	if (dso)
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
