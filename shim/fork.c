// SPDX-License-Identifier: MIT
/*
 * Real forks: the parent's side, what the child has to forget, and the counting of every spawn.
 */
#include "fork.h"

#include <sys/single_threaded.h>

#include "atfork.h"
#include "audit.h"
#include "child_stack.h"
#include "environ.h"
#include "hook.h"
#include "lean.h"
#include "lean_site.h"
#include "lock.h"
#include "memory.h"
#include "module.h"
#include "order.h"
#include "orphan.h"
#include "popen.h"
#include "profile.h"
#include "record.h"
#include "seccomp.h"
#include "signal_wrap.h"
#include "system.h"
#include "unsafe.h"
#include "vfork_hold.h"

#include "poison.h"

/* Zero: not asked for yet. A child that shares memory has another. */
static uint32_t process CHILD_STATE;

static uint32_t process_id(void)
{
	uint32_t pid = __atomic_load_n(&process, __ATOMIC_RELAXED);

	if (LIKELY(pid) && !thread_words.window)
		return pid;
	pid = (uint32_t)SYS(getpid);
	if (!thread_words.window)
		__atomic_store_n(&process, pid, __ATOMIC_RELAXED);
	return pid;
}

void window_record(const struct spawn_record *spawn)
{
	bool confined = seccomp_confined();
	int error = errno;
	uint64_t now = sys_now();
	uint32_t pid = confined ? 0 : process_id();
	struct box_event event = {
		.call = (uint16_t)spawn->call,
		.tier = (uint16_t)spawn->tier,
		.pid = pid,
		.tid = confined || __libc_single_threaded ? pid : (uint32_t)SYS(gettid),
		.child = spawn->pid > 0 ? (uint32_t)spawn->pid : 0,
		.site = record_site_index(spawn->site),
		.time_ns = spawn->start_ns,
		.duration_ns = now - spawn->start_ns,
		.reason = spawn->reason,
		.error = spawn->pid < 0 ? (uint32_t)error : 0,
		.upgraded = spawn->upgraded,
	};

	record_event(&event);
	if (spawn->site)
		site_count(spawn->site, (enum spork_tier)spawn->tier, event.duration_ns);
	profile_save_soon();
	RESET(errno, error);
}

void window_locks_after_fork(void)
{
	RESET(process, 0);
	window_pool_after_fork();
	vfork_hold_after_fork();
	atfork_after_fork();
	environ_after_fork();
	memory_after_fork();
	child_stack_after_fork();
	system_after_fork();
	popen_after_fork();
	module_after_fork();
	profile_after_fork();
	order_after_fork();
	lean_after_fork();
	signal_wrap_after_fork();
}

struct walk_start window_from(const struct entry_registers *registers)
{
	return (struct walk_start){ registers->pc, registers->stack, registers->frame_pointer,
				    thread_stack_end(thread_words.self, registers->stack) };
}

void window_after_fork(const struct walk_start *from, const struct box_site *site)
{
	const struct window *outer = thread_words.window;

	if (outer && outer->kind == WINDOW_VFORK && !seccomp_confined())
		signal_inherit(&outer->signal);
	thread_window_forget();
	RESET(thread_words.atfork_mode, ATFORK_FULL);
	RESET(thread_words.environ_held, 0);
	window_locks_after_fork();
	signal_forget();
	/* A process that was made without running handlers has not noted where. */
	if (!orphan_found()) {
		thread_words.fork_from = *from;
		thread_words.fork_site = record_site_index(site);
	}
	/* It may report what it finds. */
	if (!seccomp_confined())
		lock_after_fork();
	unsafe_after_fork(from, site);
	thread_after_fork();
}

