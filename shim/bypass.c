// SPDX-License-Identifier: MIT
/*
 * See bypass.h. Owns where this process was made, if it was made so; a child has one thread when that is written.
 */
#include "bypass.h"

#include "atfork.h"
#include "report.h"
#include "seccomp.h"
#include "sys.h"
#include "unsafe.h"
#include "unwind.h"
#include "window.h"

#include "poison.h"

static struct bypass made;

void bypass_note(struct bypass *bypass, uint32_t call, uintptr_t from)
{
	struct window *window = thread_window_open();
	bool busy = window && window->busy;

	bypass->call = call;
	bypass->frames = 0;
	if (seccomp_confined() || !atfork_registered())
		return;
	/* The unwinder may come through hooks, in a child that makes another. */
	if (window)
		window->busy = true;
	bypass->frames = unwind_box(from, bypass->frame);
	if (window)
		window->busy = busy;
}

void bypass_open(const struct bypass *bypass)
{
	if (seccomp_confined() || !atfork_registered())
		return;
	made = *bypass;
	window_open_bare(bypass->call);
}

void bypass_child(uint32_t call, uintptr_t from)
{
	int error = errno;
	struct bypass bypass;

	window_after_fork(&(struct walk_start){ .pc = from }, NULL);
	unsafe_made_by(call);
	bypass_note(&bypass, call, from);
	bypass_open(&bypass);
	errno = error;
}

/* Does it need what handlers leave behind? A process that it makes in its turn is one more like it. */
static bool needs_handlers(enum hook hook, enum spork_reason reason)
{
	switch (reason) {
	case BOX_REASON_HEAP:
	case BOX_REASON_STDIO:
	case BOX_REASON_LOCK:
	case BOX_REASON_THREAD:
	case BOX_REASON_EXIT:
	case BOX_REASON_LIBC:
	case BOX_REASON_LOADER:
		return true;
	case BOX_REASON_SPAWN:
		return hook != HOOK__Fork && hook != HOOK_clone && hook != HOOK_vfork &&
		       hook != HOOK___vfork;
	default:
		return false;
	}
}

void bypass_call(struct window *window, enum hook hook, enum spork_reason reason)
{
	struct box_violation violation;

	if (!needs_handlers(hook, reason))
		return;
	window_drop(window);
	if (seccomp_confined())
		return;
	memset(&violation, 0, sizeof(violation));
	violation.kind = BOX_VIOLATION_ATFORK_BYPASSED;
	violation.call = made.call + 1;
	violation.fork_frames = made.frames;
	memcpy(violation.fork, made.frame, sizeof(violation.fork));
	strncpy(violation.text, real_name(hook), sizeof(violation.text) - 1);
	violation.stack_frames = unwind_box(0, violation.stack);
	report_violation(&violation);
}
