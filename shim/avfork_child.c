// SPDX-License-Identifier: MIT
/*
 * See avfork_child.h. Runs in a child that shares memory with a parent whose threads all run on. A report takes no lock
 * that the parent's threads hold for longer than it takes to write a record.
 */
#include "avfork_child.h"

#include "module.h"
#include "report.h"
#include "sys.h"
#include "unwind.h"
#include "vfork.h"

#include "poison.h"

/* All children are in this one: the word that says so is each one's own. */
static struct window window_avfork = { .kind = WINDOW_AVFORK, .call = BOX_CALL_AVFORK };

void avfork_enter(uintptr_t from)
{
	thread_words = (struct thread_words){
		.window = &window_avfork,
		.ended = 1,
		.fork_from = { .pc = from },
	};
}

/* Hooks that the report comes through are not the child's calls. */
static void report(enum spork_violation kind, enum hook hook)
{
	struct box_violation violation;

	thread_words.window = NULL;
	memset(&violation, 0, sizeof(violation));
	violation.kind = kind;
	violation.call = BOX_CALL_AVFORK + 1;
	strncpy(violation.text, real_name(hook), sizeof(violation.text) - 1);
	violation.stack_frames = unwind_box(0, violation.stack);
	module_frame(thread_words.fork_from.pc, &violation.fork[0]);
	violation.fork_frames = 1;
	report_violation(&violation);
	thread_words.window = &window_avfork;
}

void avfork_call(enum hook hook, enum spork_reason reason, const struct hook_arguments *arguments)
{
	enum spork_violation forbidden =
		vfork_forbids(hook, reason, arguments ? arguments->value[0] : -1);

	/* Descriptions and record locks it may change, as a child of fork() may. */
	if (forbidden < BOX_VIOLATION_COUNT)
		report(forbidden, hook);
	if (reason == BOX_REASON_EXIT)
		SYS(exit_group, arguments->value[0]);
}

void avfork_exit(enum hook hook, int status)
{
	if (UNLIKELY(thread_words.window == &window_avfork))
		avfork_call(hook, BOX_REASON_EXIT, &(struct hook_arguments){ { status } });
}
