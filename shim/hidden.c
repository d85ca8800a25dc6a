// SPDX-License-Identifier: MIT
/*
 * The hooks of the functions that take hidden locks: an entry is pushed before libc's function and popped after it.
 * Reached as those of lock.c are. And, for a forked child, how such a lock is tried out and made anew.
 *
 * Parameters have the types that the calling convention sees, not those of the prototypes, so that one table does.
 */
#include "hidden.h"

#include <dlfcn.h>
#include <link.h>
#include <locale.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdarg.h>

#include "avfork_child.h"
#include "hook.h"
#include "libc_lock.h"
#include "module.h"
#include "orphan.h"
#include "probe.h"
#include "record.h"
#include "seccomp.h"
#include "sys.h"
#include "unsafe.h"

/* How it is found out whether a call would block: see hidden.def. */
enum hidden_trial_by { TRIAL_CALL, TRIAL_LOCK, TRIAL_LONG };

/* A thread inside one of those is not waited for, as one that waits for a condition is not. */
#define HELD_FLAGS(trial) (TRIAL_##trial == TRIAL_LONG ? HELD_TAKEN | HELD_WAITING : HELD_TAKEN)

const struct hidden_function hidden_functions[HIDDEN_COUNT] = {
#define LOCK(...)
#define HIDDEN(trial, condition, type, id, parameters, arguments, ...)                             \
	HIDDEN_ELSEWHERE(trial, id, __VA_ARGS__)
#define HIDDEN_ELSEWHERE(trial, id, ...) ROW(trial, id, __VA_ARGS__)
#define ROW(trial, id, ...) { HOOK_##id, TRIAL_##trial, HELD_FLAGS(trial), __VA_ARGS__ },
#include "hidden.def"
#undef ROW
};

const char *hidden_name(enum hidden_id id)
{
	return real_name((enum hook)hidden_functions[id].hook);
}

/* As glibc lays them out: stdio-lock.h, lowlevellock.h, pthread.h. */
enum layout { LAYOUT_WORD, LAYOUT_HEAP, LAYOUT_RECURSIVE, LAYOUT_MUTEX, LAYOUT_RWLOCK };

struct recursive {
	int word, count;
	void *owner;
};

static const struct {
	char class[15];
	uint8_t layout;
} locks[LOCK_COUNT] = {
#define LOCK(id, class, layout, ...) [LOCK_##id] = { #class, LAYOUT_##layout },
#define HIDDEN(...)
#define HIDDEN_ELSEWHERE(...)
#include "hidden.def"
};

const char *hidden_class(enum hidden_lock lock)
{
	return locks[lock].class;
}

void hidden_drop_stale(uintptr_t stack)
{
	struct thread *self = thread_words.self;
	const struct held *top;

	for (;;) {
		top = &self->held[(size_t)self->held_count - 1];
		if (!self->held_count || top->kind != HELD_HIDDEN || !top->lock ||
		    top->stack > stack)
			return;
		held_drop(self->held_count - 1, top->lock);
	}
}

void hidden_attend(struct hidden_call *call, struct held_caller caller, const long arguments[6])
{
	void *function = (void *)(uintptr_t)call->function;
	struct held *held;
	int error = errno;

	call->at = lock_attend(call->at, function, HELD_HIDDEN, caller, false);
	held = held_same(call->at, function);
	if (held)
		held->flags = call->function->held;
	if (__atomic_load_n(&lock_attention, __ATOMIC_RELAXED) & ATTEND_ORPHANS)
		orphan_check_hidden(call->function, arguments);
	errno = error;
}

/* As sysdeps/unix/sysv/linux/timer_create.c sees it. */
static bool notifies(const void *event)
{
	return event && ((const struct sigevent *)event)->sigev_notify == SIGEV_THREAD;
}

