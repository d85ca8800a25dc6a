// SPDX-License-Identifier: MIT
/*
 * What a thread waits for, from its system call, its stack and the lock's memory. The layouts are those of glibc 2.25
 * and later: bits/struct_mutex.h, bits/struct_rwlock.h, bits/thread-shared-types.h.
 *
 * The function that it waits in says what the word is part of; where no stack could be had, the word itself must do.
 */
#include <errno.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/syscall.h>

#include "inspect.h"

/* glibc's nptl/pthreadP.h */
#define MUTEX_TYPE 3
#define MUTEX_ROBUST 16
#define MUTEX_INHERIT 32
#define MUTEX_PROTECT 64
#define MUTEX_SHARED 128
#define MUTEX_KINDS 0x1ff
#define RWLOCK_WRITER 2
#define READER_SHIFT 3

#if defined(__x86_64__)
#define SPIN_FREE 1 /* nptl/pthread_spin_init.c of each */
#else
#define SPIN_FREE 0
#endif

/* struct __pthread_cond_s: two words that waiters of its two groups sleep on */
#define CONDITION_FUTEX 40

#define THREAD_ID_MAX (4 << 20) /* PID_MAX_LIMIT, linux/threads.h */

#define FRAME_WORDS 64 /* of functions in which glibc waits */

static const char *const names[] = {
	[WAIT_NONE] = "nothing",	[WAIT_MUTEX] = "mutex", [WAIT_RWLOCK] = "rwlock",
	[WAIT_SPIN] = "spin",		[WAIT_SEM] = "sem",	[WAIT_HIDDEN] = "hidden",
	[WAIT_CONDITION] = "condition", [WAIT_JOIN] = "join",	[WAIT_BARRIER] = "barrier",
	[WAIT_ONCE] = "once",		[WAIT_FUTEX] = "futex", [WAIT_VFORK] = "vfork",
	[WAIT_STREAM] = "stream",
};

const char *wait_name(enum wait_type type)
{
	return names[type];
}

static int operation(const struct proc_call *call)
{
	return (int)call->argument[1] & FUTEX_CMD_MASK;
}

/* Is the thread asleep on a futex? Which, and for how long. */
static bool futex_call(const struct proc_call *call, struct wait *wait)
{
	/* A timed wait that was interrupted; its registers are as they were. */
	bool restarted = call->number == SYS_restart_syscall;

	if (!call->known || call->running || (call->number != SYS_futex && !restarted))
		return false;
	switch (operation(call)) {
	case FUTEX_WAIT:
	case FUTEX_WAIT_BITSET:
	case FUTEX_LOCK_PI:
	case FUTEX_WAIT_REQUEUE_PI:
#ifdef FUTEX_LOCK_PI2
	case FUTEX_LOCK_PI2:
#endif
		break;
	default:
		return false;
	}
	wait->futex = call->argument[0];
	wait->timed = restarted || call->argument[3];
	return true;
}

static bool in_libc(const struct place *place)
{
	const char *base = place->module ? path_base(place->module) : "";

	return !strncmp(base, "libc.so.", 8) || !strncmp(base, "libc-2.", 7) ||
	       !strncmp(base, "ld-linux", 8) || !strncmp(base, "ld-2.", 5) ||
	       !strncmp(base, "libpthread", 10);
}

/*
 * The innermost function of glibc that the thread is known to wait in, hidden locks only if `hidden`. Once the stack has
 * left libc, what called it there is not what waits.
 */
static const struct known_call *waits_in(const struct inspect_stack *stack, bool hidden)
{
	const struct inspect_frame *frame;
	unsigned i;

	for (i = 0; i < stack->frames; i++) {
		frame = &stack->frame[i];
		if (frame->known && (!hidden || frame->known->wait == WAIT_HIDDEN))
			return frame->known;
		/* A statically linked program has all in one. */
		if (frame->place.module && !in_libc(&frame->place) &&
		    frame->place.module != stack->frame[0].place.module)
			break;
		if (i > 8 && !in_libc(&frame->place))
			break;
	}
	return NULL;
}

