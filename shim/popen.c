// SPDX-License-Identifier: MIT
/*
 * popen() without libc's: the shell is started by a child on a kept stack, and where all that this child needs fits on
 * that stack the caller does not wait for it to execute.
 *
 * Owns the streams that were opened so; the others are libc's. Like libc's list it is held from before the child is
 * made until the stream is in it: the next child has to close it (POSIX, popen()).
 */
#include "popen.h"

#include <linux/futex.h>

#include "config.h"
#include "environ.h"
#include "environment.h"
#include "hidden.h"
#include "memory.h"
#include "proc.h"
#include "seccomp.h"
#include "shell.h"
#include "spawn.h"
#include "spawn_child.h"

#include "poison.h"

/* The longest argument that the kernel takes (MAX_ARG_STRLEN), and pages are no smaller. */
#define COMMAND_MAX ((size_t)128 << 10)

struct stream {
	FILE *file;
	pid_t pid;
	struct stream *next;
};

static struct stream *streams, *unused;
static int list_lock CHILD_STATE; /* 0: open, 1: taken, 2: and somebody may wait */
static bool orphaned CHILD_STATE;

/* Held while a process is made: no spinning. As libc's, it is not for signal handlers. */
static void list_take(void)
{
	int open = 0;

	RESET(orphaned, false);
	if (__atomic_compare_exchange_n(&list_lock, &open, 1, false, __ATOMIC_ACQUIRE,
					__ATOMIC_RELAXED))
		return;
	while (__atomic_exchange_n(&list_lock, 2, __ATOMIC_ACQUIRE))
		SYS(futex, &list_lock, FUTEX_WAIT_PRIVATE, 2, NULL);
}

static void list_give(void)
{
	if (__atomic_exchange_n(&list_lock, 0, __ATOMIC_RELEASE) == 2)
		SYS(futex, &list_lock, FUTEX_WAKE_PRIVATE, 1);
}

void popen_after_fork(void)
{
	if (list_lock)
		orphaned = true;
	RESET(list_lock, 0);
}

bool popen_is_own(void)
{
	return spawn_child_refuses() == BOX_REASON_NONE;
}

uintptr_t popen_orphan(void)
{
	return orphaned ? (uintptr_t)&list_lock : 0;
}

static struct stream *stream_new(void)
{
	struct stream *stream = unused;

	if (stream)
		unused = stream->next;
	else
		stream = memory_take(sizeof(*stream));
	return stream;
}

/* The process of a stream that popen() opened, which it is no more; zero: it is not one of these. */
static pid_t stream_forget(FILE *file)
{
	struct stream **at, *stream;
	pid_t pid = 0;

	if (!__atomic_load_n(&streams, __ATOMIC_RELAXED))
		return 0;
	list_take();
	for (at = &streams; *at && (*at)->file != file; at = &(*at)->next)
		;
	stream = *at;
	if (stream) {
		pid = stream->pid;
		*at = stream->next;
		stream->next = unused;
		unused = stream;
	}
	list_give();
	return pid;
}

struct popen_mode {
	bool read, write, keep_closed; /* over exec */
};

static bool mode_parse(struct popen_mode *parsed, const char *mode)
{
	memset(parsed, 0, sizeof(*parsed));
	for (; *mode; mode++) {
		switch (*mode) {
		case 'r':
			parsed->read = true;
			break;
		case 'w':
			parsed->write = true;
			break;
		case 'e':
			parsed->keep_closed = true;
			break;
		default:
			return false;
		}
	}
	return parsed->read != parsed->write;
}

static size_t list_size(void)
{
	const struct stream *stream;
	size_t size = 0;

	for (stream = streams; stream; stream = stream->next)
		size++;
	return size;
}

/*
 * May the caller go on before the shell was executed? Then its child cannot tell an error: so not before one was
 * executed in this process, and not where a reason against it can be seen. A debugger takes a child that shares memory
 * with a running parent for one that does not.
 */
static bool need_not_wait(const char *command)
{
	static int traced; /* 1: yes, -1: no */

	if (!traced)
		traced = proc_status("TracerPid:") ? 1 : -1;
	return traced < 0 && strnlen(command, COMMAND_MAX) < COMMAND_MAX &&
	       !SYS(faccessat, AT_FDCWD, SHELL, X_OK);
}

