// SPDX-License-Identifier: MIT
/*
 * Owns the list of thread records and the thread-local words.
 *
 * A record is made when a thread first needs one, and given back when its start routine ends, so that a
 * program that makes a million threads needs no more records than it had threads at once. Records are
 * never unlinked: the list may be walked without a lock.
 */
#include "thread.h"

#include <link.h>
#include <sys/prctl.h>
#include <sys/single_threaded.h>

#include "environ.h"
#include "gate.h"
#include "held.h"
#include "hook.h"
#include "memory.h"
#include "orphan.h"
#include "proc.h"
#include "real.h"
#include "seccomp.h"
#include "sys.h"
#include "unsafe.h"
#include "window.h"

#include "poison.h"

_Static_assert(sizeof(struct held) == THREAD_HELD_SIZE, "struct thread");

__thread struct thread_words thread_words;

uint32_t window_count;
static struct spin count_lock CHILD_STATE;
static bool all_watched;

static struct thread *threads;

/* Records that stay behind, for locks that their threads never gave back. */
#define ENDED_MAX 4096
static uint32_t ended_count;

/*
 * Values of `used` besides. A record that another thread was claiming at a fork stays so in the child, and is no more
 * use there: one at most for each thread that was just starting.
 */
#define FREE 0
#define CLAIMED UINT32_MAX
uint32_t thread_generation CHILD_STATE = 1;

/*
 * The count and the table of the hot stubs change together: a child that ran in a window while other threads
 * were told that there is none would do so, too.
 */
void thread_window(struct window *window)
{
	if (!window)
		window = unsafe_window();
	if (!thread_words.window != !window) {
		spin_take(&count_lock);
		__atomic_add_fetch(&window_count, window ? 1U : -1U, __ATOMIC_SEQ_CST);
		__atomic_store_n(&stub_hot, window_count ? stub_hot_slow : stub_hot_next,
				 __ATOMIC_SEQ_CST);
		spin_give(&count_lock);
	}
	thread_words.window = window;
}

void thread_watch_all(void)
{
	spin_lock(&count_lock);
	if (!all_watched) {
		all_watched = true;
		__atomic_add_fetch(&window_count, 1, __ATOMIC_SEQ_CST);
		__atomic_store_n(&stub_hot, stub_hot_slow, __ATOMIC_SEQ_CST);
	}
	spin_unlock(&count_lock);
}

void thread_window_forget(void)
{
	spin_reset(&count_lock);
	RESET(all_watched, false);
	RESET(thread_words.window, NULL);
	RESET(window_count, 0);
	RESET(stub_hot, stub_hot_next);
}

struct thread *thread_first(void)
{
	return __atomic_load_n(&threads, __ATOMIC_ACQUIRE);
}

bool thread_others(void)
{
	const struct thread *thread;

	for (thread = thread_first(); thread; thread = thread->next)
		if (thread != thread_words.self && thread_used(thread))
			return true;
	return false;
}

bool thread_others_alive(void)
{
	const struct thread *thread;

	for (thread = thread_first(); thread; thread = thread->next)
		if (thread != thread_words.self && thread_used(thread) && !thread->ended)
			return true;
	return false;
}

static struct thread *thread_claim(void)
{
	struct thread *thread;

