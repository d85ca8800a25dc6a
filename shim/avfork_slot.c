// SPDX-License-Identifier: MIT
/*
 * See avfork_slot.h. The program may close the pool's descriptors, as daemons do with all there are, and then the
 * numbers are those of files of its own: a descriptor is closed only while it is what it was.
 */
#include "avfork_slot.h"

#include <sys/socket.h>
#include <sys/wait.h>

#include "avfork_state.h"
#include "futex.h"

#include "poison.h"

static uint32_t state_of(const struct slot *slot)
{
	return __atomic_load_n(&slot->state, __ATOMIC_ACQUIRE);
}

/* Where the word is still `from`. */
static bool change(struct slot *slot, uint32_t from, enum slot_state to)
{
	return __atomic_compare_exchange_n(&slot->state, &from, (from & ~SLOT_STATE) | to, false,
					   __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

static bool claim(struct slot *slot, enum slot_state from)
{
	uint32_t state = state_of(slot);

	return (state & SLOT_STATE) == from && change(slot, state, SLOT_CLAIMED);
}

/* By whom it is claimed or taken. */
static uint32_t set(struct slot *slot, enum slot_state to)
{
	uint32_t state = (state_of(slot) & ~SLOT_STATE) | to;

	__atomic_store_n(&slot->state, state, __ATOMIC_RELEASE);
	return state;
}

static bool child_lives(const struct slot *slot)
{
	return __atomic_load_n(&slot_seat(slot)->running, __ATOMIC_ACQUIRE) != 0;
}

/*
 * The process holds its end alone, or a forked child does, too, which knows nothing of it. False: it is gone, or not
 * known to be ours.
 */
static bool hang_up(struct slot *slot)
{
	bool ours = slot->parent_end >= 0 && pool_file_is(slot->parent_end, &slot->parent_file);

	if (ours) {
		SYS(shutdown, slot->parent_end, SHUT_RDWR);
		SYS(close, slot->parent_end);
	}
	slot->parent_end = -1;
	return ours;
}

static int connect_ends(struct slot *slot)
{
	int end[2];
	long result = SYS(socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, end);

	if (result < 0)
		return (int)result;
	slot->parent_end = (int)pool_descriptor(end[0]);
	slot->child_end = (int)pool_descriptor(end[1]);
	result = slot->parent_end < 0 ? slot->parent_end : slot->child_end;
	if (result >= 0 && !pool_file_of(slot->parent_end, &slot->parent_file))
		result = -EBADF;
	if (result >= 0)
		return 0;
	if (slot->parent_end >= 0)
		SYS(close, slot->parent_end);
	if (slot->child_end >= 0)
		SYS(close, slot->child_end);
	slot->parent_end = -1;
	return (int)result;
}

/* One child waits there from now on, if all goes well. The slot is the caller's. 0 or -errno. */
static int fill(struct slot *slot)
{
	long result = connect_ends(slot);
	sys_sigset mask;

	if (result < 0)
		return (int)result;
	mask = sys_sigmask(SYS_SIGNALS_ALL);
	result = seat_start(slot, false);
	sys_sigmask(mask);
	if (result > 0 && slot->pool->group)
		SYS(setpgid, result, result);
	SYS(close, slot->child_end);
	if (result < 0)
		hang_up(slot);
	return result < 0 ? (int)result : 0;
}

int slot_start(struct slot *slot)
{
	int error = fill(slot);

	if (!error)
		set(slot, SLOT_IDLE);
	return error;
}

static void reap(pid_t pid)
{
	while (SYS(wait4, pid, NULL, 0, NULL) == -EINTR)
		;
}

/*
 * A child that was killed while it waited: nobody else knows of it. It has left its memory, and so ends soon if it has
 * not; but the program may have waited for it, and if the pid stays a child's that lives it is not the one that was
 * meant.
 */
static void reap_dead(pid_t pid)
{
	int tries;

	for (tries = 0; tries < 200; tries++) {
		if (SYS(wait4, pid, NULL, WNOHANG, NULL))
			return;
		SYS(sched_yield);
	}
}

/* Nobody waits in a slot that is claimed: somebody does from now on. */
static bool revive(struct slot *slot)
{
	hang_up(slot);
	if (fill(slot)) {
		set(slot, SLOT_EMPTY);
		return false;
	}
	if (pool_state_holds(slot->pool))
		return true;
	set(slot, SLOT_IDLE);
	return false;
}

static bool reap_and_revive(struct slot *slot)
{
	reap_dead(slot->pid);
	return revive(slot);
}

/*
 * Claims a slot whose child was killed with its job, before it had a successor. Whoever submitted the job waits for it.
 * A child that is dead makes none any more, so that none arrives later.
 */
static bool claim_lost(struct slot *slot)
{
	uint32_t state = state_of(slot);
	unsigned i;

	if ((state & SLOT_STATE) != SLOT_TAKEN || child_lives(slot))
		return false;
	for (i = 0; i < POOL_SEATS; i++)
		if (__atomic_load_n(&slot->seat[i]->arriving, __ATOMIC_ACQUIRE) &&
		    __atomic_load_n(&slot->seat[i]->running, __ATOMIC_ACQUIRE))
			return false;
	return change(slot, state, SLOT_CLAIMED);
}

struct slot *slot_take(struct avfork_pool *pool)
{
	struct slot *slot, *end = pool->slot + pool->count;

	for (slot = pool->slot; slot < end; slot++)
		if (claim(slot, SLOT_IDLE) && (child_lives(slot) || reap_and_revive(slot)))
			return slot;
	for (slot = pool->slot; slot < end; slot++)
		if ((claim(slot, SLOT_EMPTY) || claim_lost(slot)) && revive(slot))
			return slot;
	return NULL;
}

long slot_send(struct slot *slot, const int *fds, unsigned count)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * (AVFORK_POOL_FDS + 1))];
	} control = { .header = { .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS } };
	size_t size = sizeof(int) * count;
	char byte = 0;
	struct iovec vector = { &byte, 1 };
	struct msghdr message = { .msg_iov = &vector,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = CMSG_SPACE(size) };
	uint32_t state = set(slot, SLOT_TAKEN);
	pid_t pid = slot->pid, group = slot->pool->group;
	long result;

	control.header.cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(&control.header), fds, size);
	if (group)
		SYS(setpgid, pid, group);
	result = SYS(sendmsg, slot->parent_end, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (result >= 0)
		return result;
	/* The child waits on; one that was killed just now is found to be dead by the next who comes. */
	if (group)
		SYS(setpgid, pid, pid);
	change(slot, state, SLOT_IDLE);
	return result;
}

static void wait_for_seats(struct slot *slot)
{
	uint32_t *running, pid;
	unsigned i;

	for (i = 0; i < POOL_SEATS; i++)
		for (running = &slot->seat[i]->running;
		     (pid = __atomic_load_n(running, __ATOMIC_ACQUIRE));)
			futex_wait_changed(running, pid);
}

void slot_close(struct slot *slot)
{
	if ((state_of(slot) & SLOT_STATE) == SLOT_IDLE && !child_lives(slot)) {
		reap_dead(slot->pid);
		set(slot, SLOT_EMPTY);
	}
	/* It would wait for as long as a forked child has the other end that the process has closed. */
	if (!hang_up(slot) && (state_of(slot) & SLOT_STATE) == SLOT_IDLE && child_lives(slot))
		sys_kill(slot->pid, SIGKILL);
}

void slot_end(struct slot *slot)
{
	/* Once more for a successor that took a seat behind the back of the first look. */
	wait_for_seats(slot);
	wait_for_seats(slot);
	if ((state_of(slot) & SLOT_STATE) == SLOT_IDLE)
		reap(slot->pid);
}
