/* SPDX-License-Identifier: MIT */
/*
 * What the shim knows of each thread: its identity, the locks it holds, the bounds of its stack, and the
 * window it is in.
 */
#ifndef SPORK_THREAD_H
#define SPORK_THREAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "box.h"
#include "sys.h"
#include "unwind.h"

struct exposed;
struct window;

struct held;

/* Entries that a record has room for before held.c finds it a larger array. */
#define THREAD_HELD 16
#define THREAD_HELD_SIZE 32

/* In the shim's own memory, so that a forked child can read what the other threads held. */
struct thread {
	uint32_t used; /* see thread_used() */
	uint32_t tid;
	uint32_t held_count; /* see held.h */
	uint32_t held_capacity;
	struct held *held;
	uint32_t held_full;  /* how many more locks find no room before it is looked for again */
	bool ended;	     /* it left locks behind: the record tells whose they were */
	char name[BOX_NAME]; /* of one that has ended */
	uintptr_t stack_low; /* zero: not looked up yet */
	bool stack_given;    /* by the program, which knows what else is there */
	uintptr_t stack_high; /* where the thread's first frame starts; TLS and arguments lie above */
	uintptr_t stack_end; /* up to here all of it may be read */
	struct thread *next;
	struct window *spare;	  /* a free window record, kept for the next spawn */
	void *(*routine)(void *); /* what it starts with */
	void *argument;
	const void *left_past, *left_seen; /* of the fork's: see leaving() in gate.c */
	uint64_t left_ns;
	uint64_t opening[THREAD_HELD_SIZE / sizeof(uint64_t)]; /* see held.h */
	uint64_t held_first[THREAD_HELD * THREAD_HELD_SIZE / sizeof(uint64_t)];
};

/* A handler of a signal that the thread runs: see unsafe.c. */
struct thread_handler {
	uintptr_t function;
	uintptr_t frame;		 /* of its wrapper */
	uintptr_t stack_low, stack_high; /* of the alternate stack, if it runs there */
	int signal;
};

/*
 * Thread-local words. A child that shares its parent's memory also shares these with the thread that
 * made it, and with no other: so `window`, set before the clone and cleared after, is the test for
 * "I am that child". The assembler knows that it comes first.
 */
struct thread_words {
	struct window *window;
	struct thread *self;
	uint32_t ended;		     /* the thread's record was given back: track nothing more */
	uint32_t atfork_mode;	     /* enum atfork_mode */
	uint32_t atfork_watch;	     /* enum atfork_watch */
	uint32_t environ_held;	     /* how often this thread holds environ */
	uint32_t atfork_phase;	     /* enum atfork_phase: whose handlers it runs */
	uint32_t fork_site;	     /* of the fork that it makes: index in the box plus one */
	bool orphans_found;	     /* orphan_find() ran for it, in the child */
	struct walk_start fork_from; /* where that fork returns to */
	uint32_t child_call; /* enum spork_call plus one: it came of a process with other threads by it; see unsafe.h */
	uint32_t child_site; /* index in the box plus one */
	uintptr_t child_from;
	uint32_t handlers; /* so many of them run, as far as is known */
	struct thread_handler handler[4];
};

/* Threads that are watched are in no window else: see unsafe.h. */
extern struct window window_watch __attribute__((visibility("hidden")));

extern __thread struct thread_words thread_words __attribute__((visibility("hidden")));

/* The window that the calling thread is in, but for the one in which it is only watched. */
static inline struct window *thread_window_open(void)
{
	return thread_words.window == &window_watch ? NULL : thread_words.window;
}

/*
 * How many threads of the process are in a window; while it is zero the stubs look no further. Changed with
 * `window` by thread_window() alone.
 */
extern uint32_t window_count __attribute__((visibility("hidden")));

/*
 * The calling thread enters a window, or leaves one for that it was opened in (NULL: none, or window_watch). All
 * signals are blocked.
 */
void thread_window(struct window *window);

/* From now on the stubs look for a window in every thread, for as long as the process lives. */
void thread_watch_all(void);

/* In a forked child: the windows of its parent's threads stayed there. */
void thread_window_forget(void);

/* The calling thread's record; NULL when there is no memory or the thread is ending. */
struct thread *thread_self(void);

/* Are there records of other threads of this process? */
bool thread_others(void);

/* The same of threads that have not ended; in a forked child until thread_after_fork(), of its parent's. */
bool thread_others_alive(void);

/* All records, used or not; for a forked child and for reports. */
struct thread *thread_first(void);

/*
 * Is the record that of a thread of this process? `used` has the process's generation then: a forked child's is
 * another, so that the records of its parent's threads are free without being written, each of which would make the
 * kernel copy a page.
 */
extern uint32_t thread_generation __attribute__((visibility("hidden")));

static inline bool thread_used(const struct thread *thread)
{
	return __atomic_load_n(&thread->used, __ATOMIC_ACQUIRE) == thread_generation;
}

/*
 * Bounds of the calling thread's stack, from /proc/self/maps, kept in its record. False: the stack
 * pointer lies on no stack that is known to be this thread's.
 */
bool thread_stack(struct thread *self, uintptr_t stack_pointer);

/*
 * Up to where may the stack be read from `stack_pointer` on, the calling thread's? Zero: not known. Asks nobody. `self`
 * may be NULL.
 */
uintptr_t thread_stack_end(const struct thread *self, uintptr_t stack_pointer);

/* The main thread's stack ends there. */
void thread_main_stack(uintptr_t end);

struct thread_range {
	uintptr_t low, high; /* `high` is past the end */
};

/* The calling thread's static thread-local storage. */
struct thread_range thread_storage(void);

/* Does the range lie in the calling thread's static thread-local storage, or its descriptor? */
bool thread_local_owns(uintptr_t start, uintptr_t end);

/* Does any of it? */
bool thread_local_touches(uintptr_t start, uintptr_t end);

/* Is it a part of that which any child changes and which is always put back, or the kernel's own? */
bool thread_local_volatile(uintptr_t start, uintptr_t end);

/* Learns the extent of static thread-local storage. Constructor only: it asks the loader. */
void thread_init(void);

/* A forked child has one thread: gives back the records of the others. */
void thread_after_fork(void);

/* Tells where the list of records is. */
void thread_expose(struct exposed *exposed);

#endif