	orphan_settle();
	for (thread = thread_first(); thread; thread = thread->next) {
		uint32_t used = __atomic_load_n(&thread->used, __ATOMIC_RELAXED);

		if (used == thread_generation || used == CLAIMED ||
		    !__atomic_compare_exchange_n(&thread->used, &used, CLAIMED, false,
						 __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
			continue;
		held_forget(thread);
		thread->ended = false;
		thread->held_full = 0;
		__atomic_store_n(&thread->used, thread_generation, __ATOMIC_RELEASE);
		return thread;
	}
	thread = memory_take(sizeof(*thread));
	if (!thread)
		return NULL;
	/* The first entry is never used: held.h looks at the one below the last. */
	thread->held = (struct held *)thread->held_first + 1;
	thread->held_capacity = THREAD_HELD - 1;
	thread->used = thread_generation;
	thread->next = thread_first();
	while (!__atomic_compare_exchange_n(&threads, &thread->next, thread, false,
					    __ATOMIC_RELEASE, __ATOMIC_ACQUIRE))
		;
	return thread;
}

/* The record becomes the calling thread's. */
static void thread_adopt(struct thread *self)
{
	self->tid = (uint32_t)SYS(gettid);
	self->stack_low = self->stack_high = self->stack_end = 0;
	self->stack_given = false;
	thread_words.self = self;
}

struct thread *thread_self(void)
{
	struct thread *self = thread_words.self;

	if (LIKELY(self) || thread_words.ended)
		return self;
	self = thread_claim();
	if (self)
		thread_adopt(self);
	return self;
}

static void thread_release(struct thread *thread)
{
	held_forget(thread);
	if (thread->ended)
		__atomic_sub_fetch(&ended_count, 1, __ATOMIC_RELAXED);
	thread->ended = false;
	thread->held_full = 0;
	__atomic_store_n(&thread->used, FREE, __ATOMIC_RELEASE);
}

bool thread_stack(struct thread *self, uintptr_t stack_pointer)
{
	uintptr_t pointer = sys_thread_pointer();
	struct proc_maps maps;
	struct proc_map map;
	bool found = false;

	if (self->stack_given)
		return false;
	/* A thread starts with an upper bound alone, and a coroutine's stack may lie anywhere below. */
	if (self->stack_low && stack_pointer >= self->stack_low && stack_pointer < self->stack_high)
		return true;
	if (proc_maps_open(&maps, 0))
		return false;
	while (!found && proc_maps_next(&maps, &map))
		if (stack_pointer >= map.start && stack_pointer < map.end) {
			if (map.stack && SYS(gettid) == SYS(getpid))
				self->stack_high = map.end;
			found = self->stack_high > stack_pointer && self->stack_high <= map.end &&
				map.readable && map.writable &&
				(map.stack || (pointer >= self->stack_high && pointer < map.end));
			if (found) {
				self->stack_low = map.start;
				self->stack_end = map.stack ? map.end : pointer;
			}
		}
	proc_maps_close(&maps);
	return found;
}

/* Nothing else is mapped within so much below its end (the kernel's mmap_base()). */
#define MAIN_STACK_GAP (128UL << 20)

static uintptr_t main_stack_end START_STATE;

START_TEXT void thread_main_stack(uintptr_t end)
{
	main_stack_end = end;
}

uintptr_t thread_stack_end(const struct thread *self, uintptr_t stack_pointer)
{
	if (stack_pointer < main_stack_end && main_stack_end - stack_pointer < MAIN_STACK_GAP)
		return main_stack_end;
	if (self && !self->stack_given && self->stack_low && stack_pointer >= self->stack_low &&
	    stack_pointer < self->stack_high)
		return self->stack_end;
	return 0;
}

/*
 * Bytes from the thread pointer to the far end of static thread-local storage, and, on the other side, of
 * the thread's descriptor: the same in every thread. See ARCH_TLS_ABOVE.
 */
static uintptr_t storage_size;
static uintptr_t descriptor_size = ARCH_DESCRIPTOR_SIZE;

/* Restartable sequences: the kernel writes the current processor there whenever it likes. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
#define RSEQ_SIZE 32

static int static_block(struct dl_phdr_info *info, size_t size, void *unused)
{
	uintptr_t pointer = sys_thread_pointer(), block = (uintptr_t)info->dlpi_tls_data, extent;
	unsigned i;

	(void)size;
	(void)unused;
	if (!block || (block > pointer) != ARCH_TLS_ABOVE)
		return 0;
	extent = pointer - block;
	for (i = 0; ARCH_TLS_ABOVE && i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_TLS)
			extent = block - pointer + info->dlpi_phdr[i].p_memsz;
	if (extent > storage_size)
		storage_size = extent;
	return 0;
}

void thread_init(void)
{
	/* What libc tells debuggers (nptl_db). */
	const uint32_t *size = real_libc("_thread_db_sizeof_pthread");
	__typeof__(&dl_iterate_phdr) iterate = REAL_LIBC(dl_iterate_phdr);

	if (size)
		descriptor_size = *size;
	if (iterate)
		iterate(static_block, NULL);
}

bool thread_local_volatile(uintptr_t start, uintptr_t end)
{
	uintptr_t words = (uintptr_t)&thread_words, error = (uintptr_t)&errno;

	if (start >= words && end <= words + sizeof(thread_words))
		return true;
	if (start >= error && end <= error + sizeof(errno))
		return true;
	if (&__rseq_offset) {
		uintptr_t area = sys_thread_pointer() + (uintptr_t)__rseq_offset;

		return start >= area && end <= area + RSEQ_SIZE;
	}
	return false;
}

struct thread_range thread_storage(void)
{
	uintptr_t pointer = sys_thread_pointer();

	return ARCH_TLS_ABOVE ? (struct thread_range){ pointer, pointer + storage_size } :
				(struct thread_range){ pointer - storage_size, pointer };
}

/* Storage and descriptor. */
static struct thread_range own_range(void)
{
	struct thread_range range = thread_storage();

