/* SPDX-License-Identifier: MIT */
/*
 * The flight recorder's format: the one header that the shim and the tools share.
 *
 * A box is one mapping, MAP_SHARED: a header, an index, then tables of fixed-size records. Every process of a
 * session maps the same box, and any of them may die at any instruction. So:
 *  - a record is reserved by adding one to its table's `used`; past `capacity` it is dropped, and the
 *    excess of `used` over `capacity` is the count of what was dropped;
 *  - `ready` is the first word of every record and is stored last (release); a record whose `ready` is
 *    zero was never finished;
 *  - counters in the header are exact even where records were dropped;
 *  - times are CLOCK_MONOTONIC nanoseconds unless said otherwise;
 *  - an index into another table is stored plus one, so that zero means "none".
 * The reader trusts nothing in it: neither offsets, nor counts, nor that strings end.
 *
 * Any change of layout, of an enumeration's order or of a meaning bumps SPORK_BOX_VERSION. Names are
 * appended to the lists below, never reordered.
 */
#ifndef SPORK_BOX_H
#define SPORK_BOX_H

#include <stdint.h>

#define SPORK_BOX_MAGIC 0x584f424b524f5053ULL	  /* "SPORKBOX", little endian */
#define SPORK_PROFILE_MAGIC 0x464f52504b525053ULL /* "SPRKPROF": only modules and sites */
#define SPORK_BOX_VERSION 11

/* Which function made the process, by the name that users know. */
#define SPORK_CALLS(X)                                                                             \
	X(FORK, "fork")                                                                            \
	X(BARE_FORK, "_Fork")                                                                      \
	X(VFORK, "vfork")                                                                          \
	X(CLONE, "clone")                                                                          \
	X(POSIX_SPAWN, "posix_spawn")                                                              \
	X(POSIX_SPAWNP, "posix_spawnp")                                                            \
	X(PIDFD_SPAWN, "pidfd_spawn")                                                              \
	X(PIDFD_SPAWNP, "pidfd_spawnp")                                                            \
	X(SYSTEM, "system")                                                                        \
	X(POPEN, "popen")                                                                          \
	X(WORDEXP, "wordexp")                                                                      \
	X(DAEMON, "daemon")                                                                        \
	X(FORKPTY, "forkpty")                                                                      \
	X(SYSCALL, "syscall")                                                                      \
	X(AVFORK, "avfork")                                                                        \
	X(AVFORK_POPEN, "avfork_popen")                                                            \
	X(AVFORK_SUBMIT, "avfork_submit")

/* How the child got its memory. `spawn`: glibc's own shared-memory spawn. */
#define SPORK_TIERS(X)                                                                             \
	X(FORK, "fork")                                                                            \
	X(VFORK, "vfork")                                                                          \
	X(LEAN, "lean")                                                                            \
	X(SPAWN, "spawn")

#define SPORK_SITE_STATES(X)                                                                       \
	X(LEARNING, "learning")                                                                    \
	X(PROMOTED, "promoted")                                                                    \
	X(REFUSED, "refused")                                                                      \
	X(DEMOTED, "demoted")

