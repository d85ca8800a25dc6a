/* SPDX-License-Identifier: MIT */
/*
 * vfork_memory_map FAULT PLACE: the vfork child changes the memory map, which is its parent's too.
 *
 *   mmap      over a region of the parent: bare, the parent finds zeros
 *   munmap    bare: the parent crashes
 *   mprotect  bare: the parent crashes when it writes
 *   madvise   MADV_DONTNEED: bare, the parent finds zeros
 *   mremap    bare: half of the region is gone, and the parent crashes
 *   brk, sbrk bare: the parent's break has moved
 *   twin      the child reads the region and writes into it, which was made to be shared
 */
#include <sys/mman.h>

#include "vfork.h"

#define REGION (64 << 10)

static volatile char *region;
static void *own_break;

#define REGION_POINTER ((void *)(uintptr_t)region)

FAULT(mmap, mmap(REGION_POINTER, REGION, PROT_READ | PROT_WRITE,
		 MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))
FAULT(munmap, munmap(REGION_POINTER, REGION))
FAULT(mprotect, mprotect(REGION_POINTER, REGION, PROT_READ))
FAULT(madvise, madvise(REGION_POINTER, REGION, MADV_DONTNEED))
FAULT(mremap, mremap(REGION_POINTER, REGION, REGION / 2, 0))
FAULT(brk, if (brk((char *)own_break + 65536)) _exit(1))
FAULT(sbrk, sbrk(65536))

static void look(void)
{
	unsigned i, changed = 0;

	printf("parent sees break %s\n", sbrk(0) == own_break ? "as it was" : "moved");
	for (i = 0; i < REGION; i += 4096)
		changed += region[i] != 'r';
	printf("parent sees %u pages changed\n", changed);
	region[REGION - 1] = 'p';
	printf("parent writes\n");
}

static const struct fault faults[] = {
	ROW(mmap, look),   ROW(munmap, look), ROW(mprotect, look), ROW(madvise, look),
	ROW(mremap, look), ROW(brk, look),    ROW(sbrk, look),
};

static void child_twin(void)
{
	region[0] = 't';
	execute();
}

int main(int argc, char **argv)
{
	unsigned i;

	setup();
	free(malloc(100)); /* the heap has its place */
	if (is_twin(argc, argv))
		region = shared_memory(REGION);
	else
		region = mmap(NULL, REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			      0);
	if (region == MAP_FAILED)
		return 97;
	for (i = 0; i < REGION; i++)
		region[i] = 'r';
	own_break = sbrk(0);
	if (!is_twin(argc, argv))
		return commit(faults, COUNT(faults), argc, argv);
	finish(start(child_twin));
	look();
	return 0;
}
