/* SPDX-License-Identifier: MIT */
/*
 * What must not be C, for aarch64: functions that return twice on one stack, and stubs that must not
 * disturb a call's arguments.
 *
 * The child of a shared window returns through its caller's frame and further, and writes over it; its
 * parent, which resumes on the same stack, must find nothing there that it needs. Registers are each
 * process's own: the kernel keeps the caller's for the parent. So the entry keeps the window in one of
 * them, with that one, the stack pointer and the return address noted in the window. x29 is left as it
 * came: the caller's frame record stays the innermost.
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

/* struct entry_registers */
#define REG_X19 0
#define REG_STACK 8
#define REG_PC 16
#define REG_FRAME_POINTER 24
#define REG_SIZE 32

	.text
	.hidden thread_words
	.hidden window_count
	.hidden real_table
	.hidden window_open
	.hidden window_close
	.hidden window_enter
	.hidden hook_stub
	.hidden entry_next

.macro FUNCTION name
	.type	\name, %function
	.p2align 4
\name:
	.cfi_startproc
	bti	c
.endm

.macro END name
	.cfi_endproc
	.size	\name, . - \name
.endm

/*
 * A spawn entry: long NAME(void). `call` is an enum spork_call.
 */
.macro SPAWN_ENTRY name call
	.globl	\name
FUNCTION \name
	adrp	x9, entry_next + 8 * \call
	ldr	x9, [x9, :lo12:entry_next + 8 * \call]
	cbnz	x9, 1f
	mov	w1, #\call
	b	spawn_entry
1:	br	x9
END \name
.endm

