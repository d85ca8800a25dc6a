// SPDX-License-Identifier: MIT
/*
 * Call stacks by libgcc's unwinder, linked in statically. It finds tables through _dl_find_object
 * (glibc 2.35+), which takes no lock, and allocates nothing; it stops where code has no tables.
 */
#include "unwind.h"

#include <unwind.h>

#include "module.h"
#include "sys.h"

#include "poison.h"

struct walk {
	struct unwind_frame *frame;
	unsigned count, capacity;
	uintptr_t from;
	unsigned steps;
};

/* A stack that is deeper than this between the shim and its caller is not one. */
#define STEPS_MAX 64
/* A child may have called deep since. */
#define CLIMB_MAX 4096

static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *data)
{
	struct walk *walk = data;
	uintptr_t pc = _Unwind_GetIP(context);

	if (++walk->steps > STEPS_MAX)
		return _URC_END_OF_STACK;
	/* the shim's own frames: of a hook, and the one around main() */
	if (module_is_shim(pc) || (!walk->count && walk->from && pc != walk->from))
		return _URC_NO_REASON;
	if (!pc || walk->count == walk->capacity)
		return _URC_END_OF_STACK;
	walk->frame[walk->count].pc = pc;
	walk->frame[walk->count].stack = _Unwind_GetCFA(context);
	walk->count++;
	return _URC_NO_REASON;
}

unsigned unwind(uintptr_t from, struct unwind_frame *frame, unsigned capacity)
{
	struct walk walk = { frame, 0, capacity, from, 0 };

	_Unwind_Backtrace(step, &walk);
	return walk.count;
}

struct climb {
	bool (*original)(void *data, uintptr_t address, uintptr_t *word);
	void *data;
	uintptr_t stack; /* of the frame before, at its call */
	uintptr_t found;
	unsigned steps;
};

/* x86-64: the return address of a frame lies just below the stack pointer of its caller. */
static _Unwind_Reason_Code climb_step(struct _Unwind_Context *context, void *data)
{
	struct climb *climb = data;
	uintptr_t stack = _Unwind_GetCFA(context), word;

	if (++climb->steps > CLIMB_MAX)
		return _URC_END_OF_STACK;
	if (climb->stack && climb->original(climb->data, stack - sizeof(word), &word) &&
	    word == _Unwind_GetIP(context)) {
		climb->found = climb->stack;
		return _URC_END_OF_STACK;
	}
	climb->stack = stack;
	return _URC_NO_REASON;
}

uintptr_t unwind_returned(bool (*original)(void *data, uintptr_t address, uintptr_t *word),
			  void *data)
{
	struct climb climb = { .original = original, .data = data, .found = UINTPTR_MAX };

	_Unwind_Backtrace(climb_step, &climb);
	return climb.found;
}

uint32_t unwind_box(uintptr_t from, struct box_frame *frame)
{
	struct unwind_frame found[BOX_STACK_FRAMES];
	unsigned count = unwind(from, found, BOX_STACK_FRAMES);
	unsigned i;

	for (i = 0; i < count; i++)
		module_frame(found[i].pc, &frame[i]);
	return count;
}

void unwind_init(void)
{
	struct unwind_frame frame[2];

	unwind(0, frame, COUNT(frame));
}
