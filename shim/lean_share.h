/* SPDX-License-Identifier: MIT */
/*
 * What the files of the lean tier share; see lean.h.
 */
#ifndef SPORK_LEAN_SHARE_H
#define SPORK_LEAN_SHARE_H

#include <pthread.h>

#include "lean.h"
#include "memory.h"

/* linux/prctl.h; Linux 5.11 */
#ifndef PR_SET_SYSCALL_USER_DISPATCH
#define PR_SET_SYSCALL_USER_DISPATCH 59
#define PR_SYS_DISPATCH_OFF 0
#define PR_SYS_DISPATCH_ON 1
#endif

/*
 * So much is fetched at a time, aligned to its size: children touch few pages, far from each other. More only where there
 * would be too many to keep account of; and where one touches page after page.
 */
#define LEAN_BATCH ((uintptr_t)4 << 10)
#define LEAN_BATCHES (1U << 22)
#define LEAN_RUN ((uintptr_t)64 << 10)

/* What can be handed over through `bytes` at a time. */
#define LEAN_BYTES ((size_t)64 << 10)

/* The alternate signal stack of a child, for its two handlers and for those of the program that want one. */
#define LEAN_STACK ((size_t)256 << 10)

/* Of that so much is for the program's: a stack of its own that is larger cannot be stood for. */
#define LEAN_STACK_SHARE (LEAN_STACK / 2)

/* What is remembered of one child's fetches, and of a site's: see lean_need.c. */
#define LEAN_TOUCHED 256
#define LEAN_NEEDS (LEAN_RANGES - 1)

enum lean_request { LEAN_IDLE, LEAN_ASKED };
enum lean_told { LEAN_NOT_TOLD, LEAN_TELLING, LEAN_TOLD };
enum lean_question { LEAN_DATA, LEAN_PRESENT };

/* `base`: the number of the batch of address zero, so that those of the range are counted on from others'. */
struct lean_range {
	uintptr_t low, high;
	intptr_t base;
};

/* A page that parent and child share, and a buffer. One child at a time. */
struct lean_share {
	pthread_mutex_t
		held; /* robust: by the child until it executes or ends, and the kernel lets go of it */
	uint32_t begun; /* the child has taken it */
	uint32_t kept;	/* another process answers for the parent, which goes on */
	uint32_t answers; /* that process's id, as a robust futex: FUTEX_OWNER_DIED once it has ended */
	uint32_t executing; /* the child is in an exec */
	uint32_t told;	    /* enum lean_told: to become an ordinary child */
	uint32_t leaves;    /* it does, or is in an exec: it must not be told any more */
	uint32_t ended;	    /* enum spork_reason: it became an ordinary child */
	uint32_t request;   /* enum lean_request: a futex word */
	uint32_t question;  /* enum lean_question */
	uint64_t address, size;
	int64_t answer; /* bytes, or pages, or -errno */
	uint64_t pages; /* fetched so far */
	uint32_t touched;
	struct memory_range touch[LEAN_TOUCHED]; /* what was fetched, the first of it */
	/* LEAN_DATA: the memory; LEAN_PRESENT: a byte for each page, not zero if the parent has one */
	uint8_t bytes[LEAN_BYTES] __attribute__((aligned(4096)));
};

/* One child's, in memory that every child has a copy of. The child's copy is the child's to change. */
struct lean {
	struct lean *next;
	long user;  /* the process that uses it */
	long owner; /* the one whose `share` is nobody else's but its child's */
	struct lean_share *share;
	long parent; /* of the child: its process id */
	long reads; /* whose memory the child reads: the thread that forks, which outlives the main thread */
	uintptr_t stack;	/* the caller's stack pointer */
	uintptr_t batches;	/* in all ranges */
	uintptr_t batch;	/* a power of two */
	uintptr_t run_end, run; /* the end of what was fetched last, and how much that was */
	const void *site;	/* that its children are of */
	uint32_t needs;
	struct memory_range need[LEAN_NEEDS]; /* that is not to be left out */
	uint32_t ranges;
	struct lean_range range[LEAN_PIECES];
	uint64_t layout;	   /* where all mappings were that might be marked */
	sys_sigset mask;	   /* of the thread that forks */
	bool marked;		   /* its mappings are, and no other thread may fork */
	enum spork_reason refused; /* why they are not */
	sys_sigset caught;	   /* signals with a handler of the program's */
	bool asks;		   /* the child may not read its parent's memory itself */
	bool apart; /* nor see it live: a pid namespace of the child's own, made past the hooks */
	uint8_t present[LEAN_BYTES];	     /* as in lean_share.bytes */
	uint64_t fetched[LEAN_BATCHES / 64]; /* bits; zero but in a lean child */
	uint8_t keeper_stack[16 << 10] __attribute__((aligned(64)));
	uint8_t signal_stack[LEAN_STACK];
};

static inline uint32_t *lean_word(struct lean_share *share)
{
	return (uint32_t *)&share->held.__data.__lock;
}

/* The child whose mappings are left out is this process; or NULL. */
extern struct lean *lean_self __attribute__((visibility("hidden")));

/* lean.c: those of this process and of its parents; only added to. */
extern struct lean *lean_records __attribute__((visibility("hidden")));

/* lean_map.c: fills in the ranges, and marks them for the kernel; takes the marks away. No other thread forks meanwhile. */
enum spork_reason lean_mark(struct lean *lean);
void lean_unmark(const struct lean *lean);

