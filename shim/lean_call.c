// SPDX-License-Identifier: MIT
/*
 * See lean.h. System calls of a lean child. The kernel reads and writes the memory behind a call's arguments without
 * asking for what is left out: so all calls but the shim's own come to a handler first (Syscall User Dispatch,
 * Documentation/admin-guide/syscall-user-dispatch.rst), which fetches that memory and lets the call go on from the
 * shim's text. What the table does not know ends the tier first, and so do calls that make processes and threads, send
 * signals, or put memory to a use of their own. No call fails, or does less, for what is missing.
 */
#include "lean_share.h"

#if ARCH_DISPATCH

#include <asm/ioctls.h>
#include <linux/audit.h>
#include <linux/prctl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <ucontext.h>

#include "poison.h"

#ifndef SYS_USER_DISPATCH
#define SYS_SECCOMP 1
#define SYS_USER_DISPATCH 2
#endif
#define DISPATCH_BLOCK 1

/* The shim's own text lies in between: calls from there are not dispatched. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _DYNAMIC[] __attribute__((visibility("hidden")));

static char selector;

/* One call of the program's, with what it was interrupted in. */
struct dispatched {
	long number;
	uintptr_t argument[6];
	ucontext_t *context;
};

static void answer(struct dispatched *call, long result)
{
	call->context->uc_mcontext.gregs[REG_RAX] = result;
}

static long make(const struct dispatched *call)
{
	const uintptr_t *argument = call->argument;

	return sys_call(call->number, (long)argument[0], (long)argument[1], (long)argument[2],
			(long)argument[3], (long)argument[4], (long)argument[5]);
}

/* Once more, as an ordinary process: the instruction is two bytes long. */
static void finish(struct dispatched *call, enum spork_reason reason)
{
	call->context->uc_mcontext.gregs[REG_RIP] -= 2;
	lean_finish(reason, call->context);
}

static uintptr_t page_up(uintptr_t address)
{
	uintptr_t page = sys_page();

	return (address + page - 1) & ~(page - 1);
}

/*
 * The call is made from the shim's text, with the registers as they are, and returns to where it came from, which is kept
 * below the red zone. A stack may have no room there: where a signal's frame would have none either, but none comes.
 */
static void issue(struct dispatched *call)
{
	greg_t *registers = call->context->uc_mcontext.gregs;
	uintptr_t pointer = (uintptr_t)registers[REG_RSP], back = (uintptr_t)registers[REG_RIP];
	uintptr_t stack = pointer - ARCH_RED_ZONE - sizeof(back);

	if ((stack ^ pointer) >= sys_page() && !lean_poke(stack, &back, sizeof(back))) {
		finish(call, BOX_REASON_UNKNOWN_STACK);
		return;
	}
	lean_touch(stack, sizeof(back));
	*(uintptr_t *)stack = back;
	registers[REG_RSP] = (greg_t)stack;
	registers[REG_RIP] = (greg_t)lean_issue;
}

/* It takes the place of what is there: that is left out no longer. */
static void replace(struct dispatched *call, uintptr_t low, uintptr_t high, bool (*done)(long))
{
	long result;

	if (!lean_can_cut(low, high)) {
		finish(call, BOX_REASON_MAPS);
		return;
	}
	result = make(call);
	if (done(result))
		lean_cut(low, high);
	answer(call, result);
}

static bool is_zero(long result)
{
	return !result;
}

static bool is_address(long result)
{
	return result >= 0 || result < -4095;
}

/* It needs what is there as ordinary memory; but for an address that is none of a page's, which the kernel refuses. */
static void settle(struct dispatched *call, uintptr_t low, uintptr_t size)
{
	uintptr_t high = page_up(low + size);

	if (low != page_up(low) || !lean_touches(low, high) || lean_settle(low, high))
		issue(call);
	else
		finish(call, BOX_REASON_MAPS);
}

static void brk_call(struct dispatched *call)
{
	uintptr_t now = (uintptr_t)SYS(brk, 0), low = page_up(call->argument[0]);

	if (!call->argument[0] || call->argument[0] >= now || !lean_touches(low, page_up(now)))
		issue(call);
	else
		replace(call, low, page_up(now), is_address);
}

static void mmap_call(struct dispatched *call)
{
	uintptr_t low = call->argument[0], high = page_up(low + call->argument[1]);

	if (!(call->argument[3] & MAP_FIXED) || !lean_touches(low, high))
		issue(call);
	else
		replace(call, low, high, is_address);
}

