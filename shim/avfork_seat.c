// SPDX-License-Identifier: MIT
/*
 * A child of a pool: see avfork_pool.h. Raw system calls only; thread-local storage is that of whoever made the pool,
 * who may have gone.
 */
#include <poll.h>
#include <sched.h>
#include <sys/signalfd.h>
#include <sys/socket.h>

#include "avfork_pool.h"
#include "execute.h"

#include "poison.h"

/* Descriptors of a child that waits; all others are closed, and a job's come above. */
enum { WAIT_SOCKET, WAIT_PARENT, WAIT_SIGNALS, WAIT_COUNT };

/* Moves a descriptor to where it may be. Negative: -errno. */
static long duplicate(int from, int to)
{
	return from == to ? SYS(fcntl, from, F_SETFD, 0) : SYS(dup3, from, to, 0);
}

/* What is in the way of a target goes above all of them first. */
static long descriptors(const struct seat_job *job, const int *given)
{
	int fd[AVFORK_POOL_FDS];
	unsigned i;
	long result;

	for (i = 0; i < job->sent; i++) {
		fd[i] = given[i];
		if (fd[i] >= (int)job->count)
			continue;
		result = SYS(fcntl, fd[i], F_DUPFD_CLOEXEC, job->count);
		if (result < 0)
			return result;
		fd[i] = (int)result;
	}
	for (i = 0; i < job->sent; i++) {
		result = duplicate(fd[i], job->target[i]);
		if (result < 0)
			return result;
	}
	return 0;
}

/* In a child that waited, what was not handed over has gone, or goes by execve(). */
static void close_others(const struct seat_job *job)
{
	unsigned i, next = 0;

	for (i = 0; i < job->count; i++)
		if (next < job->sent && job->target[next] == (int)i)
			next++;
		else
			SYS(close, i);
	SYS(close_range, job->count, ~0U, 0);
}

/* A child that was not started ahead is what the process is now. */
static long become(const struct seat_job *job, const int *given)
{
	const struct pool_state *state = &job->state;
	long error = 0;
	int i;

	if (job->folder)
		error = SYS(fchdir, given[job->sent]);
	if (error >= 0)
		error = descriptors(job, given);
	if (error < 0)
		return error;
	if (!job->folder) {
		close_others(job);
		return 0;
	}
	SYS(umask, state->umask);
	for (i = 0; i < POOL_LIMITS && error >= 0; i++)
		error = SYS(prlimit64, 0, i, &state->limit[i], NULL);
	return error;
}

int seat_execute(const struct seat_job *job, const int *given)
{
	long error = become(job, given);

	SYS(rt_sigprocmask, SIG_SETMASK, &job->mask, NULL, sizeof(job->mask));
	if (error >= 0)
		error = execute(job->argv[0], job->argv, job->envp, job->folders[0]);
	if (job->error)
		__atomic_store_n(job->error, (int)-error, __ATOMIC_RELEASE);
	return 127;
}

/* The descriptors that came with the message. False: the parent has gone, or something did not come. */
static bool receive(const struct seat_job *job, int *given, long *error)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * (AVFORK_POOL_FDS + 1))];
	} control;
	char byte;
	struct iovec vector = { &byte, 1 };
	struct msghdr message = { .msg_iov = &vector,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	size_t size = sizeof(int) * (job->sent + 1);

	*error = SYS(recvmsg, WAIT_SOCKET, &message, MSG_CMSG_CLOEXEC);
	if (*error <= 0)
		return false;
	if (message.msg_flags & MSG_CTRUNC || message.msg_controllen < CMSG_LEN(size))
		*error = -EMFILE;
	else
		memcpy(given, CMSG_DATA(&control.header), size);
	return true;
}

/* Signals that came while it waited were for a child that waits: they are forgotten. */
static void drop_signals(void)
{
	struct signalfd_siginfo signal;

	while (SYS(read, WAIT_SIGNALS, &signal, sizeof(signal)) > 0)
		;
}

/* False: nothing will come any more. */
static bool wait_for_job(void)
{
	struct pollfd end[WAIT_COUNT] = {
		[WAIT_SOCKET] = { WAIT_SOCKET, POLLIN, 0 },
		[WAIT_PARENT] = { WAIT_PARENT, POLLIN, 0 },
		[WAIT_SIGNALS] = { WAIT_SIGNALS, POLLIN, 0 },
	};

	for (;;) {
		if (SYS(ppoll, end, WAIT_COUNT, NULL, NULL, 8) < 0)
			return false;
		if (end[WAIT_SOCKET].revents)
			return true;
		if (end[WAIT_PARENT].revents)
			return false;
		drop_signals();
	}
}

/* Keeps nothing open but the socket, and sees its parent end, whoever else holds the other end of that. */
static bool settle(const struct avfork_pool *pool, int socket)
{
	sys_sigset all = SYS_SIGNALS_ALL;

	if (socket != WAIT_SOCKET && SYS(dup3, socket, WAIT_SOCKET, O_CLOEXEC) < 0)
		return false;
	return !SYS(close_range, WAIT_SOCKET + 1, ~0U, 0) &&
	       SYS(pidfd_open, pool->owner, 0) == WAIT_PARENT &&
	       SYS(signalfd4, -1, &all, sizeof(all), SFD_CLOEXEC | SFD_NONBLOCK) == WAIT_SIGNALS &&
	       SYS(getppid) == pool->owner;
}

/* The slot is this child's until somebody else waits there. */
static void make_successor(struct slot *slot)
{
	if (seat_start(slot, true) < 0)
		__atomic_store_n(&slot->state, SLOT_EMPTY, __ATOMIC_RELEASE);
	else
		__atomic_store_n(&slot->state, SLOT_IDLE, __ATOMIC_RELEASE);
}

static int wait_and_execute(struct seat *seat, int socket)
{
	int given[AVFORK_POOL_FDS + 1];
	long error;

	child_clone_begin(&seat->clone);
	if (!settle(seat->slot->pool, socket) || !wait_for_job() ||
	    !receive(&seat->job, given, &error))
		return 0;
	make_successor(seat->slot);
	if (error > 0)
		return seat_execute(&seat->job, given);
	if (seat->job.error)
		__atomic_store_n(seat->job.error, (int)-error, __ATOMIC_RELEASE);
	return 127;
}

static int first_main(void *data)
{
	struct seat *seat = data;

	return wait_and_execute(seat, seat->slot->child_end);
}

static int successor_main(void *data)
{
	return wait_and_execute(data, WAIT_SOCKET);
}

long seat_start(struct slot *slot, bool successor)
{
	uint32_t i, turn = 0;
	struct seat *seat;
	long pid;

	for (i = 1; i <= POOL_SEATS; i++) {
		turn = (slot->turn + i) % POOL_SEATS;
		if (!__atomic_load_n(&slot->seat[turn]->running, __ATOMIC_ACQUIRE))
			break;
	}
	if (i > POOL_SEATS)
		return -EAGAIN;
	seat = slot->seat[turn];
	seat->slot = slot;
	seat->clone = (struct child_clone){
		.flags = successor ? CLONE_PARENT : 0,
		.running = &seat->running,
		.tid = &seat->running,
		.low = seat->low,
		.high = (uintptr_t)seat & ~63UL,
		/* clone3() takes none for a sibling */
		.exit_signal = successor ? 0 : SIGCHLD,
	};
	pid = child_clone(&seat->clone, successor ? successor_main : first_main, seat);
	if (pid < 0)
		return pid;
	slot->pid = (pid_t)pid;
	__atomic_store_n(&slot->turn, turn, __ATOMIC_RELEASE);
	return pid;
}
