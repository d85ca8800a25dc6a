/* SPDX-License-Identifier: MIT */
/*
 * What unwind tables say of a return address, where it is plain enough for one word.
 */
#ifndef SPORK_CFI_H
#define SPORK_CFI_H

#include <stdbool.h>
#include <stdint.h>

#define CFI_SIZE_BITS 12
#define CFI_SLOT_BITS 9

/* What the end of a frame, which is the stack pointer in its caller, is counted from. */
enum cfi_kind { CFI_UNKNOWN, CFI_STACK, CFI_FRAME_POINTER, CFI_OUTERMOST /* there is no caller */ };

/* In words. */
struct cfi_rule {
	unsigned kind : 2;	       /* enum cfi_kind */
	unsigned size : CFI_SIZE_BITS; /* from there to the frame's end */
	unsigned link : CFI_SLOT_BITS; /* the return address lies so far below the end */
	unsigned frame_pointer
	    : CFI_SLOT_BITS; /* the caller's frame pointer; 0: it is still there */
	uint32_t generation; /* for walk.c */
};

_Static_assert(sizeof(struct cfi_rule) == sizeof(uint64_t), "it is stored at once");

/*
 * The rule for the frame of the function that a call returns to at `pc`. False: no table has that address, so
 * that there is nothing to remember either. Lock-free.
 */
bool cfi_rule(uintptr_t pc, struct cfi_rule *rule);

/* Do calls that return to these lie in one function? What the compiler keeps apart as cold is another. Lock-free. */
bool cfi_same_function(uintptr_t one, uintptr_t other);

#endif
