// SPDX-License-Identifier: MIT
/*
 * Owns the records of call sites, which live in the box: every process of a session learns from the
 * others, and an audited child, which is a process of its own, tells its parent through them.
 *
 * A site is keyed by its call and the innermost return addresses as build-id + offset, because a wrapper
 * such as xfork() serves children that exec and children that do not.
 */
#include "site.h"

#include "atfork.h"
#include "config.h"
#include "module.h"
#include "record.h"
#include "sys.h"
#include "tier.h"
#include "undo.h"

#include "poison.h"

/*
 * After this a child under audit is taken for one that never executes: a worker, or one that waits for
 * its parent. Long, because it includes the making and the reading of the twin of a large process.
 */
#define AUDIT_LOST_NS 5000000000ULL

#define CACHE_SIZE 256
#define FRAMES_MIN 3

/* Raw return addresses to site: low half the index in the box plus one, high half a check. */
static uint64_t cache[CACHE_SIZE];

static uint64_t hash_raw(uint32_t call, const struct unwind_frame *frame, unsigned frames)
{
	uint64_t hash = hash_mix(module_generation(), call);
	unsigned i;

	for (i = 0; i < frames; i++)
		hash = hash_mix(hash, frame[i].pc);
	return hash;
}

/* Programs whose vfork() children change what they share, and whose parents count on it: known.def. */
static bool known_sharer(uintptr_t pc)
{
	static const char names[][16] = {
#define KNOWN(name, why) name,
#include "known.def"
#undef KNOWN
	};
	struct box_frame frame;
	size_t i;

	module_frame(pc, &frame);
	for (i = 0; i < COUNT(names); i++)
		if (module_is_named(frame.module, names[i]))
			return true;
	return false;
}

static struct box_site *site_lookup(uint32_t call, const struct unwind_frame *frame,
				    unsigned frames)
{
	struct box_site fresh;
	struct module module;
	unsigned i;

	memset(&fresh, 0, sizeof(fresh));
	fresh.call = call;
	/* The program's own vfork() shares memory from the first: there is nothing to learn. */
	fresh.state = call == BOX_CALL_VFORK ? BOX_SITE_PROMOTED : BOX_SITE_LEARNING;
	fresh.reason = call == BOX_CALL_VFORK ? BOX_REASON_NONE :
		       tier_shares()	      ? BOX_REASON_LEARNING :
						BOX_REASON_REROUTE_OFF;
	if (call == BOX_CALL_VFORK && known_sharer(frame[0].pc))
		fresh.reason = BOX_REASON_KNOWN;
	fresh.key = hash_mix(0, call);
	for (i = 0; i < frames && module_find(frame[i].pc, &module); i++) {
		module_frame(frame[i].pc, &fresh.frame[i]);
		fresh.key = hash_mix(hash_mix(fresh.key, module.key), fresh.frame[i].offset);
	}
	/* Code that was made at run time has no name: the frames below it must do, and there must be one. */
	fresh.frames = i;
	if (!i)
		return NULL;
	/* One or two are too coarse: a wrapper's callers would all be one site. */
	if (i < FRAMES_MIN && fresh.state == BOX_SITE_LEARNING) {
		fresh.state = BOX_SITE_REFUSED;
		fresh.reason = BOX_REASON_UNREADABLE;
	}
	return record_site(&fresh);
}

struct site_visit site_visit(uint32_t call, const struct unwind_frame *frame, unsigned frames)
{
	uint64_t hash = hash_raw(call, frame, frames);
	uint64_t *slot = &cache[hash % CACHE_SIZE];
	uint64_t cached = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
	struct site_visit visit = { .shape = 2 };
	unsigned i;

	if (!frames)
		return visit;
	for (i = 1; i < frames; i++)
		visit.shape = hash_mix(visit.shape, frame[i].stack - frame[0].stack) | 2;
	visit.extent = frame[frames - 1].stack - frame[0].stack;
	if ((uint32_t)cached && cached >> 32 == hash >> 32) {
		visit.site = record_at(BOX_TABLE_SITE, (uint32_t)cached);
	} else {
		visit.site = site_lookup(call, frame, frames);
		if (visit.site)
			__atomic_store_n(slot,
					 (hash & ~0xffffffffULL) | record_site_index(visit.site),
					 __ATOMIC_RELEASE);
	}
	if (visit.site)
		visit.number = __atomic_add_fetch(&visit.site->spawns, 1, __ATOMIC_RELAXED) +
			       visit.site->phase;
	return visit;
}

/* An audited child that died, or was killed, told nothing. */
static bool ended(uint32_t pid)
{
	return pid && SYS(kill, pid, 0) == -ESRCH;
}