/* lean_serve.c: answers the child's question, from the calling process's memory. */
void lean_answer(struct lean_share *share);

/* The child has executed or ended, or never began. */
bool lean_is_over(struct lean_share *share, long pid);

/* Waits until that may be so, or the child asks; for `ns` at most. All signals are blocked. */
void lean_wait(struct lean_share *share, uint64_t ns);

/* lean_hold.c, in a forked child: nobody is held there. */
void lean_hold_after_fork(void);

/* lean_need.c: what children of the site needed, into the record; and what one of them did. In the parent. */
void lean_need_read(const void *site, struct lean *lean);
void lean_need_note(const void *site, const struct lean_share *share);
void lean_need_after_fork(void);

/* lean_keeper.c: makes the process that answers from now on, with the memory as it is. The share is its then. */
bool lean_keep(struct lean *lean);

/* Can it, for this process? */
bool lean_keeps(void);

/* lean_fetch.c: is the address in what was left out, fetched or not? The piece, or NULL. */
struct lean_range *lean_find(uintptr_t address);

/* Sees to it that what is left out of a stretch is there. */
void lean_touch(uintptr_t low, size_t size);

/* Does any of it lie there? */
bool lean_touches(uintptr_t low, uintptr_t high);

/* Before a stretch is mapped otherwise, and after. False: too many pieces. */
bool lean_can_cut(uintptr_t low, uintptr_t high);
void lean_cut(uintptr_t low, uintptr_t high);

/* Fetches what is left of a stretch, as ordinary memory. False: too many pieces, or no memory. */
bool lean_settle(uintptr_t low, uintptr_t high);

/* All that is left, of all: then nothing is left out any more. */
void lean_settle_all(void);

/* A fault at this address: true if it was for something to fetch, which is there now. */
bool lean_fetch(uintptr_t address);

/* In the child, first: takes the place of what was left out. */
void lean_fetch_begin(struct lean *lean);

/* Nothing else can be done for a child whose memory cannot be had: its parent was killed, or there is no room for it. */
void lean_die(void) __attribute__((noreturn));

/*
 * lean_child.c: ends the tier in a signal handler of the shim's: all is fetched, and when the handler returns the process is an
 * ordinary one.
 */
void lean_finish(enum spork_reason reason, void *context);

/*
 * The parent tells nothing from here on: its signal would find another program, or none of the shim's handlers. False: it
 * has told the child, and the signal has come.
 */
bool lean_leaves(void);

/* Around what the two handlers do; the context is theirs. What the parent tells meanwhile is done at the end. */
void lean_handler_begin(void);
void lean_handler_end(void *context);

/* Is this signal the parent's, which tells the child to become an ordinary one? Then it does, or will. */
bool lean_on_told(const siginfo_t *info, void *context);

/* In the child, first of all. */
void lean_begin(struct lean *lean);

/* The handlers: of SIGSEGV, lean_child.c, and SIGSYS, lean_call.c. */
void lean_on_fault(int signal, siginfo_t *info, void *context);
void lean_on_call(int signal, siginfo_t *info, void *context);

/*
 * A fault or a signal that is the program's: it has to be an ordinary process for it. A fault repeats itself, what was
 * sent is sent again.
 */
void lean_foreign(int signal, siginfo_t *info, void *context);

/* A signal that came to the calling thread, to it again. */
void lean_send_again(int signal, siginfo_t *info);

/*
 * lean_signal.c. glibc itself looks at much in the child before anybody else can, most where there are threads: the handler
 * of SIGSEGV is there while it forks, and tells a fault of the child's from one of another thread of the parent's.
 */
void lean_early_begin(struct lean *lean);
void lean_early_end(void);

/* In the child: the two signals are the shim's, and the program's again; the context is that of the handler that ends the tier. */
void lean_signal_begin(void);
void lean_signal_end(void *context);

/* lean_call.c: system calls come to the shim, and do so no longer. */
void lean_dispatch_begin(void);
void lean_dispatch_end(void);

/* For calls of the program's that ask for or set signals: what the program is to see. Results as the kernel's. */
long lean_signal_action(int signal, uintptr_t action, uintptr_t old, size_t size);
long lean_signal_mask(int how, uintptr_t set, uintptr_t old, size_t size, void *context);
long lean_signal_stack(uintptr_t stack, uintptr_t old, uintptr_t pointer);

/* A handler returns by the frame at this address: it may be one that ran when the child was made. */
void lean_signal_return(uintptr_t frame);

/* Around an exec: mask and actions are as the program believes; and were not after all. */
void lean_signal_exec(void *context);
void lean_signal_exec_failed(void);

/* lean_argument.c: copies between the program's memory and the shim's. False: the program has given a bad address. */
bool lean_peek(void *to, uintptr_t from, size_t size);
bool lean_poke(uintptr_t to, const void *from, size_t size);

/*
 * Sees to it that all that the kernel reads or writes for a system call is there. False: lean_call.def does not know the
 * call.
 */
bool lean_touch_arguments(long number, const uintptr_t *argument);

/* The same for what a program is executed with. */
void lean_touch_program(uintptr_t path, uintptr_t argv, uintptr_t envp);

/* Does the path name a file of /proc that shows a process's mappings, or what is in them? */
bool lean_is_view(uintptr_t path);

/* entry_ARCH.S: returns from a signal handler; makes a system call and returns to the word at the stack pointer. */
void lean_restorer(void);
void lean_issue(void);

#endif
