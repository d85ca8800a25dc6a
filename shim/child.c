// SPDX-License-Identifier: MIT
/*
 * The child's side of a window: what its calls mean, the way to exec, and giving way to a real fork.
 *
 * Everything here runs in a child: of a real fork under audit, or one that shares its parent's memory and
 * thread-local storage while the parent's thread is suspended and its other threads run. All signals are
 * blocked in such a child; the mask that it sees is the window's.
 */
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "audit.h"
#include "automaton.h"
#include "avfork_child.h"
#include "bypass.h"
#include "hook.h"
#include "lean.h"
#include "lean_site.h"
#include "lock.h"
#include "profile.h"
#include "site.h"
#include "thread.h"
#include "tier.h"
#include "unsafe.h"
#include "unwind.h"
#include "vfork.h"
#include "window.h"

/* Traits that are not reasons of the box: see hooks.def. */
enum {
	TRAIT_OPEN = BOX_REASON_COUNT,
	TRAIT_OPENAT,
	TRAIT_CREAT,
	TRAIT_CONTROL,
	TRAIT_RAW,
	TRAIT_FCNTL,
	TRAIT_IOCTL,
	TRAIT_RLIMIT,
	TRAIT_PRLIMIT,
	TRAIT_FREE,
};

#define BOX_REASON_OPEN TRAIT_OPEN
#define BOX_REASON_OPENAT TRAIT_OPENAT
#define BOX_REASON_CREAT TRAIT_CREAT
#define BOX_REASON_CONTROL TRAIT_CONTROL
#define BOX_REASON_RAW TRAIT_RAW
#define BOX_REASON_FCNTL TRAIT_FCNTL
#define BOX_REASON_IOCTL TRAIT_IOCTL
#define BOX_REASON_RLIMIT TRAIT_RLIMIT
#define BOX_REASON_PRLIMIT TRAIT_PRLIMIT
#define BOX_REASON_FREE TRAIT_FREE
static const uint8_t traits[HOOK_COUNT] = {
#define HOOK(kind, id, symbol, version, trait) (uint8_t) BOX_REASON_##trait,
#include "hooks.def"
#undef HOOK
};

#include "poison.h"

/* Character devices of major 1 are /dev/null and its kin: opening them has no effect. */
#define MEMORY_DEVICES 1

/* A FIFO blocks, a device may do anything (a terminal becomes the controlling one), a file is made once. */
static enum spork_reason open_reason(int folder, const char *path, int flags)
{
	struct stat status;

	if (flags & O_TRUNC)
		return BOX_REASON_EFFECT;
	if (!path || !sys_stat(folder, path, 0, &status))
		return flags & O_CREAT ? BOX_REASON_EFFECT : BOX_REASON_NONE;
	if (S_ISFIFO(status.st_mode))
		return BOX_REASON_BLOCKS;
	if (S_ISCHR(status.st_mode) && major(status.st_rdev) != MEMORY_DEVICES)
		return BOX_REASON_EFFECT;
	return BOX_REASON_NONE;
}

/*
 * The child changes the flags of a description that its parent shares, as it may: but should it start over, it
 * must find them as they were. A descriptor of its own keeps hold of the description.
 */
static enum spork_reason flags_note(int fd)
{
	struct window *window = thread_words.window;
	struct window_flags *noted = &window->flags[window->flags_count];

	if (window->kind != WINDOW_SHARED)
		return BOX_REASON_NONE;
	if (window->flags_count == COUNT(window->flags))
		return BOX_REASON_EFFECT;
	noted->flags = (int)SYS(fcntl, fd, F_GETFL);
	noted->fd = (int)SYS(fcntl, fd, F_DUPFD_CLOEXEC, WINDOW_DESCRIPTOR);
	if (noted->fd < 0)
		return noted->flags < 0 ? BOX_REASON_NONE : BOX_REASON_EFFECT;
	window->flags_count++;
	return BOX_REASON_NONE;
}

