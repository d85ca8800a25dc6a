/* SPDX-License-Identifier: MIT */
/*
 * The ground that the shim stands on: raw system calls, a spin lock, a hash.
 *
 * A raw call returns its value or -errno and touches neither errno nor a cancellation point, so it may
 * run before constructors, in a signal handler and in a child that shares its parent's memory.
 */
#ifndef SPORK_SYS_H
#define SPORK_SYS_H

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "arch.h"

#define EXPORT __attribute__((visibility("default")))
#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)
#define COUNT(array) (sizeof(array) / sizeof(*(array)))

#define SYS_6(n, a, b, c, d, e, f, ...)                                                            \
	sys_call(n, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
/* SYS(write, fd, text, size): a raw system call with up to six arguments. */
#define SYS(name, ...) SYS_6(SYS_##name, ##__VA_ARGS__, 0, 0, 0, 0, 0, 0)

static inline long sys_pid(void)
{
	return SYS(getpid);
}

/*
 * To one process: where a sandbox answers getpid(2) with EPERM, that very number would mean all processes to kill(2).
 */
static inline long sys_kill(long pid, int signal)
{
	return pid > 0 ? SYS(kill, pid, signal) : -ESRCH;
}

/* As dup2(2) of two that differ, by the system call that libc makes: a sandbox knows that one. */
static inline long sys_dup2(long from, long to)
{
#ifdef SYS_dup2
	return SYS(dup2, from, to);
#else
	return SYS(dup3, from, to, 0);
#endif
}

/* Bytes a page; at most ARCH_PAGE_MAX. */
static inline uintptr_t sys_page(void)
{
	return getauxval(AT_PAGESZ);
}

/*
 * As fstatat(2), past the hooks: in a window they would take it for a call of the child's. The kernel's struct
 * stat is libc's on these machines.
 */
static inline bool sys_stat(int folder, const char *path, int flags, struct stat *status)
{
	return !SYS(newfstatat, folder, path, status, flags);
}

/* What a clock shows, in nanoseconds, whatever time another preloaded library makes up. */
uint64_t sys_clock(clockid_t clock);

static inline uint64_t sys_now(void)
{
	return sys_clock(CLOCK_MONOTONIC);
}

/* The kernel's signal set: one word, libc's internal signals included. */
typedef uint64_t sys_sigset;
#define SYS_SIGNALS_ALL (~(sys_sigset)0)

/* libc's, which is larger. */
static inline sys_sigset sys_sigset_of(const sigset_t *set)
{
	return set->__val[0];
}

static inline sigset_t sys_sigset_to(sys_sigset set)
{
	return (sigset_t){ { set } };
}

/* Those that a lean child must let through, whatever it blocks: see lean_signal.c. Zero elsewhere. */
extern sys_sigset sys_unblockable __attribute__((visibility("hidden")));

static inline sys_sigset sys_sigmask(sys_sigset set)
{
	sys_sigset old = 0;

	set &= ~sys_unblockable;
	SYS(rt_sigprocmask, SIG_SETMASK, &set, &old, sizeof(set));
	return old;
}

/* The kernel's struct sigaction (asm-generic/signal.h): these machines have a restorer. */
struct sys_action {
	uintptr_t handler;
	unsigned long flags;
	uintptr_t restorer;
	sys_sigset mask;
};

/* Either may be NULL. Zero or -errno. */
static inline long sys_action(int signal, const struct sys_action *action, struct sys_action *old)
{
	return SYS(rt_sigaction, signal, action, old, sizeof(action->mask));
}

/* SIG_DFL or SIG_IGN. */
static inline void sys_action_set(int signal, sighandler_t disposition)
{
	const struct sys_action action = { .handler = (uintptr_t)disposition };

	sys_action(signal, &action, NULL);
}

/* Takes the lowest signal off a set; zero: it is empty. */
static inline int sys_signal_next(sys_sigset *set)
{
	int signal = __builtin_ffsll((long long)*set);

	*set &= *set - 1;
	return signal;
}

/*
 * A lock for the shim's own short critical sections. Signals are blocked while it is held, so that a
 * handler that forks cannot wait for the thread it interrupted. A forked child starts with every one of
 * them open: see window_locks_after_fork().
 */
struct spin {
	int taken;
	sys_sigset mask;
};

/*
 * What a forked child resets is mostly as it should be, and a store would make the kernel copy its page.
 */
#define RESET(word, value)                                                                         \
	do {                                                                                       \
		if (UNLIKELY((word) != (value)))                                                   \
			(word) = (value);                                                          \
	} while (0)

/* What each forked child looks at, and some of it writes, lies together: one page to copy. */
#define CHILD_STATE __attribute__((section("child_state")))

/*
 * What every process runs and writes at its start and end lies together: few pages to map, one to copy. The linker
 * puts the first before all other code, next to the tables that ld.so reads, and the second where it puts what is
 * initialised, in the page of the variables that ld.so clears in any case.
 */
#define START_TEXT __attribute__((section(".text.startup")))
#define START_STATE __attribute__((section(".data")))
#define START_STRING(string)                                                                       \
	({                                                                                         \
		static char start_string[] START_STATE = string;                                   \
		(const char *)start_string;                                                        \
	})

static inline void spin_reset(struct spin *spin)
{
	RESET(spin->taken, 0);
}

/* For callers that block signals themselves. */
static inline void spin_take(struct spin *spin)
{
	while (__atomic_exchange_n(&spin->taken, 1, __ATOMIC_ACQUIRE))
		SYS(sched_yield);
}

static inline void spin_give(struct spin *spin)
{
	__atomic_store_n(&spin->taken, 0, __ATOMIC_RELEASE);
}

static inline void spin_lock(struct spin *spin)
{
	sys_sigset mask = sys_sigmask(SYS_SIGNALS_ALL);

	spin_take(spin);
	spin->mask = mask;
}

static inline void spin_unlock(struct spin *spin)
{
	sys_sigset mask = spin->mask;

	spin_give(spin);
	sys_sigmask(mask);
}

/*
 * May the eight bytes at `address` be read? rt_sigprocmask copies its set before it finds that `how` makes
 * no sense (kernel/signal.c), and no seccomp filter forbids it.
 */
static inline bool sys_readable(const void *address)
{
	return SYS(rt_sigprocmask, -1, address, NULL, 8) == -EINVAL;
}

/* Finds what string.c leaves to libc; until then it does all itself. */
void string_init(void);

static inline uint64_t hash_mix(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15ULL;
	return hash ^ (hash >> 29);
}

#endif
