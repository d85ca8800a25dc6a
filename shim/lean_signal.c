// SPDX-License-Identifier: MIT
/*
 * See lean.h. Owns what the program of a lean child believes of SIGSEGV and SIGSYS, and its alternate stack. Neither
 * signal is ever blocked in earnest: the kernel would end the child for the first page that it asks for.
 */
#include <ucontext.h>

#include "lean_share.h"

#include "poison.h"

#define BIT(signal) (1ULL << ((signal)-1))
#define OURS (BIT(SIGSEGV) | BIT(SIGSYS))
#define NEVER (BIT(SIGKILL) | BIT(SIGSTOP))
#define SIGNALS 64
#define RESTORER 0x04000000UL

static struct {
	struct sys_action segv, sys;
	sys_sigset blocked; /* of OURS */
	/* signals whose handlers block them */
	sys_sigset masks_segv, masks_sys;
	stack_t stack;
} own;

sys_sigset sys_unblockable;

static struct sys_action *own_action(int signal)
{
	return signal == SIGSEGV ? &own.segv : &own.sys;
}

/* The mask that a handler returns to: libc's type has room for more signals than the kernel's. */
static sys_sigset context_mask(const ucontext_t *context)
{
	return sys_sigset_of(&context->uc_sigmask);
}

static void context_mask_set(ucontext_t *context, sys_sigset mask)
{
	memcpy(&context->uc_sigmask, &mask, sizeof(mask));
}

/* What the kernel is to be told of a mask that a handler runs with. */
static void mask_note(int signal, struct sys_action *action)
{
	own.masks_segv &= ~BIT(signal);
	own.masks_sys &= ~BIT(signal);
	if (action->mask & BIT(SIGSEGV))
		own.masks_segv |= BIT(signal);
	if (action->mask & BIT(SIGSYS))
		own.masks_sys |= BIT(signal);
	action->mask &= ~OURS;
}

/* And the program. */
static void mask_tell(int signal, struct sys_action *action)
{
	if (own.masks_segv & BIT(signal))
		action->mask |= BIT(SIGSEGV);
	if (own.masks_sys & BIT(signal))
		action->mask |= BIT(SIGSYS);
}

static void masks_clear(sys_sigset caught)
{
	struct sys_action action;
	int signal;

	for (caught &= ~OURS; (signal = sys_signal_next(&caught));) {
		if (sys_action(signal, NULL, &action) || !(action.mask & OURS))
			continue;
		mask_note(signal, &action);
		sys_action(signal, &action, NULL);
	}
}

static void masks_restore(void)
{
	sys_sigset changed = own.masks_segv | own.masks_sys;
	struct sys_action action;
	int signal;

	while ((signal = sys_signal_next(&changed))) {
		if (sys_action(signal, NULL, &action))
			continue;
		mask_tell(signal, &action);
		sys_action(signal, &action, NULL);
	}
}

/* All others wait while one of the two handlers runs: the program's would run on top of it. */
static void take(int signal, void (*handler)(int, siginfo_t *, void *), struct sys_action *old)
{
	struct sys_action action = {
		.handler = (uintptr_t)handler,
		.flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | SA_RESTART | RESTORER,
		.restorer = ARCH_DISPATCH ? (uintptr_t)lean_restorer : 0,
		.mask = ~OURS,
	};

	sys_action(signal, &action, old);
}

void lean_send_again(int signal, siginfo_t *info)
{
	long self = sys_pid(), thread = SYS(gettid);

	SYS(rt_tgsigqueueinfo, self, thread, signal, info);
}

/* Another thread's fault waits so long at most: a copy of it in a child that nobody knows of would wait for ever. */
#define EARLY_NS 1000000000ULL

static struct {
	struct lean *lean; /* NULL: nobody forks */
	struct sys_action action;
	stack_t stack; /* of the thread that forks */
	bool sent;     /* to it, meanwhile */
	siginfo_t info;
} early;

static struct lean *early_lean(void)
{
	return __atomic_load_n(&early.lean, __ATOMIC_ACQUIRE);
}

static stack_t shims_stack(void)
{
	return (stack_t){ .ss_sp = lean_self->signal_stack, .ss_size = LEAN_STACK };
}

/* In the child: there is something to fetch when the fault repeats itself. */
static void begin_early(const struct lean *lean, ucontext_t *interrupted)
{
	context_mask_set(interrupted, lean->mask & ~OURS);
	interrupted->uc_stack = lean_self ? shims_stack() : early.stack;
}