FUNCTION spawn_entry
	sub	sp, sp, #REG_SIZE
	.cfi_def_cfa_offset REG_SIZE
	str	x19, [sp, #REG_X19]
	.cfi_rel_offset x19, REG_X19
	add	x9, sp, #REG_SIZE
	stp	x9, x30, [sp, #REG_STACK]
	.cfi_rel_offset x30, REG_PC
	str	x29, [sp, #REG_FRAME_POINTER]
	mov	x0, sp
	bl	window_open
	cbnz	x1, 1f
	ldr	x30, [sp, #REG_PC]
	add	sp, sp, #REG_SIZE
	.cfi_remember_state
	.cfi_restore x30
	.cfi_restore x19
	.cfi_def_cfa_offset 0
	ret
	.cfi_restore_state

1:	mov	x19, x1
	ldr	x8, [x19, #WINDOW_NUMBER]
	ldp	x0, x1, [x19, #WINDOW_ARGUMENT]
	mov	x2, xzr
	mov	x3, xzr
	mov	x4, xzr
	svc	#0
	cbz	x0, 2f

	/* The parent. Below the caller's frame the stack is free, at and above it is the child's doing. */
	mov	x1, x0
	mov	x0, x19
	ldp	x9, x30, [x0, #(WINDOW_REGISTERS + REG_STACK)]
	ldr	x19, [x0, #(WINDOW_REGISTERS + REG_X19)]
	mov	sp, x9
	.cfi_remember_state
	.cfi_restore x30
	.cfi_restore x19
	.cfi_def_cfa_offset 0
	str	x30, [sp, #-16]!
	.cfi_def_cfa_offset 16
	.cfi_rel_offset x30, 0
	bl	window_close
	ldr	x30, [sp], #16
	.cfi_restore x30
	.cfi_def_cfa_offset 0
	ret
	.cfi_restore_state

2:	mov	x0, x19
	bl	window_enter
	mov	x0, xzr
	ldr	x30, [sp, #REG_PC]
	ldr	x19, [sp, #REG_X19]
	add	sp, sp, #REG_SIZE
	.cfi_restore x30
	.cfi_restore x19
	.cfi_def_cfa_offset 0
	ret
END spawn_entry

/* The order of enum spork_call. */
#define CALL_FORK 0
#define CALL_VFORK 2

	SPAWN_ENTRY fork CALL_FORK
	SPAWN_ENTRY __fork CALL_FORK
	SPAWN_ENTRY vfork CALL_VFORK
	SPAWN_ENTRY __vfork CALL_VFORK

/* clone(flags): the child goes on with the caller's stack and registers. */
.macro CLONE flags
	mov	x8, #__NR_clone
	mov	x0, #\flags
	mov	x1, xzr
	mov	x2, xzr
	mov	x3, xzr
	mov	x4, xzr
	svc	#0
.endm

/*
 * long entry_twin(long pid): see entry.h. The twin executes nothing but what stands here; a caller that
 * ended before the prctl is no longer its parent.
 */
	.globl	entry_twin
	.hidden	entry_twin
FUNCTION entry_twin
	mov	x9, x0
	CLONE	CLONE_FILES
	cbz	x0, 1f
	ret
1:	mov	x8, #__NR_prctl
	mov	x0, #PR_SET_PDEATHSIG
	mov	x1, #SIGKILL
	svc	#0
	mov	x8, #__NR_getppid
	svc	#0
	cmp	x0, x9
	b.ne	2f
	mov	x8, #__NR_nanosleep
	adrp	x0, twin_time
	add	x0, x0, :lo12:twin_time
	mov	x1, xzr
	svc	#0
2:	mov	x8, #__NR_exit_group
	mov	x0, xzr
	svc	#0
	brk	#0
END entry_twin

	.section .rodata
	.p2align 3
twin_time:
	.quad	2, 0
	.text

/* long entry_vfork_call(function, argument): see entry.h. */
	.globl	entry_vfork_call
	.hidden	entry_vfork_call
FUNCTION entry_vfork_call
	mov	x9, x0
	mov	x10, x1
	CLONE	(CLONE_VM | CLONE_VFORK | SIGCHLD)
	cbz	x0, 1f
	ret
1:	mov	x0, x10
	.cfi_undefined x30
	blr	x9
	brk	#0
END entry_vfork_call

/* long entry_clone(call, function, argument): see entry.h. */
	.globl	entry_clone
	.hidden	entry_clone
FUNCTION entry_clone
	mov	x9, x0
	mov	x10, x1
	mov	x11, x2
	ldr	x8, [x9]
	ldp	x0, x1, [x9, #8]
	ldp	x2, x3, [x9, #24]
	ldr	x4, [x9, #40]
	svc	#0
	cbz	x0, 1f
	ret
1:	.cfi_undefined x30
	mov	x29, xzr
	mov	x0, x11
	blr	x10
	mov	x8, #__NR_exit_group
	svc	#0
	brk	#0
END entry_clone

/*
 * Stubs. While no window is open in the process: two loads, and a jump to the next definition with every
 * register as it came. x16 and x17 are free at a call, and a jump through one of them is as good as a call
 * to `bti c`.
 */
	.set	hook_index, 0

.macro STUB name
	.globl	\name
FUNCTION \name
	adrp	x16, window_count
	ldr	w16, [x16, :lo12:window_count]
	adrp	x17, real_table + 8 * hook_index
	ldr	x17, [x17, :lo12:real_table + 8 * hook_index]
	cbnz	w16, 1f
	cbz	x17, 1f
	br	x17
1:	mov	w16, #hook_index
	b	stub_check
END \name
.endm

/* The same without a test: see entry_x86_64.S. */
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
FUNCTION \name
	adrp	x16, stub_hot
	ldr	x16, [x16, :lo12:stub_hot]
	ldr	x17, [x16, #(8 * hot_index)]
	add	x16, x16, x17
	br	x16
1:	bti	j
	mov	w16, #hook_index
	movk	w16, #hot_index, lsl #16
	b	stub_check_hot
END \name
	.section .rodata.hot_slow
	.quad	1b - . + 8 * hot_index
	.section .rodata.hot_rows
	.word	\body - .
	.word	hook_index
	.text
	.set	hot_index, hot_index + 1
.endm

/* w16 is the row. Another thread's window is no concern of this one's. x9 is no argument. */
FUNCTION stub_check
	adrp	x17, :gottprel:thread_words
	ldr	x17, [x17, :gottprel_lo12:thread_words]
	mrs	x9, tpidr_el0
	ldr	x9, [x9, x17]
	cbnz	x9, stub_slow
	adrp	x17, real_table
	add	x17, x17, :lo12:real_table
	ldr	x17, [x17, w16, uxtw #3]
	cbz	x17, stub_slow
	br	x17
END stub_check

/* The same where a body may stand before the next definition: the hot row is 16 bits up. See entry_x86_64.S. */
FUNCTION stub_check_hot
	lsr	w17, w16, #16
	and	w16, w16, #0xffff
	adrp	x10, :gottprel:thread_words
	ldr	x10, [x10, :gottprel_lo12:thread_words]
	mrs	x9, tpidr_el0
	ldr	x9, [x9, x10]
	cbnz	x9, stub_slow
	adrp	x9, stub_hot_next
	add	x9, x9, :lo12:stub_hot_next
	ldr	x10, [x9, w17, uxtw #3]
	cbz	x10, stub_slow
	add	x9, x9, x10
	adrp	x10, stub_hot_slow
	add	x10, x10, :lo12:stub_hot_slow
	ldr	x17, [x10, w17, uxtw #3]
	add	x10, x10, x17
	cmp	x9, x10
	b.eq	stub_slow
	mov	x16, x9
	br	x16
END stub_check_hot

/* In a window, or called before the constructor: w16 is the row. */
#define ARGUMENTS 16
#define FLOATS 96
#define STUB_FRAME 224

FUNCTION stub_slow
	stp	x29, x30, [sp, #-STUB_FRAME]!
	.cfi_def_cfa_offset STUB_FRAME
	.cfi_rel_offset x29, 0
	.cfi_rel_offset x30, 8
	mov	x29, sp
	stp	x0, x1, [sp, #ARGUMENTS]
	stp	x2, x3, [sp, #(ARGUMENTS + 16)]
	stp	x4, x5, [sp, #(ARGUMENTS + 32)]
	stp	x6, x7, [sp, #(ARGUMENTS + 48)]
	str	x8, [sp, #(ARGUMENTS + 64)]
	stp	q0, q1, [sp, #FLOATS]
	stp	q2, q3, [sp, #(FLOATS + 32)]
	stp	q4, q5, [sp, #(FLOATS + 64)]
	stp	q6, q7, [sp, #(FLOATS + 96)]
	mov	w0, w16
	add	x1, sp, #ARGUMENTS
	mov	x2, x30
	add	x3, sp, #STUB_FRAME
	bl	hook_stub
	mov	x16, x0
	ldp	x0, x1, [sp, #ARGUMENTS]
	ldp	x2, x3, [sp, #(ARGUMENTS + 16)]
	ldp	x4, x5, [sp, #(ARGUMENTS + 32)]
	ldp	x6, x7, [sp, #(ARGUMENTS + 48)]
	ldr	x8, [sp, #(ARGUMENTS + 64)]
	ldp	q0, q1, [sp, #FLOATS]
	ldp	q2, q3, [sp, #(FLOATS + 32)]
	ldp	q4, q5, [sp, #(FLOATS + 64)]
	ldp	q6, q7, [sp, #(FLOATS + 96)]
	ldp	x29, x30, [sp], #STUB_FRAME
	.cfi_restore x29
	.cfi_restore x30
	.cfi_def_cfa_offset 0
	br	x16
END stub_slow

#define HOOK(kind, id, symbol, version, trait) HOOK_##kind(id)
#define HOOK_entry(id) .set hook_index, hook_index + 1
#define HOOK_body(id) .set hook_index, hook_index + 1
#define HOOK_stub(id) STUB id; .set hook_index, hook_index + 1
#define HOOK_hot(id) HOT id; .set hook_index, hook_index + 1
#define HOOK_lock(id) HOT id lock_##id; .set hook_index, hook_index + 1
#include "hooks.def"

/* Every indirect target here is a landing pad: NT_GNU_PROPERTY_TYPE_0, FEATURE_1_AND, BTI. */
	.section .note.gnu.property, "a"
	.p2align 3
	.word	4, 16, 5
	.asciz	"GNU"
	.word	0xc0000000, 4, 1, 0

	.section .note.GNU-stack, "", %progbits