static const char *mutex_trait(int kind)
{
	if (kind & MUTEX_INHERIT)
		return "priority-inheriting";
	if (kind & MUTEX_ROBUST)
		return "robust";
	switch (kind & MUTEX_TYPE) {
	case PTHREAD_MUTEX_RECURSIVE:
		return "recursive";
	case PTHREAD_MUTEX_ERRORCHECK:
		return "error-checking";
	default:
		return "";
	}
}

static bool mutex_read(struct wait *wait, pid_t pid)
{
	pthread_mutex_t mutex;
	int kind;

	if (!proc_memory(pid, wait->futex, &mutex, sizeof(mutex)))
		return false;
	kind = mutex.__data.__kind;
	wait->type = WAIT_MUTEX;
	wait->lock = wait->futex;
	wait->word = (uint32_t)mutex.__data.__lock;
	wait->noted = (uint32_t)mutex.__data.__owner;
	if (kind & (MUTEX_ROBUST | MUTEX_INHERIT))
		wait->owner = wait->word & FUTEX_TID_MASK;
	else
		wait->owner = (uint32_t)mutex.__data.__owner;
	wait->trait = mutex_trait(kind);
	/* Every robust mutex has the mark of a shared one. */
	return true;
}

/* Does the word look like a mutex, when only memory tells? */
static bool mutex_plausible(const struct wait *wait, pid_t pid)
{
	pthread_mutex_t mutex;
	uint32_t word;

	if (!proc_memory(pid, wait->futex, &mutex, sizeof(mutex)))
		return false;
	word = (uint32_t)mutex.__data.__lock;
	return word == 2 && !(mutex.__data.__kind & ~MUTEX_KINDS) && mutex.__data.__owner > 0 &&
	       mutex.__data.__owner <= THREAD_ID_MAX && mutex.__data.__nusers;
}

static void rwlock_read(struct wait *wait, pid_t pid)
{
	pthread_rwlock_t rwlock;

	/* A waiter is at one of two words; the object is aligned. */
	wait->lock = wait->futex - (wait->futex % sizeof(long) ?
					    offsetof(pthread_rwlock_t, __data.__writers_futex) :
					    offsetof(pthread_rwlock_t, __data.__wrphase_futex));
	if (!proc_memory(pid, wait->lock, &rwlock, sizeof(rwlock)))
		return;
	wait->word = rwlock.__data.__readers;
	wait->owner = (uint32_t)rwlock.__data.__cur_writer;
	wait->readers = rwlock.__data.__readers >> READER_SHIFT;
}

static void word_read(struct wait *wait, pid_t pid)
{
	if (wait->futex && !proc_memory(pid, wait->futex, &wait->word, sizeof(wait->word)))
		wait->word = 0;
}

/* Keeps what is known of its owner: some of them are mutexes. */
static void hidden_read(struct wait *wait, const struct known_call *known)
{
	wait->type = WAIT_HIDDEN;
	wait->known = known;
	memcpy(wait->hidden, known->takes, sizeof(wait->hidden));
	wait->class = known_class(known->takes[0]);
}

/* The lock of a stream, which notes its owner by where its descriptor is: _IO_lock_t in glibc's stdio-lock.h. */
static void stream_read(struct wait *wait, struct stacks *stacks, pid_t pid)
{
	struct {
		uint32_t word, count;
		uint64_t owner;
	} lock;

	if (!proc_memory(pid, wait->futex, &lock, sizeof(lock)) || lock.word != 2 || !lock.count ||
	    !lock.owner)
		return;
	wait->owner = stacks_thread_id(stacks, lock.owner);
	if (wait->owner)
		wait->type = WAIT_STREAM;
}

static bool inherits(struct wait *wait, uint64_t address, pid_t pid)
{
	struct wait candidate = *wait;

	candidate.futex = address;
	if (address % sizeof(long) || !mutex_read(&candidate, pid) ||
	    strcmp(candidate.trait, "priority-inheriting") || !candidate.owner ||
	    candidate.owner != candidate.noted)
		return false;
	candidate.futex = wait->futex;
	*wait = candidate;
	return true;
}

/*
 * A priority-inheriting mutex that the kernel refuses, for the thread has it itself, or its holder has ended: glibc then
 * waits for ever, for a word of its own on the stack. What it has in registers and in that frame leads to the mutex, or
 * to its kind.
 */
