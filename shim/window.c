// SPDX-License-Identifier: MIT
/*
 * The spawn window: chooses the tier of a fork, opens the window, and closes it in the parent.
 *
 * window_open() and window_close() run in the thread that spawns, in ordinary context or in a signal
 * handler of the program. Between them that thread is suspended in the kernel and a child runs on its
 * stack, with its thread-local storage; other threads run on. What such a child does is in child.c.
 */
#include "window.h"

#include <sys/single_threaded.h>

#include "atfork.h"
#include "audit.h"
#include "clone.h"
#include "environ.h"
#include "fork.h"
#include "hook.h"
#include "lean_site.h"
#include "outcome.h"
#include "record.h"
#include "seccomp.h"
#include "site.h"
#include "thread.h"
#include "tier.h"
#include "vfork.h"
#include "vfork_hold.h"

#include "poison.h"

_Static_assert(offsetof(struct window, registers) == WINDOW_REGISTERS, "entry_*.S");
_Static_assert(offsetof(struct window, number) == WINDOW_NUMBER, "entry_*.S");
_Static_assert(offsetof(struct window, argument) == WINDOW_ARGUMENT, "entry_*.S");
_Static_assert(offsetof(struct thread_words, window) == 0, "entry_*.S");

enum spork_reason window_stack_size(struct thread *self, uintptr_t stack, size_t *size)
{
	if (!self)
		return BOX_REASON_NO_MEMORY;
	if (!thread_stack(self, stack))
		return BOX_REASON_UNKNOWN_STACK;
	*size = self->stack_high - stack;
	if (*size > UNDO_STACK)
		*size = UNDO_STACK;
	return BOX_REASON_NONE;
}

/* Undoes what open_shared() did before it gave up, but for the prepare handlers. */
static enum spork_reason open_failed(struct window *window, void (*give_environ)(void),
				     enum spork_reason reason)
{
	signal_close(&window->signal);
	if (give_environ)
		give_environ();
	window_give(window);
	thread_words.atfork_mode = ATFORK_PREPARED;
	return reason;
}

static void clone_choose(struct window *window, int exit_signal)
{
	if (!clone3_works()) {
		window->number = SYS_clone;
		window->argument[0] = CLONE_VM | CLONE_VFORK | (unsigned)exit_signal;
		return;
	}
	window->number = SYS_clone3;
	window->argument[0] = (uintptr_t)&window->clone;
	window->argument[1] = sizeof(window->clone);
	window->clone.flags = CLONE_VM | CLONE_VFORK | CLONE_CLEAR_SIGHAND;
	window->clone.exit_signal = (unsigned)exit_signal;
}

/* Let through: a filter that the program has added may know no system call but libc's. */
static void pass_vfork(struct window *window)
{
	window->kind = WINDOW_PASSED;
#ifdef SYS_vfork
	window->number = SYS_vfork;
#else
	window->number = SYS_clone;
	window->argument[0] = CLONE_VM | CLONE_VFORK | SIGCHLD;
#endif
}

static struct window *open_vfork(const struct entry_registers *registers,
				 const struct site_visit *visit, const struct unwind_frame *frame,
				 unsigned frames, const struct spawn_record *spawn)
{
	struct window *window = window_take(thread_self());
	uint32_t held;

	if (!window)
		return NULL;
	window->registers = *registers;
	window->call = spawn->call;
	window->site = spawn->site;
	window->opened_ns = spawn->start_ns;
	window->outer = thread_window_open();
	/* Its child executes with environ as it is. */
	held = thread_words.environ_held;
	environ_hold();
	window->environ_held = thread_words.environ_held != held;
	if (window->outer || tier_vfork_refuses(visit) ||
	    !vfork_open(window, registers, visit, frame, frames)) {
		pass_vfork(window);
		window_set(window);
		return window;
	}
	clone_choose(window, window->vfork.hidden ? 0 : SIGCHLD);
	window->kind = WINDOW_VFORK;
	thread_window(window);
	return window;
}

static void clone_failed(const struct window *window, long error)
{
	if (window->number == SYS_clone3)
		clone3_failed(error);
	else if (error == -ENOSYS || error == -EINVAL || error == -EPERM)
		tier_forbid(BOX_REASON_CLONE_FAILED);
}

/*
 * The exit signal of the child is 0: until exec makes it SIGCHLD (de_thread in the kernel's fs/exec.c) no
 * wait() of the program can see it, so that one which gives way to a real fork leaves no trace.
 * Signals are blocked before anything is saved: a handler's stores are the parent's own.
 * A thread that is cancelled meanwhile acts on it later: the child shares its state, and would do it.
 */
