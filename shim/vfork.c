// SPDX-License-Identifier: MIT
/*
 * See vfork.h. State is the window's: the child and its suspended parent share it.
 */
#include "vfork.h"

#include <linux/kcmp.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

#include "atfork.h"
#include "cfi.h"
#include "config.h"
#include "module.h"
#include "outcome.h"
#include "record.h"
#include "report.h"
#include "site.h"
#include "sys.h"
#include "vfork_memory.h"

#include "poison.h"

/* A child's own frames reach no further down. */
#define FRAMES_BELOW ((uintptr_t)1 << 20)

/* An emulator makes a real fork of the clone (qemu-user does). */
static bool memory_is_copied;

/* What is known to share its memory on purpose is told, with strict=1, and left to go its way. */
static bool enforces(const struct window *window)
{
	return config.reroute != REROUTE_OFF && window->site->reason != BOX_REASON_KNOWN;
}

/* So much code may be read. */
static uintptr_t code_end(uintptr_t pc)
{
	uintptr_t page = (pc | (ARCH_PAGE_MAX - 1)) + 1;

	return page - pc > 128 || sys_readable((const void *)page) ? pc + 128 : page;
}

bool vfork_open(struct window *window, const struct entry_registers *registers,
		const struct site_visit *visit, const struct unwind_frame *frame, unsigned frames)
{
	struct vfork_window *vfork = &window->vfork;
	struct thread *self = thread_self();
	size_t size;

	if (memory_is_copied || window_stack_size(self, registers->stack, &size))
		return false;
	signal_open(&window->signal);
	/* What it is known to write that cannot be put back is left as it is. */
	undo_save(&window->undo, visit, registers->stack, size);
	/* From other threads: the caller itself waits for nobody meanwhile. */
	vfork->hidden = !window->undo.alone && enforces(window);
	vfork->frame_end = frames > 1 ? frame[0].end : 0;
	vfork->frame_return = frames > 1 ? frame[1].pc : 0;
	vfork->pid = arch_pid_variables(registers->pc, code_end(registers->pc), registers->stack,
					registers->frame_pointer);
	vfork_memory_copy(window, visit->number);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &window->cancel_state);
	return true;
}

void vfork_enter(struct window *window)
{
	window->vfork.entered = true;
	if (window->number == SYS_clone)
		signal_reset(&window->signal);
	signal_hold(&window->signal);
}

bool vfork_defer(uint64_t hash)
{
	struct window *window = thread_words.window;
	struct vfork_window *vfork;

	if (!window || window->kind != WINDOW_VFORK)
		return false;
	vfork = &window->vfork;
	if (vfork->reports < COUNT(vfork->report))
		vfork->report[vfork->reports++] = hash;
	return true;
}

static void report(const struct window *window, enum spork_violation kind, const char *name,
		   int signal)
{
	struct box_violation violation;

	memset(&violation, 0, sizeof(violation));
	violation.kind = kind;
	strncpy(violation.text, name, sizeof(violation.text) - 1);
	/* Looked up as a return address is, which lies behind the call. */
	if (signal)
		module_frame((uintptr_t)signal_handler(signal) + 1, &violation.handler);
	violation.signal = (uint32_t)signal;
	vfork_describe(window, &violation);
	report_violation(&violation);
}

/* The stacks of the vfork and of what the child does now. */
void vfork_describe(const struct window *window, struct box_violation *violation)
{
	struct walk_start start = window_from(&window->registers);

	violation->call = BOX_CALL_VFORK + 1;
	violation->site = record_site_index(window->site);
	if (thread_words.window == window)
		violation->stack_frames = unwind_box(0, violation->stack);
	if (!window->vfork.returned)
		violation->fork_frames = unwind_box_from(&start, violation->fork);
	if (violation->fork_frames)
		return;
	/* The frames are gone, or have no tables. */
	violation->fork_frames = window->site->frames;
	if (violation->fork_frames > BOX_SITE_FRAMES)
		violation->fork_frames = BOX_SITE_FRAMES;
	memcpy(violation->fork, window->site->frame, sizeof(window->site->frame));
}