static bool refused_read(struct inspect_thread *thread)
{
	const struct inspect_stack *stack = &thread->stack;
	uint64_t words[SNAPSHOT_REGISTERS + FRAME_WORDS];
	struct wait *wait = &thread->wait;
	const size_t kind = offsetof(pthread_mutex_t, __data.__kind);
	size_t count, i;

	if (!stack->stopped || wait->word || thread->call.argument[2] ||
	    wait->futex < thread->call.stack ||
	    wait->futex - thread->call.stack > FRAME_WORDS * sizeof(*words))
		return false;
	memcpy(words, stack->registers, sizeof(stack->registers));
	count = SNAPSHOT_REGISTERS + proc_memory_some(thread->process, thread->call.stack,
						      words + SNAPSHOT_REGISTERS,
						      FRAME_WORDS * sizeof(*words)) /
					     sizeof(*words);
	for (i = 0; i < count; i++)
		if (inherits(wait, words[i], thread->process) ||
		    inherits(wait, words[i] - kind, thread->process))
			return true;
	return false;
}

static void futex_read(struct inspect_thread *thread, struct stacks *stacks)
{
	const struct known_call *known = waits_in(&thread->stack, false);
	struct wait *wait = &thread->wait;
	pid_t pid = thread->process;

	wait->known = known;
	wait->type = known ? known->wait : WAIT_FUTEX;
	wait->lock = wait->futex;
	word_read(wait, pid);
	switch (wait->type) {
	case WAIT_MUTEX:
		if (!refused_read(thread))
			mutex_read(wait, pid);
		break;
	case WAIT_RWLOCK:
		rwlock_read(wait, pid);
		break;
	case WAIT_CONDITION:
		/* It was woken, and asks for its mutex again. */
		if (operation(&thread->call) == FUTEX_LOCK_PI ||
		    (thread->call.argument[2] == 2 && mutex_plausible(wait, pid)))
			mutex_read(wait, pid);
		else
			wait->lock = wait->futex - CONDITION_FUTEX - wait->futex % 8;
		break;
	case WAIT_JOIN:
		wait->owner = wait->word;
		wait->lock = 0;
		break;
	case WAIT_HIDDEN:
		hidden_read(wait, known);
		break;
	case WAIT_FUTEX:
		if (mutex_plausible(wait, pid))
			mutex_read(wait, pid);
		else
			stream_read(wait, stacks, pid);
		break;
	default:
		break;
	}
	wait->place = stacks_data(stacks, wait->lock ? wait->lock : wait->futex);
	/* pthread_mutex_lock() on a mutex of libc's own, called by a function that takes it */
	known = waits_in(&thread->stack, true);
	if ((wait->type == WAIT_MUTEX || wait->type == WAIT_RWLOCK) && in_libc(&wait->place) &&
	    known)
		hidden_read(wait, known);
}

/* Does somebody wait for it? x86 counts those who asked, down from 1; elsewhere it is only locked. */
static bool spin_wanted(uint32_t word)
{
	return SPIN_FREE ? (int32_t)word < 0 : word != SPIN_FREE;
}

static bool spins(const struct inspect_stack *stack)
{
	return stack->stopped && stack->frames && stack->frame[0].known &&
	       stack->frame[0].known->wait == WAIT_SPIN;
}

bool wait_spins(const struct inspect_thread *thread, const struct inspect_stack *stack)
{
	uint32_t word;

	return spins(stack) && stack->argument == thread->wait.lock &&
	       proc_memory(thread->process, thread->wait.lock, &word, sizeof(word)) &&
	       spin_wanted(word);
}

/* Spinning threads make no call. */
static void spin_read(struct inspect_thread *thread, struct stacks *stacks)
{
	const struct inspect_stack *stack = &thread->stack;
	struct wait *wait = &thread->wait;

	if (!spins(stack) ||
	    !proc_memory(thread->process, stack->argument, &wait->word, sizeof(wait->word)) ||
	    !spin_wanted(wait->word))
		return;
	wait->type = WAIT_SPIN;
	wait->known = stack->frame[0].known;
	wait->lock = stack->argument;
	wait->futex = wait->lock;
	wait->place = stacks_data(stacks, wait->lock);
}

