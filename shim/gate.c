// SPDX-License-Identifier: MIT
/*
 * Owns the gate. A thread writes its entry and then looks at the gate; the fork closes the gate and then looks at
 * the entries. That takes a barrier on both sides, which would be most of the cost of a lock: membarrier(2) makes
 * the fork pay for both.
 *
 * Locks of other threads are never looked at, since their memory may be gone. Only the mutexes that threads come back
 * to from a condition are, while everybody stands still.
 */
#include "gate.h"

#include <linux/futex.h>
#include <linux/membarrier.h>
#include <sys/single_threaded.h>

#include "config.h"
#include "gate_look.h"
#include "hook.h"
#include "libc_lock.h"
#include "lock.h"
#include "record.h"
#include "seccomp.h"
#include "sys.h"

#include "poison.h"

#define GATE_OPEN 0
#define GATE_CLOSED 1

/* Nobody has the gate, or its owner has not come to that yet. */
#define NO_LIMIT (UINT64_MAX / 2)

static uint32_t gate CHILD_STATE;		 /* a futex word */
static const struct thread *owner CHILD_STATE;	 /* the thread that closed it, or is about to */
static uint64_t limit_ns CHILD_STATE = NO_LIMIT; /* when those that wait at it go on all the same */
static uint64_t settle_ns;     /* when the others go on while its prepare handlers run */
static uint32_t handlers_wait; /* how often they did, and the handlers waited for that */
static uint64_t budget_ns;     /* for how long the fork may wait yet */
static bool
	quiet; /* the others hold nothing, but for locks that are held for good, and take nothing */
static bool closely; /* it has waited for so long that it asks the kernel about the others, too */

/* How long the fork itself may take: nobody must take a lock while the kernel copies. */
#define FORK_LIMIT_NS 1000000000ULL

/* The others stand still for longer than the fork waits, so that at its limit nobody holds anything for the first time. */
#define GATE_SPARE_NS 10000000ULL

/* For how long a thread sleeps at the gate at a time. */
#define LOOK_AGAIN_NS 50000000ULL

static const struct timespec pause_time = { .tv_nsec = 50000 };

/* How often a fork tries to be the one that closes it, and to find those that wait for a condition at rest. */
#define CLAIM_TRIES 1000
#define SETTLE_TRIES 100

/* So often a fork looks without a pause: a thread that runs has left most critical sections by then. */
#define SPIN_TRIES 20
#define LOOK_CLOSELY 40

/* Mutexes that threads wait to come back to: taken by a fork, on their behalf. */
static pthread_mutex_t *settled[64];
static uint32_t settled_count CHILD_STATE;
/* Whose they are, while there are any: by the time its fork comes to its end the gate may be another's. */
static const struct thread *settled_by;
/* Who comes back to one waits meanwhile, before he goes on and it may be gone. */
static uint32_t settling CHILD_STATE;

/*
 * Lets those run that are waited for. Not by sched_yield(2): on a busy machine it puts the caller off by a whole slice
 * each time, so that the fork came milliseconds after the last of them had gone.
 */
static void stand_back(void)
{
	SYS(nanosleep, &pause_time, NULL);
}

/* The kernel, or a sandbox, has no barrier for us, and will have none later. */
static bool no_barrier;

static bool barrier(void)
{
	long result = SYS(membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0);

	if (result == -EPERM && !SYS(membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0))
		result = SYS(membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0);
	no_barrier |= result && result != -ENOMEM;
	return !result;
}

void gate_prepare(void)
{
	/* Under a filter it waits until a fork has tried out what that does. */
	if (config.gate && config.locks && !seccomp_confined() && !seccomp_filtered())
		SYS(membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0);
}

static void limit_set(uint64_t ns)
{
	__atomic_store_n(&limit_ns, sys_now() + ns, __ATOMIC_RELEASE);
}

static void spend(uint64_t waited)
{
	budget_ns -= waited < budget_ns ? waited : budget_ns;
	RECORD_ADD(gate_wait_ns, waited);
}

/* Waits until no other thread holds anything, or the fork has waited for as long as it may. */
static enum gate_state wait_quiet(const struct thread *self)
{
	enum gate_state state = gate_look(self, closely);
	uint64_t start, waited = 0;
	unsigned tries;

	if (state != GATE_LOOK_BUSY)
		return state;
	start = sys_now();
	limit_set(budget_ns + GATE_SPARE_NS);
	gate_look_wait(self);
	for (tries = 0; state == GATE_LOOK_BUSY && waited < budget_ns; tries++) {
		if (tries >= SPIN_TRIES)
			stand_back();
		closely |= tries >= LOOK_CLOSELY;
		state = gate_look(self, closely);
		waited = sys_now() - start;
	}
	gate_look_forgive(state != GATE_LOOK_BUSY);
	/* At the first look of a fork that has a wait behind it, it has been counted. */
	if (state == GATE_LOOK_BUSY && budget_ns) {
		gate_look_limit(self);
		RECORD_ADD(gate_limits, 1);
	}
	spend(waited);
	RECORD_ADD(gate_waits, 1);
	return state;
}

