// SPDX-License-Identifier: MIT
/*
 * See probe.h. Whether a process waits for a futex, and for which, /proc/PID/syscall tells; where that cannot be
 * read, for want of /proc or of the right to, one that does not end in time counts as blocked.
 */
#include "probe.h"

#include <linux/futex.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "proc.h"
#include "sys.h"

#include "poison.h"

/* What is tried takes microseconds. The machine may be busy, though, so what is seen to run may go on for longer. */
#define BLIND_LIMIT_NS 50000000ULL
#define LIMIT_NS 1000000000ULL
#define PAUSE_LIMIT_NS 1000000

static void end_with(long parent)
{
	const uint64_t none[2] = { 0, 0 };
	long null, fd;

	SYS(prctl, PR_SET_PDEATHSIG, SIGKILL);
	/* What is tried out may crash, or complain: nobody wants the core, or to read of it. */
	SYS(prlimit64, 0, RLIMIT_CORE, none, NULL);
	null = SYS(openat, AT_FDCWD, "/dev/null", O_WRONLY, 0);
	for (fd = 1; fd <= 2; fd++)
		if (null < 0)
			SYS(close, fd);
		else
			SYS(dup3, null, fd, 0);
	if (SYS(getppid) != parent)
		SYS(exit_group, 1);
}

/* 1: it waits without a limit, 0: it does not, -1: that cannot be told. */
static int waits(long pid, uintptr_t *word)
{
	uint64_t number[5];

	if (!proc_syscall((uint32_t)pid, number, COUNT(number)))
		return -1;
	*word = number[1];
	if (number[0] != SYS_futex || number[4])
		return 0;
	switch (number[2] & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
	case FUTEX_LOCK_PI:
		return 1;
	default:
		return 0;
	}
}

static enum probe_end watch(long pid, uintptr_t *word)
{
	struct timespec pause = { .tv_nsec = 50000 };
	uint64_t start = sys_now();
	uintptr_t before = 0;
	int state, status;
	long got;

	for (;;) {
		SYS(nanosleep, &pause, NULL);
		got = SYS(wait4, pid, &status, WNOHANG | __WCLONE, NULL);
		if (got)
			return got != pid ? PROBE_UNDECIDED : status ? PROBE_FAILED : PROBE_ENDED;
		state = waits(pid, word);
		/* Twice: a thread that it made may wake it. */
		if (state > 0 && *word == before)
			return PROBE_BLOCKED;
		before = state > 0 ? *word : 0;
		*word = 0;
		if (sys_now() - start > (state < 0 ? BLIND_LIMIT_NS : LIMIT_NS))
			return state < 0 ? PROBE_BLOCKED : PROBE_UNDECIDED;
		if (pause.tv_nsec < PAUSE_LIMIT_NS)
			pause.tv_nsec *= 2;
	}
}

enum probe_end probe_run(void (*function)(void *), void *argument, uintptr_t *word)
{
	long parent = sys_pid();
	long pid = SYS(clone, 0, 0, 0, 0, 0);
	enum probe_end end;

	*word = 0;
	if (!pid) {
		end_with(parent);
		function(argument);
		SYS(exit_group, 0);
	}
	if (pid < 0)
		return PROBE_NONE;
	end = watch(pid, word);
	if (end == PROBE_BLOCKED || end == PROBE_UNDECIDED) {
		SYS(kill, pid, SIGKILL);
		SYS(wait4, pid, NULL, __WCLONE, NULL);
	}
	return end;
}
