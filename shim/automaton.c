// SPDX-License-Identifier: MIT
/*
 * Owns the transitions that a site's record holds. A transition is a hash of two calls, of which zero is
 * no value; the one after fork() has no first call. Runs in children alone, of either kind.
 */
#include "automaton.h"

#include "module.h"
#include "sys.h"
#include "window.h"

#include "poison.h"

/* The transition from the child's last call to this one, which becomes the last. */
static uint32_t step(struct window *window, enum hook hook, uintptr_t where)
{
	uint64_t call = hash_mix(1, hook);
	struct module module;
	uint32_t transition;

	if (module_find(where, &module))
		call = hash_mix(hash_mix(call, module.key), where - module.bias);
	transition = (uint32_t)(hash_mix(window->last_call, call) >> 32);
	window->last_call = call;
	return transition ? transition : 1;
}

/* The slot of a transition in a table with open addressing, or that where it belongs; -1: the table is full. */
static int slot_of(const uint32_t *table, uint32_t transition)
{
	uint32_t i, at;

	for (i = 0; i < BOX_SITE_TRANSITIONS; i++) {
		at = (transition + i) % BOX_SITE_TRANSITIONS;
		if (!table[at] || table[at] == transition)
			return (int)at;
	}
	return -1;
}

static bool holds(const uint32_t *table, uint32_t transition)
{
	int slot = slot_of(table, transition);

	return slot >= 0 && __atomic_load_n(&table[slot], __ATOMIC_ACQUIRE);
}

void automaton_note(struct window *window, enum hook hook, uintptr_t where)
{
	uint32_t transition = step(window, hook, where);
	int slot = slot_of(window->transition, transition);

	if (slot < 0)
		window->transitions_lost = true;
	else
		window->transition[slot] = transition;
}

/*
 * What was learned after the window opened does not count: what such a child writes was not saved. `version`
 * changes before the first transition that comes with it is stored.
 */
bool automaton_knows(struct window *window, enum hook hook, uintptr_t where)
{
	return holds(window->site->transition, step(window, hook, where)) &&
	       __atomic_load_n(&window->site->version, __ATOMIC_ACQUIRE) == window->version;
}

bool automaton_is_new(const struct window *window)
{
	uint32_t i;

	for (i = 0; i < BOX_SITE_TRANSITIONS; i++)
		if (window->transition[i] &&
		    !holds(window->site->transition, window->transition[i]))
			return true;
	return window->transitions_lost;
}

bool automaton_fits(const struct window *window)
{
	uint32_t i, room = 0, fresh = 0;

	for (i = 0; i < BOX_SITE_TRANSITIONS; i++) {
		room += !window->site->transition[i];
		fresh += window->transition[i] &&
			 !holds(window->site->transition, window->transition[i]);
	}
	return fresh <= room && !window->transitions_lost;
}

/* A site has one audited child at a time, and so one writer. */
void automaton_learn(struct window *window)
{
	struct box_site *site = window->site;
	uint32_t i;
	int slot;

	for (i = 0; i < BOX_SITE_TRANSITIONS; i++) {
		slot = window->transition[i] ? slot_of(site->transition, window->transition[i]) :
					       -1;
		if (slot >= 0)
			__atomic_store_n(&site->transition[slot], window->transition[i],
					 __ATOMIC_RELEASE);
	}
}
