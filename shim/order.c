// SPDX-License-Identifier: MIT
/*
 * Owns the graph of lock classes: an edge from what a thread held to what it waited for then. An edge that is known
 * costs one lookup without a lock; a new one is added, and searched for a way back, under a spin lock. Nodes
 * and edges are never changed once they are there, and never go away.
 *
 * Locks that all threads of a cycle hold besides ("gates") let only one of them in at a time, so an edge that is
 * seen with other gates is another edge.
 */
#include "order.h"

#include "libc_lock.h"
#include "memory.h"
#include "module.h"
#include "origin.h"
#include "record.h"
#include "report.h"
#include "seccomp.h"
#include "sys.h"
#include "unwind.h"

#include "poison.h"

#define EDGES 4096
#define INSTANCE_EDGES (EDGES / 2) /* of them between locks of one class */
#define SLOTS (2 * EDGES)
#define NODES (4 * EDGES) /* slots for at most half as many */
#define GATES 4
#define NESTED 16 /* held locks that are looked at, innermost first */
#define TOLD 512  /* cycles that were reported, twice: by their locks and by their stacks */
#define CONTEXT 2 /* return addresses that tell where a lock was made: past one wrapper */
#define NONE UINT16_MAX

struct edge {
	uint16_t from, to; /* nodes */
	uint16_t next;	   /* edge from the same node, plus one */
	uint8_t from_kind, to_kind;
	uint16_t frames, gates;
	uint32_t gate[GATES]; /* gate_name() of each */
	const void *from_lock, *to_lock;
	uintptr_t from_where;		/* where the first was taken */
	uintptr_t pc[BOX_STACK_FRAMES]; /* and where the second was asked for */
};

static struct edge *edges;
static uint32_t edge_count, instance_count;

static struct graph {
	uint64_t key[SLOTS]; /* of edges; zero: free */
	struct {
		uint64_t key;	/* zero: free */
		uint16_t first; /* edge from it, plus one */
	} node[NODES];
	/* The search: a node is asked for to read, or to write. */
	struct {
		uint32_t search;
		uint16_t edge, before; /* how it was reached, and from which state */
	} state[2 * NODES];
	uint16_t queue[2 * NODES];
	uint32_t search;
	uint64_t told[2 * TOLD];
	uint32_t told_count;
} * graph;

_Static_assert(sizeof(struct graph) <= MEMORY_CHUNK, "memory_take()");
_Static_assert(EDGES * sizeof(struct edge) <= MEMORY_CHUNK, "memory_take()");
_Static_assert(2 * NODES < NONE, "states");

static struct spin order_lock CHILD_STATE;

/* One of the locks that the calling thread holds, or the one that it asks for. */
struct party {
	const void *lock;
	uint64_t class, instance; /* names of a node */
	uintptr_t where;
	uint32_t kind, at;
};

void order_made(const void *lock)
{
	struct unwind_frame frame[CONTEXT];
	struct module module;
	uint64_t context = 1;
	unsigned frames, i;

	if (seccomp_confined() || module_find((uintptr_t)lock, &module))
		return;
	frames = unwind(0, frame, CONTEXT);
	for (i = 0; i < frames; i++)
		context = hash_mix(context, frame[i].pc);
	origin_context_note(lock, context);
}

static struct party party_of(const void *lock, uint32_t kind)
{
	struct origin_context context = origin_context(lock);
	uint64_t address = hash_mix(1, (uintptr_t)lock);

	return (struct party){
		.lock = lock,
		.class = context.made ? hash_mix(2, context.made) : address,
		.instance = hash_mix(address, context.number),
		.kind = kind,
	};
}

/* Readers wait for no reader. */
static bool both_read(uint32_t one, uint32_t other)
{
	return one == HELD_READ && other == HELD_READ;
}

