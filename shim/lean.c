// SPDX-License-Identifier: MIT
/*
 * See lean.h. Owns the records of lean children, and sees to it that nobody else forks while one of them is made.
 */
#include "lean.h"

#include <linux/futex.h>
#include <linux/prctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/single_threaded.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "futex.h"
#include "gate.h"
#include "hook.h"
#include "lean_share.h"
#include "memory.h"
#include "module.h"
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

/* A child that has not gone on by then is looked at. One that sleeps waits for somebody. */
#define LEAN_DEADLINE_NS 100000000ULL

/* One that has run for so long does more than to execute. On a busy machine it is not slow while it waits for its turn. */
#define LEAN_RUNS_NS 1000000000ULL

/* It executes, or reads what it needs, from a device that is slow. */
#define LEAN_IDLES_NS 5000000000ULL

/* For so long the other threads stand still if nobody can answer for the parent, or the child has not begun yet. */
#define LEAN_OTHERS_NS 1000000000ULL

/* So often in a row it is seen to sleep, a nap apart. */
#define LEAN_ASLEEP 3

/* Should a wake-up be missing: a child that was killed before it began wakes nobody. */
#define LEAN_NAP_NS 20000000ULL

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

void lean_notice(long number, const long *value)
{
	if (number == SYS_userfaultfd || number == SYS_pkey_mprotect ||
	    (number == SYS_madvise && (value[2] == MADV_DONTFORK || value[2] == MADV_WIPEONFORK)))
		__atomic_store_n(&forbidden, BOX_REASON_MARKED, __ATOMIC_RELAXED);
	/* A child there knows its parent by no process id, or takes another process for it. */
	else if (number == SYS_setns || (number == SYS_unshare && value[0] & CLONE_NEWPID))
		__atomic_store_n(&forbidden, BOX_REASON_NAMESPACE, __ATOMIC_RELAXED);
}

