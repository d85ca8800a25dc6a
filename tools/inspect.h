/* SPDX-License-Identifier: MIT */
/*
 * What the files of `spork inspect` share. The process that is looked at is somebody else's and may be hostile: it
 * may end, change or lie at any moment. All that is read of it is bounded, and printed cleaned.
 *
 * Thread ids are kept twice: as spork's pid namespace numbers them, and as the process itself does, for that is what
 * its locks have noted.
 */
#ifndef SPORK_INSPECT_H
#define SPORK_INSPECT_H

#include "tool.h"

#define INSPECT_THREADS 32768
#define INSPECT_FRAMES 48

/* ---- inspect_proc.c: /proc and memory ---- */

struct proc_status {
	char name[32];
	char state; /* as in ps(1); zero: there is no such thread */
	pid_t process, parent, tracer;
	pid_t inner; /* the thread's id in its own pid namespace */
	uid_t user;
	uint64_t switches; /* how often it went to sleep or was put aside */
	bool kernel;
};

/* Of a thread of a process, or with equal ids of the process. False: there is none. */
bool proc_status(pid_t pid, pid_t tid, struct proc_status *status);

/* Where a thread is in the kernel. */
struct proc_call {
	bool known;   /* the file could be read */
	bool running; /* it is in no call */
	long number;  /* -1: asleep, but in no call */
	uint64_t argument[6], stack, pc;
};

/* 0, or -errno. */
int proc_call(pid_t pid, pid_t tid, struct proc_call *call);

/* Ids of a process's threads, the first first; to be freed. NULL: it is gone. */
pid_t *proc_threads(pid_t pid, size_t *count);

/* Processes that this thread has made and that live; to be freed, or NULL. */
pid_t *proc_children(pid_t pid, pid_t tid, size_t *count);

/* Whether two processes share their memory. */
bool proc_same_memory(pid_t one, pid_t other);

struct proc_map {
	uint64_t start, end, offset, inode;
	unsigned major, minor;
	bool writable, shared;
	char *path; /* NULL: none */
};

struct proc_maps {
	struct proc_map *map;
	size_t count;
};

int proc_maps_read(struct proc_maps *maps, pid_t pid);
void proc_maps_free(struct proc_maps *maps);
const struct proc_map *proc_map_at(const struct proc_maps *maps, uint64_t address);

/* All of it, or false. */
bool proc_memory(pid_t pid, uint64_t address, void *bytes, size_t size);
/* As much as there is, from the start. */
size_t proc_memory_some(pid_t pid, uint64_t address, void *bytes, size_t size);

/* The box that the process has mapped, as a descriptor to read from; -1: it has none. */
int proc_box(pid_t pid, const struct proc_maps *maps);

/* ---- inspect_stack.c: stacks and symbols ---- */

/* What a thread may wait for. */
enum wait_type {
	WAIT_NONE,
	WAIT_MUTEX,
	WAIT_RWLOCK,
	WAIT_SPIN,
	WAIT_SEM,
	WAIT_HIDDEN,
	WAIT_CONDITION,
	WAIT_JOIN,
	WAIT_BARRIER,
	WAIT_ONCE,
	WAIT_FUTEX, /* something that is not known */
	WAIT_VFORK, /* a vfork() child */
};

#define CALL_LOCKS 3

/* A public function of glibc in which threads wait, or that takes hidden locks: see hidden.def. */
struct known_call {
	const char *name;
	uint8_t wait; /* enum wait_type */
	uint8_t holds[CALL_LOCKS], takes[CALL_LOCKS];
};

/* A hidden lock's class; NULL: there is no such lock. */
const char *known_class(uint8_t lock);

struct inspect_frame {
	uint64_t pc;
	uint64_t offset; /* in the module's own numbering */
	struct place place;
	const struct known_call *known; /* NULL: not one of those */
};

struct inspect_stack {
	struct inspect_frame *frame;
	unsigned frames;
	bool stopped;	   /* it was made from all registers */
	uint64_t argument; /* the first argument register; only where `stopped` */
};

struct stacks;

/* The maps must outlive it. NULL: out of memory. */
struct stacks *stacks_open(pid_t pid, const struct proc_maps *maps);
void stacks_close(struct stacks *stacks);
/* Is there a glibc in the process? */
bool stacks_have_glibc(const struct stacks *stacks);

/*
 * The stack of a thread: stops it for a moment if `stop`, else, or where that cannot be, from what the kernel tells
 * of its call. 0, or the -errno of why it could not be stopped. Strings in it live as long as `stacks`.
 */
int stacks_take(struct stacks *stacks, pid_t tid, const struct proc_call *call, bool stop,
		struct inspect_stack *stack);

struct place stacks_data(struct stacks *stacks, uint64_t address);

/* ---- inspect_lock.c: what a lock in memory says ---- */

struct wait {
	enum wait_type type;
	uint64_t lock;	/* its address; zero: not known */
	uint64_t futex; /* the word that is waited on; zero: none */
	uint32_t word;	/* that word */
	uint32_t owner; /* as the process numbers threads, its child for WAIT_VFORK; zero: not known */
	uint32_t readers;		/* that hold a rwlock */
	bool timed;			/* the wait has an end */
	bool shared;			/* in memory that other processes may have */
	const char *trait;		/* "recursive", "robust"; or "" */
	const char *class;		/* of a hidden lock */
	uint8_t hidden[CALL_LOCKS];	/* which it may be */
	const struct known_call *known; /* in which the thread waits */
	struct place place;
};

struct inspect_thread {
	pid_t process, tid;
	struct proc_status status;
	struct proc_call call;
	struct inspect_stack stack;
	struct wait wait;
	struct inspect_thread *on; /* who must do something first; NULL: nobody that is known */
	bool steady;		   /* it waited all the time that was looked */
};

const char *wait_name(enum wait_type type);

/* Fills in thread->wait from its call and stack. */
void wait_read(struct inspect_thread *thread, struct stacks *stacks, const struct proc_maps *maps);
/* Whether it still waits as it did: the same call, and the lock in the same state. */
bool wait_same(const struct inspect_thread *thread);

/* ---- inspect.c ---- */

enum verdict_kind {
	VERDICT_DEADLOCK,
	VERDICT_SELF,
	VERDICT_ORPHAN,
	VERDICT_ALL,
	VERDICT_VFORK,
	VERDICT_JOIN,
	VERDICT_CONDITION,
	VERDICT_COUNT
};

struct verdict {
	enum verdict_kind kind;
	char *message;			/* lines */
	struct inspect_thread **thread; /* that it is about */
	size_t threads;
	const struct inspect_thread *holder; /* in another process, of an orphan; or NULL */
	pid_t holder_process;		     /* where the orphan comes from; zero: not known */
};

struct inspection {
	pid_t pid;
	struct proc_status status;
	struct proc_maps maps;
	struct stacks *stacks;
	struct inspect_thread *thread;
	size_t threads, room;
	struct verdict *verdict;
	size_t verdicts;
	const struct view *view; /* of its box; NULL: it has none */
	const char *note;	 /* what could not be done; NULL: nothing */
};

const char *verdict_name(enum verdict_kind kind);
bool verdict_deadly(enum verdict_kind kind);

/* ---- inspect_print.c ---- */

void inspect_text(const struct inspection *inspection, struct output *output);
void inspect_json(const struct inspection *inspection, struct output *output);
void inspect_dot(const struct inspection *inspection, struct output *output);

#endif
