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

#include "exposed.h"
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

/* Does /proc show this process by the id that it has for itself? */
bool proc_is_ours(void);

/* Whether two processes share their memory. */
bool proc_same_memory(pid_t one, pid_t other);

/*
 * Whose files of /proc, and memory, are the process's: its own id, or where its first thread has ended, and the kernel
 * shows nothing there any more, that of another thread.
 */
pid_t proc_living(pid_t pid);

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

/* ---- inspect_known.c: functions of glibc ---- */

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
	WAIT_FUTEX,  /* something that is not known */
	WAIT_VFORK,  /* a vfork() child */
	WAIT_STREAM, /* of stdio */
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

/* The function of an entry of hidden.def, by its place there; NULL: there is none. */
const struct known_call *known_hidden(size_t id);

/* Where their code is in a process; to be freed with free(). NULL: out of memory. */
struct known_ranges;
struct known_ranges *known_open(pid_t pid);
struct Dwfl_Module;
void known_add(struct known_ranges *ranges, struct Dwfl_Module *module);
/* The id of the thread that has its descriptor (pthread_t) there; zero: not known. */
uint32_t known_thread_id(const struct known_ranges *ranges, uint64_t descriptor);
/* After the last of them, before the first question. */
void known_sort(struct known_ranges *ranges);
/* `public`: the address is in that function itself, not in one that it ends in. NULL: none. */
const struct known_call *known_at(struct known_ranges *ranges, uint64_t address, bool *public);

/* ---- inspect_snapshot.c: registers ---- */

#define SNAPSHOT_SIZE (64U << 10)

#if defined(__x86_64__)
#define SNAPSHOT_REGISTERS 17
#elif defined(__aarch64__)
#define SNAPSHOT_REGISTERS 32
#else
#error "the order of this machine's registers in DWARF"
#endif

struct snapshot {
	uint64_t registers[SNAPSHOT_REGISTERS]; /* in DWARF's order */
	bool known[SNAPSHOT_REGISTERS];
	uint64_t pc, top; /* the latter is the stack pointer */
	size_t copied;	  /* so much of what is there from `top` up */
	char copy[SNAPSHOT_SIZE];
	bool stopped;	   /* it was made from all registers */
	uint64_t argument; /* the first argument register; only where `stopped` */
};

void snapshot_clear(struct snapshot *snapshot);
/* Of a thread that is stopped for it. 0, or the -errno of why it could not be. */
int snapshot_stop(struct snapshot *snapshot, pid_t tid);
/*
 * Lets go of threads that stopped too late. Waits a little for those that did not yet: for what takes long, such as
 * printing, spork should not be a tracer. Of one that still has not stopped it is until it ends.
 */
void snapshot_settle(void);
/* From what the kernel tells of a thread's call. False: it tells nothing. */
bool snapshot_call(struct snapshot *snapshot, const struct proc_call *call);
/* Of a frame, of which only this is known. */
void snapshot_frame(struct snapshot *snapshot, uint64_t pc, uint64_t stack, uint64_t frame_pointer);

/* ---- inspect_stack.c: stacks and symbols ---- */

struct inspect_frame {
	uint64_t pc;
	uint64_t offset; /* in the module's own numbering */
	struct place place;
	const struct known_call *known; /* NULL: not one of those */
	bool interrupted;		/* by a signal, whose handler the frames before it are */
};

struct inspect_stack {
	struct inspect_frame *frame;
	unsigned frames;
	bool stopped;				/* it was made from all registers */
	uint64_t registers[SNAPSHOT_REGISTERS]; /* the same in DWARF's order; only where `stopped` */
	uint64_t argument;			/* the one with the first argument; the same */
};

struct stacks;

/* The maps must outlive it. NULL: out of memory. */
struct stacks *stacks_open(pid_t process, const struct proc_maps *maps);
void stacks_close(struct stacks *stacks);
/* Is there a glibc in the process? */
bool stacks_have_glibc(const struct stacks *stacks);

/*
 * The stack of a thread: stops it for a moment if `stop`, else, or where that cannot be, from what the kernel tells
 * of its call. 0, or the -errno of why it could not be stopped. Strings in it live as long as `stacks`.
 */
int stacks_take(struct stacks *stacks, pid_t tid, const struct proc_call *call, bool stop,
		struct inspect_stack *stack);

/*
 * The frames from a call on that was made some time ago and returns to `pc`. They are right as long as the function that
 * made it has not returned. `stack` gets what stacks_take() gives.
 */