/* Why a site is not promoted, or why one spawn did not take the fast tier: X(id, name, text). */
#define SPORK_REASONS(X)                                                                           \
	X(NONE, "none", "")                                                                        \
	X(LEARNING, "learning", "too few clean audited forks yet")                                 \
	X(REROUTE_OFF, "reroute-off", "rerouting is switched off, or may not share memory")        \
	X(REAUDIT, "reaudit", "a promoted site is audited again from time to time")                \
	X(NO_EXEC, "no-exec", "a child ended, or went on, without exec")                           \
	X(DEADLINE, "deadline", "a child took too long to reach exec")                             \
	X(HEAP, "heap", "a child uses the heap before exec")                                       \
	X(STDIO, "stdio", "a child uses stdio before exec")                                        \
	X(LOCK, "lock", "a child takes locks before exec")                                         \
	X(THREAD, "thread", "a child uses threads before exec")                                    \
	X(BLOCKS, "blocks", "a child makes a call before exec that may wait for somebody")         \
	X(PRIVILEGE, "privilege", "a child changes its credentials before exec")                   \
	X(MAPS, "maps", "a child changes its memory map before exec")                              \
	X(SPAWN, "nested-spawn", "a child makes a process of its own before exec")                 \
	X(EXIT, "exit", "a child runs exit handlers instead of exec")                              \
	X(SIGNAL, "signal", "a child sends a signal before exec")                                  \
	X(LOADER, "loader", "a child loads or looks up libraries before exec")                     \
	X(NAMESPACE, "namespace", "the process changed its pid namespace")                         \
	X(SYSCALL, "syscall", "a child makes a raw system call that may not share memory")         \
	X(WRITES_HEAP, "writes-heap", "a child writes memory that belongs to no known object")     \
	X(WRITES_STATIC, "writes-static", "a child writes static data while other threads run")    \
	X(WRITES_MANY, "writes-many", "a child writes more ranges than can be undone")             \
	X(WRITES_STACK, "writes-stack", "a child writes further up the stack than can be undone")  \
	X(UNKNOWN_STACK, "unknown-stack",                                                          \
	  "the caller runs on another stack than its thread's, or has a large signal stack")       \
	X(SHADOW_STACK, "shadow-stack", "a hardware shadow stack is active")                       \
	X(TRACED, "traced", "the process is traced")                                               \
	X(IN_CHILD, "in-child", "the caller is itself a child that shares memory")                 \
	X(NO_PROC, "no-proc", "/proc could not be read")                                           \
	X(NO_TWIN, "no-twin", "the process to compare with could not be made or read")             \
	X(NO_MEMORY, "no-memory", "no memory for the window's state")                              \
	X(CLONE_FAILED, "clone-failed", "the kernel refused a child that shares memory")           \
	X(TABLE_FULL, "table-full", "the site table is full")                                      \
	X(LEAK, "leak", "a re-audit found a write outside the learned set")                        \
	X(EXEC_FAILED, "exec-failed", "exec failed")                                               \
	X(EFFECT, "effect", "a child does something before exec that cannot be done twice")        \
	X(LIBC, "libc", "a child uses a part of libc that keeps state under a lock")               \
	X(SECCOMP, "seccomp", "a seccomp filter may end the process for what the shim calls")      \
	X(FAULT, "fault", "a child was ended by a fault")                                          \
	X(SUBREAPER, "subreaper", "the process adopts orphans, and would adopt the audit's")       \
	X(KERNEL, "kernel", "the kernel is older than 5.16")                                       \
	X(FRAMES, "frames", "the caller's frames are laid out otherwise than when learned")        \
	X(UNREADABLE, "unreadable-stack", "the call stack cannot be read far enough")              \
	X(ENVIRONMENT, "environment", "another thread kept the environment busy")                  \
	X(CALL, "unseen-call", "a child made a call that no audited child made at that point")     \
	X(NO_TIMER, "no-timer", "the child could not be given a deadline")                         \
	X(HANDLERS, "handlers", "the atfork handlers are not those of the last audit")             \
	X(ATFORK, "atfork", "an atfork handler changes what the executed program inherits")        \
	X(MODULE, "module-missing",                                                                \
	  "what children write lies in a library that is not loaded here")                         \
	X(CALLS_MANY, "calls-many", "children make their calls in too many orders")                \
	X(KNOWN, "known", "the program is known to share memory with vfork() children on purpose") \
	X(REQUEST, "unknown-request", "posix_spawn() is asked for something that is libc's alone") \
	X(LARGE, "large", "the process maps more than a terabyte, too much to be compared")        \
	X(VALGRIND, "valgrind",                                                                    \
	  "the process runs under valgrind, which makes a real fork of every vfork")               \
	X(NO_DISPATCH, "no-dispatch",                                                              \
	  "the kernel, or a sandbox, lacks a system call that lean children need")                 \
	X(THREADS, "threads",                                                                      \
	  "other threads allocate by a malloc() that is not libc's, or has unusual heaps")         \
	X(GATE, "gate",                                                                            \
	  "other threads run, and the gate does not keep them from what a child has yet to fetch") \
	X(SMALL, "small", "the process has too little memory for it to pay to leave it out")       \
	X(MARKED, "marked", "the program has told the kernel itself what children inherit")        \
	X(PAGES, "pages", "children need too much of the memory that is left out")