/* A handler of the parent's would have run here by now, or would before the program that is executed. */
static void check_signals(struct window *window)
{
	sys_sigset held;
	int signal;

	signal_catch_up(&window->signal);
	held = window->signal.handlers & ~window->signal.mask;
	if (!held)
		return;
	held &= signal_pending();
	while ((signal = sys_signal_next(&held)))
		report(window, BOX_VIOLATION_VFORK_SIGNAL_HANDLER, "", signal);
}

/* The child executes, or ends. */
static void finish(struct window *window)
{
	check_signals(window);
	vfork_memory_check(window);
	if (window->vfork.returned)
		window->returned = undo_returned(&window->undo);
}

/* Is the call made through the frame that called vfork(), which returns to where it did? */
static bool frame_is_there(const struct window *window)
{
	struct unwind_frame frame[BOX_STACK_FRAMES];
	unsigned frames = unwind(0, frame, COUNT(frame)), i;

	for (i = 1; i < frames; i++)
		if (frame[i - 1].end == window->vfork.frame_end &&
		    frame[i].pc == window->vfork.frame_return)
			return true;
	/* Further down than is looked. */
	return frames == COUNT(frame) && frame[frames - 1].stack < window->vfork.frame_end;
}

/*
 * A call from where the caller's caller has its stack pointer: it has returned. One from as high as vfork() was called
 * from: either that function's own, or one of a caller that has pushed arguments. One from further down: a callee of
 * that function's; or of a caller's, and then the return address has most likely been written over. Another stack, a
 * signal's or one that the child made, says nothing.
 */
static bool has_returned(const struct window *window, struct hook_caller caller)
{
	const struct vfork_window *vfork = &window->vfork;
	uintptr_t then, slot = arch_return_slot(window->registers.stack, vfork->frame_end,
						window->registers.frame_pointer);

	if (caller.stack >= vfork->frame_end)
		return true;
	if (caller.stack >= window->registers.stack)
		return !cfi_same_function(caller.where, window->registers.pc) &&
		       !frame_is_there(window);
	return slot && undo_word(&window->undo, slot, &then) && *(uintptr_t *)slot != then &&
	       !frame_is_there(window);
}

bool vfork_returned(struct window *window)
{
	struct vfork_window *vfork = &window->vfork;

	if (vfork->returned || !vfork->frame_end || thread_words.window != window ||
	    frame_is_there(window))
		return vfork->returned;
	vfork->returned = true;
	report(window, BOX_VIOLATION_VFORK_RETURNED, "", 0);
	return true;
}

static void check_returned(struct window *window, enum hook hook, struct hook_caller caller)
{
	struct vfork_window *vfork = &window->vfork;
	const struct undo *undo = &window->undo;

	if (vfork->returned || !vfork->frame_end || caller.stack > undo->stack + undo->stack_size ||
	    (caller.stack < undo->stack && undo->stack - caller.stack > FRAMES_BELOW) ||
	    !has_returned(window, caller))
		return;
	vfork->returned = true;
	report(window, BOX_VIOLATION_VFORK_RETURNED, real_name(hook), 0);
}

/* Does the parent have this description, too? One that the child made since is its own. */
static bool description_shared(int fd)
{
	long parent = SYS(getppid), self = sys_pid(), same;
	int other;

	for (other = -1; other < 256; other++) {
		same = SYS(kcmp, parent, self, KCMP_FILE, other < 0 ? fd : other, fd);
		if (!same)
			return true;
		/* It may not be told. */
		if (same < 0 && same != -EBADF)
			return false;
	}
	return false;
}

static bool changes_flags(int fd, int flags)
{
	int known = O_APPEND | O_ASYNC | O_DIRECT | O_NOATIME | O_NONBLOCK;
	long now = SYS(fcntl, fd, F_GETFL);

	return now >= 0 && (now ^ flags) & known && description_shared(fd);
}

static bool nonblock_changes(int fd, const int *on)
{
	long now = SYS(fcntl, fd, F_GETFL);

	return now >= 0 && sys_readable((const void *)((uintptr_t)on & ~7UL)) &&
	       !*on != !(now & O_NONBLOCK) && description_shared(fd);
}

