// SPDX-License-Identifier: MIT
/*
 * Call stacks by libgcc's unwinder, linked in statically. It finds tables through _dl_find_object
 * (glibc 2.35+), which takes no lock, and allocates nothing; it stops where code has no tables.
 */
#include "unwind.h"

#include <unwind.h>

#include "module.h"
#include "sys.h"
#include "walk.h"

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
	if (walk->count && !walk->frame[walk->count - 1].end)
		walk->frame[walk->count - 1].end = _Unwind_GetCFA(context);
	/* the shim's own frames: of a hook, and the one around main() */
	if (module_is_shim(pc) || (!walk->count && walk->from && pc != walk->from))
		return _URC_NO_REASON;
	if (!pc || walk->count == walk->capacity)
		return _URC_END_OF_STACK;
	walk->frame[walk->count].pc = pc;
	walk->frame[walk->count].stack = _Unwind_GetCFA(context);
	walk->frame[walk->count].end = 0;
	walk->count++;
	return _URC_NO_REASON;
}

unsigned unwind(uintptr_t from, struct unwind_frame *frame, unsigned capacity)
{
	struct walk walk = { frame, 0, capacity, from, 0 };

	_Unwind_Backtrace(step, &walk);
	return walk.count;
}

unsigned unwind_from(const struct walk_start *start, struct unwind_frame *frame, unsigned capacity)
{
	bool complete = false;
	unsigned count = 0;

	if (start->stack_end)
		count = walk_stack(start, frame, capacity, &complete);
	return complete ? count : unwind(start->pc, frame, capacity);
}

struct climb {
	bool (*original)(void *data, uintptr_t address, uintptr_t *word);
	void *data;
	uintptr_t stack;	 /* of the frame before, at its call; zero: there is none */
	uintptr_t frame_pointer; /* in that frame */
	uintptr_t found;
	unsigned steps;
};

enum climb_frame { CLIMB_NEW, CLIMB_ORIGINAL, CLIMB_UNKNOWN };

/*
 * The frame before, which ends at `end` and returns to `pc`. One that lies below what is known of the
 * parent's stack is the child's own; of any other it matters where its return address is kept.
 */
static enum climb_frame climb_judge(const struct climb *climb, uintptr_t end, uintptr_t pc)
{
	uintptr_t slot, now, then;

	if (!climb->original(climb->data, end - sizeof(then), &then))
		return CLIMB_NEW;
	slot = arch_return_slot(climb->stack, end, climb->frame_pointer);
	if (!slot)
		return CLIMB_UNKNOWN;
	now = *(const uintptr_t *)slot;
	if (arch_code(now) != pc)
		return CLIMB_UNKNOWN;
	return climb->original(climb->data, slot, &then) && then == now ? CLIMB_ORIGINAL :
									  CLIMB_NEW;
}

static _Unwind_Reason_Code climb_step(struct _Unwind_Context *context, void *data)
{
	struct climb *climb = data;
	int interrupted;
	uintptr_t pc = _Unwind_GetIPInfo(context, &interrupted), end = _Unwind_GetCFA(context);
	enum climb_frame judged = CLIMB_NEW;

	if (++climb->steps > CLIMB_MAX)
		return _URC_END_OF_STACK;
	/* The kernel made a signal's frame: it returns nowhere. */
	if (climb->stack && !interrupted)
		judged = climb_judge(climb, end, pc);
	if (judged == CLIMB_ORIGINAL)
		climb->found = climb->stack;
	if (judged != CLIMB_NEW)
		return _URC_END_OF_STACK;
	climb->stack = end;
	climb->frame_pointer = _Unwind_GetGR(context, ARCH_FRAME_POINTER);
	return _URC_NO_REASON;
}

uintptr_t unwind_returned(bool (*original)(void *data, uintptr_t address, uintptr_t *word),
			  void *data)
{
	struct climb climb = { .original = original, .data = data, .found = UINTPTR_MAX };

	_Unwind_Backtrace(climb_step, &climb);
	return climb.found;
}

static uint32_t box_frames(const struct unwind_frame *found, unsigned count,
			   struct box_frame *frame)
{
	unsigned i;

	for (i = 0; i < count; i++)
		module_frame(found[i].pc, &frame[i]);
	return count;
}

uint32_t unwind_left(const struct walk_start *start, struct box_frame *frame, uint32_t capacity)
{
	struct unwind_frame found[BOX_STACK_FRAMES];
	unsigned count;
	bool complete;

	count = walk_stack(start, found, capacity < COUNT(found) ? capacity : COUNT(found),
			   &complete);
	if (!count)
		found[count++].pc = start->pc;
	return box_frames(found, count, frame);
}

uint32_t unwind_box(uintptr_t from, struct box_frame *frame)
{
	struct unwind_frame found[BOX_STACK_FRAMES];

	return box_frames(found, unwind(from, found, BOX_STACK_FRAMES), frame);
}

uint32_t unwind_box_from(const struct walk_start *start, struct box_frame *frame)
{
	struct unwind_frame found[BOX_STACK_FRAMES];

	return box_frames(found, unwind_from(start, found, BOX_STACK_FRAMES), frame);
}

struct inside {
	uintptr_t address;
	bool shim; /* the frame before is one */
	bool found;
	unsigned steps;
};

static _Unwind_Reason_Code inside_step(struct _Unwind_Context *context, void *data)
{
	struct inside *inside = data;

	if (_Unwind_GetCFA(context) > inside->address && inside->steps) {
		inside->found = inside->shim;
		return _URC_END_OF_STACK;
	}
	inside->shim = module_is_shim(_Unwind_GetIP(context));
	return ++inside->steps > CLIMB_MAX ? _URC_END_OF_STACK : _URC_NO_REASON;
}

bool unwind_inside(uintptr_t address)
{
	struct inside inside = { .address = address };

	_Unwind_Backtrace(inside_step, &inside);
	return inside.found;
}

void unwind_init(void)
{
	struct unwind_frame frame[2];

	unwind(0, frame, COUNT(frame));
}