static bool claim(const struct thread *self)
{
	const struct thread *other = NULL;

	if (__atomic_compare_exchange_n(&owner, &other, self, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return true;
	/* Whoever closed it never came back: a handler that jumped out, or a thread that was ended. */
	return sys_now() > __atomic_load_n(&limit_ns, __ATOMIC_ACQUIRE) + FORK_LIMIT_NS &&
	       __atomic_compare_exchange_n(&owner, &other, self, false, __ATOMIC_ACQ_REL,
					   __ATOMIC_ACQUIRE);
}

static bool wanted(void)
{
	return config.gate && config.locks && !__libc_single_threaded;
}

static bool barred(void)
{
	return no_barrier || seccomp_threatens_gate();
}

bool gate_serves(void)
{
	return wanted() && !barred() && handlers_wait < BOX_GATE_LIMITS;
}

/* False: the caller goes without it. */
static bool close_for(struct thread *self)
{
	unsigned tries;

	for (tries = 0; !claim(self); tries++) {
		if (self->held_count || tries == CLAIM_TRIES)
			return false;
		gate_wait();
		stand_back();
	}
	budget_ns = config.gate * 1000000ULL;
	quiet = false;
	closely = false;
	limit_set(budget_ns + GATE_SPARE_NS);
	__atomic_store_n(&gate, GATE_CLOSED, __ATOMIC_SEQ_CST);
	lock_attention_set(ATTEND_GATE, true);
	if (barrier()) {
		RECORD_ADD(gate_forks, 1);
		return true;
	}
	gate_open();
	RECORD_ADD(gate_barred, 1);
	return false;
}

static bool is_owner(const struct thread *self)
{
	return self && __atomic_load_n(&owner, __ATOMIC_ACQUIRE) == self;
}

void gate_close(void)
{
	struct thread *self = wanted() ? thread_self() : NULL;

	if (self && barred()) {
		RECORD_ADD(gate_barred, 1);
		return;
	}
	if (!self || is_owner(self) || handlers_wait >= BOX_GATE_LIMITS || !close_for(self))
		return;
	wait_quiet(self);
	settle_ns = sys_now() + budget_ns + GATE_SPARE_NS;
}

/* A mutex of a kind that is given back by one store, in whichever process. */
static bool plain(const pthread_mutex_t *mutex)
{
	return !(mutex->__data.__kind & ~PTHREAD_MUTEX_ADAPTIVE_NP);
}

/* False: somebody has it, its waiter maybe. */
static bool settle(const struct thread *self, pthread_mutex_t *mutex)
{
	uint32_t i;

	if (!plain(mutex) || held_search(mutex) != HELD_NONE || settled_count == COUNT(settled))
		return true;
	for (i = 0; i < settled_count; i++)
		if (settled[i] == mutex)
			return true;
	if (REAL(pthread_mutex_trylock)(mutex))
		return false;
	settled[settled_count] = mutex;
	__atomic_store_n(&settled_by, self, __ATOMIC_RELEASE);
	__atomic_store_n(&settled_count, settled_count + 1, __ATOMIC_RELEASE);
	return true;
}

/* Has another fork taken some, and not come to its end? */
static bool settled_by_other(const struct thread *self)
{
	return __atomic_load_n(&settled_count, __ATOMIC_ACQUIRE) &&
	       __atomic_load_n(&settled_by, __ATOMIC_ACQUIRE) != self;
}

/* `back`: is called for a thread that has its mutex again, though it says that it waits. False: some were not taken. */
static bool settle_all(const struct thread *self,
		       void (*back)(const struct thread *, const struct held *))
{
	const struct thread *thread;
	bool all = true;
	uint32_t i;

	for (thread = thread_first(); thread; thread = thread->next)
		for (i = 0; thread != self && thread_used(thread) && i < thread->held_count; i++) {
			const struct held *held = &thread->held[i];

			if (!held->lock || !(held->flags & HELD_WAITING) ||
			    held->kind != HELD_MUTEX || settle(self, held->lock))
				continue;
			all = false;
			if (gate_look_returned(thread, held))
				back(thread, held);
		}
	return all;
}

/*
 * A thread that was cancelled while it waited for a condition runs its cleanup handlers with the mutex taken again, and
 * its entry says that it waits until it gives it back.
 */
static bool returned;

static void note_return(const struct thread *thread, const struct held *held)
{
	(void)thread, (void)held;
	returned = true;
}

void gate_settle(void)
{
	struct thread *self = wanted() && !barred() ? thread_self() : NULL;
	enum gate_state state;
	bool done = false;
	unsigned tries;
	uint64_t start;

	if (!self || (!is_owner(self) && !close_for(self)))
		return;
	/* Handlers that took until the others went on, in spite of the gate, wait for one of them. */
	if (settle_ns && sys_now() >= settle_ns)
		handlers_wait++;
	settle_ns = 0;
	/*
	 * Threads that came back from a wait for a condition hold its mutex, until they give it back. And some may
	 * have gone on since the last look, on a machine so busy that the limit came first: those are seen here,
	 * the others see that there is a new one.
	 */
	for (tries = 0; tries < SETTLE_TRIES; tries++) {
		state = wait_quiet(self);
		limit_set(FORK_LIMIT_NS);
		__atomic_store_n(&settling, 1, __ATOMIC_SEQ_CST);
		returned = false;
		/* Those whose mutexes are taken cannot come back; who did before that is seen then. */
		done = !barrier() || state == GATE_LOOK_BUSY ||
		       ((state == GATE_LOOK_EXEMPT || settled_by_other(self) ||
			 settle_all(self, note_return)) &&
			gate_look(self, closely) != GATE_LOOK_BUSY);
		__atomic_store_n(&settling, 0, __ATOMIC_SEQ_CST);
		if (done)
			break;
		start = sys_now();
		stand_back();
		if (!returned)
			continue;
		spend(sys_now() - start);
		if (budget_ns)
			tries = 0;
	}
	quiet = done && state != GATE_LOOK_BUSY;
	if (!done && returned && !budget_ns) {
		settle_all(self, gate_look_blame);
		RECORD_ADD(gate_limits, 1);
	}
}

void gate_return(void)
{
	while (__atomic_load_n(&settling, __ATOMIC_ACQUIRE) && gate_stops())
		stand_back();
}

bool gate_is_quiet(void)
{
	return is_owner(thread_words.self) && quiet;
}

uint64_t gate_stay(void)
{
	if (!gate_is_quiet())
		return 0;
	/* The caller opens it, when there is a processor for it again. */
	limit_set(FORK_LIMIT_NS);
	return config.gate * 1000000ULL;
}

/* Those at the gate wake each other: all at once they would take the processors from the thread that forks. */
static void wake_one(void)
{
	SYS(futex, &gate, FUTEX_WAKE_PRIVATE, 1);
}

void gate_open(void)
{
	const struct thread *self = thread_words.self;

	if (!self)
		return;
	while (settled_count && !settled_by_other(self))
		REAL(pthread_mutex_unlock)(settled[--settled_count]);
	if (!is_owner(self))
		return;
	gate_look_over();
	lock_attention_set(ATTEND_GATE, false);
	__atomic_store_n(&gate, GATE_OPEN, __ATOMIC_SEQ_CST);
	__atomic_store_n(&limit_ns, NO_LIMIT, __ATOMIC_RELEASE);
	__atomic_store_n(&owner, NULL, __ATOMIC_RELEASE);
	wake_one();
}

void gate_after_fork(void)
{
	bool own = !settled_by_other(thread_words.self);

	/* Their owner is the parent's thread, by its id: the child cannot unlock them. */
	while (settled_count) {
		pthread_mutex_t *mutex = settled[--settled_count];

		if (own || libc_lock_held(HELD_MUTEX, mutex, settled_by->tid))
			libc_lock_remake(HELD_MUTEX, mutex);
	}
	lock_attention_set(ATTEND_GATE, false);
	RESET(gate, GATE_OPEN);
	RESET(settling, 0);
	RESET(limit_ns, NO_LIMIT);
	RESET(owner, NULL);
}

bool gate_stops(void)
{
	return __atomic_load_n(&gate, __ATOMIC_ACQUIRE) == GATE_CLOSED &&
	       __atomic_load_n(&owner, __ATOMIC_ACQUIRE) != thread_words.self &&
	       sys_now() < __atomic_load_n(&limit_ns, __ATOMIC_ACQUIRE);
}

void gate_wait(void)
{
	while (gate_stops()) {
		uint64_t now = sys_now(), until = __atomic_load_n(&limit_ns, __ATOMIC_ACQUIRE);
		struct timespec wait = { 0 };
		long result;

		if (now >= until)
			return;
		/* Not for long: whoever was to be woken by a thread that is held up in a signal handler looks again. */
		wait.tv_nsec = (long)(until - now < LOOK_AGAIN_NS ? until - now : LOOK_AGAIN_NS);
		result = SYS(futex, &gate, FUTEX_WAIT_PRIVATE, GATE_CLOSED, &wait);
		if (result != -EAGAIN && __atomic_load_n(&gate, __ATOMIC_ACQUIRE) == GATE_OPEN)
			wake_one();
	}
}
