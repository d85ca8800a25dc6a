// SPDX-License-Identifier: MIT
/*
 * See lean.h. The course of a lean child, from its first instruction to exec or to the end of the tier: it has one thread
 * then, since what would make a second ends the tier.
 */
#include <linux/futex.h>

#include "hook.h"
#include "lean_share.h"
#include "window.h"

#include "poison.h"

static enum spork_reason ends_for; /* what lean_end() was told */

bool lean_is_child(void)
{
	return lean_self != NULL;
}

bool lean_leaves(void)
{
	struct lean_share *share = lean_self->share;
	uint32_t told;

	__atomic_store_n(&share->leaves, 1, __ATOMIC_SEQ_CST);
	while ((told = __atomic_load_n(&share->told, __ATOMIC_SEQ_CST)) == LEAN_TELLING)
		if (SYS(getppid) != lean_self->parent && !lean_self->apart)
			lean_die();
	/* It comes when the kernel returns from a call, at the latest. */
	SYS(sched_yield);
	return told == LEAN_NOT_TOLD;
}

static bool in_handler;

void lean_handler_begin(void)
{
	in_handler = true;
}

void lean_handler_end(void *context)
{
	if (lean_self && UNLIKELY(__atomic_load_n(&lean_self->share->told, __ATOMIC_ACQUIRE)))
		lean_finish(BOX_REASON_DEADLINE, context);
	in_handler = false;
}

bool lean_on_told(const siginfo_t *info, void *context)
{
	if (info->si_code != SI_USER ||
	    !__atomic_load_n(&lean_self->share->told, __ATOMIC_ACQUIRE) ||
	    (info->si_pid && info->si_pid != lean_self->parent))
		return false;
	if (!in_handler)
		lean_finish(BOX_REASON_DEADLINE, context);
	return true;
}

/* The program's own calls go their way again, and its signals; the parent goes on. */
void lean_finish(enum spork_reason reason, void *context)
{
	struct lean *lean = lean_self;
	struct lean_share *share = lean->share;

	lean_leaves();
	lean_settle_all();
	lean_dispatch_end();
	lean_signal_end(context);
	share->ended = ends_for ? ends_for : reason;
	ends_for = BOX_REASON_NONE;
	lean_self = NULL;
	window_close_lean();
	REAL(pthread_mutex_unlock)(&share->held);
}

void lean_begin(struct lean *lean)
{
	struct lean_share *share = lean->share;

	lean_fetch_begin(lean);
	in_handler = false;
	lean_signal_begin();
	REAL(pthread_mutex_lock)(&share->held);
	/* The kernel wakes those who wait when it lets go of it. */
	__atomic_or_fetch(lean_word(share), FUTEX_WAITERS, __ATOMIC_RELEASE);
	__atomic_store_n(&share->begun, 1, __ATOMIC_RELEASE);
	lean_dispatch_begin();
}

void lean_foreign(int signal, siginfo_t *info, void *context)
{
	lean_finish(info->si_code <= 0 ? BOX_REASON_SIGNAL : BOX_REASON_FAULT, context);
	if (info->si_code <= 0)
		lean_send_again(signal, info);
}

static void on_fault(int signal, siginfo_t *info, void *context)
{
	if (__atomic_load_n(&lean_self->share->kept, __ATOMIC_ACQUIRE))
		lean_finish(BOX_REASON_DEADLINE, context);
	else if (info->si_code != SEGV_ACCERR || !lean_fetch((uintptr_t)info->si_addr))
		lean_foreign(signal, info, context);
}

void lean_on_fault(int signal, siginfo_t *info, void *context)
{
	if (!lean_self)
		return;
	lean_handler_begin();
	on_fault(signal, info, context);
	lean_handler_end(context);
}

/* A call that the kernel does not have, from outside of the shim, comes to the handler. */
void lean_end(enum spork_reason reason)
{
	if (!lean_self)
		return;
	ends_for = reason;
	REAL(syscall)(-1);
}
