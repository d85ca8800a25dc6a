// SPDX-License-Identifier: MIT
/*
 * See lean.h. Owns the records of lean children, and sees to it that nobody else forks while one of them is made.
 */
#include "lean.h"

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/single_threaded.h>
#include <sys/uio.h>

#include "config.h"
#include "gate.h"
#include "hook.h"
#include "lean_share.h"
#include "proc.h"
#include "seccomp.h"
#include "signal_window.h"
#include "thread.h"
#include "tier.h"
#include "window.h"

#include "poison.h"

#define BIT(signal) (1ULL << ((signal)-1))

/* With less memory of its own a process forks as fast as by leaving it out. */
#define LEAN_PAYS ((uint64_t)16 << 20)

struct lean *lean_records;
static struct spin records_lock CHILD_STATE;

/* The record that the calling thread's fork is made with. */
static __thread struct lean *opened;

static struct lean *record_make(void)
{
	long record, share;

	record = SYS(mmap, NULL, sizeof(struct lean), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (record < 0 && record >= -4095)
		return NULL;
	share = SYS(mmap, NULL, sizeof(struct lean_share), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (share < 0 && share >= -4095) {
		SYS(munmap, record, sizeof(struct lean));
		return NULL;
	}
	((struct lean *)record)->share = (struct lean_share *)share;
	return (struct lean *)record;
}

static pthread_mutex_t fresh; /* robust and shared: what a child's is made from */

/* False: libc does not say what such a one looks like. */
static bool fresh_make(void)
{
	__typeof__(&pthread_mutexattr_init) init = REAL_LIBC(pthread_mutexattr_init);
	__typeof__(&pthread_mutexattr_setrobust) robust = REAL_LIBC(pthread_mutexattr_setrobust);
	__typeof__(&pthread_mutexattr_setpshared) shared = REAL_LIBC(pthread_mutexattr_setpshared);
	pthread_mutexattr_t attributes;

	return init && robust && shared && !init(&attributes) &&
	       !robust(&attributes, PTHREAD_MUTEX_ROBUST) &&
	       !shared(&attributes, PTHREAD_PROCESS_SHARED) &&
	       !REAL(pthread_mutex_init)(&fresh, &attributes);
}

/* A share of this process's own, in the place of one that is another's as well, or with a lock as its last owner left it. */
static bool share_make(struct lean *record, long self)
{
	struct lean_share *share = record->share;

	if (record->owner != self) {
		if (SYS(mmap, share, sizeof(*share), PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) != (long)share)
			return false;
		record->owner = self;
	}
	if (!fresh.__data.__kind && !fresh_make())
		return false;
	memset(share, 0, offsetof(struct lean_share, bytes));
	memcpy(&share->held, &fresh, sizeof(fresh));
	return true;
}

/* A forked child's copies are free, whoever used them. */
static struct lean *record_take(void)
{
	long self = sys_pid();
	struct lean *record;

	spin_lock(&records_lock);
	for (record = lean_records; record && record->user == self; record = record->next)
		;
	if (!record) {
		record = record_make();
		if (record) {
			record->next = lean_records;
			__atomic_store_n(&lean_records, record, __ATOMIC_RELEASE);
		}
	}
	if (record && share_make(record, self))
		record->user = self;
	else
		record = NULL;
	spin_unlock(&records_lock);
	return record;
}

static uint32_t forbidden; /* enum spork_reason */

/* asm-generic/mman-common.h; Linux 6.13. A mapping's permissions do not tell. */
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

/* Is it to be in children other than memory that is read from their parent? */
static bool marks(long advice)
{
	return advice == MADV_DONTFORK || advice == MADV_WIPEONFORK || advice == MADV_GUARD_INSTALL;
}

void lean_notice(long number, const long *value)
{
	if (number == SYS_userfaultfd || number == SYS_pkey_mprotect ||
	    (number == SYS_madvise && marks(value[2])))
		__atomic_store_n(&forbidden, BOX_REASON_MARKED, __ATOMIC_RELAXED);
	/* A child there knows its parent by no process id, or takes another process for it. */
	else if (number == SYS_setns || (number == SYS_unshare && value[0] & CLONE_NEWPID))
		__atomic_store_n(&forbidden, BOX_REASON_NAMESPACE, __ATOMIC_RELAXED);
}

/* In huge pages: the heaps are of other sizes then, and the main one lies anywhere. */
static bool malloc_is_huge(void)
{
	static const char option[] = "glibc.malloc.hugetlb=";
	const char *tunables = config_variable(environ, "GLIBC_TUNABLES");
	const char *value = tunables ? strstr(tunables, option) : NULL;

	return value && value[sizeof(option) - 1] != '0';
}

/* Is the malloc() that the program calls libc's, with heaps as heap_next() knows them? Settled when the process starts. */
static bool malloc_is_known(void)
{
	static int is; /* 1: yes, -1: no */

	if (!is)
		is = real_first("malloc") == real_libc("malloc") && !malloc_is_huge() ? 1 : -1;
	return is > 0;
}

/*
 * What is left out is taken up again in the child, the space at once and the memory as it is touched. A fork asks for
 * neither limit, which may be below what there is.
 */
static bool is_above_limit(uint64_t pages)
{
	uint64_t limit[2];

	return (!SYS(prlimit64, 0, RLIMIT_AS, NULL, limit) && limit[0] / sys_page() < pages) ||
	       (!SYS(prlimit64, 0, RLIMIT_DATA, NULL, limit) && limit[0] / sys_page() < pages);
}

/*
 * Are the system calls there that the tier lives on? A sandbox may answer some with an error. Those that have no effect
 * are tried out, once.
 */
static bool kernel_serves(void)
{
	static int serves; /* 1: yes, -1: no */
	uint64_t word = 1, copy = 0;
	struct iovec one = { &word, sizeof(word) }, other = { &copy, sizeof(copy) };

	if (serves)
		return serves > 0;
	serves = -1;
	/* a selector where there is no memory: a kernel that knows the call looks at it, and nothing is switched on */
	if (SYS(prctl, PR_SET_SYSCALL_USER_DISPATCH, PR_SYS_DISPATCH_ON, 0, 0, -1) == -EFAULT &&
	    SYS(futex_waitv, NULL, 0, 0, NULL, 0) == -EINVAL &&
	    SYS(process_vm_readv, sys_pid(), &other, 1, &one, 1, 0) == sizeof(word) &&
	    SYS(process_vm_writev, sys_pid(), &one, 1, &other, 1, 0) == sizeof(word))
		serves = 1;
	return serves > 0;
}

/* Asked at every fork of a site that may be lean, most often of a small process: without /proc. */
static bool was_never_large(void)
{
	struct rusage usage;

	return !SYS(getrusage, RUSAGE_SELF, &usage) && (uint64_t)usage.ru_maxrss << 10 < LEAN_PAYS;
}

enum spork_reason lean_refuses(uint64_t *resident)
{
	struct proc_size size;
	stack_t stack;

	if (!ARCH_DISPATCH)
		return BOX_REASON_NO_DISPATCH;
	if (__atomic_load_n(&forbidden, __ATOMIC_RELAXED))
		return (enum spork_reason)__atomic_load_n(&forbidden, __ATOMIC_RELAXED);
	if (!__libc_single_threaded && !malloc_is_known())
		return BOX_REASON_THREADS;
	if (thread_window_open())
		return BOX_REASON_IN_CHILD;
	if (tier_under_valgrind())
		return BOX_REASON_VALGRIND;
	if (seccomp_threatens())
		return BOX_REASON_SECCOMP;
	if (!kernel_serves())
		return BOX_REASON_NO_DISPATCH;
	if (arch_shadow_stack())
		return BOX_REASON_SHADOW_STACK;
	if (!SYS(sigaltstack, NULL, &stack) &&
	    (stack.ss_flags & SS_ONSTACK || stack.ss_size > LEAN_STACK_SHARE))
		return BOX_REASON_UNKNOWN_STACK;
	if (was_never_large())
		return BOX_REASON_SMALL;
	if (!__libc_single_threaded && !(gate_serves() && lean_keeps()))
		return BOX_REASON_GATE;
	if (!proc_size(&size))
		return BOX_REASON_NO_PROC;
	*resident = size.resident - size.shared;
	if (size.resident < size.shared || *resident < LEAN_PAYS / sys_page())
		return BOX_REASON_SMALL;
	/* A debugger would be shown each fetch as a fault. */
	if (proc_status("TracerPid:"))
		return BOX_REASON_TRACED;
	return is_above_limit(size.mapped) ? BOX_REASON_NO_MEMORY : BOX_REASON_NONE;
}

struct lean *lean_open(uintptr_t stack, const void *site)
{
	struct lean *lean = record_take();

	if (!lean)
		return NULL;
	lean->parent = lean->user;
	lean->reads = SYS(gettid);
	lean->stack = stack;
	lean->site = site;
	lean_need_read(site, lean);
	lean->ranges = 0;
	lean->run_end = lean->run = 0;
	lean->asks = lean->marked = false;
	lean->refused = BOX_REASON_GATE;
	lean->caught = signal_caught();
	real_get(HOOK_pthread_mutex_lock);
	real_get(HOOK_pthread_mutex_unlock);
	opened = lean;
	return lean;
}

void lean_close(struct lean *lean)
{
	opened = NULL;
	__atomic_store_n(&lean->user, 0, __ATOMIC_RELEASE);
}

/*
 * How many threads fork; or MARKING and the process id: one of them, and what others forked meanwhile would go without what it
 * has marked.
 */
#define MARKING (1U << 31)
#define MARK_YIELDS 1000
static uint32_t forking CHILD_STATE;

/*
 * Takes `forking` from what allows it. In a child that another thread has made past the hooks while one marked, nobody
 * will take the marks away.
 */
static bool forking_take(uint32_t seen, bool marks)
{
	uint32_t self = 0;

	/* A confined process is not asked for what a filter may end it for. */
	if (marks || seen & MARKING)
		self = MARKING | (uint32_t)sys_pid();
	if (seen & MARKING && (seen == self || !window_memory_is_own()))
		return false;
	if (marks && seen && !(seen & MARKING))
		return false;
	return __atomic_compare_exchange_n(&forking, &seen,
					   marks	  ? self :
					   seen & MARKING ? 1 :
							    seen + 1,
					   false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static bool marking_begin(void)
{
	int i;

	for (i = 0; i < MARK_YIELDS; i++) {
		if (forking_take(__atomic_load_n(&forking, __ATOMIC_RELAXED), true))
			return true;
		SYS(sched_yield);
	}
	return false;
}

/* A handler of the program's that forked meanwhile would wait for the thread that it interrupted. */
static void lean_begins(struct lean *lean)
{
	lean->mask = sys_sigmask(SYS_SIGNALS_ALL & ~BIT(SIGSEGV));
	lean->marked = marking_begin();
	if (lean->marked) {
		lean_early_begin(lean);
		lean->refused = lean_mark(lean);
	} else {
		sys_sigmask(lean->mask);
	}
}

void lean_fork_begin(bool leaves_out)
{
	/* A child that was made in a prepare handler goes on with what was its parent's fork. */
	if (leaves_out && opened && opened->user == sys_pid()) {
		lean_begins(opened);
		if (opened->marked)
			return;
	}
	while (!forking_take(__atomic_load_n(&forking, __ATOMIC_RELAXED), false))
		SYS(sched_yield);
}

void lean_fork_end(void)
{
	struct lean *lean = opened;

	/* It may be another fork than the one that it was opened for: a handler's. */
	if (!lean || !lean->marked) {
		__atomic_sub_fetch(&forking, 1, __ATOMIC_RELEASE);
		return;
	}
	opened = NULL;
	lean_unmark(lean);
	lean_early_end();
	__atomic_store_n(&forking, 0, __ATOMIC_RELEASE);
}

bool lean_child(void)
{
	struct lean *lean = opened;

	if (!lean || !lean->marked)
		return false;
	opened = NULL;
	if (lean->ranges)
		lean_begin(lean);
	else
		lean_early_end();
	sys_sigmask(lean->mask);
	return true;
}

void lean_after_fork(void)
{
	spin_reset(&records_lock);
	lean_need_after_fork();
	lean_hold_after_fork();
	RESET(forking, 0);
}
