// SPDX-License-Identifier: MIT
/*
 * Owns the chunks of private memory that thread and window records are made of. Chunks are only added,
 * so memory_owns() needs no lock.
 */
#include "memory.h"

#include <sys/mman.h>
#include <sys/uio.h>

#include "module.h"
#include "sys.h"

#include "poison.h"

static uintptr_t chunks[256];
static uint32_t chunk_count;
static size_t chunk_used = MEMORY_CHUNK;
static struct spin memory_lock CHILD_STATE;

void *memory_take(size_t size)
{
	void *taken = NULL;

	size = (size + 63) & ~(size_t)63;
	spin_lock(&memory_lock);
	if (chunk_used + size > MEMORY_CHUNK && chunk_count < COUNT(chunks)) {
		long chunk = SYS(mmap, NULL, MEMORY_CHUNK, PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (chunk > 0 || chunk < -4095) {
			chunks[chunk_count] = (uintptr_t)chunk;
			__atomic_store_n(&chunk_count, chunk_count + 1, __ATOMIC_RELEASE);
			chunk_used = 0;
		}
	}
	if (chunk_used + size <= MEMORY_CHUNK) {
		taken = (void *)(chunks[chunk_count - 1] + chunk_used);
		chunk_used += size;
	}
	spin_unlock(&memory_lock);
	return taken;
}

bool memory_owns(uintptr_t address)
{
	uint32_t count = __atomic_load_n(&chunk_count, __ATOMIC_ACQUIRE);
	uint32_t i;

	for (i = 0; i < count; i++)
		if (address - chunks[i] < MEMORY_CHUNK)
			return true;
	return module_is_shim(address);
}

struct memory_range memory_next(uintptr_t at, uintptr_t end)
{
	uint32_t count = __atomic_load_n(&chunk_count, __ATOMIC_ACQUIRE);
	struct memory_range next = { end, end };
	uint32_t i;

	for (i = 0; i < count; i++)
		if (chunks[i] + MEMORY_CHUNK > at && chunks[i] < next.low)
			next = (struct memory_range){ chunks[i], chunks[i] + MEMORY_CHUNK };
	return next;
}

bool memory_copy(const void *at, void *copy, size_t size)
{
	struct iovec to = { copy, size }, from = { (void *)at, size };

	return SYS(process_vm_readv, sys_pid(), &to, 1, &from, 1, 0) == (long)size;
}

void memory_after_fork(void)
{
	spin_reset(&memory_lock);
}