	if (ARCH_TLS_ABOVE)
		range.low -= descriptor_size;
	else
		range.high += descriptor_size;
	return range;
}

bool thread_local_owns(uintptr_t start, uintptr_t end)
{
	struct thread_range range = own_range();

	return start >= range.low && end <= range.high;
}

bool thread_local_touches(uintptr_t start, uintptr_t end)
{
	struct thread_range range = own_range();

	return start < range.high && end > range.low;
}

void thread_after_fork(void)
{
	struct thread *self = thread_words.self;

	RESET(thread_words.ended, 0);
	if (!thread_others())
		return;
	thread_generation++;
	RESET(ended_count, 0);
	if (self)
		self->used = thread_generation;
}

/* An attribute without a stack of the program's ends at address zero (glibc, nptl/pthread_attr_getstack.c). */
static bool gives_stack(const pthread_attr_t *attributes)
{
	void *low = NULL;
	size_t size = 0;

	return attributes && !pthread_attr_getstack(attributes, &low, &size) &&
	       (uintptr_t)low + size != 0;
}

static void thread_end(void *unused)
{
	struct thread *self = thread_words.self;

	(void)unused;
	unsafe_thread_end();
	/* cancelled inside system(), say */
	while (thread_words.environ_held)
		environ_release();
	thread_words.ended = 1;
	thread_words.self = NULL;
	if (self && held_leave(self) && ended_count < ENDED_MAX) {
		__atomic_add_fetch(&ended_count, 1, __ATOMIC_RELAXED);
		if (!seccomp_forbids_extras())
			SYS(prctl, PR_GET_NAME, self->name);
		self->ended = true;
	} else if (self) {
		thread_release(self);
	}
}

/* The frame of this function is where the thread's own stack begins. */
static void *thread_start(void *data)
{
	struct thread *self = data;
	void *(*routine)(void *) = self->routine;
	void *argument = self->argument, *result;
	bool given = self->stack_given;

	/* A signal handler that ran before may have needed one, and holds what it holds there. */
	if (UNLIKELY(thread_words.self)) {
		thread_release(self);
		self = thread_words.self;
	} else {
		thread_adopt(self);
	}
	self->stack_high = (uintptr_t)__builtin_frame_address(0);
	/* libc's own stacks end in the thread's storage. */
	self->stack_end = sys_thread_pointer();
	self->stack_given = given;
	pthread_cleanup_push(thread_end, NULL);
	result = routine(argument);
	/* a child that returns from here would end its parent's thread */
	hook_enter(HOOK_pthread_exit, NULL);
	pthread_cleanup_pop(1);
	return result;
}

static struct exposed_first first_thread;

/* A forked child's record still has its parent's id, which nobody could ask for until now: it has no other thread. */
static void first_thread_refresh(void)
{
	struct thread *self = thread_words.self;
	uint32_t tid = (uint32_t)SYS(gettid), pid = (uint32_t)SYS(getpid);

	if (first_thread.pid != pid) {
		first_thread.tid = self ? self->tid : tid;
		__atomic_store_n(&first_thread.pid, pid, __ATOMIC_RELEASE);
	}
	if (self)
		self->tid = tid;
}

/*
 * The thread's record is made here and handed over. Memory of malloc's, which the new thread would free, gives that
 * thread an arena, with all that costs the program at each fork, even where it never allocates.
 */
EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
			  void *(*routine)(void *), void *argument)
{
	struct thread *record;
	int result;

	HOOK_UNLESS_PASSIVE(REAL(pthread_create)(thread, attributes, routine, argument));
	hook_enter(HOOK_pthread_create, NULL);
	unsafe_thread(HOOK_pthread_create, CALLER);
	if (__libc_single_threaded)
		gate_prepare();
	first_thread_refresh();
	record = thread_claim();
	if (!record)
		return REAL(pthread_create)(thread, attributes, routine, argument);
	record->tid = 0;
	record->routine = routine;
	record->argument = argument;
	record->stack_given = gives_stack(attributes);
	result = REAL(pthread_create)(thread, attributes, thread_start, record);
	if (result)
		thread_release(record);
	return result;
}

void thread_expose(struct exposed *exposed)
{
	exposed->threads = (uintptr_t)&threads;
	exposed->generation = (uintptr_t)&thread_generation;
	exposed->first_thread = (uintptr_t)&first_thread;
	exposed->thread.size = sizeof(struct thread);
	exposed->thread.used = offsetof(struct thread, used);
	exposed->thread.tid = offsetof(struct thread, tid);
	exposed->thread.held = offsetof(struct thread, held);
	exposed->thread.held_count = offsetof(struct thread, held_count);
	exposed->thread.ended = offsetof(struct thread, ended);
	exposed->thread.name = offsetof(struct thread, name);
	exposed->thread.next = offsetof(struct thread, next);
}