/* How an edge remembers a gate: the lowest bit tells that it is held to read only. */
static uint32_t gate_name(const struct party *gate, const struct party *from,
			  const struct party *to)
{
	bool alike = from->class == to->class && gate->class == from->class;
	uint64_t name = hash_mix(3, alike ? gate->instance : gate->class);

	return ((uint32_t)name & ~1U) | (gate->kind == HELD_READ);
}

struct sight {
	const struct party *held, *to;
	uint32_t count;
};

static uint64_t edge_key(const struct sight *sight, uint32_t index)
{
	const struct party *from = &sight->held[index], *to = sight->to;
	bool alike = from->class == to->class;
	uint64_t hash = hash_mix(4, alike ? from->instance : from->class), gates = 0;
	uint32_t i;

	hash = hash_mix(hash, alike ? to->instance : to->class);
	hash = hash_mix(hash, (from->kind == HELD_READ) | (to->kind == HELD_READ) << 1);
	for (i = 0; i < sight->count; i++)
		if (i != index)
			gates += hash_mix(5, gate_name(&sight->held[i], from, to));
	return hash_mix(hash, gates) | 1;
}

/* Its slot, or the free one where it belongs. */
static uint64_t *edge_slot(uint64_t key)
{
	struct graph *known = __atomic_load_n(&graph, __ATOMIC_ACQUIRE);
	uint32_t at = (uint32_t)((key >> 1) % SLOTS);
	uint64_t found;

	if (!known)
		return NULL;
	for (;; at = (at + 1) % SLOTS) {
		found = __atomic_load_n(&known->key[at], __ATOMIC_RELAXED);
		if (!found || found == key)
			return &known->key[at];
	}
}

static bool edge_known(uint64_t key)
{
	const uint64_t *slot = edge_slot(key);

	return slot && *slot;
}

static uint16_t node_of(uint64_t key)
{
	uint32_t at = (uint32_t)((key >> 1) % NODES);

	while (graph->node[at].key && graph->node[at].key != key)
		at = (at + 1) % NODES;
	graph->node[at].key = key;
	return (uint16_t)at;
}

/* Is there no room for another edge? That is counted. */
static bool full(bool alike)
{
	if (edge_count < EDGES && (!alike || instance_count < INSTANCE_EDGES))
		return false;
	RECORD_ADD(locks_lost, 1);
	return true;
}

/* From here to the end of order_new(): order_lock is held. */
static struct edge *edge_add(const struct sight *sight, uint32_t index,
			     const struct unwind_frame *frame, unsigned frames)
{
	const struct party *from = &sight->held[index], *to = sight->to;
	bool alike = from->class == to->class;
	struct edge *edge;
	uint32_t i;

	if (full(alike))
		return NULL;
	instance_count += alike;
	edge = &edges[edge_count];
	edge->from = node_of(alike ? from->instance : from->class);
	edge->to = node_of(alike ? to->instance : to->class);
	edge->from_kind = (uint8_t)from->kind;
	edge->to_kind = (uint8_t)to->kind;
	edge->from_lock = from->lock;
	edge->to_lock = to->lock;
	edge->from_where = from->where;
	edge->frames = (uint16_t)frames;
	for (i = 0; i < frames; i++)
		edge->pc[i] = frame[i].pc;
	for (i = 0; i < sight->count && edge->gates < GATES; i++)
		if (i != index)
			edge->gate[edge->gates++] = gate_name(&sight->held[i], from, to);
	edge->next = graph->node[edge->from].first;
	edge_count++;
	/* In this order: a child that is forked in between must not use the edge's place again. */
	__atomic_store_n(&graph->node[edge->from].first, (uint16_t)edge_count, __ATOMIC_RELEASE);
	__atomic_store_n(edge_slot(edge_key(sight, index)), edge_key(sight, index),
			 __ATOMIC_RELEASE);
	return edge;
}

/* Do both hold a lock that lets only one of them on? */
static bool gated(const struct edge *one, const struct edge *other)
{
	uint32_t i, j;

	for (i = 0; i < one->gates; i++)
		for (j = 0; j < other->gates; j++)
			if (one->gate[i] >> 1 == other->gate[j] >> 1 &&
			    !(one->gate[i] & other->gate[j] & 1))
				return true;
	return false;
}

