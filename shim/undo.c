// SPDX-License-Identifier: MIT
/*
 * Saving and restoring the memory that a child at a shared tier is allowed to write. State is the
 * window's. Runs in the parent only, with all signals blocked in the calling thread.
 *
 * While the process has one thread nobody else can write meanwhile: the stack comes back whole, and static
 * data by whole pages, so that a store which changed nothing while the site was learned is undone too.
 */
#include "undo.h"

#include <sys/prctl.h>
#include <sys/single_threaded.h>

#include "module.h"
#include "sys.h"
#include "thread.h"
#include "unwind.h"

#include "poison.h"

static bool helper;

uintptr_t undo_address(const struct box_write *write)
{
	if (!write->module)
		return sys_thread_pointer() + (uintptr_t)write->offset;
	return module_address(write->module, write->offset, write->size);
}

bool undo_saves_always(const struct box_write *write)
{
	struct thread_range storage = thread_storage();
	uintptr_t start = undo_address(write);

	return !write->module && start >= storage.low && start + write->size <= storage.high;
}

static bool saved(const struct undo *undo, uintptr_t start, uintptr_t end)
{
	uint32_t i;

	for (i = 0; i < undo->ranges; i++)
		if (start >= undo->range[i].address &&
		    end <= undo->range[i].address + undo->range[i].size)
			return true;
	return false;
}

/* Adds a range; false: no room. */
static bool save_range(struct undo *undo, uintptr_t start, uintptr_t end)
{
	uint32_t at = undo->ranges ? undo->range[undo->ranges - 1].at +
					     undo->range[undo->ranges - 1].size :
				     0;

	if (saved(undo, start, end))
		return true;
	if (end - start > UNDO_BYTES - at)
		return false;
	undo->range[undo->ranges].address = start;
	undo->range[undo->ranges].size = (uint32_t)(end - start);
	undo->range[undo->ranges].at = at;
	undo->ranges++;
	memcpy(undo->bytes + at, (void *)start, end - start);
	return true;
}

static enum spork_reason save_writes(struct undo *undo, const struct box_site *site)
{
	uint32_t count = __atomic_load_n(&site->writes, __ATOMIC_ACQUIRE), i;
	struct thread_range storage = thread_storage();
	uintptr_t page = sys_page();

	/* Other threads may write even this one's storage: then only what children write is put back. */
	if (undo->alone && !save_range(undo, storage.low, storage.high))
		return BOX_REASON_WRITES_MANY;
	for (i = 0; i < count && i < BOX_SITE_WRITES; i++) {
		/* Other processes write the box, too. */
		const struct box_write write = site->write[i];
		uintptr_t start = undo_address(&write), end = start + write.size;

		if (!start || end < start || write.size > BOX_SITE_WRITTEN ||
		    (!write.module && !thread_local_owns(start, end)))
			return BOX_REASON_MODULE;
		if (write.module && !undo->alone) {
			if (write.size || site->silent)
				return BOX_REASON_WRITES_STATIC;
			continue;
		}
		if (write.module) {
			start &= ~(page - 1);
			end = (end + !write.size + page - 1) & ~(page - 1);
		} else {
			start = WRITE_LOW(start);
			end = WRITE_HIGH(end);
		}
		if (!save_range(undo, start, end))
			return BOX_REASON_WRITES_MANY;
	}
	return BOX_REASON_NONE;
}

void undo_not_alone(void)
{
	helper = true;
}

/* Ranges of the stack mean something only while the frames lie as they did when they were learned. */
static bool frames_as_learned(const struct site_visit *visit)
{
	return !visit->site->stack_writes || visit->shape == visit->site->shape;
}

enum spork_reason undo_save(struct undo *undo, const struct site_visit *visit, uintptr_t stack,
			    size_t stack_size)
{
	undo->alone = __libc_single_threaded && !helper;
	if (!undo->alone && !frames_as_learned(visit))
		return BOX_REASON_FRAMES;
	undo->ranges = 0;
	undo->environment = environ;
	undo->error = errno;
	undo->dumpable = SYS(prctl, PR_GET_DUMPABLE);
	undo->stack = stack & ~(uintptr_t)7;
	undo->stack_size = stack_size & ~(size_t)7;
	memcpy(undo->stack_words, (void *)undo->stack, undo->stack_size);
	return save_writes(undo, visit->site);
}

