// SPDX-License-Identifier: MIT
/*
 * The functions that make a process otherwise than by fork() and vfork(): they are timed and counted, and keep
 * the shim in the new program's environment. posix_spawn() is the shim's own, the others are real calls. A child in
 * a window gives way to a real fork before it runs one.
 *
 * daemon and forkpty fork inside libc: what comes back in their child is a real fork's child. wordexp reaches
 * neither the fork nor the posix_spawn hook.
 */
#include <pty.h>
#include <sched.h>
#include <stdarg.h>
#include <wordexp.h>

#include "bypass.h"
#include "child_stack.h"
#include "environ.h"
#include "environment.h"
#include "lean.h"
#include "spawn.h"
#include "spawn_child.h"
#include "state.h"
#include "tier.h"
#include "unsafe.h"
#include "window.h"

#include "poison.h"

EXPORT pid_t _Fork(void)
{
	HOOK_UNLESS_PASSIVE(REAL(_Fork)());

	struct spawn_record spawn = spawn_begin(HOOK__Fork, BOX_CALL_BARE_FORK, BOX_TIER_FORK);
	pid_t pid;

	environ_hold();
	lean_fork_begin(false);
	pid = REAL(_Fork)();
	if (!pid) {
		bypass_child(BOX_CALL_BARE_FORK, CALLER);
		return 0;
	}
	lean_fork_end();
	environ_release();
	spawn_end(&spawn, pid);
	return pid;
}

struct clone_start {
	int (*function)(void *);
	void *argument;
	int flags;
	uintptr_t from;
	struct bypass bypass;
};

/* In a child with memory of its own: `data` is its copy of the parent's frame. */
static int clone_start(void *data)
{
	const struct clone_start *start = data;

	window_after_fork(&(struct walk_start){ .pc = start->from }, NULL);
	unsafe_made_by(BOX_CALL_CLONE);
	/* Thread-local storage that the program made itself is no place for a window. */
	if (!(start->flags & CLONE_SETTLS))
		bypass_open(&start->bypass);
	return start->function(start->argument);
}

/* The child runs `function` on its own stack and never comes back through here. */
EXPORT int clone(int (*function)(void *), void *stack, int flags, void *argument, ...)
{
	struct clone_start start;
	struct spawn_record spawn;
	void *parent_tid, *tls, *child_tid;
	va_list rest;
	int pid;

	va_start(rest, argument);
	parent_tid = va_arg(rest, void *);
	tls = va_arg(rest, void *);
	child_tid = va_arg(rest, void *);
	va_end(rest);
	HOOK_UNLESS_PASSIVE(
		REAL(clone)(function, stack, flags, argument, parent_tid, tls, child_tid));
	spawn = spawn_begin(HOOK_clone, BOX_CALL_CLONE,
			    flags & CLONE_VM ? BOX_TIER_VFORK : BOX_TIER_FORK);
	if (flags & CLONE_VM) {
		if (!(flags & CLONE_VFORK))
			undo_not_alone();
		pid = REAL(clone)(function, stack, flags, argument, parent_tid, tls, child_tid);
	} else {
		start.function = function;
		start.argument = argument;
		start.flags = flags;
		start.from = CALLER;
		bypass_note(&start.bypass, BOX_CALL_CLONE, CALLER);
		lean_fork_begin(false);
		pid = ENVIRON_HELD(REAL(clone)(function ? clone_start : NULL, stack, flags, &start,
					       parent_tid, tls, child_tid));
		lean_fork_end();
	}
	if (!(flags & CLONE_THREAD))
		spawn_end(&spawn, pid);
	return pid;
}

typedef int spawn_function(pid_t *, const char *, const posix_spawn_file_actions_t *,
			   const posix_spawnattr_t *, char *const[], char *const[]);

/* Which of the four: the versions before 2.15 gave a file without a "#!" line to the shell. */
static unsigned spawn_how(enum hook hook)
{
	switch (hook) {
	case HOOK_posix_spawn:
		return 0;
	case HOOK_posix_spawnp:
		return SPAWN_SEARCH;
#if ARCH_OLD_VERSIONS
	case HOOK_posix_spawn_2_2_5:
		return SPAWN_SHELL;
	case HOOK_posix_spawnp_2_2_5:
		return SPAWN_SEARCH | SPAWN_SHELL;
#endif
	default:
		return SPAWN_OTHERWISE;
	}
}

/* posix_spawn and posix_spawnp in all versions: they differ in what they call. */
static int spawn_run(enum hook hook, uint32_t call, pid_t *pid, const char *path,
		     const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
		     char *const argv[], char *const envp[])
{
	HOOK_UNLESS_PASSIVE(
		((spawn_function *)real_get(hook))(pid, path, actions, attributes, argv, envp));

	static char *const none[] = { NULL };
	struct spawn_record spawn = spawn_begin(hook, call, BOX_TIER_SPAWN);
	char *const *kept = ENVIRONMENT_KEEP(envp ? envp : none);
	struct spawn_child child = {
		.path = path, .how = spawn_how(hook), .argv = argv, .envp = kept
	};
	pid_t made = 0;
	int result;

	spawn.reason = spawn_child_prepare(&child, actions, attributes);
	if (!spawn.reason)
		spawn.reason = spawn_child_run(&child);
	if (spawn.reason) {
		result = ((spawn_function *)real_get(hook))(&made, path, actions, attributes, argv,
							    kept);
	} else {
		made = child.pid;
		result = child.error;
	}
	if (!result && pid)
		*pid = made;
	errno = result ? result : errno;
	/* pidfd_spawn gives a descriptor, not a pid */
	if (child.how & SPAWN_OTHERWISE)
		made = 0;
	spawn_end(&spawn, result ? -1 : made);
	return result;
}

