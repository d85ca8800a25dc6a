/* SPDX-License-Identifier: MIT */
/*
 * What must not be C, for x86-64: functions that return twice on one stack, and stubs that must not
 * disturb a call's arguments.
 *
 * The child of a shared window returns through its caller's frame and further, and writes over it; its
 * parent, which resumes on the same stack, must find nothing there that it needs. Registers are each
 * process's own: the kernel keeps the caller's for the parent. So the entry keeps the window in one of
 * them, with that one, the stack pointer and the return address noted in the window.
 */
#include <asm/unistd.h>
#include <features.h>

#include "window.h"

#define CLONE_VM 0x100
#define CLONE_FILES 0x400
#define CLONE_VFORK 0x4000
#define SIGCHLD 17
#define SIGKILL 9
#define PR_SET_PDEATHSIG 1

/* struct entry_registers, padded to keep the stack aligned at calls */
#define REG_R12 0
#define REG_STACK 8
#define REG_PC 16
#define REG_FRAME_POINTER 24
#define REG_SIZE 40

	.text
	.hidden thread_words
	.hidden real_table
	.hidden window_count
	.hidden window_open
	.hidden window_close
	.hidden window_enter
	.hidden hook_stub
	.hidden entry_next

/*
 * A spawn entry: long NAME(void). `call` is an enum spork_call.
 */
.macro SPAWN_ENTRY name call
	.globl	\name
	.type	\name, @function
	.p2align 4
\name:
	.cfi_startproc
	endbr64
	mov	entry_next + 8 * \call(%rip), %rax
	test	%rax, %rax
	jnz	1f
	mov	$\call, %esi
	jmp	spawn_entry
1:	jmp	*%rax
	.cfi_endproc
	.size	\name, . - \name
.endm

	.type	spawn_entry, @function
	.p2align 4
spawn_entry:
	.cfi_startproc
	sub	$REG_SIZE, %rsp
	.cfi_adjust_cfa_offset REG_SIZE
	mov	%r12, REG_R12(%rsp)
	.cfi_rel_offset %r12, REG_R12
	lea	(REG_SIZE + 8)(%rsp), %rax
	mov	%rax, REG_STACK(%rsp)
	mov	REG_SIZE(%rsp), %rax
	mov	%rax, REG_PC(%rsp)
	mov	%rbp, REG_FRAME_POINTER(%rsp)
	mov	%rsp, %rdi
	call	window_open
	test	%rdx, %rdx
	jnz	1f
	add	$REG_SIZE, %rsp
	.cfi_remember_state
	.cfi_adjust_cfa_offset -REG_SIZE
	ret
	.cfi_restore_state

1:	mov	%rdx, %r12
	mov	WINDOW_NUMBER(%r12), %rax
	mov	WINDOW_ARGUMENT(%r12), %rdi
	mov	(WINDOW_ARGUMENT + 8)(%r12), %rsi
	xor	%edx, %edx
	xor	%r10d, %r10d
	xor	%r8d, %r8d
	syscall
	test	%rax, %rax
	jz	2f

	/* The parent. Below the caller's frame the stack is free, at and above it is the child's doing. */
	mov	%r12, %rdi
	mov	%rax, %rsi
	mov	(WINDOW_REGISTERS + REG_STACK)(%rdi), %rsp
	mov	(WINDOW_REGISTERS + REG_R12)(%rdi), %r12
	.cfi_remember_state
	.cfi_def_cfa_offset 0
	.cfi_same_value %r12
	push	(WINDOW_REGISTERS + REG_PC)(%rdi)
	.cfi_adjust_cfa_offset 8
	sub	$8, %rsp
	.cfi_adjust_cfa_offset 8
	call	window_close
	add	$8, %rsp
	.cfi_adjust_cfa_offset -8
	ret
	.cfi_restore_state

2:	mov	%r12, %rdi
	call	window_enter
	xor	%eax, %eax
	mov	REG_R12(%rsp), %r12
	add	$REG_SIZE, %rsp
	.cfi_adjust_cfa_offset -REG_SIZE
	ret
	.cfi_endproc
	.size	spawn_entry, . - spawn_entry

/* The order of enum spork_call. */
#define CALL_FORK 0
#define CALL_VFORK 2

	SPAWN_ENTRY fork CALL_FORK
	SPAWN_ENTRY __fork CALL_FORK
	SPAWN_ENTRY vfork CALL_VFORK
	SPAWN_ENTRY __vfork CALL_VFORK