static uint16_t state_of(uint16_t node, uint32_t kind)
{
	return (uint16_t)(2 * node + (kind == HELD_READ));
}

struct cycle {
	const struct edge *made,
		*closing; /* the new edge, and the one that leads back to its start */
	uint32_t locks;
	uint64_t hash; /* of them */
};

/* May the cycle so far, which ends in `state`, go on with this edge? */
static bool goes_on(const struct edge *made, uint16_t state, const struct edge *edge)
{
	if ((state & 1 && edge->from_kind == HELD_READ) || gated(made, edge))
		return false;
	for (; graph->state[state].edge != NONE; state = graph->state[state].before)
		if (gated(&edges[graph->state[state].edge], edge))
			return false;
	return true;
}

static void cycle_found(struct cycle *cycle, uint16_t state, const struct edge *closing)
{
	cycle->closing = closing;
	cycle->locks = 1;
	cycle->hash = hash_mix(6, graph->node[cycle->made->from].key);
	for (;; state = graph->state[state].before) {
		cycle->locks++;
		cycle->hash += hash_mix(6, graph->node[state / 2].key);
		if (graph->state[state].edge == NONE)
			break;
	}
}

/* The shortest way from the end of the new edge to its start. */
static bool search(struct cycle *cycle)
{
	const struct edge *made = cycle->made;
	uint16_t state = state_of(made->to, made->to_kind);
	uint32_t head = 0, tail = 0, number = ++graph->search;

	graph->state[state].search = number;
	graph->state[state].edge = NONE;
	graph->queue[tail++] = state;
	while (head < tail) {
		uint16_t at;

		state = graph->queue[head++];
		for (at = graph->node[state / 2].first; at; at = edges[at - 1].next) {
			const struct edge *edge = &edges[at - 1];
			uint16_t next = state_of(edge->to, edge->to_kind);

			if (edge->to == made->to || !goes_on(made, state, edge))
				continue;
			if (edge->to == made->from) {
				if (both_read(edge->to_kind, made->from_kind))
					continue;
				cycle_found(cycle, state, edge);
				return true;
			}
			if (graph->state[next].search == number)
				continue;
			graph->state[next].search = number;
			graph->state[next].edge = (uint16_t)(at - 1);
			graph->state[next].before = state;
			graph->queue[tail++] = next;
		}
	}
	return false;
}

static bool was_told(uint64_t hash)
{
	uint32_t i;

	for (i = 0; i < graph->told_count; i++)
		if (graph->told[i] == hash)
			return true;
	return false;
}

/* Once for the same locks, and once for the same two stacks, whichever locks were taken there. */
static bool tell_once(const struct cycle *cycle)
{
	uint64_t stacks = 7;
	uint32_t i;

	for (i = 0; i < cycle->made->frames; i++)
		stacks = hash_mix(stacks, cycle->made->pc[i]);
	for (i = 0; i < cycle->closing->frames; i++)
		stacks = hash_mix(stacks, cycle->closing->pc[i]);
	if (graph->told_count + 2 > COUNT(graph->told) || was_told(cycle->hash) || was_told(stacks))
		return false;
	graph->told[graph->told_count++] = cycle->hash;
	graph->told[graph->told_count++] = stacks;
	return true;
}

static bool graph_ready(void)
{
	struct graph *made = graph;

	if (!edges)
		edges = memory_take(EDGES * sizeof(*edges));
	if (!made)
		made = memory_take(sizeof(*made));
	__atomic_store_n(&graph, made, __ATOMIC_RELEASE);
	return edges && made;
}

/* Adds the edge. True: it closes a cycle that has to be reported. */
static bool order_new(const struct sight *sight, uint32_t index, const struct unwind_frame *frame,
		      unsigned frames, struct cycle *cycle)
{
	bool found = false;

	spin_lock(&order_lock);
	/* Another thread may have been faster. */
	if (graph_ready() && !edge_known(edge_key(sight, index))) {
		cycle->made = edge_add(sight, index, frame, frames);
		found = cycle->made && search(cycle) && tell_once(cycle);
	}
	spin_unlock(&order_lock);
	return found;
}