/* Last changed, first put back. */
static void flags_restore(const struct window *window)
{
	uint32_t i;

	for (i = window->flags_count; i; i--)
		SYS(fcntl, window->flags[i - 1].fd, F_SETFL, window->flags[i - 1].flags);
}

static enum spork_reason fcntl_reason(int fd, int command)
{
	switch (command) {
	case F_DUPFD:
	case F_DUPFD_CLOEXEC:
	case F_GETFD:
	case F_SETFD:
	case F_GETFL:
	case F_GETLK:
	case F_OFD_GETLK:
	case F_GETOWN:
	case F_GETSIG:
	case F_GETLEASE:
	case F_GETPIPE_SZ:
	case F_GET_SEALS:
		return BOX_REASON_NONE;
	case F_SETFL:
		return flags_note(fd);
	case F_SETLKW:
	case F_OFD_SETLKW:
		return BOX_REASON_BLOCKS;
	default:
		return BOX_REASON_EFFECT;
	}
}

static enum spork_reason control_reason(int operation)
{
	switch (operation) {
	case PR_SET_PDEATHSIG:
	case PR_SET_NAME:
	case PR_SET_NO_NEW_PRIVS:
	case PR_SET_KEEPCAPS:
		return BOX_REASON_NONE;
	default:
		return BOX_REASON_SYSCALL;
	}
}

static enum spork_reason ioctl_reason(int fd, unsigned long request)
{
	switch (request) {
	case FIOCLEX:
	case FIONCLEX:
	case TIOCGWINSZ:
		return BOX_REASON_NONE;
	case FIONBIO:
		return flags_note(fd);
	default:
		return BOX_REASON_EFFECT;
	}
}

/* System calls that act on the caller's own descriptors, folders, limits and schedule, or only ask. */
static enum spork_reason raw_reason(long number, long first)
{
	struct stat folder, own;

