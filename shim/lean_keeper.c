// SPDX-License-Identifier: MIT
/*
 * See lean.h. A lean child that waits for its parent, or goes on for long, must not hold it: a copy of the parent, made
 * by the kernel as any fork is, answers for it from then on. The copy calls nothing of the program's, has
 * no descriptors and no folder of it, blocks all signals, and belongs to nobody whom wait() would tell: who makes
 * it ends at once, with exit signal 0, and is waited for here.
 */
#include <linux/close_range.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "entry.h"
#include "lean_share.h"

#include "poison.h"

#define NAP_NS 1000000000ULL

struct keeper {
	struct lean *lean;
	long result;
};

/*
 * Whoever waits for the end of what the parent has open, a pipe or a lock, must not wait for the keeper's as well, which
 * may live longer. And the kernel says in `answers` when it is killed.
 */
static void detach(struct lean_share *share)
{
	static struct robust_list_head robust;

	robust.list.next = &robust.list;
	robust.list_op_pending = (struct robust_list *)&share->answers;
	SYS(set_robust_list, &robust, sizeof(robust));
	__atomic_store_n(&share->answers, (uint32_t)SYS(gettid), __ATOMIC_RELEASE);
	SYS(close_range, 0, ~0U, CLOSE_RANGE_UNSHARE);
	SYS(chdir, "/");
}

static void serve(struct lean_share *share)
{
	detach(share);
	/* A child that began is over when its lock says so: no process id is asked for. */
	while (!lean_is_over(share, 0)) {
		if (__atomic_load_n(&share->request, __ATOMIC_ACQUIRE) == LEAN_ASKED)
			lean_answer(share);
		else
			lean_wait(share, NAP_NS);
	}
	SYS(exit_group, 0);
}

/* Runs in a process that shares memory with the suspended parent. */
static int make(void *argument)
{
	struct keeper *keeper = argument;
	struct lean_share *share = keeper->lean->share;
	uint32_t nobody = 0;

	lean_fork_begin(false);
	keeper->result = SYS(clone, CLONE_FILES, 0, 0, 0, 0);
	if (!keeper->result)
		serve(share);
	lean_fork_end();
	/* Should it be killed before it has come to say so itself. */
	if (keeper->result > 0)
		__atomic_compare_exchange_n(&share->answers, &nobody, (uint32_t)keeper->result,
					    false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
	return 0;
}

/* It would be the program's own to wait for. */
bool lean_keeps(void)
{
	int adopts = 0;

	SYS(prctl, PR_GET_CHILD_SUBREAPER, &adopts);
	return !adopts && sys_pid() != 1;
}

bool lean_keep(struct lean *lean)
{
	struct keeper keeper = { lean, -EAGAIN };
	struct entry_clone clone = {
		.number = SYS_clone,
		.argument = { CLONE_VM | CLONE_VFORK | CLONE_FILES,
			      (uintptr_t)lean->keeper_stack + sizeof(lean->keeper_stack) },
	};
	long pid;

	/* One that did not begin yet is known by its id alone. */
	if (!lean_keeps() || !__atomic_load_n(&lean->share->begun, __ATOMIC_ACQUIRE))
		return false;
	__atomic_store_n(&lean->share->kept, 1, __ATOMIC_SEQ_CST);
	pid = entry_clone(&clone, make, &keeper);
	if (pid > 0)
		while (SYS(wait4, pid, NULL, __WCLONE, NULL) == -EINTR)
			;
	if (pid < 0 || keeper.result < 0) {
		__atomic_store_n(&lean->share->kept, 0, __ATOMIC_SEQ_CST);
		return false;
	}
	/* The share is the other's now. */
	lean->owner = 0;
	return true;
}
