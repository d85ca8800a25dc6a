/* SPDX-License-Identifier: MIT */
/*
 * What the shim shows of a process to who looks at its memory from outside: `spork inspect`. Shared with the tools.
 *
 * It lies in the shim's own initialised data, on a multiple of EXPOSED_ALIGN, and is found by its magic. Addresses are
 * those of the process, where whoever reads them finds what stands beside them as it is at that moment: threads go on
 * meanwhile, so that nothing is to be trusted, lists need not end, and an entry may be half written.
 *
 * Any change of layout, of an enumeration's order or of a meaning bumps SPORK_EXPOSED_VERSION.
 */
#ifndef SPORK_EXPOSED_H
#define SPORK_EXPOSED_H

#include <stdint.h>

#define SPORK_EXPOSED_MAGIC                                                                        \
	0x58454b524f5053ULL /* "SPORKEX", little endian; zero until all else is there */
#define SPORK_EXPOSED_VERSION 2
#define EXPOSED_ALIGN 64

enum held_kind {
	HELD_MUTEX, /* pthread_mutex_t, mtx_t */
	HELD_READ,  /* pthread_rwlock_t */
	HELD_WRITE,
	HELD_SPIN,
	HELD_SEM,
	HELD_FILE,   /* flockfile: fork opens these in the child (glibc's fresetlockfiles) */
	HELD_HIDDEN, /* `lock` is a struct hidden_function: see hidden.h */
};

enum held_flag {
	HELD_TAKEN = 1,	  /* the call that asked for it came back with it */
	HELD_WAITING = 2, /* given back for a while, inside pthread_cond_wait */
};

struct held {
	void *lock; /* NULL: free, though below the count */
	uintptr_t where, stack;
	uint32_t frame;	  /* these three: struct held_caller */
	uint8_t kind;	  /* enum held_kind */
	uint8_t flags;	  /* enum held_flag */
	uint16_t handler; /* the prepare handler that took it: its place in the order, plus one */
};

/* The frame pointer of the caller, of which `frame` is the low half. */
static inline uintptr_t held_frame_pointer(const struct held *held)
{
	return held->stack + (uintptr_t)(intptr_t)(int32_t)(held->frame - (uint32_t)held->stack);
}

enum origin_use {
	ORIGIN_UNKNOWN, /* a semaphore that was not seen in use */
	ORIGIN_LOCK,	/* posted by those who waited for it */
	ORIGIN_SIGNAL,	/* posted by others, or by those who wait: nobody holds it */
};

/* Where a lock was initialised. */
struct origin {
	uintptr_t lock;	 /* zero: never used; ORIGIN_FREED: free again */
	uint64_t detail; /* return address, and enum origin_use above ORIGIN_USE_SHIFT */
};

#define ORIGIN_FREED 1
#define ORIGIN_USE_SHIFT 60

/*
 * What the record of a process's first thread had for its id when pthread_create() was called for the first time: in a
 * forked child that of the parent's thread, which the locks that it held at the fork have noted. In a process of another
 * id it is the parent's, and does not count: there that record still has it.
 */
struct exposed_first {
	uint32_t pid, tid;
};

struct exposed {
	uint64_t magic;
	uint32_t version;
	uint32_t size;	     /* of this */
	uint64_t threads;    /* where the pointer to the first record is */
	uint64_t generation; /* where the uint32_t is that `used` of this process's threads equals */
	uint64_t first_thread; /* where the struct exposed_first is */
	uint64_t orphans;      /* where the pointer to the table is */
	uint64_t orphan_count;
	uint64_t orphan_pending; /* where the generation is of threads whose locks are still to get there */
	uint64_t origins; /* where the pointer to the table is; its slots are in no order */
	uint64_t origin_slots;
	uint64_t functions; /* of hidden.def, in that order: an entry of HELD_HIDDEN has the address of one */
	uint32_t function_size;

	/* Offsets in a thread's record. `held` points to `held_count` entries. */
	struct {
		uint16_t size, used, tid, held, held_count, ended, name, next;
	} thread;
	/* Offsets in an orphan, which begins with its entry; of a hidden lock, `handler` is its function. */
	struct {
		uint16_t size, holder, ended, gone;
	} orphan;
};

/* The shim's own: all of it is known. */
void exposed_init(void);

#endif