void stacks_from(struct stacks *stacks, uint64_t pc, uint64_t stack_pointer, uint64_t frame_pointer,
		 struct inspect_stack *stack);

/* known_thread_id(). */
uint32_t stacks_thread_id(const struct stacks *stacks, uint64_t descriptor);

/* What a return address, or a variable's address, belongs to. */
struct inspect_frame stacks_code(struct stacks *stacks, uint64_t pc);
struct place stacks_data(struct stacks *stacks, uint64_t address);

/* ---- inspect_lock.c: what a lock in memory says ---- */

struct wait {
	enum wait_type type;
	uint64_t lock;	/* its address; zero: not known */
	uint64_t futex; /* the word that is waited on; zero: none */
	uint32_t word;	/* that word */
	uint32_t owner; /* as the process numbers threads, its child for WAIT_VFORK; zero: not known */
	uint32_t noted;			/* the owner that a mutex notes besides */
	uint32_t readers;		/* that hold a rwlock */
	bool timed;			/* the wait has an end */
	bool shared;			/* in memory that other processes may have */
	const char *trait;		/* "recursive", "robust"; or "" */
	const char *class;		/* of a hidden lock */
	uint8_t hidden[CALL_LOCKS];	/* which it may be */
	const struct known_call *known; /* in which the thread waits */
	struct place place;
};

/* A lock that a thread holds: the shim knows, or others wait for it. */
struct holding {
	enum wait_type type;
	uint64_t lock;	   /* its address; of a hidden one zero: not known */
	bool read;	   /* a rwlock, which others may have besides */
	bool again;	   /* the thread has asked for it once more, and did not get it yet */
	bool signals;	   /* a semaphore that others post as well: nobody holds it */
	const char *class; /* of a hidden lock */
	/* The thread is inside that function, and has what it takes for a part of the time; or NULL. */
	const struct known_call *inside;
	struct place place;
	struct inspect_frame origin;   /* where it was initialised; `pc` zero: not known */
	struct inspect_stack acquired; /* no frames: not known */
};

/* A lock that a thread holds which this process does not have, or no more. */
struct left {
	struct holding holding;
	uint32_t holder;     /* as its process numbered it */
	char name[BOX_NAME]; /* empty: not known */
	bool ended;	     /* it ended with the lock */
	bool unseen;	     /* that it ended follows from its not being there */
};

struct inspect_thread {
	pid_t process, tid;
	pid_t child;	/* that it made by vfork(), and stands still for; zero: none */
	uint32_t alias; /* the id that it had as a thread of the parent, which forked; zero: none */
	struct proc_status status;
	struct proc_call call;
	struct inspect_stack stack;
	struct wait wait;
	struct holding *holding;
	size_t holdings;
	struct inspect_thread **holder; /* of what it waits for */
	size_t holders;
	struct inspect_thread *on; /* who must do something first; NULL: nobody that is known */
	bool steady;		   /* it waited all the time that was looked */
	bool doomed;		   /* nothing that is known can make it go on */
	bool judged, deadly;	   /* a verdict is about it; one that is deadly */
};

const char *wait_name(enum wait_type type);

/* Fills in thread->wait from its call and stack. */
void wait_read(struct inspect_thread *thread, struct stacks *stacks, const struct proc_maps *maps);
/* Whether it still waits as it did: the same call, and the lock in the same state. */
bool wait_same(const struct inspect_thread *thread);

/* Does it spin for what it waits for, by this stack of a later moment? */
bool wait_spins(const struct inspect_thread *thread, const struct inspect_stack *stack);

/* Does the lock say that this thread has it? `other` is another id that it may have noted, or zero. */
bool lock_held_by(pid_t pid, const struct held *held, uint32_t tid, uint32_t other);

/* ---- inspect_verdict.c: what will never end, and what holds things up ---- */

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
	char *message;			/* lines, separated by '\n'; names in it are clean */
	struct inspect_thread **thread; /* that it is about */
	size_t threads;
	/* Of an orphan: */
	const struct left *left;	     /* what the shim knows of it, or NULL */
	const struct inspect_thread *holder; /* in another process, or NULL */
	pid_t forked_from;		     /* zero: not known */
};

