// SPDX-License-Identifier: MIT
/*
 * Owns the stacks of children that share memory. The words that tell which are in use lie side by side: to find a free
 * one among thousands is to read some lines of cache.
 */
#include "child_stack.h"

#include <linux/futex.h>
#include <sys/mman.h>

#include "sys.h"

#include "poison.h"

#define STACKS_MAX 8192

#define SETTLE_LIMIT_NS 1000000000ULL
static const struct timespec settle_nap = { .tv_nsec = 10000000 };

static uint32_t running[STACKS_MAX];
static uintptr_t low[STACKS_MAX]; /* zero: not there yet */
static bool soon[STACKS_MAX];
static uint32_t count;
static bool any_soon;

static void unmap(uintptr_t address)
{
	SYS(munmap, address - sys_page(), CHILD_STACK_SIZE + sys_page());
}

static uintptr_t map(void)
{
	uintptr_t guard = sys_page();
	long mapped = SYS(mmap, NULL, CHILD_STACK_SIZE + guard, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);

	if (mapped < 0 && mapped >= -4095)
		return 0;
	if (SYS(mprotect, mapped, guard, PROT_NONE)) {
		unmap((uintptr_t)mapped + guard);
		return 0;
	}
	return (uintptr_t)mapped + guard;
}

static bool take_at(uint32_t index, struct child_stack *stack)
{
	uint32_t unused = 0;
	uintptr_t address = __atomic_load_n(&low[index], __ATOMIC_ACQUIRE);

	if (!address || __atomic_load_n(&running[index], __ATOMIC_RELAXED) ||
	    !__atomic_compare_exchange_n(&running[index], &unused, 1, false, __ATOMIC_ACQUIRE,
					 __ATOMIC_RELAXED))
		return false;
	soon[index] = false;
	*stack = (struct child_stack){ &running[index], address };
	return true;
}

bool child_stack_take(struct child_stack *stack)
{
	uint32_t index, end = __atomic_load_n(&count, __ATOMIC_RELAXED);
	uintptr_t address;

	for (index = 0; index < end; index++)
		if (take_at(index, stack))
			return true;
	address = map();
	if (!address)
		return false;
	do {
		if (end >= STACKS_MAX) {
			unmap(address);
			return false;
		}
	} while (!__atomic_compare_exchange_n(&count, &end, end + 1, false, __ATOMIC_RELAXED,
					      __ATOMIC_RELAXED));
	*stack = (struct child_stack){ &running[end], address };
	running[end] = 1;
	__atomic_store_n(&low[end], address, __ATOMIC_RELEASE);
	return true;
}

void child_stack_give(const struct child_stack *stack)
{
	__atomic_store_n(stack->running, 0, __ATOMIC_RELEASE);
}

void child_stack_executes_soon(const struct child_stack *stack)
{
	soon[stack->running - running] = true;
	__atomic_store_n(&any_soon, true, __ATOMIC_RELEASE);
}

void child_stack_settle(void)
{
	uint64_t start;
	uint32_t index, value;

	if (!__atomic_load_n(&any_soon, __ATOMIC_ACQUIRE))
		return;
	start = sys_now();
	for (index = 0; index < __atomic_load_n(&count, __ATOMIC_ACQUIRE); index++)
		while (soon[index] &&
		       (value = __atomic_load_n(&running[index], __ATOMIC_ACQUIRE)) != 0 &&
		       sys_now() - start < SETTLE_LIMIT_NS)
			/* not private: the kernel wakes it as CLONE_CHILD_CLEARTID does */
			SYS(futex, &running[index], FUTEX_WAIT, value, &settle_nap);
}

void child_stack_after_fork(void)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);
	uint32_t index;

	for (index = 0; index < count; index++)
		if (here - low[index] >= CHILD_STACK_SIZE)
			RESET(running[index], 0);
}
