/* SPDX-License-Identifier: MIT */
/*
 * See arch.h.
 */
#define ARCH_PAGE_MAX 4096
#define ARCH_TLS_ABOVE 0
#define ARCH_DESCRIPTOR_SIZE 2368
#define ARCH_OLD_VERSIONS 1
#define ARCH_RETURN_PUSHED 1
#define ARCH_VDSO_CLOCK "__vdso_clock_gettime"
#define ARCH_DISPATCH 1
#define ARCH_RED_ZONE 128
#define ARCH_CLONE_CHILD_TID 3
#define ARCH_CLONE_STORAGE 4

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

static inline void arch_copy(void *to, const void *from, size_t size)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

static inline void arch_fill(void *to, int byte, size_t size)
{
	__asm__ volatile("rep stosb" : "+D"(to), "+c"(size) : "a"(byte) : "memory");
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

/* A ModRM byte and what follows (Intel SDM 2.1.5): `size` of it all; `known`: `address` is that of its memory. */
struct arch_operand {
	unsigned size;
	bool memory, known;
	uintptr_t address;
};

static inline struct arch_operand arch_operand(const uint8_t *code, bool extended, uintptr_t stack,
					       uintptr_t frame_pointer)
{
	uint8_t mode = code[0] >> 6, base = code[0] & 7, sib = base == 4 ? code[1] : 0;
	struct arch_operand operand = { .size = 1, .memory = mode != 3 };
	bool far = mode == 2 || (!mode && (base == 5 || (base == 4 && (sib & 7) == 5)));
	int32_t offset = 0;

	if (!operand.memory)
		return operand;
	operand.size += base == 4;
	if (far)
		__builtin_memcpy(&offset, code + operand.size, sizeof(offset));
	else if (mode)
		offset = (int8_t)code[operand.size];
	operand.size += far ? 4 : mode;
	operand.known = !extended && (base == 5 || (base == 4 && sib == 0x24));
	if (base == 5 && !mode) /* from the next instruction on */
		operand.address = (uintptr_t)code + operand.size;
	else
		operand.address = base == 5 ? frame_pointer : stack;
	operand.address += (uintptr_t)(intptr_t)offset;
	return operand;
}

static inline void arch_variables_add(struct arch_variables *found, const struct arch_operand *to,
				      uint32_t size)
{
	if (!to->known || found->count == ARCH_VARIABLES) {
		found->anywhere++;
		return;
	}
	found->variable[found->count].address = to->address;
	found->variable[found->count].size = size;
	found->count++;
}

/* Moves of the result from register to register, to memory and back, and what computes where it belongs. */
static inline struct arch_variables arch_pid_variables(uintptr_t pc, uintptr_t end, uintptr_t stack,
						       uintptr_t frame_pointer)
{
	struct arch_variables found = { 0 };
	const uint8_t *code = (const uint8_t *)pc;
	unsigned holds = 1, steps; /* registers that have it: rax */

	for (steps = 0; steps < 16 && (uintptr_t)code + 12 < end; steps++) {
		uint8_t prefix = *code >= 0x40 && *code < 0x50 ? *code++ : 0, op = *code++;
		struct arch_operand to;
		unsigned one, other;
		bool pid = false;
		uint32_t i;

		if (op == 0x98) /* cltq */
			continue;
		if (op == 0xf3 && code[0] == 0x0f && code[1] == 0x1e) { /* endbr64 */
			code += 3;
			continue;
		}
		if (op != 0x89 && op != 0x8b && op != 0x63 && op != 0x8d && op != 0x85 &&
		    op != 0x83 && op != 0x01 && op != 0x03 && op != 0xc1)
			break;
		one = (code[0] >> 3 & 7) | (prefix & 4) << 1;
		other = (code[0] & 7) | (prefix & 1) << 3;
		to = arch_operand(code, prefix & 1, stack, frame_pointer);
		code += to.size + (op == 0x83 || op == 0xc1);
		if (op == 0x85 || (op == 0x83 && one % 8 == 7)) /* test, cmp */
			continue;
		if (op == 0x89 && to.memory) {
			if (holds >> one & 1)
				arch_variables_add(&found, &to, prefix & 8 ? 8 : 4);
			continue;
		}
		if (op == 0x89) {
			unsigned from = one;

			one = other;
			other = from;
		}
		if (op == 0x89 || ((op == 0x8b || op == 0x63) && !to.memory))
			pid = holds >> other & 1;
		for (i = 0; (op == 0x8b || op == 0x63) && to.known && i < found.count; i++)
			pid |= found.variable[i].address == to.address;
		if (op == 0x83 || op == 0xc1 || op == 0x01) /* arithmetic: of its other operand */
			one = to.memory ? 32 : other;
		holds = one < 16 ? (holds & ~(1U << one)) | (unsigned)pid << one : holds;
	}
	return found;
}
