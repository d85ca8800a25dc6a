// SPDX-License-Identifier: MIT
/*
 * Saving and restoring the memory that a child at a shared tier is allowed to write. State is the
 * window's. Runs in the parent only, with all signals blocked in the calling thread; other threads may
 * run, so only words that differ are written back.
 */
#include "undo.h"

#include "module.h"
#include "sys.h"

#include "poison.h"

static uintptr_t range_address(const struct box_write *write)
{
	if (!write->module)
		return sys_thread_pointer() + (uintptr_t)write->offset;
	return module_address(write->module, write->offset);
}

enum spork_reason undo_save(struct undo *undo, const struct box_site *site, uintptr_t stack,
			    size_t stack_size)
{
	uint32_t used = 0, i;

	if (stack_size > UNDO_STACK)
		return BOX_REASON_DEEP_STACK;
	undo->ranges = 0;
	for (i = 0; i < site->writes && i < BOX_SITE_WRITES; i++) {
		const struct box_write *write = &site->write[i];
		uintptr_t address = range_address(write);

		if (!address || write->size > UNDO_BYTES - used)
			return BOX_REASON_WRITES_MANY;
		undo->range[i].address = address;
		undo->range[i].size = write->size;
		undo->range[i].at = used;
		memcpy(undo->bytes + used, (void *)address, write->size);
		used += write->size;
		undo->ranges++;
	}
	undo->environment = environ;
	undo->error = errno;
	undo->stack = stack & ~(uintptr_t)7;
	undo->stack_size = stack_size & ~(size_t)7;
	memcpy(undo->stack_words, (void *)undo->stack, undo->stack_size);
	return BOX_REASON_NONE;
}

static void restore_bytes(uint8_t *to, const uint8_t *from, size_t size)
{
	size_t i;

	for (i = 0; i < size; i++)
		if (to[i] != from[i])
			to[i] = from[i];
}

void undo_restore(const struct undo *undo)
{
	volatile uint64_t *word = (volatile uint64_t *)undo->stack;
	size_t words = undo->stack_size / 8, i;

	for (i = 0; i < words; i++)
		if (word[i] != undo->stack_words[i])
			word[i] = undo->stack_words[i];
	for (i = 0; i < undo->ranges; i++)
		restore_bytes((uint8_t *)undo->range[i].address, undo->bytes + undo->range[i].at,
			      undo->range[i].size);
	if (environ != undo->environment)
		environ = undo->environment;
	errno = undo->error;
}
