// SPDX-License-Identifier: MIT
/*
 * The child's side of a window: what its calls mean, becoming a real fork, and the way to exec.
 *
 * Everything here runs in a child: of a real fork under audit, or one that shares its parent's memory and
 * thread-local storage while the parent's thread is suspended and its other threads run. All signals are
 * blocked in such a child; the mask that it sees is the window's.
 */
#include <poll.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "atfork.h"
#include "audit.h"
#include "hook.h"
#include "site.h"
#include "thread.h"
#include "window.h"

/* Traits that are not reasons of the box: see hooks.def. */
enum {
	TRAIT_WRITE = BOX_REASON_COUNT,
	TRAIT_OPEN,
	TRAIT_OPENAT,
	TRAIT_KILL,
	TRAIT_CONTROL,
	TRAIT_RAW,
	TRAIT_FCNTL
};

#define BOX_REASON_WRITE TRAIT_WRITE
#define BOX_REASON_OPEN TRAIT_OPEN
#define BOX_REASON_OPENAT TRAIT_OPENAT
#define BOX_REASON_KILL TRAIT_KILL
#define BOX_REASON_CONTROL TRAIT_CONTROL
#define BOX_REASON_RAW TRAIT_RAW
#define BOX_REASON_FCNTL TRAIT_FCNTL
static const uint8_t traits[HOOK_COUNT] = {
#define HOOK(kind, id, symbol, version, trait) (uint8_t) BOX_REASON_##trait,
#include "hooks.def"
#undef HOOK
};

#include "poison.h"

/* A pipe or socket that nobody empties blocks its writer; PIPE_BUF bytes fit where POLLOUT is told. */
static enum spork_reason write_reason(const struct hook_arguments *arguments)
{
	struct pollfd descriptor = { .fd = (int)arguments->value[0], .events = POLLOUT };
	struct timespec none = { 0, 0 };

	if ((size_t)arguments->value[2] > 4096 || SYS(ppoll, &descriptor, 1, &none, NULL, 8) != 1)
		return BOX_REASON_BLOCKS;
	return BOX_REASON_NONE;
}

static enum spork_reason open_reason(int folder, const char *path)
{
	struct stat status;

	if (path && !fstatat(folder, path, &status, 0) && S_ISFIFO(status.st_mode))
		return BOX_REASON_BLOCKS;
	return BOX_REASON_NONE;
}

static enum spork_reason control_reason(struct window *window,
					const struct hook_arguments *arguments)
{
	switch (arguments->value[0]) {
	case PR_SET_PDEATHSIG:
		window->death_signal = (int32_t)arguments->value[1];
		return BOX_REASON_NONE;
	case PR_SET_NAME:
	case PR_SET_NO_NEW_PRIVS:
	case PR_SET_KEEPCAPS:
		return BOX_REASON_NONE;
	default:
		return BOX_REASON_SYSCALL;
	}
}

/* System calls that act on the caller's own descriptors, folders, limits and schedule, or only ask. */
static enum spork_reason raw_reason(const struct hook_arguments *arguments)
{
	switch (arguments->value[0]) {
	case SYS_close:
	case SYS_close_range:
	case SYS_dup:
	case SYS_dup3:
	case SYS_fstat:
	case SYS_newfstatat:
	case SYS_faccessat:
	case SYS_chdir:
	case SYS_fchdir:
	case SYS_umask:
	case SYS_prlimit64:
	case SYS_setpriority:
	case SYS_ioprio_set:
	case SYS_sched_setaffinity:
	case SYS_sched_setscheduler:
	case SYS_getpid:
	case SYS_getppid:
	case SYS_gettid:
	case SYS_getrandom:
		return BOX_REASON_NONE;
	default:
		return BOX_REASON_SYSCALL;
	}
}

static enum spork_reason trait_reason(struct window *window, enum hook hook,
				      const struct hook_arguments *arguments)
{
	switch (traits[hook]) {
	case TRAIT_WRITE:
		return write_reason(arguments);
	case TRAIT_OPEN:
		return open_reason(AT_FDCWD, (const char *)arguments->value[0]);
	case TRAIT_OPENAT:
		return open_reason((int)arguments->value[0], (const char *)arguments->value[1]);
	case TRAIT_RAW:
		return raw_reason(arguments);
	case TRAIT_FCNTL:
		return arguments->value[1] == F_SETLKW || arguments->value[1] == F_OFD_SETLKW ?
			       BOX_REASON_BLOCKS :
			       BOX_REASON_NONE;
	case TRAIT_KILL:
		return BOX_REASON_SIGNAL;
	case TRAIT_CONTROL:
		return control_reason(window, arguments);
	default:
		return (enum spork_reason)traits[hook];
	}
}