static enum spork_reason open_shared(const struct entry_registers *registers,
				     const struct site_visit *visit, struct spawn_record *spawn,
				     struct window **opened)
{
	struct thread *self = thread_self();
	bool environ_shared = visit->site->environment && !__libc_single_threaded;
	enum spork_reason reason;
	struct window *window;
	size_t size;

	reason = window_stack_size(self, registers->stack, &size);
	if (reason)
		return reason;
	window = window_take(self);
	if (!window)
		return BOX_REASON_NO_MEMORY;
	thread_words.fork_from = window_from(registers);
	thread_words.fork_site = record_site_index(spawn->site);
	atfork_prepare();
	signal_open(&window->signal);
	if (environ_shared ? !environ_take() : !environ_keep())
		return open_failed(window, NULL, BOX_REASON_ENVIRONMENT);
	window->undo.environ_shared = environ_shared;
	window->version = __atomic_load_n(&visit->site->version, __ATOMIC_ACQUIRE);
	reason = undo_save(&window->undo, visit, registers->stack, size);
	if (reason)
		return open_failed(window, environ_shared ? environ_give : environ_unkeep, reason);
	window->kind = WINDOW_SHARED;
	window->returned = UINTPTR_MAX;
	clone_choose(window, 0);
	window->registers = *registers;
	window->call = spawn->call;
	window->site = spawn->site;
	window->shape = spawn->shape;
	window->extent = spawn->extent;
	window->opened_ns = spawn->start_ns;
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &window->cancel_state);
	thread_window(window);
	*opened = window;
	return BOX_REASON_NONE;
}

/* Reasons for a real fork that is to be learned from. */
static bool is_audit(enum spork_reason reason)
{
	return reason == BOX_REASON_LEARNING || reason == BOX_REASON_REAUDIT ||
	       reason == BOX_REASON_HANDLERS;
}

/* Is it this spawn's alone, or the process's, so that the site's own reason does not tell it? */
static bool is_exception(const struct box_site *site, enum spork_reason reason)
{
	return reason && reason != site->reason && reason != BOX_REASON_REROUTE_OFF &&
	       !is_audit(reason);
}

/* `why`: the reason that it does not share memory. What is audited is not lean. */
static bool takes_lean(const struct site_visit *visit, enum spork_reason why, uint64_t *resident)
{
	enum spork_reason reason;

	if (is_audit(why) || lean_site_refuses(visit->site))
		return false;
	reason = lean_refuses(resident);
	visit->site->lean_fallback = reason;
	return !reason;
}

struct window_opening window_open(const struct entry_registers *registers, uint32_t call)
{
	struct window_opening opening = { 0, NULL };
	struct spawn_record spawn = { .call = call };
	struct unwind_frame frame[BOX_SITE_FRAMES];
	struct site_visit visit = { 0 };
	struct window *outer;
	struct walk_start start;
	unsigned frames = 0;
	uint64_t resident;
	bool confined;

	/* Its first call; the next ones do not come here. */
	if (UNLIKELY(hook_is_passive())) {
		opening.result = REAL(fork)();
		return opening;
	}
	atfork_parent_deferred();
	if (UNLIKELY(thread_words.window != NULL))
		hook_in_window(call == BOX_CALL_VFORK ? HOOK_vfork : HOOK_fork, NULL,
			       (struct hook_caller){ registers->pc, registers->stack });
	outer = thread_window_open();
	spawn.start_ns = sys_now();
	confined = UNLIKELY(seccomp_confined()) && !outer;
	if (confined && call == BOX_CALL_FORK) {
		opening.result = fork_confined(registers, &spawn);
		return opening;
	}
	/* The unwinder may come through hooks, in a child that makes another. */
	if (outer)
		outer->busy = true;
	if (!confined) {
		start = window_from(registers);
		frames = unwind_from(&start, frame, BOX_SITE_FRAMES);
	}
	if (frames)
		visit = site_visit(call, frame, frames);
	if (outer)
		outer->busy = false;
	spawn.site = visit.site;
	spawn.shape = visit.shape;
	spawn.extent = visit.extent;
	if (call == BOX_CALL_VFORK) {
		opening.window = open_vfork(registers, &visit, frame, frames, &spawn);
		if (opening.window)
			return opening;
	}
	spawn.reason = tier_process_refuses();
	if (!spawn.reason)
		spawn.reason = tier_site_refuses(&visit);
	if (call == BOX_CALL_FORK && is_audit(spawn.reason))
		spawn.reason = audit_refuses(spawn.reason);
	if (visit.site && is_exception(visit.site, spawn.reason))
		site_fallback(visit.site, spawn.reason);
	if (!spawn.reason) {
		spawn.reason = open_shared(registers, &visit, &spawn, &opening.window);
		if (!spawn.reason)
			return opening;
		site_fallback(visit.site, spawn.reason);
	}
	/* In a handler that has interrupted the thread in a lean fork: that one is lean no longer. */
	if (UNLIKELY(thread_words.atfork_mode == ATFORK_HELD))
		thread_words.atfork_mode = ATFORK_FULL;
	if (call == BOX_CALL_FORK && takes_lean(&visit, spawn.reason, &resident))
		opening.result = fork_lean(registers, &spawn, resident);
	else
		opening.result = fork_real(registers, &spawn,
					   call == BOX_CALL_FORK && is_audit(spawn.reason), 0);
	RESET(thread_words.atfork_mode, ATFORK_FULL);
	return opening;
}

