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

#include "environ.h"
#include "hook.h"
#include "memory.h"
#include "proc.h"
#include "real.h"
#include "sys.h"
#include "window.h"

#include "poison.h"

__thread struct thread_words thread_words __attribute__((visibility("hidden")));

uint32_t window_count __attribute__((visibility("hidden")));

static struct thread *threads;

struct thread *thread_first(void)
{
	return __atomic_load_n(&threads, __ATOMIC_ACQUIRE);
}

static struct thread *thread_claim(void)
{
	struct thread *thread;

	for (thread = thread_first(); thread; thread = thread->next)
		if (!__atomic_load_n(&thread->used, __ATOMIC_RELAXED) &&
		    !__atomic_exchange_n(&thread->used, 1, __ATOMIC_ACQUIRE))
			return thread;
	thread = memory_take(sizeof(*thread));
	if (!thread)
		return NULL;
	thread->used = 1;
	thread->next = thread_first();
	while (!__atomic_compare_exchange_n(&threads, &thread->next, thread, false,
					    __ATOMIC_RELEASE, __ATOMIC_ACQUIRE))
		;
	return thread;
}

struct thread *thread_self(void)
{
	struct thread *self = thread_words.self;

	if (LIKELY(self) || thread_words.ended)
		return self;
	self = thread_claim();
	if (self) {
		self->tid = (uint32_t)SYS(gettid);
		self->held_count = 0;
		self->stack_low = self->stack_high = 0;
		thread_words.self = self;
	}
	return self;
}

static void thread_release(struct thread *thread)
{
	thread->held_count = 0;
	__atomic_store_n(&thread->used, 0, __ATOMIC_RELEASE);
}

bool thread_stack(struct thread *self, uintptr_t stack_pointer)
{
	uintptr_t pointer = sys_thread_pointer();
	struct proc_maps maps;
	struct proc_map map;
	bool found = false;

	if (stack_pointer >= self->stack_low && stack_pointer < self->stack_high)
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
			if (found)
				self->stack_low = map.start;
		}
	proc_maps_close(&maps);
	return found;
}

/* Bytes of static thread-local storage below the thread pointer: the same in every thread. */
static uintptr_t static_below;

/* The thread's descriptor, struct pthread, starts at the thread pointer (glibc 2.36, x86-64: 2368 bytes). */
#define DESCRIPTOR_SIZE 2368

/* Restartable sequences: the kernel writes the current processor there whenever it likes. */
extern const ptrdiff_t __rseq_offset __attribute__((weak));
#define RSEQ_SIZE 32

static int static_block(struct dl_phdr_info *info, size_t size, void *unused)
{
	uintptr_t pointer = sys_thread_pointer(), block = (uintptr_t)info->dlpi_tls_data;

	(void)size;
	(void)unused;
	if (block && block < pointer && pointer - block > static_below)
		static_below = pointer - block;
	return 0;
}

void thread_init(void)
{
	dl_iterate_phdr(static_block, NULL);
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

uintptr_t thread_local_size(void)
{
	return static_below;
}

bool thread_local_owns(uintptr_t start, uintptr_t end)
{
	uintptr_t pointer = sys_thread_pointer();

	return start >= pointer - static_below && end <= pointer + DESCRIPTOR_SIZE;
}

void thread_after_fork(void)
{
	struct thread *thread, *self = thread_words.self;

	for (thread = thread_first(); thread; thread = thread->next)
		if (thread != self && thread->used)
			thread_release(thread);
	RESET(thread_words.ended, 0);
}

struct start {
	void *(*routine)(void *);
	void *argument;
};

static void thread_end(void *unused)
{
	struct thread *self = thread_words.self;

	(void)unused;
	/* cancelled inside system(), say */
	while (thread_words.environ_held)
		environ_release();
	thread_words.ended = 1;
	thread_words.self = NULL;
	if (self)
		thread_release(self);
}

/* The frame of this function is where the thread's own stack begins. */
static void *thread_start(void *data)
{
	struct start start = *(struct start *)data;
	struct thread *self;
	void *result;

	REAL(free)(data);
	self = thread_self();
	if (self)
		self->stack_high = (uintptr_t)__builtin_frame_address(0);
	pthread_cleanup_push(thread_end, NULL);
	result = start.routine(start.argument);
	/* a child that returns from here would end its parent's thread */
	hook_enter(HOOK_pthread_exit, NULL);
	pthread_cleanup_pop(1);
	return result;
}

/* pthread_create allocates for itself anyway, so its hook may. */
EXPORT int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
			  void *(*routine)(void *), void *argument)
{
	struct start *start;
	int result;

	hook_enter(HOOK_pthread_create, NULL);
	if (thread_words
		    .self) /* a forked child still has its parent's, and nobody to ask for it until now */
		thread_words.self->tid = (uint32_t)SYS(gettid);
	start = REAL(malloc)(sizeof(*start));
	if (!start)
		return REAL(pthread_create)(thread, attributes, routine, argument);
	start->routine = routine;
	start->argument = argument;
	result = REAL(pthread_create)(thread, attributes, thread_start, start);
	if (result)
		REAL(free)(start);
	return result;
}
