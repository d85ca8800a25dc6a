// SPDX-License-Identifier: MIT
/*
 * See signal_wrap.h. Owns the table of the program's handlers: one word each, so that the wrapper reads it without a
 * lock. What is not a function is never in it, and an entry that the kernel has no wrapper for does not count.
 */
#include "signal_wrap.h"

#include "config.h"
#include "hook.h"
#include "seccomp.h"
#include "sys.h"
#include "thread.h"
#include "unsafe.h"
#include "window.h"

#include "poison.h"

#define SIGNALS 64

static uintptr_t handlers[SIGNALS + 1];
static struct spin table_lock CHILD_STATE;
static long owner CHILD_STATE; /* the process that the table is of; zero: not asked yet */

static uintptr_t entry(int signal)
{
	return __atomic_load_n(&handlers[signal], __ATOMIC_ACQUIRE);
}

typedef void any_handler(int signal, siginfo_t *info, void *context);

/*
 * The two further arguments are there, or not, as the kernel sees fit: the handler gets what came. A handler that jumps
 * out leaves this frame behind: see unsafe.c.
 */
static void wrapper(int signal, siginfo_t *info, void *context)
{
	any_handler *handler = (any_handler *)entry(signal);
	uintptr_t here = 0, frame = (uintptr_t)&here;
	uint32_t at;

	if (!handler)
		return;
	/* In a child that shares its parent's memory no word of either's may be changed. */
	if (!window_memory_is_own() || seccomp_confined() || thread_words.ended) {
		handler(signal, info, context);
		return;
	}
	at = unsafe_handler_enter(signal, (uintptr_t)handler, frame);
	handler(signal, info, context);
	unsafe_handler_leave(at, frame);
	/* no tail call, and the word stays in the frame */
	__asm__ volatile("" : : "r"(&here) : "memory");
}

#define WRAPPER ((sighandler_t)(void (*)(void))wrapper)

static bool is_function(sighandler_t handler)
{
	return handler != SIG_DFL && handler != SIG_IGN && handler != SIG_ERR &&
	       handler != SIG_HOLD;
}

/* A child that shares its parent's memory finds the parent's process there. */
static bool is_owner(void)
{
	if (!window_memory_is_own())
		return false;
	if (!owner)
		owner = sys_pid();
	return owner == sys_pid();
}

/* Who sets a handler while another thread sets one for the same signal by sigset() may have either's flags with it. */
sighandler_t signal_wrap_begin(struct signal_wrap *wrap, int signal, sighandler_t handler,
			       bool masks)
{
	*wrap = (struct signal_wrap){ 0 };
	hook_start();
	if (LIKELY(!config.strict) || signal < 1 || signal > SIGNALS)
		return handler;
	HOOK_UNLESS_PASSIVE(handler);
	wrap->before = entry(signal);
	/* The program may have the wrapper's address from the kernel. */
	if (!is_function(handler) || handler == WRAPPER || seccomp_confined() || !is_owner())
		return handler;
	wrap->locked = !masks;
	if (wrap->locked)
		spin_lock(&table_lock);
	wrap->given = (uintptr_t)handler;
	wrap->before = entry(signal);
	__atomic_store_n(&handlers[signal], wrap->given, __ATOMIC_RELEASE);
	return WRAPPER;
}

sighandler_t signal_wrap_end(struct signal_wrap *wrap, int signal, bool failed, sighandler_t old)
{
	/* Once more: a handler may have run, and have set another. */
	if (wrap->given)
		__atomic_store_n(&handlers[signal], failed ? wrap->before : wrap->given,
				 __ATOMIC_RELEASE);
	if (wrap->locked)
		spin_unlock(&table_lock);
	return old == WRAPPER ? (sighandler_t)wrap->before : old;
}

sighandler_t signal_wrap_own(int signal, sighandler_t handler)
{
	return handler == WRAPPER ? (sighandler_t)entry(signal) : handler;
}

void signal_wrap_after_fork(void)
{
	spin_reset(&table_lock);
	RESET(owner, 0);
}
