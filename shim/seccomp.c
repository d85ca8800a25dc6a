// SPDX-License-Identifier: MIT
/*
 * Owns what is known of the process's seccomp filters. A container's filter is there before the program is;
 * one that the program installs itself, which may be meant for the threads that come after, is noticed by
 * the hooks of prctl() and syscall(), and ends rerouting.
 *
 * A filter that answers a call with an error is no threat: the shim falls back as if the kernel had. One
 * that kills, traps or asks a supervisor is.
 */
#include "seccomp.h"

#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "bypass.h"
#include "hook.h"
#include "lean.h"
#include "proc.h"
#include "record.h"
#include "state.h"
#include "sys.h"
#include "window.h"

#include "poison.h"

#define PROBE_LIMIT_NS 200000000ULL

static bool filter_added;
static int at_start; /* 1: there was a filter when it was first asked for, -1: there was none */
static int verdict;  /* 1: harmless, -1: a threat */
static int verdict_on_gate;

static long filter_mode(void)
{
	return SYS(prctl, PR_GET_SECCOMP);
}

/* By a file as a program's start reads them: who calls prctl() may be ended for that. */
bool seccomp_filtered(void)
{
	long mode;

	if (!at_start) {
		mode = proc_status("\nSeccomp");
		if (mode < 0)
			mode = filter_mode();
		at_start = mode > 0 ? 1 : -1;
	}
	return at_start > 0;
}

/*
 * What audits, windows and profiles call, in a process that may die of it. A trap must not reach the
 * program's handler.
 */
