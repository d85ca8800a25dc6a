// SPDX-License-Identifier: MIT
/*
 * The child of posix_spawn(), as POSIX has it and glibc does it (sysdeps/unix/sysv/linux/spawni.c): the order of what it
 * does, and what counts as an error, are those.
 *
 * It runs on a stack of its own with its parent's memory and thread-local storage, and makes raw system calls only:
 * errno, cancellation and hooks are its parent's, who is suspended meanwhile or, see popen.c, runs on.
 */
#include "spawn_child.h"

#include <limits.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "child_stack.h"
#include "clone.h"
#include "config.h"
#include "entry.h"
#include "environ.h"
#include "environment.h"
#include "execute.h"
#include "seccomp.h"
#include "strings.h"
#include "tier.h"

#include "poison.h"

/* Libc's own signals, which a program cannot handle (SIGCANCEL and SIGSETXID). */
#define SIGNAL_CANCEL 32
#define SIGNAL_SETXID 33
#define INTERNAL (1ULL << (SIGNAL_CANCEL - 1) | 1ULL << (SIGNAL_SETXID - 1))

/* What programs ask for that is known here. POSIX_SPAWN_SETCGROUP (glibc 2.39) is not. */
#define FLAGS                                                                                      \
	(POSIX_SPAWN_RESETIDS | POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |                    \
	 POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSCHEDPARAM | POSIX_SPAWN_SETSCHEDULER |           \
	 POSIX_SPAWN_USEVFORK | POSIX_SPAWN_SETSID)

/* For "sh", the file and the arguments of a script without "#!": they are built on the child's stack. */
#define SHELL_ARGUMENTS 2048

/* posix/spawn_int.h: the same since 2.29, with kinds added at the end. */
enum action_kind {
	ACTION_CLOSE,
	ACTION_DUP2,
	ACTION_OPEN,
	ACTION_CHDIR,
	ACTION_FCHDIR,
	ACTION_CLOSEFROM, /* 2.34 */
	ACTION_TCSETPGRP, /* 2.35 */
	ACTION_COUNT
};

_Static_assert(sizeof(struct spawn_action) == 32, "as in libc");

enum spork_reason spawn_child_refuses(void)
{
	if (config.reroute == REROUTE_OFF)
		return BOX_REASON_REROUTE_OFF;
	if (seccomp_threatens())
		return BOX_REASON_SECCOMP;
	if (arch_shadow_stack())
		return BOX_REASON_SHADOW_STACK;
	if (tier_under_valgrind())
		return BOX_REASON_VALGRIND;
	return clone3_works() ? BOX_REASON_NONE : BOX_REASON_CLONE_FAILED;
}

static const struct spawn_action *action_of(const posix_spawn_file_actions_t *actions, int number)
{
	return (const struct spawn_action *)actions->__actions + number;
}

static bool actions_known(const posix_spawn_file_actions_t *actions)
{
	int number;

	for (number = 0; number < actions->__used; number++) {
		int kind = action_of(actions, number)->kind;

		if (kind < 0 || kind >= ACTION_COUNT)
			return false;
		/* Linux 5.9 */
		if (kind == ACTION_CLOSEFROM && SYS(close_range, 1, 0, 0) != -EINVAL)
			return false;
	}
	return true;
}

enum spork_reason spawn_child_prepare(struct spawn_child *child,
				      const posix_spawn_file_actions_t *actions,
				      const posix_spawnattr_t *attributes)
{
	enum spork_reason reason = spawn_child_refuses();

	if (reason)
		return reason;
	if (child->how & SPAWN_OTHERWISE)
		return BOX_REASON_REQUEST;
	/* As in <spawn.h>: six functions less for ld.so to look up at each start of a program. */
	if (attributes) {
		child->flags = attributes->__flags;
		child->group = attributes->__pgrp;
		child->policy = attributes->__policy;
		child->parameter = attributes->__sp;
		if (child->flags & POSIX_SPAWN_SETSIGDEF)
			child->reset = sys_sigset_of(&attributes->__sd);
		if (child->flags & POSIX_SPAWN_SETSIGMASK)
			child->mask = sys_sigset_of(&attributes->__ss) & ~INTERNAL;
	}
	child->actions = actions;
	if (child->flags & ~FLAGS || (actions && !actions_known(actions)))
		return BOX_REASON_REQUEST;
	return BOX_REASON_NONE;
}

/* An error only for what can be no descriptor. */
static long close_any(int fd)
{
	struct rlimit limit;

	if (!SYS(close, fd) ||
	    (fd >= 0 && (SYS(getrlimit, RLIMIT_NOFILE, &limit) || (rlim_t)fd < limit.rlim_cur)))
		return 0;
	return -EBADF;
}

