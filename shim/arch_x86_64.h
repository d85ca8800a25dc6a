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

/* mov %eax or %rax to memory: `code` is at the ModRM byte (Intel SDM 2.1.5). */
static inline struct arch_variable arch_stored(const uint8_t *code, uint32_t size, uintptr_t stack,
					       uintptr_t frame_pointer)
{
	struct arch_variable anywhere = { 0, 0, true };
	uint8_t mode = code[0] >> 6, base = code[0] & 7;
	uintptr_t address;
	int32_t far;

	if (base == 4 && *++code != 0x24)
		return anywhere;
	if (base != 4 && base != 5)
		return anywhere;
	__builtin_memcpy(&far, code + 1, sizeof(far));
	if (base == 5 && !mode)
		address = (uintptr_t)code + 5 + (uintptr_t)(intptr_t)far;
	else
		address = (base == 4 ? stack : frame_pointer) +
			  (uintptr_t)(intptr_t)(mode == 2 ? far :
						mode	  ? (int8_t)code[1] :
							    0);
	return (struct arch_variable){ address, size, false };
}

static inline struct arch_variable arch_pid_variable(uintptr_t pc, uintptr_t stack,
						     uintptr_t frame_pointer)
{
	const uint8_t *code = (const uint8_t *)pc;
	/* No instruction here is longer than eight bytes; what lies on the next page may not be there. */
	const uint8_t *end = (const uint8_t *)((pc | 4095) - 8);
	struct arch_variable none = { 0, 0, false };

	while (code < end && code < (const uint8_t *)pc + 24) {
		uint8_t prefix = *code >= 0x40 && *code < 0x50 ? *code : 0;
		const uint8_t *at = code + (prefix != 0);

		if (at[0] == 0x89 && !(prefix & 4) && !(at[1] & 0x38) && at[1] < 0xc0)
			return prefix & 1 ? (struct arch_variable){ 0, 0, true } :
					    arch_stored(at + 1, prefix & 8 ? 8 : 4, stack,
							frame_pointer);
		if (at[0] == 0x89 && at[1] >= 0xc0) /* to another register */
			code = at + 2;
		else if (at[0] == 0x85 && at[1] == 0xc0) /* test */
			code = at + 2;
		else if (at[0] == 0x83 && at[1] == 0xf8) /* cmp */
			code = at + 3;
		else if (at[0] == 0x63 && at[1] >= 0xc0) /* movslq */
			code = at + 2;
		else if (prefix == 0x48 && at[0] == 0x98) /* cltq */
			code = at + 1;
		else if (at[0] == 0x8b && at[1] < 0xc0 && (at[1] & 0x38)) /* a pointer to it */
			code = at + 2 + ((at[1] & 7) == 4) +
			       (at[1] >> 6 == 2 || (at[1] & 0xc7) == 5 ? 4 : at[1] >> 6);
		else if (at[0] == 0xf3 && at[1] == 0x0f && at[2] == 0x1e) /* endbr64 */
			code = at + 4;
		else
			return none;
	}
	return none;
}