bool undo_word(const struct undo *undo, uintptr_t address, uintptr_t *word)
{
	if (address % sizeof(*word) || address < undo->stack ||
	    address - undo->stack >= undo->stack_size)
		return false;
	*word = undo->stack_words[(address - undo->stack) / sizeof(*word)];
	return true;
}

static bool saved_word(void *undo, uintptr_t address, uintptr_t *word)
{
	return undo_word(undo, address, word);
}

uintptr_t undo_returned(struct undo *undo)
{
	return unwind_returned(saved_word, undo);
}

/* How much is compared at once: most of it is as it was. */
#define COMPARED ((size_t)256)

/* Only what differs is stored: a page that the child did not write stays as it is. */
static void restore(uintptr_t address, const uint8_t *from, size_t size)
{
	uint8_t *to = (uint8_t *)address;
	size_t at, i, end;

	for (at = 0; at < size; at = end) {
		end = size - at < COMPARED ? size : at + COMPARED;
		if (!memcmp(to + at, from + at, end - at))
			continue;
		for (i = at; i + WRITE_UNIT <= end; i += WRITE_UNIT)
			if (memcmp(to + i, from + i, WRITE_UNIT))
				memcpy(to + i, from + i, WRITE_UNIT);
		for (; i < end; i++)
			if (to[i] != from[i])
				to[i] = from[i];
	}
}

void undo_restore_stack(const struct undo *undo, uintptr_t returned)
{
	uintptr_t end = undo->stack + undo->stack_size;

	if (returned > end)
		returned = end;
	if (returned > undo->stack)
		restore(undo->stack, (const uint8_t *)undo->stack_words, returned - undo->stack);
}

/* While the process has one thread this is the first range. */
void undo_restore_storage(const struct undo *undo)
{
	if (undo->alone && undo->ranges)
		restore(undo->range[0].address, undo->bytes + undo->range[0].at,
			undo->range[0].size);
}

const uint8_t *undo_bytes(const struct undo *undo, uintptr_t address, size_t size)
{
	uint32_t i;

	for (i = 0; i < undo->ranges; i++)
		if (address >= undo->range[i].address &&
		    address + size <= undo->range[i].address + undo->range[i].size)
			return undo->bytes + undo->range[i].at + (address - undo->range[i].address);
	return NULL;
}

static void restore_stack(const struct undo *undo, const struct box_site *site, uintptr_t returned)
{
	const uint8_t *bytes = (const uint8_t *)undo->stack_words;
	uintptr_t end = undo->stack + undo->stack_size;
	uint32_t count = __atomic_load_n(&site->stack_writes, __ATOMIC_ACQUIRE), i;

	if (undo->alone)
		returned = end;
	else if (returned == UINTPTR_MAX) /* not known: as in other children */
		returned = undo->stack + site->returned;
	undo_restore_stack(undo, returned);
	for (i = 0; returned < end && i < count && i < BOX_SITE_STACK; i++) {
		uint32_t offset = site->stack_write[i].offset, size = site->stack_write[i].size;

		if ((uint64_t)offset + size <= undo->stack_size)
			restore(undo->stack + offset, bytes + offset, size);
	}
}

void undo_restore(const struct undo *undo, const struct box_site *site, uintptr_t returned)
{
	uint32_t i;

	restore_stack(undo, site, returned);
	for (i = 0; i < undo->ranges; i++)
		restore(undo->range[i].address, undo->bytes + undo->range[i].at,
			undo->range[i].size);
	/* With other threads alive, environ is the child's doing only where the site is known for it. */
	if (environ != undo->environment && (undo->alone || undo->environ_shared))
		environ = undo->environment;
	if (SYS(prctl, PR_GET_DUMPABLE) != undo->dumpable)
		SYS(prctl, PR_SET_DUMPABLE, undo->dumpable);
	errno = undo->error;
}