static void mremap_call(struct dispatched *call)
{
	uintptr_t to = call->argument[4];

	if (call->argument[3] & MREMAP_FIXED && lean_touches(to, page_up(to + call->argument[2])))
		finish(call, BOX_REASON_MAPS);
	else
		settle(call, call->argument[0], call->argument[1]);
}

static void execute(struct dispatched *call, uintptr_t path, uintptr_t argv, uintptr_t envp)
{
	long result;

	lean_touch_program(path, argv, envp);
	if (!lean_leaves()) {
		finish(call, BOX_REASON_DEADLINE);
		return;
	}
	lean_signal_exec(call->context);
	__atomic_store_n(&lean_self->share->executing, 1, __ATOMIC_RELEASE);
	result = make(call);
	__atomic_store_n(&lean_self->share->executing, 0, __ATOMIC_RELEASE);
	lean_signal_exec_failed();
	__atomic_store_n(&lean_self->share->leaves, 0, __ATOMIC_SEQ_CST);
	if (result == -EFAULT)
		finish(call, BOX_REASON_EXEC_FAILED);
	else
		answer(call, result);
}

static void ioctl_call(struct dispatched *call)
{
	switch ((uint32_t)call->argument[1]) {
	case TCGETS:
	case TCSETS:
	case TCSETSW:
	case TCSETSF:
	case TIOCGPGRP:
	case TIOCSPGRP:
	case TIOCGSID:
	case TIOCGWINSZ:
	case TIOCSWINSZ:
	case FIONBIO:
	case FIONREAD:
		lean_touch(call->argument[2], 64);
		issue(call);
		break;
	case TIOCSCTTY:
	case TIOCNOTTY:
	case FIOCLEX:
	case FIONCLEX:
	case TCSBRK:
	case TCFLSH:
	case TCXONC:
		issue(call);
		break;
	default:
		finish(call, BOX_REASON_SYSCALL);
	}
}

static void prctl_call(struct dispatched *call)
{
	switch ((int)call->argument[0]) {
	case PR_SET_NAME:
	case PR_GET_NAME:
		lean_touch(call->argument[1], 16);
		issue(call);
		break;
	case PR_SET_PDEATHSIG:
	case PR_SET_KEEPCAPS:
	case PR_SET_DUMPABLE:
	case PR_SET_NO_NEW_PRIVS:
	case PR_CAPBSET_READ:
	case PR_CAPBSET_DROP:
		issue(call);
		break;
	default:
		finish(call, BOX_REASON_SYSCALL);
	}
}

/* What is fetched counts from then on. */
static bool limits_data(const struct dispatched *call)
{
	const uintptr_t *argument = call->argument;

	return call->number == SYS_setrlimit ? (int)argument[0] == RLIMIT_DATA :
					       call->number == SYS_prlimit64 && argument[2] &&
						       (int)argument[1] == RLIMIT_DATA;
}

/* Does it wait with another mask? A NULL set of signals leaves the mask alone. */
static bool sets_mask(const struct dispatched *call)
{
	const uintptr_t *argument = call->argument;
	uintptr_t set = 0;

	switch (call->number) {
	case SYS_ppoll:
		return argument[3] != 0;
	case SYS_epoll_pwait:
		return argument[4] != 0;
	case SYS_pselect6:
		return argument[5] && (!lean_peek(&set, argument[5], sizeof(set)) || set);
	default:
		return false;
	}
}

/* The shim's, which stands for it, has no room for what handlers may do there. */
static bool is_large_stack(uintptr_t stack)
{
	stack_t given;

	return stack && lean_peek(&given, stack, sizeof(given)) && !(given.ss_flags & SS_DISABLE) &&
	       given.ss_size > LEAN_STACK_SHARE;
}

/* A set of more descriptors than the table knows. */
static bool selects_many(const struct dispatched *call)
{
	return (call->number == SYS_select || call->number == SYS_pselect6) &&
	       call->argument[0] > FD_SETSIZE;
}

/*
 * The value of a socket's option is as many bytes as the call says; but for filters, which it points to or counts in other
 * units, for netfilter's options, which are those from 64 on, and where memory is mapped.
 */
static bool is_other_option(const struct dispatched *call)
{
	int level = (int)call->argument[1], name = (int)call->argument[2];

	if (call->number != SYS_setsockopt && call->number != SYS_getsockopt)
		return false;
	switch (level) {
	case SOL_SOCKET:
		return name == SO_ATTACH_FILTER || name == SO_ATTACH_REUSEPORT_CBPF;
	case IPPROTO_IP:
	case IPPROTO_IPV6:
		return name >= 64;
	case IPPROTO_TCP:
		return name == TCP_ZEROCOPY_RECEIVE;
	default:
		return true;
	}
}

