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

/* What a child that waits looks at. It has no other descriptors, and a job's come above. */
enum { WAIT_SOCKET, WAIT_PARENT, WAIT_SIGNALS };

_Static_assert(WAIT_SIGNALS + 1 == SEAT_DESCRIPTORS, "avfork_pool.h");

/* What is in the way of a target goes above all of them first. */
static long descriptors(const struct seat_job *job, const int *given)
{
	int fd[AVFORK_POOL_FDS];
	unsigned i;
	long result;

	for (i = 0; i < job->sent; i++) {
		fd[i] = given[i];
		if (fd[i] >= (int)job->count || fd[i] == job->target[i])
			continue;
		result = SYS(fcntl, fd[i], F_DUPFD_CLOEXEC, job->count);
		if (result < 0)
			return result;
		fd[i] = (int)result;
	}
	for (i = 0; i < job->sent; i++) {
		result = execute_dup2(fd[i], job->target[i]);
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
	child_ignore(state->ignored ^ job->ignored, state->ignored);
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

/*
 * The descriptors that came with the message. One; zero: the parent's end has gone, and no job came; -errno: something
 * did not come. The limit that the job will have is raised meanwhile: submission has seen that this is enough.
 */
static long receive(const struct seat_job *job, int *given)
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
	struct rlimit files = job->state.limit[RLIMIT_NOFILE];
	long result;

	files.rlim_cur = files.rlim_max;
	SYS(prlimit64, 0, RLIMIT_NOFILE, &files, NULL);
	result = SYS(recvmsg, WAIT_SOCKET, &message, MSG_CMSG_CLOEXEC);
	if (result <= 0)
		return result;
	if (message.msg_flags & MSG_CTRUNC || message.msg_controllen < CMSG_LEN(size))
		return -EMFILE;
	memcpy(given, CMSG_DATA(&control.header), size);
	return 1;
}

/* Signals that came while it waited were for a child that waits: they are forgotten. */
static void drop_signals(int fd)
{
	struct signalfd_siginfo signal;

	while (SYS(read, fd, &signal, sizeof(signal)) > 0)
		;
}

/*
 * Keeps nothing open but the socket, and sees its parent end, whoever else holds the other end of that. Where there are
 * no more descriptors in the system it has the socket alone: a job may have come already. False: there is no socket.
 */
static bool settle(const struct avfork_pool *pool, int socket, struct pollfd *end)
{
	sys_sigset all = SYS_SIGNALS_ALL;

	if (socket != WAIT_SOCKET && SYS(dup3, socket, WAIT_SOCKET, O_CLOEXEC) < 0)
		return false;
	SYS(close_range, WAIT_SOCKET + 1, ~0U, 0);
	end[WAIT_SOCKET].fd = WAIT_SOCKET;
	end[WAIT_PARENT].fd = (int)SYS(pidfd_open, pool->owner, 0);
	end[WAIT_SIGNALS].fd =
		(int)SYS(signalfd4, -1, &all, sizeof(all), SFD_CLOEXEC | SFD_NONBLOCK);
	return true;
}

/* False: nothing will come any more. A job that was given before the parent ended is still done. */
static bool wait_for_job(const struct avfork_pool *pool, struct pollfd *end)
{
	/* The pid may be another's by now, and so what has been opened. */
	struct timespec now = { 0 }, *limit = SYS(getppid) == pool->owner ? NULL : &now;
	unsigned i;

	for (i = 0; i < SEAT_DESCRIPTORS; i++)
		end[i].events = POLLIN;
	for (;;) {
		long count = SYS(ppoll, end, SEAT_DESCRIPTORS, limit, NULL, 8);

		/* recvmsg() waits, too, for the socket alone. */
		if (count < 0 || (count > 0 && end[WAIT_SOCKET].revents))
			return true;
		if (!count || end[WAIT_PARENT].revents)
			return false;
		drop_signals(end[WAIT_SIGNALS].fd);
	}
}

/* The slot is this child's until somebody else waits there. */
static void make_successor(struct slot *slot)
{
	uint32_t state = __atomic_load_n(&slot->state, __ATOMIC_RELAXED);

	if (seat_start(slot, true) < 0)
		__atomic_store_n(&slot->state, (state & ~SLOT_STATE) | SLOT_EMPTY,
				 __ATOMIC_RELEASE);
}

static int wait_and_execute(struct seat *seat, int socket)
{
	struct slot *slot = seat->slot;
	struct pollfd end[SEAT_DESCRIPTORS];
	int given[AVFORK_POOL_FDS + 1];
	long result;

	child_clone_begin(&seat->clone);
	if (!settle(slot->pool, socket, end) || !wait_for_job(slot->pool, end))
		return 127;
	result = receive(&seat->job, given);
	if (!result)
		return 0;
	seat->job.ignored = slot->ignored;
	make_successor(slot);
	if (result > 0)
		return seat_execute(&seat->job, given);
	if (seat->job.error)
		__atomic_store_n(seat->job.error, (int)-result, __ATOMIC_RELEASE);
	return 127;
}

static int first_main(void *data)
{
	struct seat *seat = data;

	/* As its successors do. */
	seat->slot->ignored = child_ignored();
	return wait_and_execute(seat, seat->slot->child_end);
}

/* Off the group of its predecessor's; what has come through that is not for the job that is to come. */
static void leave_group(void)
{
	sys_sigset all = SYS_SIGNALS_ALL;
	struct timespec now = { 0 };

	SYS(setpgid, 0, 0);
	while (SYS(rt_sigtimedwait, &all, NULL, &now, sizeof(all)) > 0)
		;
}

/*
 * It takes the slot over by itself: who made it may have been killed since. The word goes first, for as long as it says
 * that the slot is taken nobody may find that no successor arrives.
 */
static int successor_main(void *data)
{
	struct seat *seat = data;
	struct slot *slot = seat->slot;
	uint32_t state = __atomic_load_n(&slot->state, __ATOMIC_RELAXED);

	if (slot->pool->group)
		leave_group();
	slot->pid = (pid_t)seat->running;
	__atomic_store_n(&slot->turn, seat->turn, __ATOMIC_RELAXED);
	__atomic_store_n(&slot->state, (state & ~SLOT_STATE) + SLOT_SUCCESSOR + SLOT_IDLE,
			 __ATOMIC_RELEASE);
	__atomic_store_n(&seat->arriving, 0, __ATOMIC_RELEASE);
	return wait_and_execute(seat, WAIT_SOCKET);
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
	seat->turn = turn;
	seat->clone = (struct child_clone){
		.flags = successor ? CLONE_PARENT : 0,
		.running = &seat->running,
		.tid = &seat->running,
		.low = seat->low,
		.high = (uintptr_t)seat & ~63UL,
		/* clone3() takes none for a sibling */
		.exit_signal = successor ? 0 : SIGCHLD,
	};
	__atomic_store_n(&seat->arriving, successor, __ATOMIC_RELEASE);
	pid = child_clone(&seat->clone, successor ? successor_main : first_main, seat);
	if (pid < 0 || successor)
		return pid;
	slot->pid = (pid_t)pid;
	__atomic_store_n(&slot->turn, turn, __ATOMIC_RELEASE);
	return pid;
}