/* Record locks and shared flags: the call is made all the same. */
static void check_descriptor(const struct window *window, enum hook hook, const long *value)
{
	switch (hook) {
	case HOOK_fcntl:
	case HOOK_fcntl64:
	case HOOK___fcntl:
		if (value[1] == F_SETLK || value[1] == F_SETLKW)
			report(window, BOX_VIOLATION_VFORK_RECORD_LOCK, real_name(hook), 0);
		if (value[1] == F_SETFL && changes_flags((int)value[0], (int)value[2]))
			report(window, BOX_VIOLATION_VFORK_FD_FLAGS, real_name(hook), 0);
		break;
	case HOOK_syscall:
		if (value[0] == SYS_fcntl && (value[2] == F_SETLK || value[2] == F_SETLKW))
			report(window, BOX_VIOLATION_VFORK_RECORD_LOCK, real_name(hook), 0);
		break;
	case HOOK_ioctl:
		if (value[1] == FIONBIO && nonblock_changes((int)value[0], (int *)value[2]))
			report(window, BOX_VIOLATION_VFORK_FD_FLAGS, real_name(hook), 0);
		break;
	case HOOK_lockf:
	case HOOK_lockf64:
		report(window, BOX_VIOLATION_VFORK_RECORD_LOCK, real_name(hook), 0);
		break;
	default:
		break;
	}
}

static bool maps_memory(long number)
{
	return number == SYS_mmap || number == SYS_munmap || number == SYS_mprotect ||
	       number == SYS_mremap || number == SYS_brk || number == SYS_madvise;
}

enum spork_violation vfork_forbids(enum hook hook, enum spork_reason reason, long number)
{
	switch (reason) {
	case BOX_REASON_HEAP:
	case BOX_REASON_STDIO:
	case BOX_REASON_LOCK:
	case BOX_REASON_LIBC:
	case BOX_REASON_LOADER:
		return BOX_VIOLATION_VFORK_UNSAFE_CALL;
	case BOX_REASON_THREAD:
		return hook == HOOK_pthread_create || hook == HOOK_thrd_create ?
			       BOX_VIOLATION_VFORK_THREAD :
			       BOX_VIOLATION_VFORK_UNSAFE_CALL;
	case BOX_REASON_MAPS:
		return BOX_VIOLATION_VFORK_MEMORY_MAP;
	case BOX_REASON_SYSCALL:
		return hook == HOOK_syscall && maps_memory(number) ?
			       BOX_VIOLATION_VFORK_MEMORY_MAP :
			       BOX_VIOLATION_COUNT;
	case BOX_REASON_EXIT:
		return BOX_VIOLATION_VFORK_EXIT;
	case BOX_REASON_SPAWN:
		/* fork() runs the parent's handlers. */
		return hook == HOOK_vfork || hook == HOOK__Fork || hook == HOOK_clone ||
				       hook == HOOK___clone ||
				       (hook == HOOK_fork && !atfork_registered()) ?
			       BOX_VIOLATION_COUNT :
			       BOX_VIOLATION_VFORK_UNSAFE_CALL;
	case BOX_REASON_SIGNAL:
		return hook == HOOK___assert_fail || hook == HOOK___assert_perror_fail ||
				       hook == HOOK_psiginfo ?
			       BOX_VIOLATION_VFORK_UNSAFE_CALL :
			       BOX_VIOLATION_COUNT;
	case BOX_REASON_PRIVILEGE:
		return hook == HOOK_initgroups ? BOX_VIOLATION_VFORK_UNSAFE_CALL :
						 BOX_VIOLATION_COUNT;
	default:
		return BOX_VIOLATION_COUNT;
	}
}

/* Of what it may call: can it be seen from outside that it did? */
static bool has_effect(enum spork_reason reason)
{
	return reason != BOX_REASON_NONE && reason != BOX_REASON_NO_EXEC &&
	       reason != BOX_REASON_PRIVILEGE;
}