/* The list is held. `end` is the child's end of the pipe; `inherited` what it becomes there. */
static enum spork_reason start(const char *command, int end, int inherited,
			       struct spawn_child *child)
{
	static bool executed;
	struct shell_arguments arguments = shell_arguments(command);
	struct spawn_action action[list_size() + 1];
	posix_spawn_file_actions_t actions = { .__actions = (void *)action };
	const struct stream *stream;
	enum spork_reason reason;

	action[actions.__used++] = spawn_action_dup2(end, inherited);
	for (stream = streams; stream; stream = stream->next) {
		int fd = fileno_unlocked(stream->file);

		if (fd >= 0 && fd != inherited)
			action[actions.__used++] = spawn_action_close(fd);
	}
	child->path = SHELL;
	child->argv = (char *const *)arguments.argv;
	child->envp = ENVIRONMENT_KEEP(environ);
	child->actions = &actions;
	if (__atomic_load_n(&executed, __ATOMIC_RELAXED) && need_not_wait(command))
		return spawn_child_start(child);
	reason = spawn_child_run(child);
	if (!reason && !child->error)
		__atomic_store_n(&executed, true, __ATOMIC_RELAXED);
	return reason;
}

/* Libc's popen() takes over: its children do not know of these streams, and must not keep them open. */
static void streams_close_on_exec(void)
{
	const struct stream *stream;

	list_take();
	for (stream = streams; stream; stream = stream->next)
		SYS(fcntl, fileno_unlocked(stream->file), F_SETFD, FD_CLOEXEC);
	list_give();
}

static FILE *open_stream(const char *command, const struct popen_mode *mode,
			 struct spawn_child *child, enum spork_reason *reason)
{
	int own = mode->read ? 0 : 1, pipe[2], error;
	struct stream *stream;
	FILE *file;
	long result = SYS(pipe2, pipe, O_CLOEXEC);

	if (result) {
		errno = (int)-result;
		return NULL;
	}
	file = REAL(fdopen)(pipe[own], mode->read ? "r" : "w");
	error = errno;
	if (!file) {
		SYS(close, pipe[0]);
		SYS(close, pipe[1]);
		errno = error;
		return NULL;
	}
	list_take();
	stream = stream_new();
	*reason = stream ? start(command, pipe[!own], !own, child) : BOX_REASON_NO_MEMORY;
	if (stream && !*reason && !child->error) {
		if (!mode->keep_closed)
			SYS(fcntl, pipe[own], F_SETFD, 0);
		*stream = (struct stream){ file, child->pid, streams };
		streams = stream;
	} else if (stream) {
		stream->next = unused;
		unused = stream;
	}
	list_give();
	SYS(close, pipe[!own]);
	if (!*reason && !child->error)
		return file;
	REAL(fclose)(file);
	errno = ENOMEM; /* whatever kept the child from executing, as libc has it */
	return NULL;
}

EXPORT FILE *popen(const char *command, const char *mode)
{
	struct spawn_record spawn = spawn_begin(HOOK_popen, BOX_CALL_POPEN, BOX_TIER_SPAWN);
	HIDDEN_BODY(popen, command, mode);
	struct spawn_child child = { 0 };
	struct popen_mode parsed;
	FILE *file = NULL;

	if (!mode_parse(&parsed, mode)) {
		errno = EINVAL;
		return NULL;
	}
	spawn.reason = spawn_child_refuses();
	if (!spawn.reason)
		file = open_stream(command, &parsed, &child, &spawn.reason);
	if (spawn.reason) {
		if (streams && !seccomp_confined())
			streams_close_on_exec();
		file = ENVIRON_HELD(REAL(popen)(command, mode));
	}
	spawn_end(&spawn, file ? child.pid : -1);
	return file;
}

/* As libc has it: the shell's status, or what fclose() said where that is zero. */
static int wait_for(pid_t pid, int closed)
{
	int status, error;
	long waited;

	do
		waited = SYS(wait4, pid, &status, 0, NULL);
	while (waited == -EINTR);
	if (waited < 0) {
		error = (int)-waited;
		errno = error;
		return -1;
	}
	return status ? status : closed;
}

static int close_stream(FILE *file, int (*next)(FILE *))
{
	pid_t pid = stream_forget(file);

	return pid ? wait_for(pid, REAL(fclose)(file)) : next(file);
}

EXPORT int pclose(FILE *file)
{
	hook_enter(HOOK_pclose, NULL);
	HIDDEN_BODY(pclose, file);

	return close_stream(file, REAL(pclose));
}

EXPORT int fclose(FILE *file)
{
	hook_enter(HOOK_fclose, NULL);
	return close_stream(file, REAL(fclose));
}