/* What it replaces is closed first: it may be what keeps another from being opened. */
static long open_at(int fd, const struct spawn_action *action)
{
	long opened, error;

	SYS(close, fd);
	opened = SYS(openat, AT_FDCWD, action->open.path, action->open.flags | O_LARGEFILE,
		     action->open.mode);
	if (opened < 0 || opened == fd)
		return opened < 0 ? opened : 0;
	error = sys_dup2(opened, fd);
	if (error < 0)
		return error;
	return SYS(close, opened);
}

/* POSIX issue 411: a descriptor that is duplicated onto itself stays open over exec. */
static long duplicate(int from, int to)
{
	long flags;

	if (from != to)
		return sys_dup2(from, to);
	flags = SYS(fcntl, from, F_GETFD);
	return flags < 0 ? flags : SYS(fcntl, from, F_SETFD, flags & ~FD_CLOEXEC);
}

static long take_terminal(const struct spawn_child *child, int fd)
{
	long group = child->flags & POSIX_SPAWN_SETPGROUP && child->group ? child->group :
									    SYS(getpgid, 0);
	pid_t foreground = (pid_t)group;

	return group < 0 ? group : SYS(ioctl, fd, TIOCSPGRP, &foreground);
}

static long act(const struct spawn_child *child, const struct spawn_action *action)
{
	switch ((enum action_kind)action->kind) {
	case ACTION_CLOSE:
		return close_any(action->fd);
	case ACTION_DUP2:
		return duplicate(action->dup2.from, action->dup2.to);
	case ACTION_OPEN:
		return open_at(action->open.fd, action);
	case ACTION_CHDIR:
		return SYS(chdir, action->folder);
	case ACTION_FCHDIR:
		return SYS(fchdir, action->fd);
	case ACTION_CLOSEFROM:
		return SYS(close_range, action->fd, ~0U, 0);
	case ACTION_TCSETPGRP:
		return take_terminal(child, action->fd);
	case ACTION_COUNT:
		break;
	}
	return -EINVAL;
}

/*
 * Handlers are cleared already. Libc's own signals are ignored by whatever posix_spawn() starts: the handlers of the
 * parent's threads must not run here.
 */
static void reset_signals(sys_sigset reset)
{
	sys_sigset ignored = INTERNAL & ~reset;
	int signal;

	while ((signal = sys_signal_next(&reset)))
		if (signal != SIGKILL && signal != SIGSTOP)
			sys_action_set(signal, SIG_DFL);
	while ((signal = sys_signal_next(&ignored)))
		sys_action_set(signal, SIG_IGN);
}

static long become(const struct spawn_child *child)
{
	long error = 0, id;

	if (child->flags & POSIX_SPAWN_SETSCHEDULER)
		error = SYS(sched_setscheduler, 0, child->policy, &child->parameter);
	else if (child->flags & POSIX_SPAWN_SETSCHEDPARAM)
		error = SYS(sched_setparam, 0, &child->parameter);
	if (error >= 0 && child->flags & POSIX_SPAWN_SETSID)
		error = SYS(setsid);
	if (error >= 0 && child->flags & POSIX_SPAWN_SETPGROUP)
		error = SYS(setpgid, 0, child->group);
	if (error >= 0 && child->flags & POSIX_SPAWN_RESETIDS) {
		id = SYS(getuid);
		error = SYS(setresuid, -1, id, -1);
		id = SYS(getgid);
		if (!error)
			error = SYS(setresgid, -1, id, -1);
	}
	return error < 0 ? error : 0;
}

static long execute_by_shell(const struct spawn_child *child)
{
	const char *argv[SHELL_ARGUMENTS + 3] = { "/bin/sh", child->path };
	size_t i;

	for (i = 1; child->argv[0] && child->argv[i]; i++)
		argv[i + 1] = child->argv[i];
	return SYS(execve, argv[0], argv, child->envp);
}

static long execute_program(const struct spawn_child *child)
{
	long error;

	if (child->how & SPAWN_SEARCH)
		error = execute(child->path, child->argv, child->envp, child->folders);
	else
		error = SYS(execve, child->path, child->argv, child->envp);
	if (error == -ENOEXEC && child->how & SPAWN_SHELL)
		error = execute_by_shell(child);
	return error;
}

static int child_main(void *argument)
{
	struct spawn_child *child = argument;
	long error;
	int number;

	reset_signals(child->reset);
	error = become(child);
	for (number = 0; child->actions && !error && number < child->actions->__used; number++) {
		error = act(child, action_of(child->actions, number));
		if (error > 0)
			error = 0;
	}
	if (!error) {
		SYS(rt_sigprocmask, SIG_SETMASK, &child->mask, NULL, sizeof(child->mask));
		error = execute_program(child);
	}
	child->error = (int)-error;
	return 127;
}