/*
 * long entry_twin(long pid): see entry.h. The twin executes nothing but what stands here; a caller that
 * ended before the prctl is no longer its parent.
 */
	.globl	entry_twin
	.hidden	entry_twin
	.type	entry_twin, @function
	.p2align 4
entry_twin:
	.cfi_startproc
	endbr64
	mov	%rdi, %r9
	mov	$__NR_clone, %eax
	mov	$CLONE_FILES, %edi
	xor	%esi, %esi
	xor	%edx, %edx
	xor	%r10d, %r10d
	xor	%r8d, %r8d
	syscall
	test	%rax, %rax
	jz	1f
	ret
1:	mov	$__NR_prctl, %eax
	mov	$PR_SET_PDEATHSIG, %edi
	mov	$SIGKILL, %esi
	syscall
	mov	$__NR_getppid, %eax
	syscall
	cmp	%rax, %r9
	jne	2f
	mov	$__NR_nanosleep, %eax
	lea	twin_time(%rip), %rdi
	xor	%esi, %esi
	syscall
2:	mov	$__NR_exit_group, %eax
	xor	%edi, %edi
	syscall
	hlt
	.cfi_endproc
	.size	entry_twin, . - entry_twin

	.section .rodata
	.p2align 3
twin_time:
	.quad	2, 0
	.text

/* long entry_vfork_call(function, argument): see entry.h. */
	.globl	entry_vfork_call
	.hidden	entry_vfork_call
	.type	entry_vfork_call, @function
	.p2align 4
entry_vfork_call:
	.cfi_startproc
	endbr64
	mov	%rdi, %r9
	mov	%rsi, %rdx
	push	%rdx
	.cfi_adjust_cfa_offset 8
	mov	$__NR_clone, %eax
	mov	$(CLONE_VM | CLONE_VFORK | SIGCHLD), %edi
	xor	%esi, %esi
	xor	%edx, %edx
	xor	%r10d, %r10d
	xor	%r8d, %r8d
	syscall
	test	%rax, %rax
	jz	1f
	add	$8, %rsp
	.cfi_remember_state
	.cfi_adjust_cfa_offset -8
	ret
	.cfi_restore_state
1:	mov	(%rsp), %rdi
	call	*%r9
	hlt
	.cfi_endproc
	.size	entry_vfork_call, . - entry_vfork_call

/* long entry_clone(call, function, argument): see entry.h. */
	.globl	entry_clone
	.hidden	entry_clone
	.type	entry_clone, @function
	.p2align 4
entry_clone:
	.cfi_startproc
	endbr64
	push	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbx, 0
	mov	%rdi, %r11
	mov	%rsi, %r9
	mov	%rdx, %rbx
	mov	0(%r11), %rax
	mov	8(%r11), %rdi
	mov	16(%r11), %rsi
	mov	24(%r11), %rdx
	mov	32(%r11), %r10
	mov	40(%r11), %r8
	syscall
	test	%rax, %rax
	jz	1f
	pop	%rbx
	.cfi_remember_state
	.cfi_adjust_cfa_offset -8
	.cfi_restore %rbx
	ret
	.cfi_restore_state
1:	.cfi_undefined %rip
	xor	%ebp, %ebp
	mov	%rbx, %rdi
	call	*%r9
	mov	%eax, %edi
	mov	$__NR_exit_group, %eax
	syscall
	hlt
	.cfi_endproc
	.size	entry_clone, . - entry_clone

/*
 * What the handlers of a lean child return by: see lean_call.c. Unwinders know the first by its bytes, and that what
 * lies before them is no call.
 */
	.globl	lean_restorer, lean_issue
	.hidden	lean_restorer, lean_issue
	.type	lean_restorer, @function
	.type	lean_issue, @function
	nop
	.p2align 4
lean_restorer:
	.byte	0x48, 0xc7, 0xc0
	.long	__NR_rt_sigreturn
	syscall
	.size	lean_restorer, . - lean_restorer

	.p2align 4
lean_issue:
	.cfi_startproc
	.cfi_def_cfa_offset 8 + 128
	.cfi_offset %rip, -(8 + 128)
	syscall
	ret	$128
	.cfi_endproc
	.size	lean_issue, . - lean_issue

/*
 * Stubs. While no window is open in the process: one load, and a jump to the next definition with every
 * register as it came. %r11 is free at a call. A load of the address and a jump through a register were
 * measured to cost less than a jump through memory.
 */
	.set	hook_index, 0

.macro STUB name
	.globl	\name
	.type	\name, @function
	.p2align 4