void vfork_call(struct window *window, enum hook hook, enum spork_reason reason,
		const struct hook_arguments *arguments, struct hook_caller caller)
{
	struct vfork_window *vfork = &window->vfork;
	enum spork_violation forbidden =
		vfork_forbids(hook, reason, arguments ? arguments->value[0] : -1);

	window->busy = true;
	check_returned(window, hook, caller);
	if (arguments)
		check_descriptor(window, hook, arguments->value);
	if (forbidden < BOX_VIOLATION_COUNT)
		report(window, forbidden, real_name(hook), 0);
	if (reason == BOX_REASON_EXIT || reason == BOX_REASON_NO_EXEC) {
		finish(window);
		vfork->failed = (int)arguments->value[0] != 0 && !vfork->exec_failed;
	}
	if (reason == BOX_REASON_EXIT) {
		REAL(_exit)((int)arguments->value[0]);
		__builtin_unreachable();
	}
	/* What another thread will give back, a forked child would wait for for ever. */
	if (forbidden < BOX_VIOLATION_COUNT && !vfork->effects && !vfork->exec_failed &&
	    enforces(window) && (reason != BOX_REASON_LOCK || window->undo.alone))
		window_upgrade(window, reason);
	vfork->entangled |= forbidden < BOX_VIOLATION_COUNT;
	vfork->unmapped |= forbidden == BOX_VIOLATION_VFORK_MEMORY_MAP ||
			   reason == BOX_REASON_LOADER;
	window->signal.stale |= reason == BOX_REASON_SIGNAL || reason == BOX_REASON_SYSCALL;
	vfork->effects |= has_effect(reason);
	window->busy = false;
}

void vfork_exec_begin(struct window *window)
{
	finish(window);
	signal_exec(&window->signal);
}

void vfork_inner_executes(const struct window *outer)
{
	struct signal_window signal;

	if (!outer || outer->kind != WINDOW_VFORK)
		return;
	signal = outer->signal;
	signal.own = 0;
	signal_exec(&signal);
}

void vfork_exec_failed(struct window *window)
{
	signal_hold(&window->signal);
	vfork_memory_keep(window);
	window->vfork.exec_failed = true;
}

/* It was never to be seen: its status is taken, and the signal that told of its end. */
static void forget_child(long pid)
{
	sys_sigset ended = 1ULL << (SIGCHLD - 1);
	struct timespec now = { 0 };
	long self = sys_pid(), thread = SYS(gettid);
	siginfo_t info, other;

	while (SYS(wait4, pid, NULL, __WALL, NULL) == -EINTR)
		;
	/* All signals are blocked. Another child's may have come before, or after it in vain. */
	if (SYS(rt_sigtimedwait, &ended, &info, &now, sizeof(ended)) != SIGCHLD)
		return;
	memset(&other, 0, sizeof(other));
	SYS(waitid, P_ALL, 0, &other, WEXITED | WNOHANG | WNOWAIT, NULL);
	if (info.si_pid == pid && !other.si_pid)
		return;
	if (info.si_pid == pid)
		info.si_pid = other.si_pid;
	SYS(rt_tgsigqueueinfo, self, thread, SIGCHLD, &info);
}

/* What a child that has returned wrote over is put back in any case: its parent needs it to go on. */
static void restore(struct window *window)
{
	const struct undo *undo = &window->undo;
	const struct vfork_window *vfork = &window->vfork;
	uintptr_t returned = window->returned;

	if (window->upgrade) {
		undo_restore(undo, window->site, returned);
		return;
	}
	/* With others about, the rest may be theirs. */
	if (vfork->returned && undo->alone)
		returned = UINTPTR_MAX;
	else if (returned == UINTPTR_MAX)
		returned = vfork->frame_end;
	if (vfork->returned)
		undo_restore_stack(undo, returned);
	if (enforces(window) && !vfork->entangled && !vfork->failed)
		vfork_memory_restore(window);
}

long vfork_close(struct window *window, long pid)
{
	uint32_t i;

	if (pid > 0 && !window->vfork.entered) {
		memory_is_copied = true;
	} else if (pid > 0) {
		if (!window->upgrade && !window->vfork.compared)
			vfork_memory_check(window);
		restore(window);
		if (window->upgrade)
			forget_child(pid);
		else if (window->vfork.hidden)
			pid = outcome_hidden(pid);
	}
	for (i = 0; i < window->vfork.reports && i < VFORK_REPORTS; i++)
		report_of_child(window->vfork.report[i]);
	vfork_memory_drop(window);
	pthread_setcancelstate(window->cancel_state, NULL);
	return window->upgrade ? 0 : pid;
}