/* By libc, with a copy of all memory. It is not counted yet. */
static long fork_copy(const struct entry_registers *registers, struct spawn_record *spawn,
		      bool audit, sys_sigset pending)
{
	struct window *window = NULL;
	uint32_t watch;
	long pid;

	audit = audit && site_audit_begin(spawn->site);
	if (audit || (spawn->call == BOX_CALL_FORK && lean_site_learns(spawn->site)))
		window = window_take(thread_self());
	if (audit && window) {
		signal_forget();
		window->others = !__libc_single_threaded;
		thread_words.atfork_watch = ATFORK_WATCHED;
	} else if (audit) {
		site_audit_cancel(spawn->site);
		audit = false;
	}
	real_find_wanted();
	environ_hold();
	thread_words.fork_from = window_from(registers);
	thread_words.fork_site = record_site_index(spawn->site);
	pid = REAL(fork)();
	watch = thread_words.atfork_watch;
	RESET(thread_words.atfork_watch, ATFORK_IGNORED);
	if (!pid) {
		window_after_fork(&thread_words.fork_from, spawn->site);
		signal_raise(pending);
		if (window) {
			window->kind = audit ? WINDOW_AUDIT : WINDOW_TRIAL;
			window->call = spawn->call;
			window->site = spawn->site;
			window->shape = spawn->shape;
			window->extent = spawn->extent;
			window->registers = *registers;
			window->opened_ns = sys_now();
			window_set(window);
			if (audit && watch == ATFORK_MATTERS)
				audit_refuse(window, BOX_REASON_ATFORK, NULL, 0);
			else if (audit)
				audit_begin(window);
		}
		return 0;
	}
	environ_release();
	spawn->pid = pid;
	spawn->tier = BOX_TIER_FORK;
	if (window)
		window_give(window);
	if (audit && pid < 0)
		site_audit_cancel(spawn->site);
	return pid;
}

/* The child's window closes when it becomes an ordinary one: see lean_end(). */
static void enter_lean(const struct entry_registers *registers, const struct spawn_record *spawn)
{
	struct window *window = lean_is_child() ? window_take(thread_self()) : NULL;

	if (!window)
		return;
	window->kind = WINDOW_LEAN;
	window->call = spawn->call;
	window->site = spawn->site;
	window->registers = *registers;
	window_set(window);
}

static long fork_held(struct lean *lean, const struct entry_registers *registers,
		      struct spawn_record *spawn, uint64_t resident)
{
	struct lean_outcome outcome;
	int error;
	long pid;

	real_find_wanted();
	environ_hold();
	thread_words.fork_from = window_from(registers);
	thread_words.fork_site = record_site_index(spawn->site);
	thread_words.atfork_mode = ATFORK_HELD;
	pid = REAL(fork)();
	if (!pid) {
		window_after_fork(&thread_words.fork_from, spawn->site);
		enter_lean(registers, spawn);
		return 0;
	}
	error = errno;
	environ_release();
	outcome = lean_hold(lean, pid);
	lean_close(lean);
	atfork_parent_deferred();
	errno = error;
	spawn->pid = pid;
	spawn->tier = outcome.left_out ? BOX_TIER_LEAN : BOX_TIER_FORK;
	spawn->reason = outcome.refused;
	window_record(spawn);
	if (outcome.left_out && pid > 0)
		lean_site_count(spawn->site, &outcome, resident);
	return pid;
}

long fork_lean(const struct entry_registers *registers, struct spawn_record *spawn,
	       uint64_t resident)
{
	struct lean *lean = lean_open(registers->stack, spawn->site);
	long pid;

	if (lean)
		return fork_held(lean, registers, spawn, resident);
	pid = fork_copy(registers, spawn, false, 0);
	if (pid)
		window_record(spawn);
	return pid;
}

/* The kernel promises no copy of so large a process: no real child could teach anything, and none is lost. */
static bool may_do_without_copy(const struct box_site *site)
{
	enum spork_reason reason = lean_site_refuses(site);

	return !reason || reason == BOX_REASON_LEARNING;
}

long fork_real(const struct entry_registers *registers, struct spawn_record *spawn, bool audit,
	       sys_sigset pending)
{
	long pid = fork_copy(registers, spawn, audit, pending);
	struct lean *lean = NULL;
	uint64_t resident;
	int error = errno;

	if (!pid)
		return 0;
	if (pid < 0 && error == ENOMEM && spawn->call == BOX_CALL_FORK &&
	    may_do_without_copy(spawn->site) && !lean_refuses(&resident))
		lean = lean_open(registers->stack, spawn->site);
	if (lean) {
		pid = fork_held(lean, registers, spawn, resident);
		RESET(thread_words.atfork_mode, ATFORK_FULL);
		return pid;
	}
	errno = error;
	window_record(spawn);
	return pid;
}

long fork_confined(const struct entry_registers *registers, struct spawn_record *spawn)
{
	spawn->reason = BOX_REASON_SECCOMP;
	thread_words.fork_from = window_from(registers);
	environ_hold();
	spawn->pid = REAL(fork)();
	if (!spawn->pid) {
		window_after_fork(&thread_words.fork_from, NULL);
		return 0;
	}
	environ_release();
	window_record(spawn);
	return spawn->pid;
}