\name:
	.cfi_startproc
	endbr64
	cmpl	$0, window_count(%rip)
	jne	1f
	mov	real_table + 8 * hook_index(%rip), %r11
	test	%r11, %r11
	je	1f
	jmp	*%r11
1:	mov	$hook_index, %r11d
	jmp	stub_check
	.cfi_endproc
	.size	\name, . - \name
.endm

/*
 * The same without a test: stub_hot points to a table of the next definitions, or, while a window is open and
 * until they are known, of the places marked 1. A malloc and a free cost 4 % more than libc's by this, 10 %
 * by the other. The tables hold distances from their own start: addresses would be relocated at every start of a
 * program. stub_hot_rows is for real.c: the body, as a distance from its own field, or zero, and the row.
 */
	.set	hot_index, 0
	.globl	stub_hot_slow, stub_hot_rows, stub_hot
	.hidden	stub_hot_slow, stub_hot_rows, stub_hot
	.section .rodata.hot_slow, "a"
	.p2align 6
stub_hot_slow:
	.section .rodata.hot_rows, "a"
	.p2align 6
stub_hot_rows:
	.data
	.p2align 6
stub_hot:
	.quad	stub_hot_slow
	.text

.macro HOT name body=.
	.globl	\name
	.type	\name, @function
	.p2align 4
\name:
	.cfi_startproc
	endbr64
	mov	stub_hot(%rip), %r11
	add	(8 * hot_index)(%r11), %r11
	jmp	*%r11
1:	mov	$(hook_index | hot_index << 16), %r11d
	jmp	stub_check_hot
	.cfi_endproc
	.size	\name, . - \name
	.section .rodata.hot_slow
	.quad	1b - . + 8 * hot_index
	.section .rodata.hot_rows
	.long	\body - .
	.long	hook_index
	.text
	.set	hot_index, hot_index + 1
.endm

/* %r11 is the row. Another thread's window is no concern of this one's. */
	.type	stub_check, @function
	.p2align 4
stub_check:
	.cfi_startproc
	push	%rax
	.cfi_adjust_cfa_offset 8
	mov	thread_words@gottpoff(%rip), %rax
	cmpq	$0, %fs:(%rax)
	jne	1f
	lea	real_table(%rip), %rax
	mov	(%rax, %r11, 8), %rax
	test	%rax, %rax
	je	1f
	mov	%rax, %r11
	pop	%rax
	.cfi_remember_state
	.cfi_adjust_cfa_offset -8
	jmp	*%r11
	.cfi_restore_state
1:	pop	%rax
	.cfi_adjust_cfa_offset -8
	jmp	stub_slow
	.cfi_endproc
	.size	stub_check, . - stub_check

/*
 * The same where a body may stand before the next definition: %r11 is the row, and the hot row 16 bits up. What
 * decides is the table of next definitions: real_table is filled before it.
 */
	.type	stub_check_hot, @function
	.p2align 4
stub_check_hot:
	.cfi_startproc
	push	%rax
	.cfi_adjust_cfa_offset 8
	push	%rcx
	.cfi_adjust_cfa_offset 8
	push	%rdx
	.cfi_adjust_cfa_offset 8
	mov	thread_words@gottpoff(%rip), %rax
	cmpq	$0, %fs:(%rax)
	jne	1f
	mov	%r11d, %ecx
	shr	$16, %ecx
	lea	stub_hot_next(%rip), %rax
	mov	(%rax, %rcx, 8), %rdx
	test	%rdx, %rdx
	je	1f
	add	%rdx, %rax
	lea	stub_hot_slow(%rip), %rdx
	add	(%rdx, %rcx, 8), %rdx
	cmp	%rax, %rdx
	je	1f
	mov	%rax, %r11
	pop	%rdx
	.cfi_remember_state
	.cfi_adjust_cfa_offset -8
	pop	%rcx
	.cfi_adjust_cfa_offset -8
	pop	%rax
	.cfi_adjust_cfa_offset -8
	jmp	*%r11
	.cfi_restore_state
1:	movzwl	%r11w, %r11d
	pop	%rdx
	.cfi_adjust_cfa_offset -8
	pop	%rcx
	.cfi_adjust_cfa_offset -8
	pop	%rax
	.cfi_adjust_cfa_offset -8
	jmp	stub_slow
	.cfi_endproc
	.size	stub_check_hot, . - stub_check_hot

/* In a window, or called before the constructor: %r11 is the row. */
	.type	stub_slow, @function
	.p2align 4
