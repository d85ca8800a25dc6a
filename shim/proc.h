/* SPDX-License-Identifier: MIT */
/*
 * Reading /proc/PID/maps line by line, without allocation.
 */
#ifndef SPORK_PROC_H
#define SPORK_PROC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sys.h"

struct proc_map {
	uintptr_t start, end;
	bool readable, writable, executable, private;
	bool stack;	/* the main thread's */
	bool heap;	/* what brk() has given */
	bool anonymous; /* of no file, and nothing of the kernel's but the heap */
};

struct proc_maps {
	long fd;
	size_t size, at;
	char bytes[4096];
};

/* Opens the maps of a process; `pid` zero: of the caller. 0 or -errno. Close it with proc_maps_close(). */
int proc_maps_open(struct proc_maps *maps, uint32_t pid);

/* The next mapping; false at the end, or when the text makes no sense. */
bool proc_maps_next(struct proc_maps *maps, struct proc_map *map);

void proc_maps_close(struct proc_maps *maps);

/* Bits of the words of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst). */
#define PROC_PAGE_PRESENT (1ULL << 63)
#define PROC_PAGE_SWAPPED (1ULL << 62)
#define PROC_PAGE_FILE (1ULL << 61)
#define PROC_PAGE_EXCLUSIVE (1ULL << 56)

/* Is this address of the calling process in memory that no other process shares? */
bool proc_private(uintptr_t address);

/* Pages that the process has mapped, that it has in memory, and those of them that belong to files. False: unknown. */
struct proc_size {
	uint64_t mapped, resident, shared;
};
bool proc_size(struct proc_size *size);

/* Value of a "Name:\t123" line of /proc/self/status; -errno when it cannot be read. */
long proc_status(const char *name);

/*
 * The system call that a process is in: its number and its arguments, `count` in all. A running one is in none,
 * which reads as number -1. False: it cannot be read.
 */
bool proc_syscall(uint32_t pid, uint64_t *number, unsigned count);

/* The state of a process as proc(5) has it: R, S, D, T, ...; zero: unknown. */
char proc_state(uint32_t pid);

/*
 * How long a process has run, and how long it has waited for its turn to: what is left of its life it slept. Of a process of
 * one thread; `pid` zero: of the caller. False: unknown, and both are zero.
 */
struct proc_turns {
	uint64_t ran_ns, waited_ns;
};
bool proc_turns(uint32_t pid, struct proc_turns *turns);

/* The kernel's flags of a process (PF_...). False: they cannot be read. */
bool proc_flags(uint32_t pid, uint64_t *flags);

/* The signal that tells its parent of its end; zero: none does. False: it cannot be read. */
bool proc_exit_signal(uint32_t pid, uint64_t *signal);

/* Name of a thread of another process; empty when it is gone. */
void proc_thread_name(uint32_t pid, uint32_t tid, char name[16]);

#endif
