// SPDX-License-Identifier: MIT
/*
 * The text of a violation.
 *
 * Linked into the shim and into the tools, so it calls nothing and keeps no state: it may run before
 * constructors, in a signal handler and in a child that shares its parent's memory.
 */
#include "text.h"

#include <stdbool.h>

#include "name.h"

void text_buffer_put(struct text *text, const char *bytes, size_t size)
{
	struct text_buffer *buffer = (struct text_buffer *)text;
	size_t i;

	for (i = 0; i < size && buffer->size < buffer->capacity; i++)
		buffer->bytes[buffer->size++] = bytes[i];
}

void text_bounded(struct text *text, const char *string, size_t size)
{
	size_t length = 0;

	while (length < size && string[length])
		length++;
	text->put(text, string, length);
}

void text_string(struct text *text, const char *string)
{
	text_bounded(text, string, (size_t)-1);
}

static void text_number(struct text *text, uint64_t value, unsigned base)
{
	char digits[24];
	size_t at = sizeof(digits);

	do {
		digits[--at] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	text->put(text, digits + at, sizeof(digits) - at);
}

void text_decimal(struct text *text, uint64_t value)
{
	text_number(text, value, 10);
}

void text_hex(struct text *text, uint64_t value)
{
	text_string(text, "0x");
	text_number(text, value, 16);
}

static void text_typed(struct text *text, uint32_t type, const struct box_frame *lock)
{
	text_string(text, box_lock_type_name(type));
	text_string(text, " ");
	text->data(text, lock);
}

static void text_lock(struct text *text, const struct box_violation *violation)
{
	if (violation->lock_type != BOX_LOCK_HIDDEN) {
		text_typed(text, violation->lock_type, &violation->lock);
		return;
	}
	text_string(text, "hidden lock '");
	text_bounded(text, violation->text, sizeof(violation->text));
	text_string(text, "'");
	if (violation->lock.addr) {
		text_string(text, " ");
		text->data(text, &violation->lock);
	}
}

static void text_holder(struct text *text, const struct box_violation *violation)
{
	text_string(text, "thread '");
	text_bounded(text, violation->holder_name, sizeof(violation->holder_name));
	text_string(text, "' (tid=");
	text_decimal(text, violation->holder_tid);
	text_string(text, violation->holder_ended ? "), which had ended" : ")");
}

static void text_not_released(struct text *text, const struct box_violation *violation)
{
	if (violation->text[0]) {
		text_string(text, "An atfork child handler initialises ");
		text_lock(text, violation);
		text_string(text,
			    " anew while it is locked, which POSIX does not define; it was taken");
		return;
	}
	text_lock(text, violation);
	text_string(text, " is still held after the atfork ");
	text_string(text, box_phase_name(violation->phase));
	text_string(text, " handlers; a prepare handler took it");
}

static void text_not_acquired(struct text *text, const struct box_violation *violation)
{
	text_string(text, "An atfork ");
	text_string(text, box_phase_name(violation->phase));
	text_string(text, " handler releases ");
	text_lock(text, violation);
	text_string(text, violation->acquired_frames ?
				  ", which no prepare handler took, but the caller of fork()" :
				  ", which no prepare handler took");
}

/* Of atfork handlers, and of what none was there for. */
static void text_handler(struct text *text, const struct box_violation *violation)
{
	switch (violation->kind) {
	case BOX_VIOLATION_ATFORK_NOT_RELEASED:
		text_not_released(text, violation);
		break;
	case BOX_VIOLATION_ATFORK_NOT_ACQUIRED:
		text_not_acquired(text, violation);
		break;
	case BOX_VIOLATION_ATFORK_WRONG_OWNER:
		text_string(text, "An atfork child handler unlocks ");
		text_lock(text, violation);
		text_string(text, " (");
		text_bounded(text, violation->text, sizeof(violation->text));
		text_string(text, "), whose owner is a thread of the parent, so that it cannot; "
				  "a prepare handler took it");
		break;
	case BOX_VIOLATION_ATFORK_STALE:
		text_string(text, "An atfork ");
		text_string(text, box_phase_name(violation->phase));
		text_string(text, " handler lies in an object that is no longer loaded; "
				  "it is not called");
		break;
	case BOX_VIOLATION_ATFORK_BYPASSED:
		text_string(text, "A child of ");
		text_string(text, box_call_name(violation->call - 1));
		text_string(text, "() calls ");
		text_bounded(text, violation->text, sizeof(violation->text));
		text_string(text, "() before exec, and no atfork handler has run in it");
		break;
	default:
		text_string(text, "The caller of fork() holds ");
		text_lock(text, violation);
		text_string(text, ", which is locked in the child too, and the child does more "
				  "than execute a program; it was taken");
		break;
	}
}

static void text_function(struct text *text, const char *before, const char *name, size_t size)
{
	text_string(text, before);
	text_bounded(text, name, size);
	text_string(text, "()");
}

/* Of a hidden lock it is known who was in its functions, not who had it. */
static void text_hidden(struct text *text, const struct box_violation *violation)
{
	if (violation->kind == BOX_VIOLATION_ORPHAN_DEADLOCK)
		text_function(text, " in ", violation->asked_in, sizeof(violation->asked_in));
	else
		text_string(text, " locked for ever in the child");
	text_string(text, ", which ");
	text_holder(text, violation);
	text_function(text, " was in at fork time by ", violation->held_in,
		      sizeof(violation->held_in));
}

static void text_signal(struct text *text, uint32_t signal)
{
	text_string(text, "signal ");
	text_decimal(text, signal);
	if (*box_signal_name(signal)) {
		text_string(text, " (");
		text_string(text, box_signal_name(signal));
		text_string(text, ")");
	}
}

static void text_wrote(struct text *text, const struct box_violation *violation)
{
	text_string(text, "The child of vfork() wrote ");
	text_decimal(text, violation->leak.size);
	text_string(text, violation->leak.size == 1 ? " byte" : " bytes");
	if (violation->kind == BOX_VIOLATION_VFORK_WROTE_LOCALS) {
		text_string(text, " of its parent's stack, ");
		text->local(text, violation);
	} else {
		text_string(text, " of static data, at ");
		text->data(text, &violation->lock);
	}
}

/* The call that made the child, of those that make one that shares memory. */
static const char *vfork_name(const struct box_violation *violation)
{
	return violation->call == BOX_CALL_AVFORK + 1 ? "avfork" : "vfork";
}

static void text_vfork(struct text *text, const struct box_violation *violation)
{
	size_t size = sizeof(violation->text);

	if (violation->kind != BOX_VIOLATION_VFORK_SIGNAL_HANDLER) {
		text_string(text, "The child of ");
		text_string(text, vfork_name(violation));
		text_string(text, "() ");
	}

	switch (violation->kind) {
	case BOX_VIOLATION_VFORK_RETURNED:
		text_function(text,
			      "has returned from the function that called "
			      "it, and now calls ",
			      violation->text, size);
		break;
	case BOX_VIOLATION_VFORK_EXIT:
		text_function(text, "calls ", violation->text, size);
		text_string(text, ", and gets _exit()");
		break;
	case BOX_VIOLATION_VFORK_THREAD:
		text_function(text, "starts a thread, by ", violation->text, size);
		break;
	case BOX_VIOLATION_VFORK_MEMORY_MAP:
		text_function(text, "changes the memory map of its parent, by ", violation->text,
			      size);
		break;
	case BOX_VIOLATION_VFORK_RECORD_LOCK:
		text_function(text, "uses record locks, by ", violation->text, size);
		break;
	case BOX_VIOLATION_VFORK_FD_FLAGS:
		text_function(text,
			      "changes the flags of a file description that "
			      "its parent shares, by ",
			      violation->text, size);
		break;
	case BOX_VIOLATION_VFORK_SIGNAL_HANDLER:
		text_string(text, "A handler of its parent's would have run in the child of "
				  "vfork(), for ");
		text_signal(text, violation->signal);
		text_string(text, "; it is held back");
		break;
	default:
		text_function(text, "calls ", violation->text, size);
		text_string(text, ", which is not safe there");
		break;
	}
}

/* Kinds that are about a child of the program's own vfork(). */
static bool of_vfork(uint32_t kind)
{
	return kind >= BOX_VIOLATION_VFORK_RETURNED && kind <= BOX_VIOLATION_VFORK_SIGNAL_HANDLER;
}

/* Of calls where only async-signal-safe ones may be made. */
static void text_unsafe(struct text *text, const struct box_violation *violation)
{
	if (violation->kind == BOX_VIOLATION_SIGNAL_UNSAFE_CALL) {
		text_string(text, "A handler of ");
		text_signal(text, violation->signal);
	} else {
		text_string(text, "The child of ");
		text_string(text, box_call_name(violation->call - 1));
		text_string(text, "(), whose parent had other threads,");
	}
	if (violation->kind == BOX_VIOLATION_CHILD_THREAD) {
		text_function(text, " starts a thread by ", violation->text,
			      sizeof(violation->text));
		text_string(text, " before exec");
		return;
	}
	text_function(text, " calls ", violation->text, sizeof(violation->text));
	if (violation->kind == BOX_VIOLATION_CHILD_UNSAFE_CALL)
		text_string(text, " before exec");
	text_string(text, ", which is not async-signal-safe");
}

void text_message(struct text *text, const struct box_violation *violation)
{
	switch (violation->kind) {
	case BOX_VIOLATION_VFORK_WROTE_LOCALS:
	case BOX_VIOLATION_VFORK_WROTE_MEMORY:
		text_wrote(text, violation);
		break;
	case BOX_VIOLATION_VFORK_RETURNED:
	case BOX_VIOLATION_VFORK_EXIT:
	case BOX_VIOLATION_VFORK_UNSAFE_CALL:
	case BOX_VIOLATION_VFORK_THREAD:
	case BOX_VIOLATION_VFORK_MEMORY_MAP:
	case BOX_VIOLATION_VFORK_RECORD_LOCK:
	case BOX_VIOLATION_VFORK_FD_FLAGS:
	case BOX_VIOLATION_VFORK_SIGNAL_HANDLER:
		text_vfork(text, violation);
		break;
	case BOX_VIOLATION_ORPHANED_LOCK:
		text_string(text, "fork() leaves ");
		text_lock(text, violation);
		if (violation->lock_type == BOX_LOCK_HIDDEN) {
			text_hidden(text, violation);
			break;
		}
		text_string(text, " locked for ever in the child, held by ");
		text_holder(text, violation);
		break;
	case BOX_VIOLATION_ORPHAN_DEADLOCK:
		text_string(text, "The child of fork() is about to block on ");
		text_lock(text, violation);
		if (violation->lock_type == BOX_LOCK_HIDDEN) {
			text_hidden(text, violation);
			break;
		}
		text_string(text, ", held at fork time by ");
		text_holder(text, violation);
		break;
	case BOX_VIOLATION_LOCK_ORDER:
		text_string(text, "A thread takes ");
		text_lock(text, violation);
		text_string(text, " while it holds ");
		text_typed(text, violation->order.held.type, &violation->order.held.lock);
		if (violation->order.locks > 2) {
			text_string(text, ", which closes a cycle of ");
			text_decimal(text, violation->order.locks);
			text_string(text, " locks");
		} else {
			text_string(text, "; elsewhere they are taken in the opposite order");
		}
		break;
	case BOX_VIOLATION_ATFORK_NOT_RELEASED:
	case BOX_VIOLATION_ATFORK_NOT_ACQUIRED:
	case BOX_VIOLATION_ATFORK_WRONG_OWNER:
	case BOX_VIOLATION_ATFORK_STALE:
	case BOX_VIOLATION_ATFORK_BYPASSED:
	case BOX_VIOLATION_FORK_HOLDING_LOCK:
		text_handler(text, violation);
		break;
	case BOX_VIOLATION_REROUTE_LEAK:
		text_string(text, "A child at a promoted site wrote ");
		text_decimal(text, violation->leak.size);
		text_string(text, violation->leak.size == 1 ? " byte" : " bytes");
		text_string(text, " outside what was learned, at ");
		text->data(text, &violation->lock);
		text_bounded(text, violation->text, sizeof(violation->text));
		text_string(text, "; its parent may have seen them");
		break;
	case BOX_VIOLATION_CHILD_THREAD:
	case BOX_VIOLATION_CHILD_UNSAFE_CALL:
	case BOX_VIOLATION_SIGNAL_UNSAFE_CALL:
		text_unsafe(text, violation);
		break;
	default:
		text_string(text, "Unknown kind of violation");
		break;
	}
}

static uint32_t text_line(struct text *text, const struct box_frame *frame, uint32_t number)
{
	text_string(text, "    #");
	text_decimal(text, number);
	text_string(text, " ");
	text->code(text, frame);
	text_string(text, "\n");
	return number + 1;
}

static void text_stack(struct text *text, const struct box_frame *frame, uint32_t frames)
{
	uint32_t number = 0, i;

	if (frames > BOX_STACK_FRAMES)
		frames = BOX_STACK_FRAMES;
	for (i = 0; i < frames; i++)
		number = text->lines ? text->lines(text, &frame[i], number) :
				       text_line(text, &frame[i], number);
}

static void text_place(struct text *text, const char *before, const struct box_lock *lock,
		       const char *after, const struct box_frame *place, uint32_t frames)
{
	text_string(text, before);
	text_typed(text, lock->type, &lock->lock);
	text_string(text, after);
	text_stack(text, place, frames);
}

static void text_order(struct text *text, const struct box_violation *violation)
{
	const struct box_order *order = &violation->order;

	text_stack(text, violation->stack, violation->stack_frames);
	text_place(text, "  It took ", &order->held, " here:\n", &order->held.acquired, 1);
	text_place(text, "  In the opposite order ", &order->held, " is taken here:\n",
		   order->stack, order->stack_frames ? order->stack_frames : 1);
	text_place(text, "  while ", &order->outer, " is held, which was taken here:\n",
		   &order->outer.acquired, 1);
	if (order->held.origin.addr)
		text_place(text, "  ", &order->held, " was initialised here:\n",
			   &order->held.origin, 1);
}

/* Is its stack that of a child that goes on? */
static bool of_child(uint32_t kind)
{
	return kind == BOX_VIOLATION_ORPHAN_DEADLOCK || kind == BOX_VIOLATION_FORK_HOLDING_LOCK ||
	       kind == BOX_VIOLATION_ATFORK_BYPASSED || kind == BOX_VIOLATION_CHILD_THREAD ||
	       kind == BOX_VIOLATION_CHILD_UNSAFE_CALL || of_vfork(kind);
}

/* Is a call what is wrong, and `text` its function? */
static bool of_call(uint32_t kind)
{
	return kind == BOX_VIOLATION_ATFORK_BYPASSED || kind == BOX_VIOLATION_CHILD_THREAD ||
	       kind == BOX_VIOLATION_CHILD_UNSAFE_CALL ||
	       kind == BOX_VIOLATION_SIGNAL_UNSAFE_CALL ||
	       (of_vfork(kind) && kind != BOX_VIOLATION_VFORK_SIGNAL_HANDLER);
}

static const char bar[] = "==================\n";

void text_violation(struct text *text, const struct box_violation *violation)
{
	const struct box_frame *summary = NULL;

	text_string(text, bar);
	text_string(text, box_severity_title(box_violation_severity(violation->kind)));
	text_string(text, ": spork: ");
	text_string(text, box_violation_name(violation->kind));
	text_string(text, " (pid=");
	text_decimal(text, violation->pid);
	text_string(text, ")\n  ");
	text_message(text, violation);
	text_string(text, ":\n");
	if (violation->order.locks) {
		text_order(text, violation);
		summary = &violation->stack[0];
	}
	if (violation->acquired_frames) {
		text_stack(text, violation->acquired, violation->acquired_frames);
		summary = &violation->acquired[0];
	}
	if (violation->handler.addr) {
		text_string(text, "  The handler is this one:\n");
		text_stack(text, &violation->handler, 1);
	}
	if (violation->origin.addr) {
		text_string(text, "  The lock was initialised here:\n");
		text_stack(text, &violation->origin, 1);
	}
	if (violation->fork_frames) {
		text_string(text, "  The ");
		text_string(text, of_vfork(violation->kind) ? vfork_name(violation) : "fork");
		text_string(text, " was here:\n");
		text_stack(text, violation->fork, violation->fork_frames);
	}
	if (violation->stack_frames && !violation->order.locks) {
		text_string(text, of_child(violation->kind) ? "  The child is here:\n" :
							      "  It was found here:\n");
		text_stack(text, violation->stack, violation->stack_frames);
	}
	if (violation->remedy == BOX_REMEDY_REPAIR)
		text_string(text, "  The lock is made anew, unlocked, for the child to go on.\n");
	if (violation->remedy == BOX_REMEDY_ABORT)
		text_string(text, "  The child is aborted.\n");
	if (violation->stack_frames && of_call(violation->kind))
		summary = &violation->stack[0];
	if (!summary && violation->handler.addr)
		summary = &violation->handler;
	if (!summary && violation->fork_frames)
		summary = &violation->fork[0];
	text_string(text, "SUMMARY: spork: ");
	text_string(text, box_violation_name(violation->kind));
	if (summary) {
		text_string(text, " ");
		text->summary(text, summary);
	}
	text_string(text, "\n");
	text_string(text, bar);
}