stub_slow:
	.cfi_startproc
	push	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset %rbp, 0
	mov	%rsp, %rbp
	.cfi_def_cfa_register %rbp
	sub	$192, %rsp
	mov	%rdi, 0(%rsp)
	mov	%rsi, 8(%rsp)
	mov	%rdx, 16(%rsp)
	mov	%rcx, 24(%rsp)
	mov	%r8, 32(%rsp)
	mov	%r9, 40(%rsp)
	mov	%rax, 48(%rsp)
	movaps	%xmm0, 64(%rsp)
	movaps	%xmm1, 80(%rsp)
	movaps	%xmm2, 96(%rsp)
	movaps	%xmm3, 112(%rsp)
	movaps	%xmm4, 128(%rsp)
	movaps	%xmm5, 144(%rsp)
	movaps	%xmm6, 160(%rsp)
	movaps	%xmm7, 176(%rsp)
	mov	%r11d, %edi
	mov	%rsp, %rsi
	mov	8(%rbp), %rdx
	lea	16(%rbp), %rcx
	call	hook_stub
	mov	%rax, %r11
	mov	0(%rsp), %rdi
	mov	8(%rsp), %rsi
	mov	16(%rsp), %rdx
	mov	24(%rsp), %rcx
	mov	32(%rsp), %r8
	mov	40(%rsp), %r9
	mov	48(%rsp), %rax
	movaps	64(%rsp), %xmm0
	movaps	80(%rsp), %xmm1
	movaps	96(%rsp), %xmm2
	movaps	112(%rsp), %xmm3
	movaps	128(%rsp), %xmm4
	movaps	144(%rsp), %xmm5
	movaps	160(%rsp), %xmm6
	movaps	176(%rsp), %xmm7
	leave
	.cfi_def_cfa %rsp, 8
	jmp	*%r11
	.cfi_endproc
	.size	stub_slow, . - stub_slow

#define HOOK(kind, id, symbol, version, trait) HOOK_##kind(id)
#define HOOK_entry(id) .set hook_index, hook_index + 1
#define HOOK_body(id) .set hook_index, hook_index + 1
#define HOOK_stub(id) STUB id; .set hook_index, hook_index + 1
#define HOOK_hot(id) HOT id; .set hook_index, hook_index + 1
#define HOOK_lock(id) HOT id lock_##id; .set hook_index, hook_index + 1
#include "hooks.def"

/* Condition variables before 2.3.2 were others. */
.macro OLD_COND function
	.symver pthread_cond_\function, pthread_cond_\function@@@GLIBC_2.3.2
	.symver pthread_cond_\function\()_2_2_5, pthread_cond_\function@GLIBC_2.2.5, remove
.endm
	OLD_COND wait
	OLD_COND timedwait
	OLD_COND init
	OLD_COND destroy
	OLD_COND signal
	OLD_COND broadcast

#if __GLIBC_PREREQ(2, 34)
/* See the end of hooks.def. */
	.symver timer_create, timer_create@@@GLIBC_2.34
	.symver timer_create_2_3_3, timer_create@GLIBC_2.3.3, remove
	.symver timer_create_2_2_5, timer_create@GLIBC_2.2.5, remove
	.symver timer_delete, timer_delete@@@GLIBC_2.34
	.symver timer_delete_2_3_3, timer_delete@GLIBC_2.3.3, remove
	.symver timer_delete_2_2_5, timer_delete@GLIBC_2.2.5, remove
	.symver timer_settime, timer_settime@@@GLIBC_2.34
	.symver timer_settime_2_3_3, timer_settime@GLIBC_2.3.3, remove
	.symver timer_settime_2_2_5, timer_settime@GLIBC_2.2.5, remove
	.symver sched_setaffinity, sched_setaffinity@@@GLIBC_2.3.4
	.symver sched_setaffinity_2_3_3, sched_setaffinity@GLIBC_2.3.3, remove
	.symver pthread_setaffinity_np, pthread_setaffinity_np@@@GLIBC_2.34
	.symver pthread_setaffinity_np_2_3_4, pthread_setaffinity_np@GLIBC_2.3.4, remove
	.symver pthread_setaffinity_np_2_3_3, pthread_setaffinity_np@GLIBC_2.3.3, remove
#endif

/*
 * No .note.gnu.property. Shadow stacks: functions return twice here, so ld.so has to leave them off, as it does for the
 * want of the note. Indirect branch tracking: what else is branched to, in C and the ways into stub_check_hot, has no
 * landing pad, and Linux has none of it for programs; the exported functions have theirs for whoever looks.
 */
	.section .note.GNU-stack, "", @progbits