/* The pid that the child knows itself by became another one. */
static void rename_self(enum hook hook, struct hook_arguments *arguments, long before)
{
	size_t i;

	for (i = 0; traits[hook] == TRAIT_KILL && i < 2; i++) {
		int value = (int)arguments->value[i];

		/* the second argument of tgkill is a thread id, of the others a signal */
		if (i && hook != HOOK_tgkill)
			break;
		if (value == before || value == -before)
			arguments->value[i] = value == before ? sys_pid() : -sys_pid();
	}
}

void hook_in_window(enum hook hook, struct hook_arguments *arguments)
{
	struct window *window = thread_words.window;
	enum spork_reason reason;
	int error = errno;

	if (window->busy || window->kind == WINDOW_VFORK)
		return;
	window->busy = true;
	reason = trait_reason(window, hook, arguments);
	window->busy = false;
	if (reason && window->kind == WINDOW_AUDIT) {
		audit_refuse(window, reason);
	} else if (reason) {
		long before = sys_pid();

		window_upgrade(window, reason);
		rename_self(hook, arguments, before);
	}
	errno = error;
}

/* Stands for a function that this libc does not have: a program can only have found it by dlsym. */
static long missing(void)
{
	errno = ENOSYS;
	return -1;
}

/* What stubs run in a window, or before the constructor: the function to go on with. */
void *hook_stub(enum hook hook, struct hook_arguments *arguments)
	__attribute__((visibility("hidden")));

void *hook_stub(enum hook hook, struct hook_arguments *arguments)
{
	void *function;

	hook_enter(hook, arguments);
	function = real_get(hook);
	return function ? function : (void *)missing;
}

/* What the child did to itself, done again by the process that takes over. */
static void replay(const struct window *window)
{
	if (window->session)
		setsid();
	if (window->group)
		setpgid(0, window->group_id);
	if (window->death_signal >= 0)
		SYS(prctl, PR_SET_PDEATHSIG, window->death_signal);
}

/*
 * glibc's own fork() makes the process that takes over: its locks are consistent, since the parent's
 * other threads run on and release what they hold. The kernel gives that process to the parent, a
 * subreaper for as long as the window is open, when this one ends.
 */
void window_upgrade(struct window *window, enum spork_reason reason)
{
	uint32_t child = (uint32_t)SYS(getpid);
	uintptr_t from = window->registers.pc;
	int error = errno;
	pid_t pid;

	window->busy = true;
	signal_upgrade(&window->signal);
	thread_words.atfork_mode = ATFORK_UPGRADE;
	pid = REAL(fork)();
	if (pid) {
		if (pid < 0)
			window->upgrade_error = errno;
		else
			window->upgraded_pid = pid;
		window->upgrade_reason = reason;
		SYS(exit_group, 0);
		__builtin_unreachable();
	}
	while ((uint32_t)SYS(getppid) == child)
		SYS(sched_yield);
	window->busy = false;
	window_after_fork(from);
	replay(window);
	sys_sigmask(window->signal.mask);
	window_give(window);
	atfork_after_upgrade();
	errno = error;
}

void window_exec_begin(struct window *window)
{
	int error = errno;

	window->busy = true;
	if (window->kind == WINDOW_AUDIT) {
		audit_end(window);
	} else if (window->kind == WINDOW_SHARED) {
		signal_exec(&window->signal);
	}
	errno = error;
}

void window_exec_failed(struct window *window)
{
	int error = errno;

	window->busy = false;
	if (window->kind == WINDOW_AUDIT) {
		site_exec_failed(window->site);
	} else if (window->kind == WINDOW_SHARED) {
		signal_exec_failed();
		window_upgrade(window, BOX_REASON_EXEC_FAILED);
	}
	errno = error;
}

/* The shared child that ends without exec leaves a stand-in to its parent: window_close(). */
static void child_exit(int status)
{
	struct window *window = thread_words.window;

	if (window && window->kind == WINDOW_SHARED) {
		SYS(exit_group, status);
		__builtin_unreachable();
	}
	if (window && window->kind == WINDOW_AUDIT)
		audit_refuse(window, BOX_REASON_NO_EXEC);
}

EXPORT void _exit(int status)
{
	child_exit(status);
	REAL(_exit)(status);
	__builtin_unreachable();
}

EXPORT void _Exit(int status)
{
	child_exit(status);
	REAL(_Exit)(status);
	__builtin_unreachable();
}

EXPORT pid_t setsid(void)
{
	struct window *window = window_shared();
	pid_t result = REAL(setsid)();

	if (window && result >= 0) {
		window->session = true;
		window->group = false;
	}
	return result;
}

EXPORT int setpgid(pid_t pid, pid_t group)
{
	struct window *window = window_shared();
	int result = REAL(setpgid)(pid, group);
	pid_t self = (pid_t)SYS(getpid);

	if (window && !result && (!pid || pid == self)) {
		window->group = true;
		window->group_id = group == self ? 0 : group;
	}
	return result;
}

EXPORT int setpgrp(void)
{
	return setpgid(0, 0);
}