#define NEXT(id, type, parameters) ((type(*) parameters)real_get(HOOK_##id))
#define LOCK(...)
#define HIDDEN_ELSEWHERE(...)
#define HIDDEN(trial, condition, type, id, parameters, arguments, ...)                             \
	type lock_##id parameters;                                                                 \
	type lock_##id parameters                                                                  \
	{                                                                                          \
		HIDDEN_SCOPE_OF(id, condition, HIDDEN_LONGS arguments);                            \
		unsafe_perhaps_thread(HOOK_##id, hidden_caller.where, (condition));                \
		return NEXT(id, type, parameters) arguments;                                       \
	}
#include "hidden.def"

typedef void log_list(int, const char *, va_list);
typedef void log_list_checked(int, int, const char *, va_list);

log_list lock_vsyslog;
log_list_checked lock___vsyslog_chk;

void lock_vsyslog(int priority, const char *format, va_list rest)
{
	HIDDEN_SCOPE(vsyslog, true, priority, format);

	((log_list *)real_get(HOOK_vsyslog))(priority, format, rest);
}

void lock___vsyslog_chk(int priority, int flag, const char *format, va_list rest)
{
	HIDDEN_SCOPE(__vsyslog_chk, true, priority, flag, format);

	((log_list_checked *)real_get(HOOK___vsyslog_chk))(priority, flag, format, rest);
}

void lock_syslog(int priority, const char *format, ...);
void lock___syslog_chk(int priority, int flag, const char *format, ...);

void lock_syslog(int priority, const char *format, ...)
{
	va_list rest;
	HIDDEN_SCOPE(syslog, true, priority, format);

	va_start(rest, format);
	((log_list *)real_get(HOOK_vsyslog))(priority, format, rest);
	va_end(rest);
}

void lock___syslog_chk(int priority, int flag, const char *format, ...)
{
	va_list rest;
	HIDDEN_SCOPE(__syslog_chk, true, priority, flag, format);

	va_start(rest, format);
	((log_list_checked *)real_get(HOOK___vsyslog_chk))(priority, flag, format, rest);
	va_end(rest);
}

void lock_exit(int status) __attribute__((noreturn));
void lock_quick_exit(int status) __attribute__((noreturn));

void lock_exit(int status)
{
	avfork_exit(HOOK_exit, status);
	HIDDEN_SCOPE(exit, true, status);

	NEXT(exit, void, (int))(status);
	__builtin_unreachable();
}

void lock_quick_exit(int status)
{
	avfork_exit(HOOK_quick_exit, status);
	HIDDEN_SCOPE(quick_exit, true, status);

	NEXT(quick_exit, void, (int))(status);
	__builtin_unreachable();
}

void hidden_exit(uintptr_t where, uintptr_t stack, int status)
{
	struct held_caller caller = { where, stack, (uint32_t)stack };
	struct hidden_call call;

	if (!config.locks)
		return;
	call = hidden_enter(HIDDEN_exit, caller);
	if (lock_attended())
		hidden_attend(&call, caller, HIDDEN_LONGS(status));
}

/* Without O_CREAT the last two are not there, and not looked at. */
void *lock_sem_open(const char *name, int flags, mode_t mode, unsigned value);

void *lock_sem_open(const char *name, int flags, mode_t mode, unsigned value)
{
	HIDDEN_SCOPE(sem_open, true, name, flags, mode, value);

	return NEXT(sem_open, void *, (const char *, int, ...))(name, flags, mode, value);
}

/*
 * dlopen() looks at its return address for the object that calls it, whose search path counts. So its hook ends in
 * a jump, nothing runs when it comes back, and the thread's record keeps the last such call.
 */
static __attribute__((noinline)) void enter_open(enum hidden_id id, uintptr_t where,
						 uintptr_t stack, uint32_t frame, const void *path,
						 long mode)
{
	struct held_caller caller = { where, stack, frame };
	struct hidden_call call = hidden_enter(id, caller);
	struct thread *self = thread_words.self;

	if (lock_attended())
		hidden_attend(&call, caller, HIDDEN_LONGS(path, mode));
	hidden_leave(&call);
	if (call.at == HELD_NONE)
		return;
	*thread_opening(self) = (struct held){ .lock = (void *)(uintptr_t)call.function,
					       where,
					       stack,
					       frame,
					       HELD_HIDDEN,
					       HELD_TAKEN };
}

void *lock_dlopen(const char *path, int mode);
void *lock_dlmopen(long list, const char *path, int mode);

void *lock_dlopen(const char *path, int mode)
{
	struct held_caller caller = HELD_CALLER;

	enter_open(HIDDEN_dlopen, caller.where, caller.stack, caller.frame, path, mode);
	return NEXT(dlopen, void *, (const char *, int))(path, mode);
}

void *lock_dlmopen(long list, const char *path, int mode)
{
	struct held_caller caller = HELD_CALLER;

	enter_open(HIDDEN_dlmopen, caller.where, caller.stack, caller.frame, path, mode);
	return NEXT(dlmopen, void *, (long, const char *, int))(list, path, mode);
}

/*
 * What a throw-away process does.
 */
struct trial {
	enum hidden_lock lock; /* LOCK_NONE: the call itself */
	const struct hidden_function *function;
	const long *arguments;
};

static int stop(struct dl_phdr_info *info, size_t size, void *data)
{
	(void)info, (void)size, (void)data;
	return 1;
}

static void nothing(void *argument)
{
	(void)argument;
}

static void notified(union sigval value)
{
	(void)value;
}

typedef long any_function(long, long, long, long, long, long);

static void call_any(enum hook hook, const long a[6])
{
	any_function *function = (any_function *)real_get(hook);

	if (function)
		function(a[0], a[1], a[2], a[3], a[4], a[5]);
}

static void try_lock(enum hidden_lock lock)
{
	static uint64_t stream[64];
	struct sigevent notify = { .sigev_notify = SIGEV_THREAD,
				   .sigev_notify_function = notified };
	/* struct aioinit: its limits are hints */
	int hints[8] = { 1, 1 };
	const struct in6_addr any = IN6ADDR_ANY_INIT;
	struct addrinfo numeric = { .ai_flags = AI_NUMERICHOST | AI_ADDRCONFIG };
	struct __res_state resolver;
	struct tm fields;
	time_t when = 0;
	void *list, *timer;

	memset(&resolver, 0, sizeof(resolver));
	switch (lock) {
#define HIDDEN(...)
#define HIDDEN_ELSEWHERE(...)
#define LOCK(id, class, layout, function, ...)                                                     \
	case LOCK_##id:                                                                            \
		call_any(HOOK_##function, HIDDEN_LONGS(__VA_ARGS__));                              \
		break;
#include "hidden.def"
	default:
		break;
	}
}

static void run(void *data)
{
	const struct trial *trial = data;
	const char *path = (const char *)trial->arguments[0];
	uint16_t hook = trial->function->hook;

	if (trial->lock != LOCK_NONE) {
		try_lock(trial->lock);
		/* One with a writer that waited for it is handed over to that writer, who is not here. */
		if (locks[trial->lock].layout == LAYOUT_RWLOCK)
			try_lock(trial->lock);
	} else if (hook != HOOK_dlopen)
		call_any((enum hook)hook, trial->arguments);
	/* One that is loaded is found without the lock; another would run its constructors here. */
	else if (path && !NEXT(dlopen, void *, (const char *, int))(path, RTLD_LAZY | RTLD_NOLOAD))
		try_lock(LOCK_LOADER);
}

/* Could the call be made in a throw-away process? */
static bool harmless(const struct hidden_function *function, const long arguments[6])
{
	if (function->hook == HOOK_dlopen)
		return true;
	if (function->hook == HOOK_sem_open)
		return !(arguments[1] & O_CREAT);
	return function->trial == TRIAL_CALL;
}

/* Does it lie in the data of libc or the loader? */
static bool in_libc(uintptr_t word)
{
	struct module module, libc;

	return module_find(word, &module) &&
	       (module.loader || (module_find((uintptr_t)real_get(HOOK_localtime_r), &libc) &&
				  libc.start == module.start));
}

static bool plausible(enum hidden_lock lock, uintptr_t word)
{
	return locks[lock].layout == LAYOUT_HEAP || in_libc(word);
}

/* Those who hold it and live go on; they do not hold it each time, or not for so long. */
#define TRIES 3

static enum probe_end try_out(struct trial *trial, uintptr_t *word)
{
	unsigned tries = thread_others_alive() ? TRIES : 1;
	enum probe_end end;

	do {
		end = probe_run(run, trial, word);
		if (end == PROBE_BLOCKED && *word && !plausible(trial->lock, *word))
			end = PROBE_UNDECIDED;
	} while (end == PROBE_BLOCKED && --tries);
	return end;
}

enum hidden_verdict hidden_try(const struct hidden_function *function, enum hidden_lock lock,
			       const long arguments[6], uintptr_t *word)
{
	struct trial trial = { lock, function, arguments };
	enum probe_end end;
	uintptr_t call_word;

	*word = 0;
	if (seccomp_confined())
		return HIDDEN_PASSES;
	end = try_out(&trial, word);
	if (end == PROBE_ENDED)
		return HIDDEN_FREE;
	if (end == PROBE_NONE)
		return HIDDEN_UNKNOWN;
	if (end != PROBE_BLOCKED)
		return HIDDEN_PASSES;
	if (!harmless(function, arguments))
		return HIDDEN_BLOCKED;
	/* What the holder left half done may end it: then nothing says that the call goes by. */
	trial.lock = LOCK_NONE;
	end = try_out(&trial, &call_word);
	return end == PROBE_BLOCKED || end == PROBE_FAILED ? HIDDEN_BLOCKED : HIDDEN_PASSES;
}

bool hidden_remake(enum hidden_lock lock, uintptr_t word)
{
	struct recursive *recursive = (struct recursive *)word;
	int value;

	if (!word || word % sizeof(int) || !plausible(lock, word))
		return false;
	value = __atomic_load_n((int *)word, __ATOMIC_RELAXED);
	switch (locks[lock].layout) {
	case LAYOUT_RECURSIVE:
		recursive->count = 0;
		recursive->owner = NULL;
		/* fall through */
	case LAYOUT_WORD:
	case LAYOUT_HEAP:
		if (value != 1 && value != 2)
			return false;
		__atomic_store_n((int *)word, 0, __ATOMIC_RELEASE);
		return true;
	case LAYOUT_MUTEX:
		libc_lock_remake(HELD_MUTEX, (void *)word);
		return true;
	case LAYOUT_RWLOCK:
		/* A waiter is at one of two words; the object is aligned. */
		word -= word % sizeof(long) ? offsetof(pthread_rwlock_t, __data.__writers_futex) :
					      offsetof(pthread_rwlock_t, __data.__wrphase_futex);
		libc_lock_remake(HELD_WRITE, (void *)word);
		return true;
	default:
		return false;
	}
}