void site_audit_child(struct box_site *site)
{
	site->audit_pid = (uint32_t)sys_pid();
}

bool site_audit_begin(struct box_site *site)
{
	uint64_t now = sys_now();
	uint64_t since = __atomic_load_n(&site->audit_since, __ATOMIC_ACQUIRE);

	if (since && ended(site->audit_pid)) {
		site_audit_cancel(site);
		since = 0;
	}
	if (since) {
		if (now - since > AUDIT_LOST_NS)
			site_refuse(site, BOX_REASON_DEADLINE);
		return false;
	}
	if (!__atomic_compare_exchange_n(&site->audit_since, &since, now, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_RELAXED))
		return false;
	__atomic_add_fetch(&site->audits, 1, __ATOMIC_RELAXED);
	RECORD_ADD(audits, 1);
	return true;
}

void site_audit_cancel(struct box_site *site)
{
	site->audit_pid = 0;
	__atomic_store_n(&site->audit_since, 0, __ATOMIC_RELEASE);
}

/* Offsets from the thread pointer are negative as a rule, and a range may end at zero. */
bool site_knows(const struct box_site *site, const struct box_write *write)
{
	uint32_t i;

	for (i = 0; i < site->writes && i < BOX_SITE_WRITES; i++) {
		const struct box_write *known = &site->write[i];
		uint64_t low = WRITE_LOW(known->offset);
		uint64_t size = WRITE_HIGH(known->offset + known->size) - low;

		if (known->module == write->module && write->offset - low <= size &&
		    size - (write->offset - low) >= write->size)
			return true;
	}
	return false;
}

bool site_knows_stack(const struct box_site *site, uint32_t offset, uint32_t size)
{
	uint32_t i;

	for (i = 0; i < site->stack_writes && i < BOX_SITE_STACK; i++)
		if (offset >= site->stack_write[i].offset &&
		    offset + size <= site->stack_write[i].offset + site->stack_write[i].size)
			return true;
	return false;
}

/*
 * Ranges of the stack that overlap or touch become one while no window can be using them. False: too many.
 */
static bool site_add_stack(struct box_site *site, const struct site_writes *writes)
{
	bool used = __atomic_load_n(&site->state, __ATOMIC_ACQUIRE) != BOX_SITE_LEARNING;
	uint32_t i, j;

	for (i = 0; i < writes->stack_count; i++) {
		uint32_t start = writes->stack[i].offset, end = start + writes->stack[i].size;

		for (j = used ? site->stack_writes : 0; j < site->stack_writes; j++) {
			uint32_t low = site->stack_write[j].offset,
				 high = low + site->stack_write[j].size;

			if (start > high || end < low)
				continue;
			site->stack_write[j].offset = start < low ? start : low;
			site->stack_write[j].size =
				(end > high ? end : high) - site->stack_write[j].offset;
			break;
		}
		if (j < site->stack_writes)
			continue;
		if (j == BOX_SITE_STACK && writes->others)
			return false;
		if (j == BOX_SITE_STACK) {
			site->shape = SITE_SHAPE_VARIES;
			return true;
		}
		site->stack_write[j].offset = start;
		site->stack_write[j].size = end - start;
		__atomic_store_n(&site->stack_writes, j + 1, __ATOMIC_RELEASE);
	}
	return true;
}

/* A full table of writes is no reason to give up paths that are known to do without more of them. */
static bool site_full(struct box_site *site, const struct site_writes *writes,
		      enum spork_reason reason)
{
	if (writes->path && __atomic_load_n(&site->state, __ATOMIC_ACQUIRE) == BOX_SITE_PROMOTED)
		site_audit_cancel(site);
	else
		site_refuse(site, reason);
	return false;
}

void site_add_write(struct box_site *site, uintptr_t start, uintptr_t end)
{
	struct box_write write = { .size = (uint32_t)(end - start) };
	struct module module;

	if (!module_find(start, &module) || site->writes == BOX_SITE_WRITES)
		return;
	write.module = module.index;
	write.offset = start - module.bias;
	if (site_knows(site, &write))
		return;
	site->write[site->writes] = write;
	__atomic_store_n(&site->writes, site->writes + 1, __ATOMIC_RELEASE);
	RECORD_ADD(changes, 1);
}

