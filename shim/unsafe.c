// SPDX-License-Identifier: MIT
/*
 * See unsafe.h. Owns the window of watched threads and how much this process has told; what each thread is watched for
 * is in its thread_words.
 *
 * Handlers that did not come back, by a jump or because their thread was cancelled, are found out when the next call is
 * made: their frame is gone. What a report says is that a handler runs, so before one is made the unwinder must find the
 * frame of its wrapper.
 */
#include "unsafe.h"

#include <mqueue.h>
#include <threads.h>
#include <ucontext.h>

#include "config.h"
#include "hook.h"
#include "memory.h"
#include "module.h"
#include "record.h"
#include "report.h"
#include "seccomp.h"
#include "signal_safe.h"
#include "sys.h"
#include "unwind.h"
#include "window.h"

#include "poison.h"

/* Never written: its zeros say WINDOW_WATCH. */
struct window window_watch;

/* A process describes so many; what comes after is counted. Nor may they fill the box, which is there for others too. */
#define TOLD_MAX 64
#define RECORDS_MAX (BOX_CAPACITY_VIOLATION / 2)

static uint32_t told CHILD_STATE;

/* A report needs more stack than an alternate one need have: it is made on one of the shim's own. */
#define STACK_SIZE ((size_t)65536)
/* The unwinder needs so much, where it is called; with less than this to start with a handler is not watched. */
#define STACK_UNWIND 6144
#define STACK_LEAST 8192

static struct report {
	struct box_violation violation;
	ucontext_t here, there;
	void *stack;
} report;
static int report_taken CHILD_STATE;

struct window *unsafe_window(void)
{
	return thread_words.handlers || (thread_words.child_call && config.strict) ? &window_watch :
										     NULL;
}

/* After what it is watched for has changed. */
static void watch(void)
{
	if (!thread_window_open() && thread_words.window != unsafe_window())
		window_set(NULL);
}

void unsafe_after_fork(const struct walk_start *from, const struct box_site *site)
{
	RESET(thread_words.handlers, 0);
	RESET(thread_words.child_call, 0);
	RESET(told, 0);
	RESET(report_taken, 0);
	if (seccomp_confined() || !thread_others_alive())
		return;
	thread_words.child_call = BOX_CALL_FORK + 1;
	thread_words.child_from = from->pc;
	thread_words.child_site = record_site_index(site);
	watch();
}

void unsafe_made_by(uint32_t call)
{
	if (thread_words.child_call)
		thread_words.child_call = call + 1;
}

void unsafe_thread_end(void)
{
	RESET(thread_words.handlers, 0);
	RESET(thread_words.child_call, 0);
	watch();
}

/* Does this handler still run, as far as a stack pointer tells? Another stack than its own may lie anywhere. */
static bool runs(const struct thread_handler *handler, uintptr_t stack)
{
	if (handler->stack_low && (stack < handler->stack_low || stack >= handler->stack_high))
		return false;
	return stack < handler->frame;
}

/* The innermost handler that runs, or NULL. */
static const struct thread_handler *innermost(uintptr_t stack)
{
	while (thread_words.handlers) {
		const struct thread_handler *handler =
			&thread_words.handler[thread_words.handlers - 1];

		if (runs(handler, stack))
			return handler;
		thread_words.handlers--;
	}
	return NULL;
}

uint32_t unsafe_handler_enter(int signal, uintptr_t function, uintptr_t frame)
{
	struct thread_handler *handler;
	stack_t stack = { 0 };
	uint32_t at;

	innermost((uintptr_t)__builtin_frame_address(0));
	at = thread_words.handlers;
	if (at == COUNT(thread_words.handler) || SYS(sigaltstack, NULL, &stack))
		return at;
	if (!(stack.ss_flags & SS_ONSTACK))
		stack = (stack_t){ 0 };
	else if (frame - (uintptr_t)stack.ss_sp < STACK_LEAST)
		return at;
	handler = &thread_words.handler[at];
	*handler = (struct thread_handler){
		.function = function,
		.frame = frame,
		.stack_low = (uintptr_t)stack.ss_sp,
		.stack_high = (uintptr_t)stack.ss_sp + stack.ss_size,
		.signal = signal,
	};
	thread_words.handlers = at + 1;
	watch();
	return at;
}

void unsafe_handler_leave(uint32_t at, uintptr_t frame)
{
	if (at < thread_words.handlers && thread_words.handler[at].frame == frame)
		thread_words.handlers = at;
	watch();
}