enum spork_call {
#define X(id, name) BOX_CALL_##id,
	SPORK_CALLS(X) BOX_CALL_COUNT
};
#undef X

enum spork_tier {
#define X(id, name) BOX_TIER_##id,
	SPORK_TIERS(X) BOX_TIER_COUNT
};
#undef X

enum spork_site_state {
#define X(id, name) BOX_SITE_##id,
	SPORK_SITE_STATES(X) BOX_SITE_STATE_COUNT
};
#undef X

enum spork_reason {
#define X(id, name, text) BOX_REASON_##id,
	SPORK_REASONS(X) BOX_REASON_COUNT
};
#undef X

enum spork_violation {
#define VIOLATION(id, name, severity, when) BOX_VIOLATION_##id,
#include "violation.def"
#undef VIOLATION
	BOX_VIOLATION_COUNT
};

enum spork_severity { BOX_SEVERITY_NOTE, BOX_SEVERITY_WARNING, BOX_SEVERITY_ERROR };

enum spork_lock_type {
	BOX_LOCK_NONE,
	BOX_LOCK_MUTEX,
	BOX_LOCK_RWLOCK,
	BOX_LOCK_SPIN,
	BOX_LOCK_SEM,
	BOX_LOCK_HIDDEN,
};

/* What a child got that was about to block on an orphan, after the report: on_orphan. */
enum spork_remedy { BOX_REMEDY_NONE, BOX_REMEDY_REPAIR, BOX_REMEDY_ABORT };

enum spork_phase { BOX_PHASE_NONE, BOX_PHASE_PREPARE, BOX_PHASE_PARENT, BOX_PHASE_CHILD };

enum spork_table {
	BOX_TABLE_PROCESS,
	BOX_TABLE_MODULE,
	BOX_TABLE_SITE,
	BOX_TABLE_VIOLATION,
	BOX_TABLE_EVENT,
	BOX_TABLE_GATE,
	BOX_TABLE_COUNT
};

/* Room for growth: counters are indexed by the enumerations above, which may be shorter. */
#define BOX_CALL_ROOM 24
#define BOX_TIER_ROOM 8
#define BOX_VIOLATION_ROOM 64
#define BOX_REASON_ROOM 64
#define BOX_HOOKS 1024

#define BOX_SITE_FRAMES 4
#define BOX_SITE_WRITES 16
#define BOX_SITE_WRITTEN (64U << 10) /* bytes of all of them together */
#define BOX_SITE_STACK 16
#define BOX_SITE_TRANSITIONS 128
#define SITE_SHAPE_VARIES 1
#define BOX_STACK_FRAMES 16
#define BOX_NAME 16

/*
 * Latency histogram: bucket b holds durations of [(4 + b%4) << (b/4), next) quarter-octaves of
 * 64 ns units; see box_bucket() and box_bucket_ns().
 */
#define BOX_BUCKETS 128

struct box_table {
	uint64_t offset; /* of the first record, from the start of the box */
	uint32_t stride; /* bytes a record */
	uint32_t capacity;
	uint32_t used; /* reserved so far; may pass capacity */
	uint32_t pad;
};