bool site_audit_writes(struct box_site *site, const struct site_writes *writes)
{
	bool more = writes->path;
	uint32_t i;

	for (i = 0; i < writes->count; i++) {
		if (site_knows(site, &writes->write[i]))
			continue;
		if (site->writes == BOX_SITE_WRITES)
			return site_full(site, writes, BOX_REASON_WRITES_MANY);
		site->write[site->writes] = writes->write[i];
		__atomic_store_n(&site->writes, site->writes + 1, __ATOMIC_RELEASE);
		more = true;
	}
	if (!site_add_stack(site, writes))
		return site_full(site, writes, BOX_REASON_WRITES_STACK);
	if (writes->returned > site->returned)
		site->returned = writes->returned;
	if (!site->shape)
		site->shape = writes->shape;
	else if (site->shape != writes->shape)
		site->shape = SITE_SHAPE_VARIES;
	site->handlers = atfork_key();
	site->environment |= writes->environment;
	site->silent |= writes->silent;
	site->got |= writes->got;
	if (more || writes->stack_count)
		__atomic_add_fetch(&site->version, 1, __ATOMIC_RELEASE);
	return true;
}

void site_audit_clean(struct box_site *site, const struct site_writes *writes)
{
	uint32_t learning = BOX_SITE_LEARNING;

	if (writes->path && site->strikes)
		__atomic_sub_fetch(&site->strikes, 1, __ATOMIC_RELAXED);
	if (__atomic_add_fetch(&site->clean, 1, __ATOMIC_ACQ_REL) >= config.learn &&
	    __atomic_compare_exchange_n(&site->state, &learning, BOX_SITE_PROMOTED, false,
					__ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		site->reason = BOX_REASON_NONE;
	RECORD_ADD(changes, 1);
	site_audit_cancel(site);
}

void site_exec_failed(struct box_site *site)
{
	uint32_t clean = __atomic_load_n(&site->clean, __ATOMIC_ACQUIRE);

	if (clean && __atomic_load_n(&site->state, __ATOMIC_ACQUIRE) == BOX_SITE_LEARNING)
		__atomic_compare_exchange_n(&site->clean, &clean, clean - 1, false,
					    __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

void site_refuse(struct box_site *site, enum spork_reason reason)
{
	site_refuse_for(site, reason, NULL, 0);
}

void site_refuse_for(struct box_site *site, enum spork_reason reason, const char *function,
		     uintptr_t where)
{
	uint32_t state = __atomic_load_n(&site->state, __ATOMIC_ACQUIRE);

	if (state == BOX_SITE_LEARNING || state == BOX_SITE_PROMOTED) {
		module_frame(where, &site->finding);
		strncpy(site->function, function ? function : "", sizeof(site->function) - 1);
		site->reason = reason;
		__atomic_store_n(&site->state,
				 state == BOX_SITE_PROMOTED ? BOX_SITE_DEMOTED : BOX_SITE_REFUSED,
				 __ATOMIC_RELEASE);
		RECORD_ADD(changes, 1);
	}
	site_audit_cancel(site);
}

void site_take_refusal(struct box_site *known, const struct box_site *told)
{
	uint32_t state = __atomic_load_n(&known->state, __ATOMIC_ACQUIRE);

	if (told->state != BOX_SITE_REFUSED && told->state != BOX_SITE_DEMOTED)
		return;
	if (state != BOX_SITE_LEARNING && state != BOX_SITE_PROMOTED)
		return;
	known->finding = told->finding;
	memcpy(known->function, told->function, sizeof(known->function));
	known->reason = told->reason;
	__atomic_store_n(&known->state, state == BOX_SITE_PROMOTED ? BOX_SITE_DEMOTED : told->state,
			 __ATOMIC_RELEASE);
}

void site_count_upgrade(struct box_site *site)
{
	__atomic_add_fetch(&site->upgrades, 1, __ATOMIC_RELAXED);
	RECORD_ADD(upgrades, 1);
}

void site_upgraded(struct box_site *site, enum spork_reason reason)
{
	uint32_t strikes = __atomic_add_fetch(&site->strikes, 1, __ATOMIC_RELAXED);

	site_count_upgrade(site);
	if (strikes >= 16 && strikes > site->by_tier[BOX_TIER_VFORK] / 4)
		site_refuse(site, reason);
}

void site_fallback(struct box_site *site, enum spork_reason reason)
{
	RECORD_ADD(fallbacks, 1);
	site->fallback_reason = reason;
	__atomic_add_fetch(&site->fallbacks, 1, __ATOMIC_RELAXED);
}

void site_count(struct box_site *site, enum spork_tier tier, uint64_t duration_ns)
{
	__atomic_add_fetch(&site->by_tier[tier], 1, __ATOMIC_RELAXED);
	__atomic_add_fetch(&site->latency[box_bucket(duration_ns)], 1, __ATOMIC_RELAXED);
}