/* Is it a way out of a handler, or of everything? */
static bool goes_away(enum hook hook)
{
	switch (hook) {
	case HOOK_longjmp:
	case HOOK__longjmp:
	case HOOK_siglongjmp:
	case HOOK___longjmp_chk:
	case HOOK_setcontext:
	case HOOK_swapcontext:
	case HOOK_pthread_exit:
	case HOOK_thrd_exit:
	case HOOK_exit:
	case HOOK_quick_exit:
		return true;
	default:
		return false;
	}
}

/* What comes after exit() are its handlers. */
static void go_away(enum hook hook)
{
	thread_words.handlers = 0;
	if (hook == HOOK_exit || hook == HOOK_quick_exit)
		thread_words.child_call = 0;
	watch();
}

/* libgcc_s unwinds the stack of a thread that is cancelled. */
static bool is_unwinder(const struct module *module)
{
	const struct box_module *record = record_at(BOX_TABLE_MODULE, module->index);

	return record && strstr(record->path, "/libgcc_s.so");
}

/* What libc calls inside is its own affair: it was asked for by a call that was looked at. */
static bool of_program(uintptr_t where)
{
	struct module caller, libc;

	if (module_is_shim(where))
		return false;
	if (!module_find(where, &caller))
		return true;
	if (caller.loader || is_unwinder(&caller))
		return false;
	return !module_find((uintptr_t)&getauxval, &libc) || libc.start != caller.start;
}

/* A child's fork, as its call site has it: the functions that were there may have returned since. */
static void describe_fork(struct box_violation *violation)
{
	const struct box_site *site = record_at(BOX_TABLE_SITE, thread_words.child_site);
	uint32_t frames = site ? site->frames : 0;

	violation->call = thread_words.child_call;
	violation->site = thread_words.child_site;
	if (frames > BOX_SITE_FRAMES)
		frames = BOX_SITE_FRAMES;
	if (frames)
		memcpy(violation->fork, site->frame, frames * sizeof(*violation->fork));
	else
		module_frame(thread_words.child_from, &violation->fork[frames++]);
	violation->fork_frames = frames;
}

/* Of a handler without what it interrupted, which is another place each time. */
static void describe_stack(struct box_violation *violation, const struct thread_handler *handler)
{
	struct unwind_frame found[BOX_STACK_FRAMES];
	unsigned count = unwind(0, found, COUNT(found)), i;

	for (i = 0; i < count && (!handler || found[i].stack < handler->frame); i++)
		module_frame(found[i].pc, &violation->stack[i]);
	violation->stack_frames = i;
}

static void describe(struct box_violation *violation, enum spork_violation kind, enum hook hook,
		     const struct thread_handler *handler)
{
	memset(violation, 0, sizeof(*violation));
	violation->kind = kind;
	strncpy(violation->text, real_name(hook), sizeof(violation->text) - 1);
	if (handler) {
		violation->signal = (uint32_t)handler->signal;
		/* Code is looked up as a return address is, which lies behind the call. */
		module_frame(handler->function + 1, &violation->handler);
	} else {
		describe_fork(violation);
	}
	describe_stack(violation, handler);
}

static void report_there(void)
{
	report_violation(&report.violation);
}

static bool report_elsewhere(void)
{
	__typeof__(&getcontext) get = REAL_LIBC(getcontext);
	__typeof__(&makecontext) make = REAL_LIBC(makecontext);

	if (!report.stack)
		report.stack = memory_take(STACK_SIZE);
	if (!report.stack || !get || !make || get(&report.there))
		return false;
	report.there.uc_stack = (stack_t){ .ss_sp = report.stack, .ss_size = STACK_SIZE };
	report.there.uc_link = &report.here;
	make(&report.there, report_there, 0);
	return !REAL(swapcontext)(&report.here, &report.there);
}

/*
 * Describes it and tells it. False: there is no handler, as it turns out. The frames of this and what it calls up to
 * unwind_box() are on the program's stack, however small.
 */
