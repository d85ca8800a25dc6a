// SPDX-License-Identifier: MIT
/*
 * See probe.h. Whether a process waits for a futex, and for which, /proc/PID/syscall tells; where that cannot be
 * read, for want of /proc or of the right to, one that does not end in time counts as blocked.
 */
#include "probe.h"

#include <linux/futex.h>
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <ucontext.h>

#include "lean.h"
#include "proc.h"
#include "real.h"
#include "sys.h"

#include "poison.h"

/* What is tried takes microseconds. The machine may be busy, though, so what is seen to run may go on for longer. */
#define BLIND_LIMIT_NS 50000000ULL
#define LIMIT_NS 1000000000ULL
#define PAUSE_LIMIT_NS 1000000
#define SPIN_LIMIT_US 100000
#define SPIN_TICKS 10
#define SPUN 77 /* exit status */

/* PTHREAD_RWLOCK_WRPHASE, PTHREAD_RWLOCK_WRLOCKED */
#define RWLOCK_WRITING 3

static void wait_for(uint32_t *word)
{
	for (;;)
		SYS(futex, word, FUTEX_WAIT_PRIVATE, *word, NULL);
}

/* Is a writer about to get it, or to give it back, so far as glibc's layout tells? */
static bool looks_like_rwlock(uintptr_t address)
{
	const pthread_rwlock_t *rwlock = (const pthread_rwlock_t *)address;

	if (address < ARCH_PAGE_MAX || address % sizeof(long) ||
	    !sys_readable((const void *)address) ||
	    !sys_readable((const void *)(address + sizeof(*rwlock) - 8)))
		return false;
	return rwlock->__data.__readers & RWLOCK_WRITING && rwlock->__data.__readers >> 16 == 0 &&
	       rwlock->__data.__writers >> 16 == 0 && rwlock->__data.__wrphase_futex <= 3 &&
	       rwlock->__data.__writers_futex <= 3 && !rwlock->__data.__pad3 &&
	       !rwlock->__data.__pad4 && !rwlock->__data.__shared && rwlock->__data.__flags <= 2;
}

/*
 * A lock that was between two states at the fork may send its waiter round for ever, in calls that come back at
 * once: glibc's rwlock, while it is given back. Such a waiter waits in here for the same word; of one that does not
 * even call the lock is looked for in its registers. Where there is none it gives up, and the word stays unknown.
 */
static void on_spin(int signal, siginfo_t *info, void *data)
{
	static unsigned ticks;
	const ucontext_t *context = data;
#if defined(__x86_64__)
	const greg_t *registers = context->uc_mcontext.gregs, *general = registers;
	const unsigned count = REG_RSP; /* and all before it */
	const uint8_t *next = (const uint8_t *)registers[REG_RIP];
	bool call = next[-2] == 0x0f && next[-1] == 0x05; /* syscall */
	uint32_t *word = (uint32_t *)registers[REG_RDI];
	uint64_t operation = (uint64_t)registers[REG_RSI], limit = (uint64_t)registers[REG_R10];
#else
	const mcontext_t *registers = &context->uc_mcontext;
	const unsigned long long *general = registers->regs;
	const unsigned count = 31;
	bool call = registers->regs[8] == SYS_futex &&
		    *(const uint32_t *)(registers->pc - 4) == 0xd4000001; /* svc #0 */
	uint32_t *word = (uint32_t *)registers->regs[0];
	uint64_t operation = registers->regs[1], limit = registers->regs[3];
#endif
	unsigned i;

	(void)signal, (void)info;
	operation &= FUTEX_CMD_MASK;
	if (call && !limit && (operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET) &&
	    (uintptr_t)word % sizeof(*word) == 0 && (uintptr_t)word % ARCH_PAGE_MAX &&
	    sys_readable((const void *)((uintptr_t)word & ~7ULL)))
		wait_for(word);
	if (++ticks < SPIN_TICKS)
		return;
	for (i = 0; i < count; i++)
		if (looks_like_rwlock((uintptr_t)general[i]))
			wait_for(&((pthread_rwlock_t *)general[i])->__data.__wrphase_futex);
	SYS(exit_group, SPUN);
}

