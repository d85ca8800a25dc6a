// SPDX-License-Identifier: MIT
/*
 * Owns what is known of libc's layout of a thread. Libc describes it for debuggers (nptl_db, glibc's nptl/db_info.c),
 * and the loader tells the size of static thread-local storage (_dl_get_tls_static_info(), which sanitizers and
 * collectors ask, too). Every number is checked against the calling thread before it is believed.
 */
#include "thread_copy.h"

#include "real.h"
#include "sys.h"
#include "thread.h"

#include "poison.h"

/* Bytes from the thread pointer, down and up, and from the start of the descriptor. */
static struct {
	uintptr_t below, above, align;
	uintptr_t vector, tid;
} layout;
static bool layout_known;

/* Modules that a program may have by now; a vector that claims more is none. */
#define MODULES_MAX 4096

/* The vector's slots: the one before the first that its pointer points to holds their number (glibc, dl-dtv.h). */
struct slot {
	uintptr_t value, allocated;
};

/* Fields as db_info.c describes them: { bits, elements, offset }. */
static bool field(const char *name, uint32_t bits, uintptr_t *offset)
{
	const uint32_t *description = real_libc(name);

	if (!description || description[0] != bits || description[1] != 1)
		return false;
	*offset = description[2];
	return true;
}

static uintptr_t descriptor(uintptr_t pointer, uintptr_t size)
{
	return ARCH_TLS_ABOVE ? pointer - size : pointer;
}

static const struct slot *vector_of(uintptr_t start)
{
	return *(const struct slot *const *)(start + layout.vector);
}

static bool layout_find(void)
{
	const uint32_t *size = real_libc("_thread_db_sizeof_pthread");
	void (*static_info)(size_t *, size_t *) =
		(void (*)(size_t *, size_t *))real_address("_dl_get_tls_static_info");
	uintptr_t pointer = sys_thread_pointer(), start;
	size_t storage = 0, align = 0;
	const struct slot *vector;

	if (!size || !static_info || !field("_thread_db_pthread_dtvp", 64, &layout.vector) ||
	    !field("_thread_db_pthread_tid", 32, &layout.tid) || layout.tid >= *size)
		return false;
	static_info(&storage, &align);
	if (!align || align & (align - 1) || pointer & (align - 1) ||
	    (!ARCH_TLS_ABOVE && storage < *size))
		return false;
	layout.align = align < 64 ? 64 : align;
	layout.below = ARCH_TLS_ABOVE ? *size : storage - *size;
	layout.above = ARCH_TLS_ABOVE ? storage : *size;
	start = descriptor(pointer, *size);
	if (layout.vector > layout.below + layout.above - sizeof(uintptr_t) ||
	    *(uint32_t *)(start + layout.tid) != (uint32_t)SYS(gettid))
		return false;
	vector = vector_of(start);
	return sys_readable(vector - 1) && vector[-1].value < MODULES_MAX;
}

/* Whoever comes at the same time finds the same. */
static bool layout_learn(void)
{
	if (!layout_find())
		return false;
	__atomic_store_n(&layout_known, true, __ATOMIC_RELEASE);
	return true;
}

/* Copies words, and moves those that point between `low` and `high` by `distance`. */
static void copy_words(uintptr_t to, uintptr_t from, size_t size, uintptr_t low, uintptr_t high,
		       uintptr_t distance)
{
	uintptr_t *copy = (uintptr_t *)to;
	const uintptr_t *word = (const uintptr_t *)from;
	size_t i;

	for (i = 0; i < size / sizeof(*word); i++)
		copy[i] = word[i] - low < high - low ? word[i] + distance : word[i];
}

/* The kernel keeps the current processor there for the caller alone: the copy is as one that was not registered. */
static void forget_rseq(uintptr_t pointer)
{
	extern const ptrdiff_t __rseq_offset __attribute__((weak));
	extern const unsigned __rseq_size __attribute__((weak));
	int32_t *processor;

	if (!&__rseq_offset || !__rseq_size)
		return;
	processor = (int32_t *)(pointer + (uintptr_t)__rseq_offset);
	processor[0] = 0;
	processor[1] = -1; /* RSEQ_CPU_ID_UNINITIALIZED */
}

bool thread_copy(uintptr_t low, uintptr_t high, struct thread_copy *copy)
{
	uintptr_t pointer = sys_thread_pointer(), from, to, start, distance, vector_size, size;
	const struct slot *vector;

	if (UNLIKELY(!__atomic_load_n(&layout_known, __ATOMIC_ACQUIRE)) && !layout_learn())
		return false;
	if (high - low <= layout.below + layout.above + layout.align)
		return false;
	copy->pointer = (high - layout.above) & -layout.align;
	distance = copy->pointer - pointer;
	from = pointer - layout.below;
	to = copy->pointer - layout.below;
	start = descriptor(copy->pointer, ARCH_TLS_ABOVE ? layout.below : layout.above);
	vector = vector_of(start - distance) - 1;
	vector_size = (vector->value + 2) * sizeof(*vector);
	copy->low = (to - vector_size) & -(uintptr_t)64;
	if (vector->value > MODULES_MAX || copy->low > to || copy->low < low)
		return false;
	size = ARCH_TLS_ABOVE ? layout.below : layout.above;
	copy_words(start, start - distance, size, from, pointer + layout.above, distance);
	/* The other side of the thread pointer: static storage. */
	to = ARCH_TLS_ABOVE ? copy->pointer : to;
	memcpy((void *)to, (const void *)(to - distance), layout.below + layout.above - size);
	copy_words(copy->low, (uintptr_t)vector, vector_size, from, pointer + layout.above,
		   distance);
	*(uintptr_t *)(start + layout.vector) = copy->low + sizeof(*vector);
	copy->tid = (uint32_t *)(start + layout.tid);
	forget_rseq(copy->pointer);
	return true;
}