/* Is the malloc() that the program calls libc's? Which one comes first is settled when the process starts. */
static bool malloc_is_libcs(void)
{
	static int is; /* 1: yes, -1: no */

	if (!is)
		is = real_first("malloc") == real_libc("malloc") ? 1 : -1;
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
	if (!__libc_single_threaded && !malloc_is_libcs())
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
	if (!SYS(sigaltstack, NULL, &stack) && stack.ss_flags & SS_ONSTACK)
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
		lean_mark(lean);
		lean->refused = lean->ranges ? BOX_REASON_NONE : BOX_REASON_SMALL;
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
	sys_sigmask(lean->mask);
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

/* So many threads are held. */
static uint32_t held CHILD_STATE;

void lean_wait_children(void)
{
	struct timespec nap = { 0, 1000000 };
	int i;

	for (i = 0; i < 1000 && UNLIKELY(__atomic_load_n(&held, __ATOMIC_ACQUIRE)); i++)
		SYS(nanosleep, &nap, NULL);
}

/* From its own memory, whatever other threads do to the mapping. */
static int64_t answer_data(struct lean_share *share)
{
	size_t size = share->size < LEAN_BYTES ? share->size : LEAN_BYTES;
	struct iovec local = { share->bytes, size }, remote = { (void *)share->address, size };

	return SYS(process_vm_readv, sys_pid(), &local, 1, &remote, 1, 0);
}

#define PAGE_PRESENT (1ULL << 63)
#define PAGE_SWAPPED (1ULL << 62)

static int64_t answer_present(struct lean_share *share)
{
	uintptr_t page = sys_page();
	uint64_t entry[512], pages = share->size / page, at = 0, i;
	long fd = SYS(openat, AT_FDCWD, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC, 0), got;

	if (fd < 0)
		return fd;
	if (pages > LEAN_BYTES)
		pages = LEAN_BYTES;
	while (at < pages) {
		uint64_t count = pages - at < COUNT(entry) ? pages - at : COUNT(entry);

		got = SYS(pread64, fd, entry, count * 8, (share->address / page + at) * 8);
		if (got <= 0)
			break;
		for (i = 0; i < (uint64_t)got / 8; i++)
			share->bytes[at++] = (entry[i] & (PAGE_PRESENT | PAGE_SWAPPED)) != 0;
	}
	SYS(close, fd);
	return (int64_t)at;
}

void lean_answer(struct lean_share *share)
{
	share->answer = share->question == LEAN_DATA ? answer_data(share) : answer_present(share);
	__atomic_store_n(&share->request, LEAN_IDLE, __ATOMIC_RELEASE);
	SYS(futex, &share->request, FUTEX_WAKE, 1);
}

bool lean_is_over(struct lean_share *share, long pid)
{
	bool begun = __atomic_load_n(&share->begun, __ATOMIC_ACQUIRE);
	uint32_t word = __atomic_load_n(lean_word(share), __ATOMIC_ACQUIRE);
	siginfo_t info;

	if (word & FUTEX_OWNER_DIED)
		return true;
	if (begun)
		return !(word & FUTEX_TID_MASK);
	memset(&info, 0, sizeof(info));
	return SYS(waitid, P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT, NULL) || info.si_pid;
}

/* linux/futex.h; Linux 5.16 */
struct waitv {
	uint64_t value, address;
	uint32_t flags, reserved;
};
#ifndef FUTEX_32
#define FUTEX_32 2
#endif

void lean_wait(struct lean_share *share, uint64_t ns)
{
	uint32_t word = __atomic_load_n(lean_word(share), __ATOMIC_ACQUIRE);
	struct waitv wait[2] = {
		{ word, (uintptr_t)lean_word(share), FUTEX_32, 0 },
		{ LEAN_IDLE, (uintptr_t)&share->request, FUTEX_32, 0 },
	};
	uint64_t until = sys_now() + ns;
	struct timespec end = { (time_t)(until / 1000000000), (long)(until % 1000000000) };

	if (word & FUTEX_OWNER_DIED ||
	    (!(word & FUTEX_TID_MASK) && __atomic_load_n(&share->begun, __ATOMIC_ACQUIRE)))
		return;
	SYS(futex_waitv, wait, 2, 0, &end, CLOCK_MONOTONIC);
}

/* Does the child sleep, which only somebody else can end? Its parent, perhaps. */
static bool sleeps(const struct lean_share *share, long pid)
{
	char state = proc_state((uint32_t)pid);

	return __atomic_load_n(&share->request, __ATOMIC_ACQUIRE) != LEAN_ASKED && state != 'R' &&
	       state != 'D';
}

/* Does it do more than to execute, `age` nanoseconds after it was made? */
static bool lingers(long pid, uint64_t age)
{
	struct proc_turns turns;

	proc_turns((uint32_t)pid, &turns);
	return turns.ran_ns >= LEAN_RUNS_NS ||
	       age >= turns.ran_ns + turns.waited_ns + LEAN_IDLES_NS;
}

/*
 * The other threads stand still at the gate, and must go on soon. True: what the child has yet to fetch stays as it is.
 */
static bool let_others_go(struct lean *lean, long pid, struct lean_outcome *outcome)
{
	/* A child that has not run yet has seen nothing. */
	if (!__atomic_load_n(&lean->share->begun, __ATOMIC_ACQUIRE) || lean_keep(lean))
		return false;
	/* The share is the other's now. */
	lean->owner = 0;
	outcome->kept = true;
	if (sleeps(lean->share, pid))
		outcome->ended = BOX_REASON_DEADLINE;
	return true;
}

/*
 * Nobody can answer for the parent: no process may be made, or its end would be the program's to wait for. Then the
 * child has to be an ordinary one by itself, whatever it sleeps in.
 */
static void tell(struct lean_share *share, long pid)
{
	bool told = false;

	if (!__atomic_load_n(&share->begun, __ATOMIC_ACQUIRE) ||
	    __atomic_load_n(&share->told, __ATOMIC_RELAXED))
		return;
	__atomic_store_n(&share->told, LEAN_TELLING, __ATOMIC_SEQ_CST);
	if (!__atomic_load_n(&share->leaves, __ATOMIC_SEQ_CST))
		told = !SYS(kill, pid, SIGSYS);
	__atomic_store_n(&share->told, told ? LEAN_TOLD : LEAN_NOT_TOLD, __ATOMIC_SEQ_CST);
}

struct lean_outcome lean_hold(struct lean *lean, long pid)
{
	struct lean_outcome outcome = { .left_out = lean->ranges != 0, .refused = lean->refused };
	struct lean_share *share = lean->share;
	uint64_t gate = gate_stay(), began = sys_now(), until = began + LEAN_DEADLINE_NS, now;
	uint64_t others = gate ? began + gate : UINT64_MAX;
	int asleep = 0;
	sys_sigset mask;

	if (pid < 0 || !lean->ranges)
		return outcome;
	mask = sys_sigmask(SYS_SIGNALS_ALL);
	__atomic_add_fetch(&held, 1, __ATOMIC_ACQ_REL);
	while (!lean_is_over(share, pid)) {
		now = sys_now();
		if (now >= others) {
			if (let_others_go(lean, pid, &outcome))
				break;
			others = now < began + LEAN_OTHERS_NS ? now + gate_stay() : UINT64_MAX;
		}
		if (__atomic_load_n(&share->request, __ATOMIC_ACQUIRE) == LEAN_ASKED) {
			lean_answer(share);
			continue;
		}
		lean_wait(share, others - now < LEAN_NAP_NS ? others - now : LEAN_NAP_NS);
		now = sys_now();
		if (now < until)
			continue;
		asleep = sleeps(share, pid) ? asleep + 1 : 0;
		if (lean_is_over(share, pid) ||
		    (asleep < LEAN_ASLEEP && !lingers(pid, now - began)))
			continue;
		if (lean_keep(lean)) {
			tell(share, pid);
			until = now + LEAN_DEADLINE_NS;
			continue;
		}
		/* The share is the other's now. */
		lean->owner = 0;
		outcome.ended = BOX_REASON_DEADLINE;
		break;
	}
	__atomic_sub_fetch(&held, 1, __ATOMIC_ACQ_REL);
	sys_sigmask(mask);
	outcome.pages = share->pages;
	lean_need_note(lean->site, share);
	if (!outcome.ended)
		outcome.ended = (enum spork_reason)share->ended;
	outcome.executed = !outcome.ended && share->executing;
	return outcome;
}

void lean_after_fork(void)
{
	spin_reset(&records_lock);
	lean_need_after_fork();
	RESET(forking, 0);
	RESET(held, 0);
}