static bool vfork_call(const struct inspect_thread *thread)
{
	const struct proc_call *call = &thread->call;
	uint64_t flags = 0;

	if (!call->known || call->running || thread->status.state != 'D')
		return false;
#ifdef SYS_vfork
	if (call->number == SYS_vfork)
		return true;
#endif
	if (call->number == SYS_clone)
		flags = call->argument[0];
	else if (call->number == SYS_clone3)
		proc_memory(thread->process, call->argument[0], &flags, sizeof(flags));
	return flags & CLONE_VFORK;
}

void wait_read(struct inspect_thread *thread, struct stacks *stacks, const struct proc_maps *maps)
{
	struct wait *wait = &thread->wait;
	const struct proc_map *map;

	memset(wait, 0, sizeof(*wait));
	wait->trait = "";
	if (vfork_call(thread))
		wait->type = WAIT_VFORK;
	else if (futex_call(&thread->call, wait))
		futex_read(thread, stacks);
	else
		spin_read(thread, stacks);
	map = proc_map_at(maps, wait->lock ? wait->lock : wait->futex);
	wait->shared = map && map->shared;
}

bool wait_same(const struct inspect_thread *thread)
{
	struct proc_status status;
	struct proc_call call;
	uint32_t word;

	if (!proc_status(thread->process, thread->tid, &status) ||
	    proc_call(thread->process, thread->tid, &call))
		return false;
	if (thread->wait.type == WAIT_SPIN)
		return call.running &&
		       proc_memory(thread->process, thread->wait.futex, &word, sizeof(word)) &&
		       word == thread->wait.word;
	/* It was stopped, and what it waited for has come: it may be about to go on. */
	if ((status.state == 'T' || status.state == 't') && call.number == SYS_futex &&
	    operation(&call) != FUTEX_LOCK_PI &&
	    proc_memory(thread->process, thread->wait.futex, &word, sizeof(word)) &&
	    word != (uint32_t)call.argument[2])
		return false;
	/* It did not run in between, so it did not come and go. */
	return call.known &&
	       (call.number == thread->call.number || call.number == SYS_restart_syscall) &&
	       call.pc == thread->call.pc && call.stack == thread->call.stack &&
	       !memcmp(call.argument, thread->call.argument, sizeof(call.argument)) &&
	       status.switches == thread->status.switches;
}

static bool mutex_held_by(pid_t pid, uint64_t lock, uint32_t tid, uint32_t other)
{
	struct wait wait = { .futex = lock };

	return mutex_read(&wait, pid) && wait.word && wait.owner &&
	       (wait.owner == tid || wait.owner == other);
}

static bool rwlock_held_by(pid_t pid, const struct held *held, uint32_t tid, uint32_t other)
{
	pthread_rwlock_t rwlock;
	uint32_t writer;

	if (!proc_memory(pid, (uintptr_t)held->lock, &rwlock, sizeof(rwlock)))
		return false;
	writer = (uint32_t)rwlock.__data.__cur_writer;
	if (held->kind == HELD_READ)
		return rwlock.__data.__readers >> READER_SHIFT;
	return writer && (writer == tid || writer == other);
}

bool lock_held_by(pid_t pid, const struct held *held, uint32_t tid, uint32_t other)
{
	uint64_t lock = (uintptr_t)held->lock;
	uint32_t word;

	if (held->flags & HELD_WAITING)
		return false;
	/* A mutex tells by itself, and its entry is not always marked. */
	if (held->kind == HELD_MUTEX)
		return mutex_held_by(pid, lock, tid, other);
	if (!(held->flags & HELD_TAKEN))
		return false;
	switch (held->kind) {
	case HELD_READ:
	case HELD_WRITE:
		return rwlock_held_by(pid, held, tid, other);
	case HELD_SPIN:
		return proc_memory(pid, lock, &word, sizeof(word)) && word != SPIN_FREE;
	case HELD_SEM:
		/* struct new_sem: its value comes first */
		return proc_memory(pid, lock, &word, sizeof(word)) && !word;
	default:
		return true;
	}
}