#define SPAWN_HOOK(name, hook, call)                                                               \
	int name(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,          \
		 const posix_spawnattr_t *attributes, char *const argv[], char *const envp[])      \
	{                                                                                          \
		return spawn_run(hook, call, pid, path, actions, attributes, argv, envp);          \
	}

#if ARCH_OLD_VERSIONS
/* Until 2.15 these ran a file without a "#!" line through the shell. */
EXPORT spawn_function spawn_default, spawnp_default, spawn_old, spawnp_old;

EXPORT SPAWN_HOOK(spawn_default, HOOK_posix_spawn, BOX_CALL_POSIX_SPAWN)
EXPORT SPAWN_HOOK(spawnp_default, HOOK_posix_spawnp, BOX_CALL_POSIX_SPAWNP)
EXPORT SPAWN_HOOK(spawn_old, HOOK_posix_spawn_2_2_5, BOX_CALL_POSIX_SPAWN)
EXPORT SPAWN_HOOK(spawnp_old, HOOK_posix_spawnp_2_2_5, BOX_CALL_POSIX_SPAWNP)

	__asm__(".symver spawn_default, posix_spawn@@@GLIBC_2.15\n"
		".symver spawnp_default, posix_spawnp@@@GLIBC_2.15\n"
		".symver spawn_old, posix_spawn@GLIBC_2.2.5, remove\n"
		".symver spawnp_old, posix_spawnp@GLIBC_2.2.5, remove");
#else
EXPORT SPAWN_HOOK(posix_spawn, HOOK_posix_spawn, BOX_CALL_POSIX_SPAWN)
EXPORT SPAWN_HOOK(posix_spawnp, HOOK_posix_spawnp, BOX_CALL_POSIX_SPAWNP)
#endif

#if __GLIBC_PREREQ(2, 39)
EXPORT SPAWN_HOOK(pidfd_spawn, HOOK_pidfd_spawn, BOX_CALL_PIDFD_SPAWN)
EXPORT SPAWN_HOOK(pidfd_spawnp, HOOK_pidfd_spawnp, BOX_CALL_PIDFD_SPAWNP)
#endif

EXPORT int wordexp(const char *words, wordexp_t *expanded, int flags)
{
	HOOK_UNLESS_PASSIVE(REAL(wordexp)(words, expanded, flags));

	struct spawn_record spawn = spawn_begin(HOOK_wordexp, BOX_CALL_WORDEXP, BOX_TIER_SPAWN);
	int result = ENVIRON_HELD(REAL(wordexp)(words, expanded, flags));

	/* Only command substitution makes a process. */
	if (strpbrk(words, "`$"))
		spawn_end(&spawn, 0);
	return result;
}

EXPORT int daemon(int nochdir, int noclose)
{
	HOOK_UNLESS_PASSIVE(REAL(daemon)(nochdir, noclose));

	struct spawn_record spawn = spawn_begin(HOOK_daemon, BOX_CALL_DAEMON, BOX_TIER_FORK);
	long before = SYS(getpid);
	int result;

	thread_words.fork_from = (struct walk_start){ .pc = CALLER };
	result = ENVIRON_HELD(REAL(daemon)(nochdir, noclose));

	if (SYS(getpid) != before) {
		window_after_fork(&thread_words.fork_from, NULL);
		unsafe_made_by(BOX_CALL_DAEMON);
	}
	spawn_end(&spawn, result < 0 ? -1 : SYS(getpid));
	return result;
}

EXPORT int forkpty(int *primary, char *name, const struct termios *terminal,
		   const struct winsize *size)
{
	HOOK_UNLESS_PASSIVE(REAL(forkpty)(primary, name, terminal, size));

	struct spawn_record spawn = spawn_begin(HOOK_forkpty, BOX_CALL_FORKPTY, BOX_TIER_FORK);
	int pid;

	environ_hold();
	thread_words.fork_from = (struct walk_start){ .pc = CALLER };
	pid = REAL(forkpty)(primary, name, terminal, size);
	if (!pid) {
		window_after_fork(&thread_words.fork_from, NULL);
		unsafe_made_by(BOX_CALL_FORKPTY);
		return 0;
	}
	environ_release();
	spawn_end(&spawn, pid);
	return pid;
}

/* What follows in a process that changes its pid namespace has a new init to itself. */
EXPORT int unshare(int flags)
{
	int result;

	hook_init();
	hook_enter(HOOK_unshare, NULL);
	child_stack_settle();
	lean_notice(SYS_unshare, (long[]){ flags });
	result = REAL(unshare)(flags);
	state_changed_in_thread();
	if (!result && flags & CLONE_NEWPID)
		tier_forbid(BOX_REASON_NAMESPACE);
	return result;
}

EXPORT int setns(int fd, int type)
{
	int result;

	hook_init();
	hook_enter(HOOK_setns, NULL);
	child_stack_settle();
	lean_notice(SYS_setns, NULL);
	result = REAL(setns)(fd, type);
	state_changed_in_thread();
	if (!result)
		tier_forbid(BOX_REASON_NAMESPACE);
	return result;
}