static struct spawn_record spawn_of(const struct window *window, long pid)
{
	return (struct spawn_record){
		.call = window->call,
		.tier = BOX_TIER_VFORK,
		.site = window->site,
		.shape = window->shape,
		.extent = window->extent,
		.start_ns = window->opened_ns,
		.pid = pid,
	};
}

/*
 * A child that broke the rules of vfork(), or could not be made as the window wanted it, starts over as a real fork;
 * its parent waits for it as before.
 */
static long restart_vfork(const struct entry_registers *registers, struct spawn_record *spawn)
{
	struct vfork_hold hold;
	long pid;

	vfork_hold(&hold);
	pid = fork_real(registers, spawn, false, 0);
	if (!pid)
		vfork_held_child(&hold);
	else
		vfork_held_wait(&hold, pid);
	return pid;
}

/* Returns twice where the child starts over. */
static long close_vfork(struct window *window, long pid)
{
	struct entry_registers registers = window->registers;
	struct spawn_record spawn = spawn_of(window, pid);
	struct signal_window signal = window->signal;
	bool watched = window->kind == WINDOW_VFORK;

	if (watched)
		thread_window(window->outer);
	else
		window_set(window->outer);
	if (watched)
		spawn.pid = vfork_close(window, pid);
	spawn.reason = window->upgrade;
	if (watched && pid < 0)
		clone_failed(window, pid);
	if (window->environ_held)
		environ_release();
	window_give(window);
	if (watched)
		signal_close(&signal);
	if (!spawn.pid) {
		spawn.upgraded = true;
		site_count_upgrade(spawn.site);
		return restart_vfork(&registers, &spawn);
	}
	/* An error that is not this call's alone will be fork()'s, too. */
	if (watched && pid < 0) {
		spawn.reason = BOX_REASON_CLONE_FAILED;
		site_fallback(spawn.site, BOX_REASON_CLONE_FAILED);
		return restart_vfork(&registers, &spawn);
	}
	if (pid < 0) {
		errno = (int)-pid;
		spawn.pid = -1;
	}
	window_record(&spawn);
	return spawn.pid;
}

/*
 * The window gave way: a real fork, whose prepare handlers have run, starts over. It is audited if its child
 * goes a way that is new. Returns twice.
 */
static long close_upgraded(const struct entry_registers *registers, struct spawn_record *spawn,
			   sys_sigset pending)
{
	bool audit = spawn->reason == BOX_REASON_CALL && !audit_refuses(BOX_REASON_NONE);
	long pid;

	thread_words.atfork_mode = ATFORK_PREPARED;
	pid = fork_real(registers, spawn, audit, pending);
	thread_words.atfork_mode = ATFORK_FULL;
	return pid;
}

long window_close(struct window *window, long pid)
{
	struct entry_registers registers = window->registers;
	struct signal_window signal = window->signal;
	int cancel_state = window->cancel_state;
	sys_sigset pending;
	uint32_t upgrade;
	struct spawn_record spawn = spawn_of(window, pid);

	if (window->kind != WINDOW_SHARED)
		return close_vfork(window, pid);
	thread_window(NULL);
	undo_restore(&window->undo, window->site, window->returned);
	if (window->undo.environ_shared)
		environ_give();
	else
		environ_unkeep();
	if (pid > 0)
		spawn.pid = outcome_of(window, pid);
	else
		clone_failed(window, pid);
	upgrade = window->upgrade;
	pending = window->pending;
	window_give(window);
	pthread_setcancelstate(cancel_state, NULL);
	signal_close(&signal);
	if (pid < 0) {
		spawn.reason = BOX_REASON_CLONE_FAILED;
		site_fallback(spawn.site, BOX_REASON_CLONE_FAILED);
		return close_upgraded(&registers, &spawn, 0);
	}
	if (!spawn.pid) {
		spawn.upgraded = true;
		spawn.reason = upgrade;
		site_upgraded(spawn.site, upgrade);
		return close_upgraded(&registers, &spawn, pending);
	}
	atfork_parent();
	if (spawn.pid < 0) {
		errno = (int)-spawn.pid;
		spawn.pid = -1;
	}
	window_record(&spawn);
	return spawn.pid;
}
