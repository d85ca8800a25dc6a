/* flags: -nostdlib -static */
/* SPDX-License-Identifier: MIT */
/*
 * The smallest child there is: no libc, no loader, it only exits with 0. What is left of a spawn that
 * executes it is the spawn. Executed by the victims and by tests/bench.
 */
#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %edi, %edi\n\tmov $231, %eax\n\tsyscall\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x0, #0\n\tmov x8, #94\n\tsvc #0\n");
#else
#error "no exit_group for this architecture"
#endif
__asm__(".section .note.GNU-stack,\"\",%progbits\n");