static void probe(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
	struct itimerspec never = { 0 };
	uint64_t limit[2], clone[8] = { 0 };
	struct iovec vector = { limit, sizeof(limit) };
	long self = sys_pid(), fd;
	int timer = 0;

	sys_action_set(SIGSYS, SIG_DFL);
	SYS(prctl, PR_GET_DUMPABLE);
	SYS(sigaltstack, NULL, NULL);
	SYS(uname, clone);
	SYS(gettid);
	SYS(sched_yield);
	SYS(rt_sigpending, &limit[0], 8);
	if (!SYS(timer_create, CLOCK_MONOTONIC, &event, &timer))
		SYS(timer_settime, timer, 0, &never, NULL);
	SYS(prlimit64, 0, RLIMIT_CORE, NULL, limit);
	SYS(process_vm_readv, sys_pid(), &vector, 1, &vector, 1, 0);
	fd = SYS(openat, AT_FDCWD, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC, 0);
	SYS(pread64, fd, limit, 8, 0);
	SYS(getdents64, fd, limit, 8);
	SYS(fcntl, fd, F_GETFD);
	SYS(faccessat, AT_FDCWD, "/", R_OK);
	SYS(getpriority, PRIO_PROCESS, 0);
	SYS(getpgid, 0);
	SYS(getsid, 0);
	SYS(close, fd);
	/* Arguments that make no sense: the filter sees the call, and nothing comes of it. */
	SYS(clone3, clone, 1);
	SYS(clone, CLONE_THREAD, 0, 0, 0, 0);
	SYS(kill, self, 0);
	SYS(waitid, P_PID, self, NULL, WEXITED | WNOHANG | WNOWAIT | __WALL, NULL);
	SYS(wait4, self, NULL, WNOHANG | __WALL, NULL);
	SYS(fstat, -1, limit);
	SYS(newfstatat, AT_FDCWD, "", limit, 0);
	SYS(renameat2, AT_FDCWD, "", AT_FDCWD, "", 0);
	SYS(unlinkat, AT_FDCWD, "", 0);
	SYS(munmap, 1, 0);
	SYS(mmap, NULL, 0, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	SYS(nanosleep, &never.it_value, NULL);
	SYS(exit_group, 0);
}

/* What a fork calls that waits for other threads. */
static void probe_gate(void)
{
	struct timespec no_time = { 0 };
	struct iovec vector = { &no_time, sizeof(no_time) };

	sys_action_set(SIGSYS, SIG_DFL);
	SYS(membarrier, MEMBARRIER_CMD_QUERY, 0);
	SYS(process_vm_readv, sys_pid(), &vector, 1, &vector, 1, 0);
	SYS(nanosleep, &no_time, NULL);
	SYS(exit_group, 0);
}

/* 1: it came to no harm; -1: it did; 0: it could not be tried. */
static int try_out(void (*function)(void))
{
	sys_sigset mask = sys_sigmask(SYS_SIGNALS_ALL);
	/* No wait() of the program's sees it: its exit signal is 0. */
	long pid = SYS(clone, 0, 0, 0, 0, 0), got = 0;
	uint64_t until = sys_now() + PROBE_LIMIT_NS;
	int status = 0;

	if (!pid)
		function();
	/* It makes no call here but those that fork() and wait() are: a pause is tried out, too. */
	while (pid > 0 && !(got = SYS(wait4, pid, &status, WNOHANG | __WCLONE, NULL)) &&
	       sys_now() < until)
		;
	if (pid > 0 && !got) {
		sys_kill(pid, SIGKILL);
		SYS(wait4, pid, NULL, __WCLONE, NULL);
	}
	sys_sigmask(mask);
	if (pid <= 0 || (got && got != pid))
		return 0;
	return got && WIFEXITED(status) ? 1 : -1;
}

bool seccomp_confined(void)
{
	return __atomic_load_n(&filter_added, __ATOMIC_RELAXED);
}

bool seccomp_forbids_extras(void)
{
	return seccomp_confined() || verdict < 0 || (!seccomp_filtered() && filter_mode() > 0);
}

bool seccomp_threatens(void)
{
	/* First: such a filter may end the process for asking. */
	if (seccomp_confined())
		return true;
	/* Who was under a filter stays so: no need to ask (kernel/seccomp.c, seccomp_may_assign_mode). */
	if (!seccomp_filtered())
		return filter_mode() > 0;
	if (!verdict)
		verdict = try_out(probe);
	return verdict <= 0;
}

bool seccomp_threatens_gate(void)
{
	if (seccomp_confined() || !seccomp_filtered())
		return seccomp_threatens();
	if (!verdict_on_gate)
		verdict_on_gate = try_out(probe_gate);
	return verdict_on_gate <= 0;
}

static void note_filter(void)
{
	if (seccomp_confined())
		return;
	/* While it may still be made. */
	window_reserve();
	record_part();
	__atomic_store_n(&filter_added, true, __ATOMIC_RELAXED);
}

/* In a window the trait of the row decides; where the memory is the process's own a filter is noticed. */
static void note(enum hook hook, const struct hook_arguments *arguments, long number,
		 long operation, struct hook_caller caller)
{
	if (thread_words.window)
		hook_in_window(hook, arguments, caller);
	if (window_memory_is_own() &&
	    (number == SYS_seccomp ? operation != SECCOMP_GET_ACTION_AVAIL :
				     number == SYS_prctl && operation == PR_SET_SECCOMP))
		note_filter();
}

EXPORT int prctl(int operation, ...)
{
	struct hook_arguments arguments = { { operation } };
	va_list rest;
	int result, i;

	va_start(rest, operation);
	for (i = 1; i < 5; i++)
		arguments.value[i] = va_arg(rest, long);
	va_end(rest);
	HOOK_UNLESS_PASSIVE(REAL(prctl)(operation, arguments.value[1], arguments.value[2],
					arguments.value[3], arguments.value[4]));
	note(HOOK_prctl, &arguments, SYS_prctl, operation, HOOK_CALLER);
	result = REAL(prctl)(operation, arguments.value[1], arguments.value[2], arguments.value[3],
			     arguments.value[4]);
	state_changed_by(SYS_prctl, operation);
	return result;
}

/* Does it make a process whose memory is its own? */
static bool makes_process(long number, const long *value)
{
	if (number == SYS_clone)
		return !(value[0] & CLONE_VM);
	if (number == SYS_clone3)
		return !(*(const uint64_t *)value[0] & CLONE_VM);
#ifdef SYS_fork
	return number == SYS_fork;
#else
	return false;
#endif
}

EXPORT long syscall(long number, ...)
{
	struct hook_arguments arguments = { { number } };
	long value[6], result;
	va_list rest;
	bool forks;
	int i;

	va_start(rest, number);
	for (i = 0; i < 6; i++)
		value[i] = va_arg(rest, long);
	va_end(rest);
	memcpy(&arguments.value[1], value, sizeof(arguments.value) - sizeof(long));
	HOOK_UNLESS_PASSIVE(
		REAL(syscall)(number, value[0], value[1], value[2], value[3], value[4], value[5]));
	note(HOOK_syscall, &arguments, number, value[0], HOOK_CALLER);
	lean_notice(number, value);
	forks = makes_process(number, value);
	if (number == SYS_rt_sigaction)
		lean_action_begin((int)value[0]);
	if (UNLIKELY(forks))
		lean_fork_begin(false);
	result = REAL(syscall)(number, value[0], value[1], value[2], value[3], value[4], value[5]);
	if (UNLIKELY(forks && result))
		lean_fork_end();
	if (number == SYS_rt_sigaction)
		lean_action_end((int)value[0]);
	state_changed_by(number, value[0]);
	if (UNLIKELY(forks && !result))
		bypass_child(BOX_CALL_SYSCALL, CALLER);
	return result;
}