struct inspection {
	pid_t pid;
	struct proc_status status;
	struct proc_maps maps;
	struct stacks *stacks;
	struct inspect_thread *thread;
	size_t threads, room;
	struct inspect_thread *main; /* NULL: it has ended, and others go on */
	struct verdict *verdict;
	size_t verdicts;
	struct left *left; /* as far as the shim knows; sorted by lock */
	size_t lefts;
	struct numbered *numbered, *later; /* of inspect_thread.c */
	size_t laters;
	bool later_read;
	struct relative *relative; /* of inspect_relative.c */
	size_t relatives;
	pid_t sharing; /* a process that runs on in the same memory, which is not looked at; zero: none */
	char sharing_note[160];
	bool shim;		 /* its memory shows what the shim knows */
	bool stop;		 /* threads may be stopped for a moment */
	const struct view *view; /* of its box; NULL: it has none */
	const char *note;	 /* what could not be done; NULL: nothing */
};

/* ---- inspect_thread.c: threads by what they are called inside ---- */

/* When all are there; before the first question. */
void threads_number(struct inspection *inspection);
/* NULL: there is none. */
struct inspect_thread *thread_find(const struct inspection *inspection, uint32_t inner);
/*
 * The same, or one that was made since the threads were listed. Those are listed at the first question: ask it after all
 * has been read that a thread may have noted its id in.
 */
bool thread_exists(struct inspection *inspection, uint32_t inner);
void threads_forget(struct inspection *inspection);

/* ---- inspect_verdict.c ---- */

/* Will it wait until somebody does something? */
bool thread_stuck(const struct inspect_thread *thread);

const char *verdict_name(enum verdict_kind kind);
bool verdict_deadly(enum verdict_kind kind);
/* Is there one that is? */
bool verdicts_deadly(const struct inspection *inspection);
/* Pointers into the array hold until the next is added. `message` is the caller's to fill in. */
struct verdict *verdict_add(struct inspection *inspection, enum verdict_kind kind,
			    struct inspect_thread **threads, size_t count);
void verdicts_find(struct inspection *inspection);
void verdicts_free(struct inspection *inspection);

/* ---- inspect_shim.c: what the shim knows of the process ---- */

/*
 * Fills in what threads hold and what was left behind, as it is at this moment; of a thread that does not run it stays
 * so. Where the process has no shim, or one that another version of spork made, nothing.
 */
void shim_read(struct inspection *inspection);
/* With names, and the stacks of where locks were taken: what costs time. */
void shim_describe(struct inspection *inspection);
void shim_free(struct inspection *inspection);

/* ---- inspect_graph.c: who waits for whom ---- */

/* After the locks were read, and steady threads marked: holders, `on`, and `doomed`. */
void graph_make(struct inspection *inspection);
/*
 * Which threads may hold one of the hidden locks that this one waits for, without its saying so? How many, and the
 * last of them; SIZE_MAX: that cannot be told.
 */
size_t graph_inside(const struct inspection *inspection, const struct inspect_thread *waiter,
		    struct inspect_thread **last);

/* ---- inspect_orphan.c: locks whose holder is not here ---- */

/* A verdict for each such lock, about all threads that wait for it and are in no deadly one yet. */
void orphans_find(struct inspection *inspection);

/* ---- inspect_relative.c: processes that this one may be forked from ---- */

/*
 * The thread of this id in the nearest ancestor that runs the same program, stopped for a moment if threads may be;
 * NULL: there is none. `forked`: this process has that ancestor's memory, as fork() leaves it. It lives as long as the
 * inspection.
 */
struct inspect_thread *relative_thread(struct inspection *inspection, uint32_t inner, bool *forked);
/* The nearest such ancestor; zero: none lives. */
pid_t relative_forked(struct inspection *inspection);
/* What an ancestor is called, as the process chose it. */
const char *relative_name(const struct inspection *inspection, pid_t pid);
void relatives_close(struct inspection *inspection);

/* ---- inspect_words.c: names of threads and locks, cleaned ---- */

void words_thread(FILE *file, const struct inspect_thread *thread);
void words_lock(FILE *file, const struct wait *wait);
void words_holding(FILE *file, const struct holding *holding);
/* That it is held, and by whom, after what is held. */
void words_left(FILE *file, const struct left *left);
/* The thread, and what it waits for. */
void words_wait(FILE *file, const struct inspect_thread *thread);
/* The innermost function that has a name. */
void words_frame(FILE *file, const struct inspect_stack *stack);

/* ---- inspect_print.c, inspect_json.c, inspect_dot.c ---- */

void inspect_text(const struct inspection *inspection, struct output *output);
void inspect_json(const struct inspection *inspection, struct output *output);
void inspect_dot(const struct inspection *inspection, struct output *output);

#endif
