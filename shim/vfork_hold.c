// SPDX-License-Identifier: MIT
/*
 * See vfork_hold.h.
 */
#include "vfork_hold.h"

#include <poll.h>
#include <sys/wait.h>

#include "proc.h"
#include "sys.h"
#include "window.h"

#include "poison.h"

/* The end of the pipe that a parent, or this process's, waits for: no other child may keep it open. */
static int held_end CHILD_STATE = -1;

void vfork_hold(struct vfork_hold *hold)
{
	int none = -1;

	hold->end[0] = hold->end[1] = -1;
	if (SYS(pipe2, hold->end, O_CLOEXEC)) {
		hold->end[0] = hold->end[1] = -1;
	} else if (!__atomic_compare_exchange_n(&held_end, &none, hold->end[1], false,
						__ATOMIC_ACQ_REL, __ATOMIC_RELAXED)) {
		/* Another thread's is there: this one goes without. */
		SYS(close, hold->end[0]);
		SYS(close, hold->end[1]);
		hold->end[0] = hold->end[1] = -1;
	}
}

void vfork_held_child(const struct vfork_hold *hold)
{
	long high;

	if (hold->end[0] < 0)
		return;
	high = SYS(fcntl, hold->end[1], F_DUPFD_CLOEXEC, WINDOW_DESCRIPTOR);
	SYS(close, hold->end[0]);
	if (high >= 0)
		SYS(close, hold->end[1]);
	held_end = high >= 0 ? (int)high : hold->end[1];
}

void vfork_hold_after_fork(void)
{
	if (held_end >= 0)
		SYS(close, held_end);
	RESET(held_end, -1);
}

/*
 * Does it run the program that it was forked from, still? The kernel's flags tell (PF_FORKNOEXEC, include/linux/sched.h),
 * in the ninth field of /proc/PID/stat. Without /proc, as long as it has not ended.
 */
static bool is_on_the_way(long pid)
{
	uint64_t flags;
	siginfo_t info;

	memset(&info, 0, sizeof(info));
	if (SYS(waitid, P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT, NULL) || info.si_pid)
		return false;
	return !proc_flags((uint32_t)pid, &flags) || flags & 0x40;
}

#define NAP_MOST_NS 20000000

void vfork_held_wait(const struct vfork_hold *hold, long pid)
{
	struct pollfd end = { .fd = hold->end[0], .events = POLLIN };
	long nap = 2000000;

	if (hold->end[1] >= 0) {
		__atomic_store_n(&held_end, -1, __ATOMIC_RELEASE);
		SYS(close, hold->end[1]);
	}
	/* The end of the pipe comes first as a rule; but children close what they find, and others may have it. */
	while (pid > 0 && is_on_the_way(pid)) {
		/* the kernel counts it down */
		struct timespec left = { .tv_nsec = nap };

		SYS(ppoll, &end, 1, &left, NULL, 0);
		nap = nap < NAP_MOST_NS ? nap * 2 : nap;
		if (end.revents) {
			end.fd = -1;
			nap = 300000;
		}
	}
	if (hold->end[0] >= 0)
		SYS(close, hold->end[0]);
}
