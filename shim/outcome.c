// SPDX-License-Identifier: MIT
/*
 * See outcome.h.
 */
#include "outcome.h"

#include <sys/resource.h>
#include <sys/wait.h>

#include "entry.h"
#include "proc.h"
#include "sys.h"
#include "tier.h"

#include "poison.h"

/* Ends with the wait status that `argument` points to: of a child that was killed. */
static void stand_in(void *argument)
{
	int status = *(int *)argument, signal = WTERMSIG(status);
	uint64_t limit[2] = { 1, 1 };
	sys_sigset mask = ~(1ULL << (signal - 1));

	if (WIFSIGNALED(status)) {
		/* The core, if any, was written when the child itself died; 1 stops piped ones too. */
		SYS(prlimit64, 0, RLIMIT_CORE, limit, NULL);
		sys_action_set(signal, SIG_DFL);
		sys_sigmask(mask);
		sys_kill(sys_pid(), signal);
	}
	SYS(exit_group, WEXITSTATUS(status));
	__builtin_unreachable();
}

/* Signals that a process brings upon itself; a real fork meets its own fault, and its own handler. */
static bool is_fault(int signal)
{
	switch (signal) {
	case SIGILL:
	case SIGTRAP:
	case SIGABRT:
	case SIGBUS:
	case SIGFPE:
	case SIGSEGV:
	case SIGSYS:
	case SIGPIPE:
	case SIGXCPU:
	case SIGXFSZ:
		return true;
	default:
		return false;
	}
}

long outcome_of(struct window *window, long pid)
{
	siginfo_t info;
	int status = 0;
	long ended = 0;

	if (window->upgrade ||
	    SYS(waitid, P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT, NULL) == -ECHILD)
		do
			ended = SYS(wait4, pid, &status, __WCLONE, NULL);
		while (ended == -EINTR);
	if (window->upgrade)
		return 0;
	/* Its first store is not here: an emulator made a real fork of it (qemu-user does, of clone). */
	if (!window->limit_ns && !(ended == pid && WIFSIGNALED(status))) {
		tier_forbid(BOX_REASON_CLONE_FAILED);
		window->upgrade = ended == pid ? BOX_REASON_CLONE_FAILED : BOX_REASON_NONE;
		return ended == pid ? 0 : pid;
	}
	/* It executed; and has ended since, where it was already reaped, or SIGCHLD is ignored. */
	if (ended != pid)
		return pid;
	/* Within exec it met no fault of its own: a signal that somebody had sent was let through. */
	if (WIFSIGNALED(status) && is_fault(WTERMSIG(status)) && !window->busy)
		window->upgrade = BOX_REASON_FAULT;
	else if (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && window->limit_ns &&
		 sys_now() - window->opened_ns >= window->limit_ns)
		window->upgrade = BOX_REASON_DEADLINE;
	return window->upgrade ? 0 : entry_vfork_call(stand_in, &status);
}

/*
 * Has it not executed, so that its exit signal is 0 still? wait() tells, but of a child that the caller traces: that is
 * seen in any case, and with __WCLONE, too (eligible_child in the kernel's kernel/exit.c). Then /proc tells; without it
 * such a child is taken to have executed.
 */
static bool is_hidden(long pid)
{
	siginfo_t info;
	uint64_t signal;

	if (SYS(waitid, P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT, NULL) == -ECHILD)
		return true;
	return !SYS(waitid, P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT | __WCLONE, NULL) &&
	       proc_exit_signal((uint32_t)pid, &signal) && !signal;
}

long outcome_hidden(long pid)
{
	long ended = 0;
	int status = 0;

	if (!is_hidden(pid))
		return pid;
	do
		ended = SYS(wait4, pid, &status, __WCLONE, NULL);
	while (ended == -EINTR);
	/* It executed, and has ended since. */
	if (ended != pid)
		return pid;
	return entry_vfork_call(stand_in, &status);
}