struct box_header {
	uint64_t magic;
	uint32_t version;
	uint32_t header_size;
	uint64_t size;		  /* of the whole box, bytes */
	uint64_t created_ns;	  /* CLOCK_REALTIME */
	uint64_t created_mono_ns; /* CLOCK_MONOTONIC */
	uint32_t creator_pid;
	uint32_t doorbell; /* futex word (shared): goes up by one with each violation record */
	uint64_t upgrades;
	uint64_t audits;    /* forks that were audited */
	uint64_t audit_ns;  /* time that audited children spent on it, from first to last */
	uint64_t fallbacks; /* spawns at a promoted site that took a real fork after all */
	uint64_t changes;   /* of what is known of sites; those that the profile has */
	uint64_t saved;
	uint64_t saved_ns;   /* when, on CLOCK_MONOTONIC */
	uint64_t locks_lost; /* locks that no table had room for */
	uint64_t gate_forks; /* forks that closed the gate */
	uint64_t gate_waits; /* and had to wait, and how long */
	uint64_t gate_wait_ns;
	uint64_t gate_limits;		 /* and went on, at the limit, while locks were held */
	uint64_t wanted[BOX_HOOKS / 64]; /* bits of functions that some process looked up: real.c */
	uint32_t profile;		 /* how it stands with it: profile.c */
	uint32_t gate_barred; /* forks that a sandbox, or the kernel, kept from closing the gate */
	uint64_t build; /* a profile's: of the shim and libc; and a hash of all else in the file */
	uint64_t checksum;
	struct box_table table[BOX_TABLE_COUNT];
	uint64_t spawns[BOX_CALL_ROOM][BOX_TIER_ROOM];
	uint64_t spawn_ns[BOX_CALL_ROOM];	 /* time that callers spent in the call */
	uint64_t violations[BOX_VIOLATION_ROOM]; /* each occurrence, printed or not */
	uint64_t by_libc[BOX_REASON_ROOM]; /* calls of posix_spawn and its kin that were left to libc */
};

#define BOX_HEADER_SIZE 8192

/*
 * Behind the header of a box, and of no use to its readers: how processes find a violation's record again. Both
 * are open addressing; a slot is a hash, with the record's index plus one in its low bits, and zero is free.
 */
#define BOX_INDEX_BITS 11
#define BOX_INDEX_MASK ((1U << BOX_INDEX_BITS) - 1)
#define BOX_INDEX_SLOTS 2048
#define BOX_AGAIN_SLOTS 8192

struct box_index {
	uint32_t violation[BOX_INDEX_SLOTS]; /* by box_violation.hash */
	uint64_t again[BOX_AGAIN_SLOTS];     /* a cache, by what record_recall() is asked for */
};

#define BOX_TABLES_OFFSET (BOX_HEADER_SIZE + 73728) /* of the first table of a box */

/* A code or data address. Zero `module`: unknown; then only `addr` means anything. */
struct box_frame {
	uint64_t addr;	 /* as it was in the process */
	uint64_t offset; /* address in the module's own (link-time) numbering */
	uint32_t module; /* index + 1 */
	uint32_t pad;
};

struct box_module {
	uint32_t ready;
	uint32_t build_id_size;
	uint64_t key; /* hash of build-id, or of path where there is none */
	uint8_t build_id[32];
	char path[464]; /* zero-terminated unless hostile */
};

struct box_process {
	uint32_t ready;
	uint32_t pid;
	uint32_t ppid;
	uint32_t exe; /* module index + 1 */
	uint64_t start_ns;
	char comm[BOX_NAME];
	uint64_t passive; /* of a program with a sanitizer: the shim only called libc */
	uint64_t pad[2];
};

/*
 * A range that children at a site write; of no size: somewhere in its page, without changing it. Where
 * `module` is zero it lies in thread-local storage, and `offset` counts from the thread pointer (signed).
 */
struct box_write {
	uint64_t offset;
	uint32_t size;
	uint32_t module; /* index + 1 */
};