/* What is left out has no permissions there, and holds zeros. */
static bool views_memory(const struct dispatched *call)
{
	return (call->number == SYS_open && lean_is_view(call->argument[0])) ||
	       (call->number == SYS_openat && lean_is_view(call->argument[1]));
}

static void dispatch(struct dispatched *call)
{
	const uintptr_t *argument = call->argument;
	ucontext_t *context = call->context;
	greg_t *registers = context->uc_mcontext.gregs;

	switch (call->number) {
	case SYS_rt_sigreturn:
		registers[REG_RIP] = (greg_t)lean_restorer;
		lean_signal_return((uintptr_t)registers[REG_RSP]);
		return;
	case SYS_rt_sigaction:
		answer(call,
		       lean_signal_action((int)argument[0], argument[1], argument[2], argument[3]));
		return;
	case SYS_rt_sigprocmask:
		answer(call, lean_signal_mask((int)argument[0], argument[1], argument[2],
					      argument[3], context));
		return;
	case SYS_sigaltstack:
		if (is_large_stack(argument[0])) {
			finish(call, BOX_REASON_UNKNOWN_STACK);
			return;
		}
		answer(call,
		       lean_signal_stack(argument[0], argument[1], (uintptr_t)registers[REG_RSP]));
		return;
	case SYS_execve:
		execute(call, argument[0], argument[1], argument[2]);
		return;
	case SYS_execveat:
		execute(call, argument[1], argument[2], argument[3]);
		return;
	case SYS_brk:
		brk_call(call);
		return;
	case SYS_mmap:
		mmap_call(call);
		return;
	case SYS_munmap:
		if (lean_touches(argument[0], page_up(argument[0] + argument[1])))
			replace(call, argument[0], page_up(argument[0] + argument[1]), is_zero);
		else
			issue(call);
		return;
	case SYS_mprotect:
	case SYS_madvise:
		settle(call, argument[0], argument[1]);
		return;
	case SYS_mremap:
		mremap_call(call);
		return;
	case SYS_ioctl:
		ioctl_call(call);
		return;
	case SYS_prctl:
		prctl_call(call);
		return;
	default:
		break;
	}
	if (sets_mask(call))
		finish(call, BOX_REASON_BLOCKS);
	else if (selects_many(call) || is_other_option(call) || views_memory(call) ||
		 limits_data(call) || !lean_touch_arguments(call->number, argument))
		finish(call, BOX_REASON_SYSCALL);
	else
		issue(call);
}

void lean_on_call(int signal, siginfo_t *info, void *context)
{
	const greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
	struct dispatched call = {
		.number = registers[REG_RAX],
		.argument = { (uintptr_t)registers[REG_RDI], (uintptr_t)registers[REG_RSI],
			      (uintptr_t)registers[REG_RDX], (uintptr_t)registers[REG_R10],
			      (uintptr_t)registers[REG_R8], (uintptr_t)registers[REG_R9] },
		.context = context,
	};

	/* What comes while another handler of the shim's runs is that one's. */
	if (!lean_self || (info->si_code != SYS_USER_DISPATCH && lean_on_told(info, context)))
		return;
	lean_handler_begin();
	if (info->si_code == SYS_SECCOMP) {
		finish(&call, BOX_REASON_SECCOMP);
	} else if (info->si_code != SYS_USER_DISPATCH) {
		lean_foreign(signal, info, context);
	} else if (__atomic_load_n(&lean_self->share->kept, __ATOMIC_ACQUIRE)) {
		finish(&call, BOX_REASON_DEADLINE);
	} else if (info->si_arch != AUDIT_ARCH_X86_64) {
		/* int $0x80: other numbers, other registers */
		finish(&call, BOX_REASON_SYSCALL);
	} else {
		dispatch(&call);
	}
	lean_handler_end(context);
}

void lean_dispatch_begin(void)
{
	selector = DISPATCH_BLOCK;
	SYS(prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, __ehdr_start,
	    _DYNAMIC - __ehdr_start, &selector);
}

void lean_dispatch_end(void)
{
	SYS(prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_OFF, 0, 0, 0);
}

#else

void lean_on_call(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)info;
	(void)context;
}

void lean_dispatch_begin(void)
{
}

void lean_dispatch_end(void)
{
}

#endif