static __attribute__((noinline)) bool tell(enum spork_violation kind, enum hook hook,
					   const struct thread_handler *handler, uint64_t key)
{
	sys_sigset mask;
	bool tells;

	if (handler && !unwind_inside(handler->frame))
		return false;
	mask = sys_sigmask(SYS_SIGNALS_ALL);
	tells = !__atomic_exchange_n(&report_taken, 1, __ATOMIC_ACQUIRE);
	if (tells) {
		told++;
		describe(&report.violation, kind, hook, handler);
		if (!handler || !handler->stack_low)
			report_violation(&report.violation);
		else
			tells = report_elsewhere();
		record_remember(key, report.violation.hash);
		__atomic_store_n(&report_taken, 0, __ATOMIC_RELEASE);
	}
	sys_sigmask(mask);
	if (!tells)
		record_violation_again(kind, 0, 1);
	return true;
}

/*
 * A call that was made from the same place with the stack as deep is taken for the same: a child may make millions of
 * them.
 */
static bool count(enum spork_violation kind, enum hook hook, uintptr_t where, uintptr_t stack,
		  const struct thread_handler *handler)
{
	uint64_t key = hash_mix(hash_mix(kind, hook), where);
	uint32_t index;

	key = hash_mix(key, handler ? handler->frame - stack : stack);
	key = hash_mix(key, handler ? handler->function : thread_words.child_from);
	if (record_recall(key, &index)) {
		record_violation_again(kind, index, 1);
		return true;
	}
	if (told >= TOLD_MAX || record_used(BOX_TABLE_VIOLATION) >= RECORDS_MAX ||
	    (handler && handler->stack_low && stack - handler->stack_low < STACK_UNWIND)) {
		record_violation_again(kind, 0, 1);
		return true;
	}
	return tell(kind, hook, handler, key);
}

/* Is it one that unsafe_thread() tells? */
static bool starts_thread(enum hook hook, const struct hook_arguments *arguments)
{
	const struct sigevent *event =
		hook == HOOK_timer_create ? (const struct sigevent *)arguments->value[1] : NULL;

	return hook == HOOK_pthread_create || hook == HOOK_thrd_create ||
	       (config.locks &&
		unsafe_makes_thread(hook, event && event->sigev_notify == SIGEV_THREAD));
}

static bool does_nothing(enum hook hook, const struct hook_arguments *arguments)
{
	return hook == HOOK_free && arguments && !arguments->value[0];
}

void unsafe_call(enum hook hook, const struct hook_arguments *arguments, uintptr_t where)
{
	uintptr_t stack = (uintptr_t)__builtin_frame_address(0);
	const struct thread_handler *handler = innermost(stack);
	bool child = thread_words.child_call && config.strict;

	if (UNLIKELY(!handler && !child)) {
		watch();
		return;
	}
	if (!signal_safe(hook) && !does_nothing(hook, arguments) && !thread_words.atfork_phase &&
	    !seccomp_confined() && of_program(where)) {
		if (handler &&
		    !count(BOX_VIOLATION_SIGNAL_UNSAFE_CALL, hook, where, stack, handler)) {
			thread_words.handlers = 0;
			handler = NULL;
			watch();
		}
		if (!handler && child && !starts_thread(hook, arguments))
			count(BOX_VIOLATION_CHILD_UNSAFE_CALL, hook, where, stack, NULL);
	}
	if (UNLIKELY(goes_away(hook)))
		go_away(hook);
}

void unsafe_thread(enum hook hook, uintptr_t where)
{
	int error = errno;

	/* In its handlers it is not the child yet that it was made for, and in a window it is somebody else. */
	if (!thread_words.child_call || thread_words.atfork_phase || seccomp_confined() ||
	    !window_memory_is_own())
		return;
	if (of_program(where))
		count(BOX_VIOLATION_CHILD_THREAD, hook, where,
		      (uintptr_t)__builtin_frame_address(0), NULL);
	errno = error;
}

EXPORT int thrd_create(thrd_t *thread, thrd_start_t routine, void *argument)
{
	HOOK_UNLESS_PASSIVE(REAL(thrd_create)(thread, routine, argument));
	hook_enter(HOOK_thrd_create, NULL);
	unsafe_thread(HOOK_thrd_create, CALLER);
	return REAL(thrd_create)(thread, routine, argument);
}

EXPORT int mq_notify(mqd_t queue, const struct sigevent *event)
{
	HOOK_UNLESS_PASSIVE(REAL(mq_notify)(queue, event));
	hook_enter(HOOK_mq_notify, NULL);
	if (event && event->sigev_notify == SIGEV_THREAD)
		unsafe_thread(HOOK_mq_notify, CALLER);
	return REAL(mq_notify)(queue, event);
}
