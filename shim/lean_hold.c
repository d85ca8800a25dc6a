// SPDX-License-Identifier: MIT
/*
 * See lean.h. Owns how long the parent of a lean child waits for it, and keeps its other threads waiting.
 */
#include "gate.h"
#include "lean_share.h"
#include "proc.h"

#include "poison.h"

/* A child that has not gone on by then is looked at. One that sleeps waits for somebody. */
#define LEAN_DEADLINE_NS 100000000ULL

/* One that has run for so long does more than to execute. On a busy machine it is not slow while it waits for its turn. */
#define LEAN_RUNS_NS 1000000000ULL

/* It executes, or reads what it needs, from a device that is slow. */
#define LEAN_IDLES_NS 5000000000ULL

/* For so long the other threads stand still if nobody can answer for the parent, or the child has not begun yet. */
#define LEAN_OTHERS_NS 1000000000ULL

/* So often in a row it is seen to sleep, a nap apart. */
#define LEAN_ASLEEP 3

/* Should a wake-up be missing: a child that was killed before it began wakes nobody. */
#define LEAN_NAP_NS 20000000ULL

/* So many threads are held. */
static uint32_t held CHILD_STATE;

void lean_wait_children(void)
{
	struct timespec nap = { 0, 1000000 };
	int i;

	for (i = 0; i < 1000 && UNLIKELY(__atomic_load_n(&held, __ATOMIC_ACQUIRE)); i++)
		SYS(nanosleep, &nap, NULL);
}

/* Does the child sleep, which only somebody else can end? Its parent, perhaps. */
static bool sleeps(const struct lean_share *share, long pid)
{
	char state = proc_state((uint32_t)pid);

	return __atomic_load_n(&share->request, __ATOMIC_ACQUIRE) != LEAN_ASKED && state != 'R' &&
	       state != 'D';
}

/* Does it do more than to execute, `age` nanoseconds after it was made? */
static bool lingers(long pid, uint64_t age)
{
	struct proc_turns turns;

	proc_turns((uint32_t)pid, &turns);
	return turns.ran_ns >= LEAN_RUNS_NS ||
	       age >= turns.ran_ns + turns.waited_ns + LEAN_IDLES_NS;
}

/*
 * The other threads stand still at the gate, and must go on soon. True: what the child has yet to fetch stays as it is.
 */
static bool let_others_go(struct lean *lean, long pid, struct lean_outcome *outcome)
{
	/* A child that has not run yet has seen nothing. */
	if (!__atomic_load_n(&lean->share->begun, __ATOMIC_ACQUIRE) || !lean_keep(lean))
		return false;
	outcome->kept = true;
	if (sleeps(lean->share, pid))
		outcome->ended = BOX_REASON_DEADLINE;
	return true;
}

/*
 * Nobody can answer for the parent: no process may be made, or its end would be the program's to wait for. Then the
 * child has to be an ordinary one by itself, whatever it sleeps in.
 */
static void tell(struct lean_share *share, long pid)
{
	bool told = false;

	if (!__atomic_load_n(&share->begun, __ATOMIC_ACQUIRE) ||
	    __atomic_load_n(&share->told, __ATOMIC_RELAXED))
		return;
	__atomic_store_n(&share->told, LEAN_TELLING, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&share->leaves, __ATOMIC_SEQ_CST))
		told = !SYS(kill, pid, SIGSYS);
	__atomic_store_n(&share->told, told ? LEAN_TOLD : LEAN_NOT_TOLD, __ATOMIC_SEQ_CST);
}

struct lean_outcome lean_hold(struct lean *lean, long pid)
{
	struct lean_outcome outcome = { .left_out = lean->ranges != 0, .refused = lean->refused };
	struct lean_share *share = lean->share;
	uint64_t gate = gate_stay(), began = sys_now(), until = began + LEAN_DEADLINE_NS, now;
	uint64_t others = gate ? began + gate : UINT64_MAX;
	int asleep = 0;

	if (pid < 0 || !lean->ranges) {
		if (lean->marked)
			sys_sigmask(lean->mask);
		return outcome;
	}
	sys_sigmask(SYS_SIGNALS_ALL);
	__atomic_add_fetch(&held, 1, __ATOMIC_ACQ_REL);
	while (!lean_is_over(share, pid)) {
		now = sys_now();
		if (now >= others) {
			if (let_others_go(lean, pid, &outcome))
				break;
			others = now < began + LEAN_OTHERS_NS ? now + gate_stay() : UINT64_MAX;
		}
		if (__atomic_load_n(&share->request, __ATOMIC_ACQUIRE) == LEAN_ASKED) {
			lean_answer(share);
			continue;
		}
		lean_wait(share, others - now < LEAN_NAP_NS ? others - now : LEAN_NAP_NS);
		now = sys_now();
		if (now < until)
			continue;
		asleep = sleeps(share, pid) ? asleep + 1 : 0;
		if (lean_is_over(share, pid) ||
		    (asleep < LEAN_ASLEEP && !lingers(pid, now - began)))
			continue;
		if (lean_keep(lean)) {
			outcome.ended = BOX_REASON_DEADLINE;
			break;
		}
		tell(share, pid);
		until = now + LEAN_DEADLINE_NS;
	}
	__atomic_sub_fetch(&held, 1, __ATOMIC_ACQ_REL);
	sys_sigmask(lean->mask);
	outcome.pages = share->pages;
	lean_need_note(lean->site, share);
	if (!outcome.ended)
		outcome.ended = (enum spork_reason)share->ended;
	outcome.executed = !outcome.ended && share->executing;
	return outcome;
}

void lean_hold_after_fork(void)
{
	RESET(held, 0);
}