struct box_site {
	uint32_t ready;
	uint32_t state;	 /* enum spork_site_state */
	uint32_t reason; /* enum spork_reason: why it is not promoted */
	uint32_t call;	 /* enum spork_call */
	uint64_t key;	 /* of call and frames; equal in every process that runs the same files */
	uint32_t frames; /* in use */
	uint32_t clean;	 /* audits without a finding, in a row */
	struct box_frame frame[BOX_SITE_FRAMES]; /* innermost first */
	uint64_t audit_since;			 /* an audit runs since then; zero: none */
	struct box_frame
		finding;   /* what refused it: the return address of a call, or what was written */
	char function[32]; /* that was called; empty: none */
	uint64_t handlers; /* of atfork's child phase when last audited: atfork_key() */
	uint64_t shape; /* distances of the frames when audited; SITE_SHAPE_VARIES: they differed */
	uint64_t spawns;
	uint64_t by_tier[BOX_TIER_ROOM];
	uint64_t upgrades;
	uint64_t audits;
	uint64_t fallbacks; /* spawns after the promotion that took a real fork all the same */
	uint32_t fallback_reason; /* of the last one; enum spork_reason */
	uint32_t environment;	  /* children replace environ */
	uint32_t silent;	  /* children write static data without changing it */
	uint32_t audit_pid;	  /* the child that is being audited */
	uint32_t writes;	  /* in use */
	uint32_t stack_writes;	  /* in use */
	uint32_t returned; /* bytes from the caller's stack pointer of frames that return in children */
	uint32_t strikes;      /* upgrades that taught nothing */
	uint32_t phase;	       /* added to `spawns` to tell when a re-audit is due */
	uint32_t got;	       /* children bind functions for the first time */
	uint32_t version;      /* of what windows put back: see automaton_knows() */
	uint32_t lean_reason;  /* why its children are not lean; enum spork_reason */
	uint32_t lean_seen;    /* children that executed soon */
	uint32_t lean_strikes; /* those that did not, or fetched too much */
	uint32_t lean_fallback; /* why the last one was not that could have been; enum spork_reason */
	uint64_t lean_pages;	/* that lean children have fetched, all together */
	uint64_t lean_again;	/* BOX_REASON_DEADLINE: up to so many spawns */
	uint32_t lean_late;	/* how often that was so */
	uint32_t lean_kept;	/* children in a row that other threads could not wait for */
	struct box_write write[BOX_SITE_WRITES];
	struct {
		uint32_t offset, size; /* from the caller's stack pointer up */
	} stack_write[BOX_SITE_STACK];
	uint32_t transition[BOX_SITE_TRANSITIONS]; /* hashes: see automaton.c; zero: free */
	uint32_t latency[BOX_BUCKETS];		   /* time that the caller spent in the call */
};

/* One lock of a lock-order violation. */
struct box_lock {
	uint32_t type; /* enum spork_lock_type */
	uint32_t pad;
	struct box_frame lock;	   /* its address */
	struct box_frame origin;   /* where it was initialised */
	struct box_frame acquired; /* where it was taken */
};

/* Of a lock-order violation, apart from the lock that the thread is about to take. */
struct box_order {
	uint32_t locks; /* in the cycle; zero: none */
	uint32_t stack_frames;
	struct box_lock held; /* by the thread; the other order takes it later */
	struct box_lock
		outer; /* held there; of two locks, the one that the thread is about to take */
	struct box_frame
		stack[BOX_STACK_FRAMES]; /* where `held` is asked for there, innermost first */
};

/* What a child wrote in its parent's frames. */
struct box_local {
	int64_t offset; /* from the end of its frame down: negative */
	uint32_t frame; /* which one, of the violation's `fork` */
	uint32_t known; /* is `offset`? */
};

