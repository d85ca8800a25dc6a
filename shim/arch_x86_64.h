/* SPDX-License-Identifier: MIT */
/*
 * See arch.h.
 */
#define ARCH_PAGE_MAX 4096
#define ARCH_TLS_ABOVE 0
#define ARCH_DESCRIPTOR_SIZE 2368
#define ARCH_OLD_VERSIONS 1
#define ARCH_RETURN_PUSHED 1

static inline long sys_call(long number, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return result;
}

static inline uintptr_t sys_thread_pointer(void)
{
	uintptr_t pointer;

	__asm__("mov %%fs:0x10, %0" : "=r"(pointer));
	return pointer;
}

static inline uintptr_t arch_resolve(uintptr_t resolver)
{
	return ((uintptr_t(*)(void))resolver)();
}

static inline bool arch_shadow_stack(void)
{
	uint64_t pointer = 0;

	/* rdsspq; a no-op that leaves the register alone where there is no shadow stack */
	__asm__ volatile(".byte 0xf3, 0x48, 0x0f, 0x1e, 0xc8" : "+a"(pointer));
	return pointer != 0;
}

/* Register numbers of the unwinder (psABI, figure 3.36); the return address counts as one. */
#define ARCH_FRAME_POINTER 6
#define ARCH_STACK_POINTER 7
#define ARCH_LINK 16

/* The call pushed it: it lies just below the caller's stack pointer. */
static inline uintptr_t arch_return_slot(uintptr_t low, uintptr_t high, uintptr_t frame_pointer)
{
	(void)low;
	(void)frame_pointer;
	return high - sizeof(uintptr_t);
}

static inline uintptr_t arch_code(uintptr_t address)
{
	return address;
}