static void watch_spin(void)
{
	struct sigaction action = { .sa_sigaction = on_spin, .sa_flags = SA_SIGINFO };
	/* struct itimerval: again and again, until it is met inside the call */
	const long every[4] = { 0, SPIN_LIMIT_US / 10, 0, SPIN_LIMIT_US };
	const sys_sigset only = 1ULL << (SIGPROF - 1);

	REAL(sigaction)(SIGPROF, &action, NULL);
	SYS(setitimer, ITIMER_PROF, every, NULL);
	SYS(rt_sigprocmask, SIG_UNBLOCK, &only, NULL, 8);
}

static void end_with(long parent)
{
	const uint64_t none[2] = { 0, 0 };
	long null, fd;

	SYS(prctl, PR_SET_PDEATHSIG, SIGKILL);
	/* What is tried out may crash, or complain: nobody wants the core, or to read of it. */
	SYS(prlimit64, 0, RLIMIT_CORE, none, NULL);
	null = SYS(openat, AT_FDCWD, "/dev/null", O_WRONLY, 0);
	for (fd = 1; fd <= 2; fd++)
		if (null < 0)
			SYS(close, fd);
		else
			SYS(dup3, null, fd, 0);
	if (SYS(getppid) != parent)
		SYS(exit_group, 1);
}

/* 1: it waits without a limit, 0: it does not, -1: that cannot be told. */
static int waits(long pid, uintptr_t *word)
{
	uint64_t number[5];

	if (!proc_syscall((uint32_t)pid, number, COUNT(number)))
		return -1;
	*word = number[1];
	if (number[0] != SYS_futex || number[4])
		return 0;
	switch (number[2] & FUTEX_CMD_MASK) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
	case FUTEX_LOCK_PI:
		return 1;
	default:
		return 0;
	}
}

static enum probe_end watch(long pid, uintptr_t *word)
{
	struct timespec pause = { .tv_nsec = 50000 };
	uint64_t start = sys_now();
	uintptr_t asked = 0;
	unsigned seen = 0;
	int state, status;
	long got;

	for (;;) {
		SYS(nanosleep, &pause, NULL);
		got = SYS(wait4, pid, &status, WNOHANG | __WCLONE, NULL);
		if (got == pid && WIFEXITED(status) && WEXITSTATUS(status) == SPUN)
			return PROBE_BLOCKED;
		if (got)
			return got != pid ? PROBE_UNDECIDED : status ? PROBE_FAILED : PROBE_ENDED;
		state = waits(pid, &asked);
		seen = state > 0 ? (*word == asked ? seen + 1 : 1) : 0;
		*word = state > 0 ? asked : 0;
		/* Twice: a thread that it made may wake it. */
		if (seen >= 2)
			return PROBE_BLOCKED;
		if (sys_now() - start > (state < 0 ? BLIND_LIMIT_NS : LIMIT_NS))
			return state < 0 ? PROBE_BLOCKED : PROBE_UNDECIDED;
		if (pause.tv_nsec < PAUSE_LIMIT_NS)
			pause.tv_nsec *= 2;
	}
}

enum probe_end probe_run(void (*function)(void *), void *argument, uintptr_t *word)
{
	long parent = sys_pid(), pid;
	enum probe_end end;

	lean_end(BOX_REASON_SPAWN);
	pid = SYS(clone, 0, 0, 0, 0, 0);

	*word = 0;
	if (!pid) {
		end_with(parent);
		watch_spin();
		function(argument);
		SYS(exit_group, 0);
	}
	if (pid < 0)
		return PROBE_NONE;
	end = watch(pid, word);
	/* One that is reaped already stays unnamed: its pid may be another's. */
	if (!SYS(wait4, pid, NULL, WNOHANG | __WCLONE, NULL)) {
		sys_kill(pid, SIGKILL);
		SYS(wait4, pid, NULL, __WCLONE, NULL);
	}
	return end;
}