	switch (number) {
	case SYS_getdents64:
		/* A /proc/self/fd that the child opened itself, to close what is there. */
		return sys_stat((int)first, "", AT_EMPTY_PATH, &folder) &&
				       sys_stat(AT_FDCWD, "/proc/self/fd", 0, &own) &&
				       folder.st_ino == own.st_ino && folder.st_dev == own.st_dev ?
			       BOX_REASON_NONE :
			       BOX_REASON_EFFECT;
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

/* A window has no core limit of its own any more: the child looks at it, sets it, or hands it on. */
static void core_restore(int resource)
{
	struct window *window = thread_words.window;

	if (resource != RLIMIT_CORE || window->kind != WINDOW_SHARED || window->core_restored)
		return;
	window->core_restored = true;
	SYS(prlimit64, 0, RLIMIT_CORE, window->core_limit, NULL);
}

static enum spork_reason trait_reason(enum hook hook, const struct hook_arguments *arguments)
{
	const long *value = arguments ? arguments->value : NULL;

	switch (traits[hook]) {
	case TRAIT_OPEN:
		return open_reason(AT_FDCWD, (const char *)value[0], (int)value[1]);
	case TRAIT_OPENAT:
		return open_reason((int)value[0], (const char *)value[1], (int)value[2]);
	case TRAIT_CREAT:
		return open_reason(AT_FDCWD, (const char *)value[0], O_CREAT | O_TRUNC);
	case TRAIT_CONTROL:
		return control_reason((int)value[0]);
	case TRAIT_RAW:
		return raw_reason(value[0], value[1]);
	case TRAIT_IOCTL:
		return ioctl_reason((int)value[0], (unsigned long)value[1]);
	case TRAIT_FREE:
		return value[0] ? BOX_REASON_HEAP : BOX_REASON_NONE;
	case TRAIT_FCNTL:
		return fcntl_reason((int)value[0], (int)value[1]);
	case TRAIT_RLIMIT:
		core_restore((int)value[0]);
		return BOX_REASON_NONE;
	case TRAIT_PRLIMIT:
		core_restore((int)value[1]);
		return BOX_REASON_NONE;
	default:
		return (enum spork_reason)traits[hook];
	}
}

/*
 * What a call of a child that is only watched up to exec means, without asking the kernel: a filter of the child's own may
 * end it for that, and nothing of the shim's may be there to do when it has one.
 */
static enum spork_reason trial_reason(enum hook hook, const struct hook_arguments *arguments)
{
	const long *value = arguments ? arguments->value : NULL;

	if (traits[hook] == TRAIT_CONTROL && value[0] == PR_SET_SECCOMP)
		return BOX_REASON_SECCOMP;
	if (traits[hook] == TRAIT_RAW && (value[0] == SYS_seccomp || value[0] == SYS_prctl))
		return BOX_REASON_SECCOMP;
	return traits[hook] < BOX_REASON_COUNT ? (enum spork_reason)traits[hook] : BOX_REASON_NONE;
}

void hook_in_window(enum hook hook, const struct hook_arguments *arguments,
		    struct hook_caller caller)
{
	struct window *window = thread_words.window;
	enum spork_reason reason;
	int error = errno;

	if (window->busy || window->kind == WINDOW_PASSED)
		return;
	if (window->kind == WINDOW_AVFORK) {
		avfork_call(hook, trait_reason(hook, arguments), arguments);
		errno = error;
		return;
	}
	if (window->kind != WINDOW_SHARED && UNLIKELY(unsafe_window()))
		unsafe_call(hook, arguments, caller.where);
	if (window->kind == WINDOW_WATCH) {
		errno = error;
		return;
	}
	if (window->kind == WINDOW_TRIAL) {
		lean_site_call(window, hook, trial_reason(hook, arguments));
		errno = error;
		return;
	}
	if (window->kind == WINDOW_LEAN) {
		if (traits[hook] == BOX_REASON_SPAWN)
			lean_end(BOX_REASON_SPAWN);
		errno = error;
		return;
	}
	if (window->kind == WINDOW_BARE) {
		reason = traits[hook] < BOX_REASON_COUNT ? traits[hook] : BOX_REASON_NONE;
		if (traits[hook] == TRAIT_FREE && arguments->value[0])
			reason = BOX_REASON_HEAP;
		bypass_call(window, hook, reason);
		errno = error;
		return;
	}
	reason = trait_reason(hook, arguments);
	if (window->kind == WINDOW_VFORK) {
		vfork_call(window, hook, reason, arguments, caller);
	} else if (window->kind == WINDOW_AUDIT) {
		automaton_note(window, hook, caller.where);
		if (reason)
			audit_refuse(window, reason, real_name(hook), caller.where);
		if (thread_words.window == window && window->kind == WINDOW_TRIAL)
			lean_site_call(window, hook, trial_reason(hook, arguments));
	} else {
		if (!reason && !automaton_knows(window, hook, caller.where))
			reason = BOX_REASON_CALL;
		if (reason)
			window_upgrade(window, reason);
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
void *hook_stub(enum hook hook, const struct hook_arguments *arguments, struct hook_caller caller)
	__attribute__((visibility("hidden")));

void *hook_stub(enum hook hook, const struct hook_arguments *arguments, struct hook_caller caller)
{
	void *function;

	if (thread_words.window)
		hook_in_window(hook, arguments, caller);
	else if (!hook_ready())
		hook_first(hook);
	function = real_target(hook);
	return function ? function : (void *)missing;
}

/* How long a child may share its parent's memory before it is ended: up to exec, and in it. */
#define WINDOW_LIMIT_SECONDS 1
#define WINDOW_EXEC_SECONDS 30

/* Ends the child in so many seconds from now. 0 or -errno. */
static long limit_set(const struct window *window, time_t seconds)
{
	struct itimerspec limit = { .it_value = { .tv_sec = seconds } };

	return SYS(timer_settime, window->timer, 0, &limit, NULL);
}

/*
 * A child that waits for its parent, or for ever, would hold the suspended parent: the kernel ends it
 * instead. The timer goes with exec (kernel/time/posix-timers.c, exit_itimers).
 */
void window_enter(struct window *window)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGKILL };
	uint64_t no_core[2] = { 1, 1 };

	if (window->kind == WINDOW_VFORK)
		vfork_enter(window);
	if (window->kind != WINDOW_SHARED)
		return;
	if (window->number == SYS_clone)
		signal_reset(&window->signal);
	window->limit_ns = WINDOW_LIMIT_SECONDS * 1000000000ULL;
	if (SYS(timer_create, CLOCK_MONOTONIC, &event, &window->timer) ||
	    limit_set(window, WINDOW_LIMIT_SECONDS))
		window_upgrade(window, BOX_REASON_NO_TIMER);
	/* A child that faults starts over, and faults again with a core of its own: 1 stops piped cores too. */
	SYS(prlimit64, 0, RLIMIT_CORE, NULL, window->core_limit);
	window->core_restored = !window->core_limit[0] && !tier_cores_are_piped();
	if (window->core_restored)
		return;
	no_core[1] = window->core_limit[1];
	SYS(prlimit64, 0, RLIMIT_CORE, no_core, NULL);
}

/* Tells the parent which frames are gone, from the stack as it is now. */
static void note_returned(struct window *window)
{
	if (!window->undo.alone)
		window->returned = undo_returned(&window->undo);
}

void window_upgrade(struct window *window, enum spork_reason reason)
{
	window->busy = true;
	note_returned(window);
	window->pending = signal_pending();
	window->upgrade = reason;
	flags_restore(window);
	SYS(exit_group, 0);
	__builtin_unreachable();
}

void window_exec_begin(struct window *window)
{
	int error = errno;

	if (window->kind == WINDOW_AVFORK)
		return;
	window->busy = true;
	if (window->kind == WINDOW_AUDIT || window->kind == WINDOW_TRIAL)
		lean_site_executes(window);
	if (window->kind == WINDOW_AUDIT) {
		audit_end(window);
	} else if (window->kind == WINDOW_SHARED) {
		/*
		 * From exec's point of no return to the end of the timers, the program would see the child be
		 * killed: the limit must not come when a busy machine executes.
		 */
		window->limit_ns =
			sys_now() - window->opened_ns + WINDOW_EXEC_SECONDS * 1000000000ULL;
		limit_set(window, WINDOW_EXEC_SECONDS);
		note_returned(window);
		core_restore(RLIMIT_CORE);
		signal_exec(&window->signal);
	} else if (window->kind == WINDOW_VFORK) {
		vfork_exec_begin(window);
	} else if (window->kind == WINDOW_PASSED) {
		vfork_inner_executes(window->outer);
	}
	errno = error;
}

void window_exec_failed(struct window *window)
{
	int error = errno;

	if (window->kind == WINDOW_AVFORK)
		return;
	window->busy = false;
	if (window->kind == WINDOW_AUDIT || window->kind == WINDOW_TRIAL)
		lean_site_exec_failed(window);
	if (window->kind == WINDOW_AUDIT)
		site_exec_failed(window->site);
	else if (window->kind == WINDOW_SHARED)
		window_upgrade(window, BOX_REASON_EXEC_FAILED);
	else if (window->kind == WINDOW_VFORK)
		vfork_exec_failed(window);
	else if (window->kind == WINDOW_BARE)
		window_drop(window);
	errno = error;
}

/* The process ends without destructors. */
static void leaving(void)
{
	/* One that shares memory is not the process that would tell. */
	if (!window_memory_is_own())
		return;
	lean_wait_children();
	if (UNLIKELY(lock_attention & ATTEND_CHILD))
		lock_child_goes_on();
	profile_save_leaving();
}

EXPORT void _exit(int status)
{
	hook_enter(HOOK__exit, &(struct hook_arguments){ { status } });
	leaving();
	REAL(_exit)(status);
	__builtin_unreachable();
}

EXPORT void _Exit(int status)
{
	hook_enter(HOOK__Exit, &(struct hook_arguments){ { status } });
	leaving();
	REAL(_Exit)(status);
	__builtin_unreachable();
}