/*
 * A fault of another thread's is the program's as soon as its handler is back: it repeats itself then, and what was sent
 * is sent again. In the thread that forks nothing faults.
 */
static void on_early_fault(int signal, siginfo_t *info, void *context)
{
	struct lean *lean = early_lean();
	bool sent = info->si_code <= 0;
	uint64_t until = sys_now() + EARLY_NS;

	if (lean && sys_pid() != lean->parent && lean_child()) {
		begin_early(lean, context);
	} else if (lean && sent && SYS(gettid) == lean->reads) {
		early.info = *info;
		early.sent = true;
		return;
	} else if (lean) {
		while (early_lean() == lean && SYS(gettid) != lean->reads && sys_now() < until)
			SYS(sched_yield);
		if (early_lean() == lean)
			sys_action(SIGSEGV, &early.action, NULL);
	}
	if (sent)
		lean_send_again(signal, info);
}

/* Other threads' handlers have stacks of their own; the one that forks does without, which the child may not have yet. */
void lean_early_begin(struct lean *lean)
{
	const stack_t none = { .ss_flags = SS_DISABLE };
	struct sys_action action = {
		.handler = (uintptr_t)on_early_fault,
		.flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER | RESTORER,
		.restorer = ARCH_DISPATCH ? (uintptr_t)lean_restorer : 0,
	};

	early.sent = false;
	SYS(sigaltstack, &none, &early.stack);
	__atomic_store_n(&early.lean, lean, __ATOMIC_RELEASE);
	sys_action(SIGSEGV, &action, &early.action);
}

/* Unless it was put back by then. Signals are blocked afterwards. */
void lean_early_end(void)
{
	struct lean *lean = early.lean;
	struct sys_action action;

	sys_sigmask(SYS_SIGNALS_ALL);
	if (!sys_action(SIGSEGV, NULL, &action) && action.handler == (uintptr_t)on_early_fault)
		sys_action(SIGSEGV, &early.action, NULL);
	SYS(sigaltstack, &early.stack, NULL);
	__atomic_store_n(&early.lean, NULL, __ATOMIC_RELEASE);
	if (early.sent && sys_pid() == lean->parent)
		lean_send_again(SIGSEGV, &early.info);
}

void lean_signal_begin(void)
{
	stack_t stack = shims_stack();
	sys_sigset ours = OURS;

	arch_fill(&own, 0, sizeof(own));
	sys_unblockable = OURS;
	SYS(sigaltstack, &stack, NULL);
	own.stack = early.stack;
	take(SIGSEGV, lean_on_fault, &own.segv);
	take(SIGSYS, lean_on_call, &own.sys);
	own.segv = early.action;
	SYS(rt_sigprocmask, SIG_UNBLOCK, &ours, NULL, sizeof(ours));
	own.blocked = lean_self->mask & OURS;
	masks_clear(lean_self->caught);
}

/*
 * The kernel refuses to change the stack that its caller runs on, and since Linux 6.12 takes rt_sigreturn's caller to run
 * on it still: so the stack pointer lies elsewhere for the call. No signal may come meanwhile.
 */
static void stack_restore(const stack_t *stack)
{
#if ARCH_DISPATCH
	long result = SYS_sigaltstack;

	sys_sigmask(SYS_SIGNALS_ALL);
	__asm__ volatile("mov %%rsp, %%rbx\n\t"
			 "xor %%esp, %%esp\n\t"
			 "syscall\n\t"
			 "mov %%rbx, %%rsp"
			 : "+a"(result)
			 : "D"(stack), "S"(0L)
			 : "rbx", "rcx", "r11", "memory");
#else
	(void)stack;
#endif
}

void lean_signal_end(void *context)
{
	ucontext_t *interrupted = context;

	sys_unblockable = 0;
	masks_restore();
	sys_action(SIGSEGV, &own.segv, NULL);
	sys_action(SIGSYS, &own.sys, NULL);
	context_mask_set(interrupted, context_mask(interrupted) | own.blocked);
	/* as rt_sigreturn sets it */
	interrupted->uc_stack = own.stack;
	interrupted->uc_stack.ss_flags &= ~SS_ONSTACK;
	stack_restore(&interrupted->uc_stack);
}