struct box_violation {
	uint32_t ready;
	uint32_t kind; /* enum spork_violation */
	uint64_t hash; /* of what makes it distinct: kind, lock or call, stacks */
	uint64_t count;
	uint64_t time_ns;
	uint32_t pid, ppid, tid;
	uint32_t exe;		    /* module index + 1 */
	uint32_t lock_type;	    /* enum spork_lock_type */
	uint32_t holder_tid;	    /* zero: unknown */
	char holder_name[BOX_NAME]; /* thread name */
	uint32_t holder_ended;	    /* it had ended, and left the lock locked */
	uint32_t phase;		    /* enum spork_phase: of the atfork handler concerned */
	struct box_frame lock;	    /* the lock's own address */
	struct box_frame origin;    /* where the lock was initialised */
	struct box_frame handler;   /* the atfork handler concerned, or the signal handler */
	uint32_t acquired_frames;
	uint32_t remedy;			     /* enum spork_remedy */
	struct box_frame acquired[BOX_STACK_FRAMES]; /* where its holder took it, innermost first */
	uint32_t call; /* enum spork_call + 1 of the fork concerned; zero: none */
	uint32_t site; /* site index + 1 */
	uint32_t stack_frames, fork_frames;
	struct box_frame stack[BOX_STACK_FRAMES]; /* where it happened, innermost first */
	struct box_frame fork[BOX_STACK_FRAMES]; /* where the process was forked, innermost first */
	struct box_write leak;			 /* reroute-leak: what was written */
	char text[32]; /* name of a function or class where the kind has one */
	struct box_order order;
	/* A hidden lock: the functions that its holder was in, and that the child called. */
	char held_in[BOX_NAME + 8], asked_in[BOX_NAME + 8];
	struct box_local local; /* vfork-wrote-locals */
	uint32_t signal;	/* that the handler is for; zero: none */
	uint32_t suppressed;	/* by the shim's own suppressions */
};

/* One spawn, written by the parent when its call returns. */
struct box_event {
	uint32_t ready;
	uint16_t call; /* enum spork_call */
	uint16_t tier; /* enum spork_tier */
	uint32_t pid, tid;
	uint32_t child;	      /* pid; zero where the call does not tell, or failed */
	uint32_t site;	      /* index + 1 */
	uint64_t time_ns;     /* when the call began */
	uint64_t duration_ns; /* how long it held its caller */
	uint32_t reason;      /* why not the fast tier */
	uint32_t error;	      /* errno of a call that failed */
	uint32_t upgraded;    /* its window gave way to this real fork */
	uint32_t pad[3];
};

/* A place where locks are taken that ran into the limit of the gate. */
struct box_gate {
	uint32_t ready;
	uint32_t lock_type;	   /* enum spork_lock_type */
	uint32_t limits;	   /* how often */
	uint32_t given_up;	   /* the gate waits for it no longer */
	struct box_frame acquired; /* the place */
	struct box_frame lock;	   /* the first lock taken there that did */
};

/* So often in a row, and the gate waits no longer for what is taken there. */
#define BOX_GATE_LIMITS 3

#define BOX_CAPACITY_GATE 256
#define BOX_CAPACITY_PROCESS 16384
#define BOX_CAPACITY_MODULE 2048
#define BOX_CAPACITY_SITE 1024
#define BOX_CAPACITY_VIOLATION 1024
#define BOX_CAPACITY_EVENT_MOST 4194304 /* how many there are is an option: `events` */

/* Bucket of a duration; never out of range. */
static inline uint32_t box_bucket(uint64_t ns)
{
	uint64_t units = (ns >> 6) + 4;
	uint32_t octave = 61 - (uint32_t)__builtin_clzll(units);
	uint32_t bucket = octave * 4 + (uint32_t)((units >> octave) & 3);

	return bucket < BOX_BUCKETS ? bucket : BOX_BUCKETS - 1;
}

/* Lower bound of a bucket in nanoseconds. */
static inline uint64_t box_bucket_ns(uint32_t bucket)
{
	return (((4ULL + (bucket & 3)) << (bucket >> 2)) - 4) << 6;
}

_Static_assert(sizeof(struct box_header) <= BOX_HEADER_SIZE, "the header outgrew its pages");
_Static_assert(BOX_HEADER_SIZE + sizeof(struct box_index) <= BOX_TABLES_OFFSET, "box_index");
_Static_assert(BOX_CAPACITY_VIOLATION < BOX_INDEX_MASK, "box_index");
_Static_assert(sizeof(struct box_module) == 512, "box_module");
_Static_assert(sizeof(struct box_event) == 64, "box_event");

#endif