/* Does its stack hold what it builds there? */
static bool fits(const struct spawn_child *child)
{
	size_t i;

	if (child->how & SPAWN_SEARCH && strnlen(child->folders, PATH_MAX) >= PATH_MAX)
		return false;
	if (child->how & SPAWN_SHELL)
		for (i = 0; child->argv[i]; i++)
			if (i == SHELL_ARGUMENTS)
				return false;
	return true;
}

/* Of the stack, where the rest holds a copy. */
#define STACK_NEEDED ((size_t)24 << 10)

struct copy {
	struct spawn_child child;
	posix_spawn_file_actions_t actions;
	struct spawn_action action[];
};

/* All that the child needs, at the upper end of its stack; NULL: it does not fit. */
static struct spawn_child *copied(const struct spawn_child *child, const struct child_stack *stack)
{
	struct copy *copy = (struct copy *)(stack->low + STACK_NEEDED);
	size_t used = (size_t)child->actions->__used * sizeof(copy->action[0]);
	struct strings_room room = { (char *)copy->action + used,
				     (char *)stack->low + CHILD_STACK_SIZE };

	if (used > CHILD_STACK_SIZE - STACK_NEEDED - sizeof(*copy))
		return NULL;
	copy->child = *child;
	copy->actions = *child->actions;
	memcpy(copy->action, child->actions->__actions, used);
	copy->actions.__actions = (void *)copy->action;
	copy->child.actions = &copy->actions;
	copy->child.argv = strings_copy(&room, child->argv);
	copy->child.envp = copy->child.argv ? strings_copy(&room, child->envp) : NULL;
	return copy->child.envp ? &copy->child : NULL;
}

/* pid or -errno. `waits`: the caller is suspended. */
static long clone_child(struct spawn_child *child, const struct child_stack *stack, size_t size,
			bool waits)
{
	struct clone_arguments arguments = {
		.flags = CLONE_VM | CLONE_CLEAR_SIGHAND | CLONE_CHILD_CLEARTID |
			 (waits ? CLONE_VFORK : 0),
		.exit_signal = SIGCHLD,
		.child_tid = (uintptr_t)stack->running,
		.stack = stack->low,
		.stack_size = size,
	};
	struct entry_clone call = {
		.number = SYS_clone3,
		.argument = { (uintptr_t)&arguments, sizeof(arguments) },
	};
	sys_sigset mask = sys_sigmask(SYS_SIGNALS_ALL);
	long pid;

	if (!(child->flags & POSIX_SPAWN_SETSIGMASK))
		child->mask = mask;
	pid = entry_clone(&call, child_main, child);
	if (waits && pid > 0 && child->error)
		while (SYS(wait4, pid, NULL, 0, NULL) == -EINTR)
			;
	sys_sigmask(mask);
	return pid;
}

static enum spork_reason make(struct spawn_child *child, bool waits)
{
	struct child_stack stack;
	struct spawn_child *copy = NULL;
	long pid;

	if (child->how & SPAWN_SEARCH)
		child->folders = config_variable(environ, "PATH");
	if (!child->folders)
		child->folders = "/bin:/usr/bin";
	if (!fits(child))
		return BOX_REASON_REQUEST;
	if (!child_stack_take(&stack))
		return BOX_REASON_NO_MEMORY;
	if (!waits)
		copy = copied(child, &stack);
	if (copy)
		child_stack_executes_soon(&stack);
	pid = copy ? clone_child(copy, &stack, STACK_NEEDED, false) :
		     clone_child(child, &stack, CHILD_STACK_SIZE, true);
	if (pid > 0) {
		child->pid = (pid_t)pid;
		return BOX_REASON_NONE;
	}
	child_stack_give(&stack);
	clone3_failed(pid);
	/* Libc tries once more: an error that is not this call's alone will be its own, too. */
	return BOX_REASON_CLONE_FAILED;
}

/* Nobody changes the environment while it is copied, with the shim in it. */
static enum spork_reason make_with_own(struct spawn_child *child, bool waits)
{
	bool kept = environ_keep();
	enum spork_reason reason;

	child->envp = kept ? ENVIRONMENT_KEEP(environ) : environ;
	reason = make(child, waits || !kept);
	if (kept)
		environ_unkeep();
	child->envp = NULL;
	return reason;
}

static enum spork_reason make_with(struct spawn_child *child, bool waits)
{
	return child->envp ? ENVIRON_HELD(make(child, waits)) : make_with_own(child, waits);
}

enum spork_reason spawn_child_run(struct spawn_child *child)
{
	return make_with(child, true);
}

enum spork_reason spawn_child_start(struct spawn_child *child)
{
	return make_with(child, false);
}

struct spawn_action spawn_action_close(int fd)
{
	return (struct spawn_action){ .kind = ACTION_CLOSE, .fd = fd };
}

struct spawn_action spawn_action_dup2(int from, int to)
{
	return (struct spawn_action){ .kind = ACTION_DUP2, .dup2 = { from, to } };
}
