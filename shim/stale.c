// SPDX-License-Identifier: MIT
/*
 * See stale.h. libc removes an object's handlers when it is unloaded, but only those that were registered under
 * its own __dso_handle; a library that registers functions on behalf of a plugin leaves them behind.
 */
#include "stale.h"

#include "module.h"
#include "proc.h"
#include "report.h"
#include "seccomp.h"
#include "sys.h"
#include "thread.h"
#include "unwind.h"

#include "poison.h"

/* The object at an address; zero: none. One that was loaded again elsewhere is another. */
static uint64_t object_at(uintptr_t address, struct module *module)
{
	return module_find(address, module) ? hash_mix(module->key, module->bias) | 1 : 0;
}

void stale_note(uintptr_t function, struct stale_place *place)
{
	struct module module;

	memset(place, 0, sizeof(*place));
	/* To describe a module may take a system call. */
	if (!function || seccomp_confined())
		return;
	place->object = object_at(function, &module);
	if (place->object) {
		place->bias = module.bias;
		place->index = module.index;
	}
}

static bool executable(uintptr_t address)
{
	struct proc_maps maps;
	struct proc_map map;
	bool found = false;

	/* Who cannot look must not judge. */
	if (proc_maps_open(&maps, 0))
		return true;
	while (!found && proc_maps_next(&maps, &map))
		found = address >= map.start && address < map.end && map.executable;
	proc_maps_close(&maps);
	return found;
}

bool stale_is(uintptr_t function, const struct stale_place *place)
{
	struct module module;
	uint64_t object;

	if (!function || !place->object || seccomp_confined())
		return false;
	object = object_at(function, &module);
	if (object)
		return object != place->object;
	/* Something else may have been mapped there in its place: code that a program made itself. */
	return !executable(function);
}

void stale_report(uintptr_t function, const struct stale_place *place, enum atfork_phase phase)
{
	struct box_violation violation;
	int error = errno;

	memset(&violation, 0, sizeof(violation));
	violation.kind = BOX_VIOLATION_ATFORK_STALE;
	violation.phase = phase;
	violation.call = BOX_CALL_FORK + 1;
	violation.site = thread_words.fork_site;
	/* Looked up as a return address is, which lies behind the call. */
	violation.handler.addr = function + 1;
	violation.handler.offset = function + 1 - place->bias;
	violation.handler.module = place->index;
	if (thread_words.fork_from.pc)
		violation.fork_frames = unwind_box_from(&thread_words.fork_from, violation.fork);
	report_violation(&violation);
	errno = error;
}
