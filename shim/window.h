/* SPDX-License-Identifier: MIT */
/*
 * The spawn window: the stretch of a child's life between fork() or vfork() returning 0 and its exec or
 * exit.
 */
#ifndef SPORK_WINDOW_H
#define SPORK_WINDOW_H

/*
 * Offsets into struct window that the assembler uses: the registers that a spawn entry saved, then the
 * system call that makes the child. Checked against the C layout in window.c.
 */
#define WINDOW_REGISTERS 0
#define WINDOW_NUMBER 32
#define WINDOW_ARGUMENT 40

#ifndef __ASSEMBLER__

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

#include "box.h"
#include "clone.h"
#include "signal_window.h"
#include "sys.h"
#include "thread.h"
#include "undo.h"
#include "unwind.h"
#include "vfork_window.h"

/* What the caller of fork() needs to go on and would lose, in the assembler's order. */
struct entry_registers {
	uintptr_t saved; /* the register that keeps the window meanwhile: r12, x19 */
	uintptr_t stack; /* stack pointer after the call has returned */
	uintptr_t pc;	 /* return address */
	uintptr_t frame_pointer;
};

/* Descriptors that a window keeps for itself lie from here on, where a child is unlikely to have a use for one. */
#define WINDOW_DESCRIPTOR 512

/* The flags of an open file description as a child found them; `fd` is the window's own. */
struct window_flags {
	int fd, flags;
};

enum window_kind {
	WINDOW_WATCH,  /* none: the thread's calls are looked at; unsafe.h */
	WINDOW_AUDIT,  /* a real fork that is being audited; the record is the child's alone */
	WINDOW_VFORK,  /* shares memory; opened by the program's own vfork(): vfork.h */
	WINDOW_PASSED, /* the same, let through: nothing is done in it */
	WINDOW_SHARED, /* shares memory; the program called fork() */
	WINDOW_BARE,   /* a process of its own, made without atfork handlers: bypass.h */
	WINDOW_TRIAL, /* a real fork that is watched up to exec; the record is the child's alone: lean_site.h */
	WINDOW_LEAN, /* a process of its own, much of whose memory is still its parent's: lean.h */
	WINDOW_AVFORK, /* shares memory with a parent that runs on: avfork.c */
};

/*
 * One open window. Lives in the shim's own memory, which a child at a shared tier writes and its parent
 * reads after it resumed; never on a stack.
 */
struct window {
	struct entry_registers registers;
	/* The system call that makes the child: clone(flags) or clone3(&clone, size). */
	uint64_t number;
	uint64_t argument[2];
	struct clone_arguments clone;
	enum window_kind kind;
	uint32_t call;	      /* enum spork_call */
	struct window *outer; /* the window this one was opened in, or the next free record */
	struct box_site *site;
	uint64_t opened_ns;
	bool environ_held; /* by it alone: see environ.h */
	int cancel_state;  /* of the calling thread, while the window is open */

	uint64_t shape; /* of the caller's frames, and their extent: see struct site_visit */
	size_t extent;
	uint32_t version;   /* of the site, before its writes were saved */
	uint64_t last_call; /* of the child: see automaton.c */

	/* What the child has of its own, though the memory is its parent's. */
	bool busy;		/* inside the shim: hooks do nothing */
	uint64_t core_limit[2]; /* RLIMIT_CORE as it was */
	bool core_restored;
	uint32_t flags_count;
	struct window_flags flags[8];
	int timer; /* that ends it when it takes too long */
	struct signal_window signal;

	/* What the child leaves for its parent. */
	uint32_t upgrade;   /* enum spork_reason: it gave way to a real fork, which starts over */
	sys_sigset pending; /* signals that waited for it then */
	uintptr_t returned; /* stack below this belonged to frames that returned; see undo.h */
	uint64_t limit_ns;  /* it is ended when it takes longer */

	/* WINDOW_AUDIT */
	int32_t twin_pid;
	bool others;				   /* the parent has other threads */
	uint64_t audit_ns;			   /* when the twin was there */
	uint32_t transition[BOX_SITE_TRANSITIONS]; /* that its calls made, as in struct box_site */
	bool transitions_lost;

	struct vfork_window vfork;

	/* Not cleared when a window opens. */
	struct vfork_stack vfork_stack;
	struct undo undo;
};

/* Does the process have its memory for itself? An audited child has, for all that it is in a window. */
static inline bool window_memory_is_own(void)
{
	const struct window *window = thread_window_open();

	return !window || window->kind == WINDOW_AUDIT || window->kind == WINDOW_TRIAL ||
	       window->kind == WINDOW_BARE || window->kind == WINDOW_LEAN;
}

/* What a spawn entry does next: `window` NULL: return `result`; else clone with its flags. */
struct window_opening {
	long result;
	struct window *window;
};

/*
 * Called by the spawn entries with the caller's registers. Chooses the tier; makes real forks itself.
 * May return twice, in two processes.
 */
struct window_opening window_open(const struct entry_registers *registers, uint32_t call);

/*
 * Called by the spawn entries in the parent when the clone of a window has returned `pid` or
 * -errno, on the caller's own stack below its frame. Undoes what the child did, finds out what became
 * of it, frees the window. The result is what fork() returns.
 */
long window_close(struct window *window, long pid);

/* The first thing that a child at a shared tier does: called by the spawn entries. */
void window_enter(struct window *window);

/*
 * In a child that shares its parent's memory and is about to do what it must not: ends it, before any
 * effect that could be seen from outside. Its parent puts back what it wrote and makes a real fork, which
 * starts over from the return of fork().
 */
void window_upgrade(struct window *window, enum spork_reason reason) __attribute__((noreturn));

/* The calling process is a real child of a fork, however it was made: forget what the parent's threads did. */
void window_after_fork(const struct walk_start *from, const struct box_site *site);

/* In a forked child nobody is taking one. */
void window_pool_after_fork(void);

/* Opens the shim's own locks in a forked child: no other thread is inside. */
void window_locks_after_fork(void);

/* The hooks of exec: `window` is open; the program image is about to be replaced. */
void window_exec_begin(struct window *window);
/* It was not: errno tells why. A shared child ends here. errno is kept. */
void window_exec_failed(struct window *window);

/* The calling process is a child that was made by `call` without handlers; no window is open in it. */
void window_open_bare(uint32_t call);

/* The calling process is a lean child no longer. */
void window_close_lean(void);

/* thread_window() where signals are not blocked. */
void window_set(struct window *window);

/* What a call returns to, with its caller's stack. */
struct walk_start window_from(const struct entry_registers *registers);

/* How much of the calling thread's stack to save: all of it, up to a cap. BOX_REASON_NONE, or why it cannot. */
enum spork_reason window_stack_size(struct thread *self, uintptr_t stack, size_t *size);

/* A fresh record: the calling thread's spare one, or another. NULL: there is no memory. */
struct window *window_take(struct thread *self);

/* Gives a closed window's record back. */
void window_give(struct window *window);

/* Closes the calling thread's window in a process of its own, and gives the record back. */
void window_drop(struct window *window);

/* Sees to it that the calling thread's next window needs no memory. */
void window_reserve(void);

/* Counts a spawn that returned; errno is kept. */
struct spawn_record {
	uint32_t call, tier, reason;
	uint64_t shape; /* see struct site_visit */
	size_t extent;
	struct box_site *site;
	uint64_t start_ns;
	long pid; /* or -1 with errno */
	bool upgraded;
};
void window_record(const struct spawn_record *spawn);

#endif
#endif
