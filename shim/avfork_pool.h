/* SPDX-License-Identifier: MIT */
/*
 * The pool of children started ahead, as its two sides share it: avfork_pool.c is the parent's, avfork_seat.c the
 * child's.
 *
 * A pool has slots, each with a socket and, mostly, one child that waits at its other end. The job's strings are
 * written into the child's memory, which is the parent's, and its descriptors sent with one message, which wakes it.
 * Before the child executes it clones its successor, which is its sibling (CLONE_PARENT) and takes over the socket. So
 * a slot has several seats, stacks that its children sit on in turn: one that executes needs its own until it has. One
 * that is killed on the way leaves a slot that tells: the job's child is dead, and no successor is arriving.
 *
 * A child that waits is in a process group of its own, and so has no signal of the time before its job; whoever submits
 * that puts it into the group of its parent's first, and so it misses none that comes later.
 *
 * Children make raw system calls only. A successor's end sends SIGCHLD as its predecessor's does (CLONE_PARENT).
 */
#ifndef SPORK_AVFORK_POOL_H
#define SPORK_AVFORK_POOL_H

#include <sys/resource.h>

#include "avfork.h"
#include "child_clone.h"

#define POOL_SEATS 4
#define SEAT_DESCRIPTORS 3 /* of a child that waits */
#define POOL_LIMITS 16	   /* RLIM_NLIMITS */

/* A seat's stack, and above it the copies of a job's strings; larger jobs hold their caller. */
#define SEAT_SIZE ((size_t)64 << 10)
#define SEAT_STRINGS ((size_t)40 << 10)

/* Which file a descriptor of the pool's is open on: the program may have closed it, and opened another. */
struct pool_file {
	uint64_t device, inode;
};

/* What the process was like when the job was given. */
struct pool_state {
	uint32_t generation; /* state_generation() */
	mode_t umask;
	sys_sigset ignored;
	struct rlimit limit[POOL_LIMITS];
	int folder;	 /* the caller's descriptor of it */
	bool folder_own; /* it is the state's; else the pool's */
	/*
	 * ESTALE: children are not what the process is now; EINVAL: the pool is not the caller's; another errno: it
	 * cannot be known; zero: they can become it
	 */
	int refused;
};

struct seat_job {
	char *const *argv, *const *envp;
	char *const *folders; /* PATH, or nothing */
	sys_sigset mask;
	struct pool_state state;
	sys_sigset ignored; /* by the child that waited */
	bool folder; /* for a child that waited: the last of the descriptors is that of the folder */
	unsigned count, sent;
	int target[AVFORK_POOL_FDS]; /* of each descriptor sent, ascending */
	int *error;
};

enum slot_state {
	SLOT_EMPTY, /* nobody waits there */
	SLOT_IDLE,
	SLOT_CLAIMED, /* by a caller that submits */
	SLOT_TAKEN, /* by a job, until a successor of its child waits; or that was killed before */
	/* Above the state: the successors so far, so that a word that was read is not taken for a later one. */
	SLOT_SUCCESSOR,
};

#define SLOT_STATE (SLOT_SUCCESSOR - 1U)

struct seat {
	struct child_clone clone;
	struct slot *slot;
	uintptr_t low;	   /* of its stack, which ends here */
	uint32_t running;  /* the pid; zero: free */
	uint32_t turn;	   /* which of its slot's it is */
	uint32_t arriving; /* by a successor that has not said yet that it waits */
	struct seat_job job;
};

struct slot {
	struct avfork_pool *pool;
	uint32_t state; /* enum slot_state, and the successors */
	uint32_t turn;	/* the seat of the child that waits */
	pid_t pid;	/* its pid */
	int parent_end, child_end;
	sys_sigset ignored;	      /* by the child that waits */
	struct pool_file parent_file; /* what parent_end is open on */
	struct seat *seat[POOL_SEATS];
};

struct avfork_pool {
	size_t mapped; /* zero in a forked child: it has no pool */
	pid_t owner;
	pid_t group; /* its process group; zero: that has no number in this namespace, and children stay in it */
	uint32_t count;
	/* ...of the parent's side alone from here on */
	bool confined; /* it was made under a filter of the program's */
	struct spin lock;
	uint32_t sequence; /* of `state`: odd while it is written */
	struct pool_state state;
	int folder; /* O_PATH, of the process's */
	struct pool_file folder_file;
	struct pool_identity *identity;
	struct slot slot[];
};

/*
 * Starts a child on a free seat of the slot, which is the caller's: the first, or in a child a successor, which makes
 * the slot idle. pid, or -errno; -EAGAIN also: no seat is free.
 */
long seat_start(struct slot *slot, bool successor);

/*
 * The child's part of a job that no pool's child does: in a child that has all of its parent's descriptors, of which
 * `given` are handed over. Returns the exit status if the program cannot be executed.
 */
int seat_execute(const struct seat_job *job, const int *given);

#endif
