/* SPDX-License-Identifier: MIT */
/*
 * What differs from one processor to the next, and is not entry_ARCH.S: arch_ARCH.h, which offers
 *
 *  sys_call(), sys_thread_pointer()
 *  arch_resolve()        calls the resolver of an indirect function
 *  arch_shadow_stack()   does the hardware keep return addresses of its own, which a child would pop?
 *  arch_return_slot()    where a frame keeps its return address
 *  arch_code()           a return address as it was before it was signed
 *  arch_pid_variables()   where the code behind a call of fork() or vfork() stores its result, as long as it does
 *                        nothing else that cannot be followed
 *  ARCH_PAGE_MAX         the largest page that its kernels use
 *  ARCH_TLS_ABOVE        static thread-local storage starts at the thread pointer, and the thread's
 *                        descriptor ends there (variant I); or else the other way round
 *  ARCH_DESCRIPTOR_SIZE  of struct pthread in glibc 2.36
 *  ARCH_RETURN_PUSHED    a call pushes its return address on the stack
 *  ARCH_VDSO_CLOCK       what the vDSO calls clock_gettime() (vdso(7))
 *  ARCH_DISPATCH	  the kernel can hand system calls back to the program (Syscall User Dispatch); then entry_ARCH.S has
 *                        what lean_share.h asks of it, and ARCH_RED_ZONE is what a function may use below its stack
 *                        pointer
 *  arch_copy(), arch_fill()  memcpy() and memset() without any state
 *  ARCH_CLONE_CHILD_TID, ARCH_CLONE_STORAGE
 *                        which arguments of clone(2) these are
 *  ARCH_OLD_VERSIONS     its libc has versions of functions from before 2.17: see hooks.def, shim.map.in
 *
 * All of it may run anywhere.
 */
#ifndef SPORK_ARCH_H
#define SPORK_ARCH_H

#include <stdbool.h>
#include <stdint.h>

/* Where a value is stored by the code that follows: `anywhere` is how often through registers that are not known. */
#define ARCH_VARIABLES 4
struct arch_variables {
	unsigned count, anywhere;
	struct arch_variable {
		uintptr_t address;
		uint32_t size;
	} variable[ARCH_VARIABLES];
};

#if defined(__x86_64__)
#include "arch_x86_64.h"
#elif defined(__aarch64__)
#include "arch_aarch64.h"
#else
#error "spork does not know this architecture"
#endif

#endif