long lean_signal_action(int signal, uintptr_t action, uintptr_t old, size_t size)
{
	struct sys_action fresh, before;
	bool ours = signal == SIGSEGV || signal == SIGSYS;
	long result = 0;

	if (size != sizeof(sys_sigset))
		return -EINVAL;
	if (action && !lean_peek(&fresh, action, sizeof(fresh)))
		return -EFAULT;
	if (ours) {
		before = *own_action(signal);
		if (action) {
			*own_action(signal) = fresh;
			own_action(signal)->mask &= ~NEVER;
		}
	} else {
		if (sys_action(signal, NULL, &before))
			return -EINVAL;
		mask_tell(signal, &before);
		if (action) {
			mask_note(signal, &fresh);
			result = sys_action(signal, &fresh, NULL);
		}
	}
	if (!result && old && !lean_poke(old, &before, sizeof(before)))
		result = -EFAULT;
	return result;
}

long lean_signal_mask(int how, uintptr_t set, uintptr_t old, size_t size, void *context)
{
	ucontext_t *interrupted = context;
	sys_sigset before, given;

	if (size != sizeof(sys_sigset))
		return -EINVAL;
	before = context_mask(interrupted) | own.blocked;
	if (set) {
		if (!lean_peek(&given, set, sizeof(given)))
			return -EFAULT;
		given &= ~NEVER;
		if (how == SIG_BLOCK)
			given |= before;
		else if (how == SIG_UNBLOCK)
			given = before & ~given;
		else if (how != SIG_SETMASK)
			return -EINVAL;
		own.blocked = given & OURS;
		context_mask_set(interrupted, given & ~OURS);
	}
	return !old || lean_poke(old, &before, sizeof(before)) ? 0 : -EFAULT;
}

long lean_signal_stack(uintptr_t stack, uintptr_t old, uintptr_t pointer)
{
	stack_t fresh, before = own.stack;
	uintptr_t mode, kept = 1UL << 31; /* SS_AUTODISARM */

	if (before.ss_sp && pointer - (uintptr_t)before.ss_sp - 1 < before.ss_size)
		before.ss_flags |= SS_ONSTACK;
	if (stack) {
		if (!lean_peek(&fresh, stack, sizeof(fresh)))
			return -EFAULT;
		mode = (uintptr_t)(unsigned)fresh.ss_flags & ~kept;
		if (before.ss_flags & SS_ONSTACK)
			return -EPERM;
		if (mode != SS_DISABLE && mode != SS_ONSTACK && mode)
			return -EINVAL;
		if (mode == SS_DISABLE)
			fresh.ss_sp = NULL, fresh.ss_size = 0;
		else if (fresh.ss_size < 2048)
			return -ENOMEM;
		/* SS_ONSTACK is not asked for, it is told. */
		fresh.ss_flags &= (int)(kept | SS_DISABLE);
		own.stack = fresh;
	}
	return !old || lean_poke(old, &before, sizeof(before)) ? 0 : -EFAULT;
}

/* Of the kernel's frame, with all that a processor may have. */
#define FRAME_MOST ((size_t)16 << 10)

/* What the frame of a handler that ran at the fork restores is the parent's: the mask, and the alternate stack. */
void lean_signal_return(uintptr_t frame)
{
	ucontext_t *context = (ucontext_t *)frame;

	lean_touch(frame, FRAME_MOST);
	if (context->uc_stack.ss_sp == lean_self->signal_stack)
		return;
	own.blocked = context_mask(context) & OURS;
	context_mask_set(context, context_mask(context) & ~OURS);
	own.stack = context->uc_stack;
	own.stack.ss_flags &= ~SS_ONSTACK;
	context->uc_stack = shims_stack();
}

/* A handler becomes the default by itself. */
void lean_signal_exec(void *context)
{
	sys_sigset mask = context_mask(context) | own.blocked;

	if (own.segv.handler == (uintptr_t)SIG_IGN)
		sys_action_set(SIGSEGV, SIG_IGN);
	if (own.sys.handler == (uintptr_t)SIG_IGN)
		sys_action_set(SIGSYS, SIG_IGN);
	SYS(rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof(mask));
}

void lean_signal_exec_failed(void)
{
	sys_sigmask(~OURS);
	take(SIGSEGV, lean_on_fault, NULL);
	take(SIGSYS, lean_on_call, NULL);
}