static void describe(struct box_lock *described, const void *lock, uint32_t kind, uintptr_t where)
{
	described->type = libc_lock_type((enum held_kind)kind);
	module_frame((uintptr_t)lock, &described->lock);
	module_frame(origin_of(lock), &described->origin);
	module_frame(where, &described->acquired);
}

static __attribute__((noinline)) void tell(const struct cycle *cycle)
{
	const struct edge *made = cycle->made, *closing = cycle->closing;
	struct box_violation violation;
	struct box_order *order = &violation.order;
	uint32_t i;

	memset(&violation, 0, sizeof(violation));
	violation.kind = BOX_VIOLATION_LOCK_ORDER;
	violation.lock_type = libc_lock_type((enum held_kind)made->to_kind);
	module_frame((uintptr_t)made->to_lock, &violation.lock);
	module_frame(origin_of(made->to_lock), &violation.origin);
	for (i = 0; i < made->frames; i++)
		module_frame(made->pc[i], &violation.stack[i]);
	violation.stack_frames = made->frames;
	order->locks = cycle->locks;
	describe(&order->held, made->from_lock, made->from_kind, made->from_where);
	describe(&order->outer, closing->from_lock, closing->from_kind, closing->from_where);
	for (i = 0; i < closing->frames; i++)
		module_frame(closing->pc[i], &order->stack[i]);
	order->stack_frames = closing->frames;
	report_violation(&violation);
}

/*
 * Without entries whose locks are not held after all: another thread has unlocked them, a longjmp has left them
 * behind, or this is a signal handler in the middle of a lock call.
 */
static uint32_t really_held(struct party *held, uint32_t count)
{
	uint32_t from, to = 0;

	for (from = 0; from < count; from++)
		if (held_mine(&thread_words.self->held[held[from].at]))
			held[to++] = held[from];
	return to;
}

static __attribute__((noinline)) void order_unknown(struct party *held, const struct party *to,
						    uint32_t count)
{
	struct sight sight = { held, to, really_held(held, count) };
	struct unwind_frame frame[BOX_STACK_FRAMES];
	unsigned frames = 0;
	struct cycle cycle;
	uint32_t i;

	for (i = 0; i < sight.count; i++) {
		if (edge_known(edge_key(&sight, i)))
			continue;
		if (!frames)
			frames = unwind(0, frame, COUNT(frame));
		if (order_new(&sight, i, frame, frames, &cycle))
			tell(&cycle);
	}
}

void order_ask(uint32_t at, const void *lock, enum held_kind kind)
{
	const struct thread *self = thread_words.self;
	struct party held[NESTED], to;
	struct sight sight = { held, &to, 0 };
	uint32_t i;

	if (!self || at == HELD_NONE || seccomp_confined() ||
	    !origin_is_lock((enum held_kind)kind, lock))
		return;
	for (i = self->held_count; i; i--) {
		const struct held *entry = &self->held[i - 1];

		if (i - 1 == at || !entry->lock || entry->flags & HELD_WAITING)
			continue;
		/* It does not wait for what it has. */
		if (entry->lock == lock)
			return;
		if (sight.count == NESTED ||
		    !origin_is_lock((enum held_kind)entry->kind, entry->lock))
			continue;
		held[sight.count] = party_of(entry->lock, entry->kind);
		held[sight.count].where = entry->where;
		held[sight.count++].at = i - 1;
	}
	if (!sight.count)
		return;
	to = party_of(lock, kind);
	for (i = 0; i < sight.count; i++)
		if (!edge_known(edge_key(&sight, i)) && !full(held[i].class == to.class)) {
			order_unknown(held, &to, sight.count);
			return;
		}
}

void order_after_fork(void)
{
	spin_reset(&order_lock);
}
