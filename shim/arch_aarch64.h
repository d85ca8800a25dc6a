/* SPDX-License-Identifier: MIT */
/*
 * See arch.h.
 */
#include <sys/auxv.h>
#include <sys/ifunc.h>

#define ARCH_PAGE_MAX 65536
#define ARCH_TLS_ABOVE 1
#define ARCH_DESCRIPTOR_SIZE 1856
#define ARCH_OLD_VERSIONS 0
#define ARCH_RETURN_PUSHED 0
#define ARCH_VDSO_CLOCK "__kernel_clock_gettime"
#define ARCH_DISPATCH 0
#define ARCH_CLONE_CHILD_TID 4
#define ARCH_CLONE_STORAGE 3

/* Of no use without ARCH_DISPATCH. */
#define arch_copy __builtin_memcpy
#define arch_fill __builtin_memset

static inline long sys_call(long number, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}

static inline uintptr_t sys_thread_pointer(void)
{
	return (uintptr_t)__builtin_thread_pointer();
}

/* As ld.so calls it (sysdeps/aarch64/dl-irel.h). */
static inline uintptr_t arch_resolve(uintptr_t resolver)
{
	__ifunc_arg_t argument = {
		._size = sizeof(argument),
		._hwcap = getauxval(AT_HWCAP),
		._hwcap2 = getauxval(AT_HWCAP2),
	};

	return ((uintptr_t(*)(uint64_t, const __ifunc_arg_t *))resolver)(
		argument._hwcap | _IFUNC_ARG_HWCAP, &argument);
}

static inline bool arch_shadow_stack(void)
{
	register uint64_t feature __asm__("x16") = 1;

	/* chkfeat x16: clears the bit where the guarded control stack is on; a no-op on older processors */
	__asm__ volatile("hint #40" : "+r"(feature));
	return !feature;
}

/* Register numbers of the unwinder (AADWARF64, 4.1); the return address is in x30. */
#define ARCH_FRAME_POINTER 29
#define ARCH_LINK 30
#define ARCH_STACK_POINTER 31

/*
 * A function that calls others saves x30 wherever it likes; one that keeps a frame record (AAPCS64, 6.4.6;
 * compilers' default) has it there, and x29 points to the record. Zero: this frame has none.
 */
static inline uintptr_t arch_return_slot(uintptr_t low, uintptr_t high, uintptr_t frame_pointer)
{
	if (frame_pointer % 8 || frame_pointer < low || frame_pointer > high - 16)
		return 0;
	return frame_pointer + 8;
}

/* xpaclri, which works on x30 alone; a no-op where return addresses are not signed */
static inline uintptr_t arch_code(uintptr_t address)
{
	register uintptr_t link __asm__("x30") = address;

	__asm__("hint #7" : "+r"(link));
	return link;
}

static inline struct arch_variables arch_pid_variables(uintptr_t pc, uintptr_t end, uintptr_t stack,
						       uintptr_t frame_pointer)
{
	struct arch_variables found = { 0 };
	const uint32_t *code = (const uint32_t *)pc;

	for (; (uintptr_t)(code + 1) <= end && code < (const uint32_t *)pc + 8; code++) {
		uint32_t word = *code & ~0x40000000U, base = *code >> 5 & 31;
		uint32_t size = *code >> 30 & 1 ? 8 : 4;
		bool scaled = (word & 0xffc0001f) ==
			      0xb9000000;		       /* str (Arm ARM C6.2) of x0 or w0 */
		bool near = (word & 0xffe00c1f) == 0xb8000000; /* stur */
		intptr_t offset = scaled ? (intptr_t)((*code >> 10 & 0xfff) * size) :
					   (intptr_t)((int32_t)(*code << 11) >> 23);

		if ((scaled || near) && (base == 31 || base == 29) &&
		    found.count < ARCH_VARIABLES) {
			found.variable[found.count].address =
				(base == 31 ? stack : frame_pointer) + (uintptr_t)offset;
			found.variable[found.count].size = size;
			found.count++;
		} else if (scaled || near) {
			found.anywhere++;
		} else if ((*code & 0xffe0ffe0) != 0x2a0003e0 && /* mov wN, w0 */
			   (*code & 0xfffffc00) != 0x93407c00 && /* sxtw */
			   (*code & 0x7f80001f) != 0x7100001f && /* cmp */
			   (*code & 0x9f000000) != 0x90000000 && /* adrp */
			   (*code & 0xff800000) != 0x91000000 && /* add, of an address */
			   (*code & 0xfffff01f) != 0xd503201f && /* hint */
			   (*code & 0xffc00000) != 0xf9400000) { /* ldr: a pointer to it */
			break;
		}
	}
	return found;
}
