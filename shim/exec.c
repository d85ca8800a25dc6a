// SPDX-License-Identifier: MIT
/*
 * The exec family. Every hook ends in exec_run(), which closes the window, if one is open, around the
 * real call, and keeps the shim in the new program's environment.
 *
 * May run in a child that shares its parent's memory: argument vectors are built on the stack, as POSIX
 * demands of these functions and glibc does (posix/execl.c).
 */
#include <stdarg.h>

#include "environ.h"
#include "environment.h"
#include "hook.h"
#include "lean.h"
#include "lock.h"
#include "profile.h"
#include "sys.h"
#include "window.h"

#include "poison.h"

struct exec_call {
	enum hook hook; /* HOOK_execve, HOOK_execvpe, HOOK_fexecve or HOOK_execveat */
	const char *path;
	int fd, flags;
	char *const *argv;
	char *const *envp;
	struct hook_caller caller;
};

/* environ as it is when no window of another thread has replaced it. */
static char *const *own_environ(void)
{
	return ENVIRON_HELD(environ);
}

static int exec_real(const struct exec_call *call, char *const *envp)
{
	switch (call->hook) {
	case HOOK_execvpe:
		return REAL(execvpe)(call->path, call->argv, envp);
	case HOOK_fexecve:
		return REAL(fexecve)(call->fd, call->argv, envp);
	case HOOK_execveat:
		return REAL(execveat)(call->fd, call->path, call->argv, envp, call->flags);
	default:
		return REAL(execve)(call->path, call->argv, envp);
	}
}

/* Returns only if the call failed; in a window, not even then. */
static int exec_run(const struct exec_call *call)
{
	struct window *window;
	char *const *envp;
	int result;

	hook_start();
	if (thread_words.window)
		hook_in_window(call->hook, NULL, call->caller);
	window = thread_window_open();
	envp = ENVIRONMENT_KEEP(call->envp);
	if (UNLIKELY(lock_attention & ATTEND_CHILD) && window_memory_is_own())
		lock_child_executes();
	if (window)
		window_exec_begin(window);
	else
		profile_save_leaving();
	if (!window)
		lean_wait_children();
	result = exec_real(call, envp);
	if (window)
		window_exec_failed(window);
	return result;
}

EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	return exec_run(&(struct exec_call){ HOOK_execve, path, -1, 0, argv, envp, HOOK_CALLER });
}

EXPORT int execv(const char *path, char *const argv[])
{
	return exec_run(
		&(struct exec_call){ HOOK_execve, path, -1, 0, argv, own_environ(), HOOK_CALLER });
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	return exec_run(&(struct exec_call){ HOOK_execvpe, file, -1, 0, argv, envp, HOOK_CALLER });
}

EXPORT int execvp(const char *file, char *const argv[])
{
	return exec_run(
		&(struct exec_call){ HOOK_execvpe, file, -1, 0, argv, own_environ(), HOOK_CALLER });
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	return exec_run(&(struct exec_call){ HOOK_fexecve, NULL, fd, 0, argv, envp, HOOK_CALLER });
}

EXPORT int execveat(int fd, const char *path, char *const argv[], char *const envp[], int flags)
{
	return exec_run(
		&(struct exec_call){ HOOK_execveat, path, fd, flags, argv, envp, HOOK_CALLER });
}

/* Number of arguments from `first` on, the ending NULL included. */
static size_t list_size(const char *first, va_list rest)
{
	size_t size = 1;

	for (; first; first = va_arg(rest, const char *))
		size++;
	return size;
}

static void list_copy(char **argv, const char *first, va_list rest)
{
	for (; first; first = va_arg(rest, const char *))
		*argv++ = (char *)first;
	*argv = NULL;
}

/* Declares `argv`, on the stack, of the arguments from `first` on. */
#define LIST(argv, first, rest)                                                                    \
	va_start(rest, first);                                                                     \
	char *argv[list_size(first, rest)];                                                        \
	va_end(rest);                                                                              \
	va_start(rest, first);                                                                     \
	list_copy(argv, first, rest);                                                              \
	va_end(rest)

EXPORT int execl(const char *path, const char *arg, ...)
{
	va_list rest;

	LIST(argv, arg, rest);
	return exec_run(
		&(struct exec_call){ HOOK_execve, path, -1, 0, argv, own_environ(), HOOK_CALLER });
}

EXPORT int execlp(const char *file, const char *arg, ...)
{
	va_list rest;

	LIST(argv, arg, rest);
	return exec_run(
		&(struct exec_call){ HOOK_execvpe, file, -1, 0, argv, own_environ(), HOOK_CALLER });
}

EXPORT int execle(const char *path, const char *arg, ...)
{
	char *const *envp;
	const char *skipped;
	va_list rest;

	LIST(argv, arg, rest);
	va_start(rest, arg);
	for (skipped = arg; skipped;)
		skipped = va_arg(rest, const char *);
	envp = va_arg(rest, char *const *);
	va_end(rest);
	return exec_run(&(struct exec_call){ HOOK_execve, path, -1, 0, argv, envp, HOOK_CALLER });
}
