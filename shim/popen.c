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
#include <sys/mman.h>

#include "config.h"
#include "environ.h"
#include "hidden.h"
#include "memory.h"
#include "proc.h"
#include "seccomp.h"
#include "shell.h"
#include "spawn.h"
#include "spawn_child.h"
#include "state.h"
#include "tier.h"

#include "poison.h"

/* The longest argument that the kernel takes (MAX_ARG_STRLEN), and pages are no smaller. */
#define COMMAND_MAX ((size_t)128 << 10)

/* Free where `file` is NULL. Slots stay where they are, so that fclose() of any file can look without the lock. */
struct stream {
	FILE *file;
	pid_t pid;     /* zero: it was opened by libc's popen() */
	uint64_t pipe; /* inode */
};

struct block {
	struct stream stream[40];
	struct block *next;
};

static struct block *blocks;
static int list_lock CHILD_STATE; /* 0: open, 1: taken, 2: and somebody may wait */
static bool orphaned CHILD_STATE;

/*
 * Held while a process is made: no spinning. Signals are blocked: libc's lock lets a handler in that uses popen() in the
 * middle of one. The mask is for list_give().
 */
static sys_sigset list_take(void)
{
	sys_sigset mask = sys_sigmask(SYS_SIGNALS_ALL);
	int open = 0;

	RESET(orphaned, false);
	if (__atomic_compare_exchange_n(&list_lock, &open, 1, false, __ATOMIC_ACQUIRE,
					__ATOMIC_RELAXED))
		return mask;
	while (__atomic_exchange_n(&list_lock, 2, __ATOMIC_ACQUIRE))
		SYS(futex, &list_lock, FUTEX_WAIT_PRIVATE, 2, NULL);
	return mask;
}

static void list_give(sys_sigset mask)
{
	if (__atomic_exchange_n(&list_lock, 0, __ATOMIC_RELEASE) == 2)
		SYS(futex, &list_lock, FUTEX_WAKE_PRIVATE, 1);
	sys_sigmask(mask);
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

/* All slots; nothing in one is counted elsewhere, which a child forked meanwhile could find out of step. */
#define FOR_EACH_STREAM(stream)                                                                    \
	for (struct block *block = __atomic_load_n(&blocks, __ATOMIC_ACQUIRE); block;              \
	     block = block->next)                                                                  \
		for (stream = block->stream; stream < block->stream + COUNT(block->stream);        \
		     stream++)

/* The slot of a stream, or with NULL a free one; NULL: there is none. */
static struct stream *stream_find(const FILE *file)
{
	struct stream *stream;

	FOR_EACH_STREAM(stream)
		if (__atomic_load_n(&stream->file, __ATOMIC_ACQUIRE) == file)
			return stream;
	return NULL;
}

/* The list is held, as for all that follow. A free slot, or NULL: no memory. */
static struct stream *stream_new(void)
{
	struct stream *stream = stream_find(NULL);
	struct block *block;

	if (stream)
		return stream;
	block = memory_take(sizeof(*block));
	if (!block)
		return NULL;
	block->next = blocks;
	__atomic_store_n(&blocks, block, __ATOMIC_RELEASE);
	return &block->stream[0];
}

static void stream_set(struct stream *stream, FILE *file, pid_t pid, uint64_t pipe)
{
	stream->pid = pid;
	stream->pipe = pipe;
	__atomic_store_n(&stream->file, file, __ATOMIC_RELEASE);
}

/* Of what is open there; zero: nothing is. */
static uint64_t inode(int fd)
{
	struct stat status;

	return sys_stat(fd, "", AT_EMPTY_PATH, &status) ? status.st_ino : 0;
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

/*
 * May the caller go on before the shell was executed? Then its child cannot tell an error: so not before one was
 * executed by this process as it is, and not where a reason against it can be seen. A debugger takes a child that shares
 * memory with a running parent for one that does not, and a kernel without tier_kernel_serves() ends both together.
 */
static bool need_not_wait(const char *command, uint32_t executed)
{
	return command && executed == state_generation_of_exec() && tier_kernel_serves() &&
	       strnlen(command, COMMAND_MAX) < COMMAND_MAX && proc_status("TracerPid:") == 0 &&
	       !SYS(faccessat, AT_FDCWD, SHELL, X_OK);
}

static size_t stream_count(void)
{
	const struct stream *stream;
	size_t count = 0;

	FOR_EACH_STREAM(stream)
		count += stream->file != NULL;
	return count;
}

static void add_closes(posix_spawn_file_actions_t *actions, struct spawn_action *action, int except)
{
	const struct stream *stream;
	int fd;

	FOR_EACH_STREAM(stream) {
		fd = stream->file ? fileno_unlocked(stream->file) : -1;
		if (fd >= 0 && fd != except)
			action[actions->__used++] = spawn_action_close(fd);
	}
}

#define ACTIONS_ON_STACK 32

/* `end` is the child's end of the pipe; `inherited` what it becomes there. */
static enum spork_reason start(const char *command, int end, int inherited,
			       struct spawn_child *child)
{
	static uint32_t executed; /* as state_generation_of_exec() was */
	struct shell_arguments arguments = shell_arguments(command);
	struct spawn_action few[ACTIONS_ON_STACK];
	posix_spawn_file_actions_t actions = { .__actions = (void *)few };
	uint32_t generation = state_generation_of_exec();
	size_t size = (stream_count() + 1) * sizeof(few[0]);
	enum spork_reason reason;

	if (size > sizeof(few)) {
		long memory = SYS(mmap, NULL, size, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (memory < 0 && memory >= -4095)
			return BOX_REASON_NO_MEMORY;
		actions.__actions = (void *)memory;
	}
	((struct spawn_action *)actions.__actions)[actions.__used++] =
		spawn_action_dup2(end, inherited);
	add_closes(&actions, (struct spawn_action *)actions.__actions, inherited);
	child->path = SHELL;
	child->argv = (char *const *)arguments.argv;
	child->actions = &actions;
	if (need_not_wait(command, __atomic_load_n(&executed, __ATOMIC_RELAXED))) {
		reason = spawn_child_start(child);
	} else {
		reason = spawn_child_run(child);
		if (!reason && !child->error)
			__atomic_store_n(&executed, generation, __ATOMIC_RELAXED);
	}
	if (size > sizeof(few))
		SYS(munmap, actions.__actions, size);
	return reason;
}

static FILE *open_stream(const char *command, const struct popen_mode *mode,
			 struct spawn_child *child, enum spork_reason *reason)
{
	int own = mode->read ? 0 : 1, pipe[2], error;
	struct stream *stream;
	sys_sigset mask;
	FILE *file;
	long result = SYS(pipe2, pipe, O_CLOEXEC);

	if (result) {
		errno = (int)-result;
		return NULL;
	}
	file = REAL(fdopen)(pipe[own], mode->read ? "r" : "w");
	error = errno;
	if (file)
		file->_mode = -1; /* libc's are of bytes from the start, see fwide() */
	if (!file) {
		SYS(close, pipe[0]);
		SYS(close, pipe[1]);
		errno = error;
		return NULL;
	}
	mask = list_take();
	child->flags = POSIX_SPAWN_SETSIGMASK;
	child->mask = mask;
	stream = stream_new();
	*reason = stream ? start(command, pipe[!own], !own, child) : BOX_REASON_NO_MEMORY;
	if (stream && !*reason && !child->error) {
		if (!mode->keep_closed)
			SYS(fcntl, pipe[own], F_SETFD, 0);
		stream_set(stream, file, child->pid, inode(pipe[own]));
	}
	list_give(mask);
	SYS(close, pipe[!own]);
	if (!*reason && !child->error)
		return file;
	REAL(fclose)(file);
	errno = ENOMEM; /* whatever kept the child from executing, as libc has it */
	return NULL;
}

/*
 * By libc's popen(), whose children do not know of the shim's streams, and must not keep them open; the shim's are to
 * close libc's.
 */
static FILE *open_by_libc(const char *command, const char *mode)
{
	struct stream *stream;
	sys_sigset mask;
	FILE *file;

	if (seccomp_confined())
		return ENVIRON_HELD(REAL(popen)(command, mode));
	mask = list_take();
	FOR_EACH_STREAM(stream)
		if (stream->file && stream->pid)
			SYS(fcntl, fileno_unlocked(stream->file), F_SETFD, FD_CLOEXEC);
	list_give(mask);
	file = ENVIRON_HELD(REAL(popen)(command, mode));
	mask = list_take();
	stream = file ? stream_new() : NULL;
	if (stream)
		stream_set(stream, file, 0, 0);
	list_give(mask);
	return file;
}

EXPORT FILE *popen(const char *command, const char *mode)
{
	HOOK_UNLESS_PASSIVE(REAL(popen)(command, mode));

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
	if (spawn.reason)
		file = open_by_libc(command, mode);
	spawn_end(&spawn, file ? child.pid : -1);
	return file;
}

/* As libc has it: the shell's status, or what fclose() said where that is zero; and no cancellation, of either type. */
static int wait_for(pid_t pid, int closed)
{
	int status, error, state;
	long waited;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	do
		waited = SYS(wait4, pid, &status, 0, NULL);
	while (waited == -EINTR);
	pthread_setcancelstate(state, NULL);
	if (waited < 0) {
		error = (int)-waited;
		errno = error;
		return -1;
	}
	return status ? status : closed;
}

/*
 * A stream of popen()'s is closed: forgets it. Its process; zero: it is libc's; -1: it is none, or, by `any`, no longer:
 * one that libc's pclose() ended, say called by a plugin, leaves an address that any file may get.
 *
 * It may yet take long to write what it holds: from now on its descriptor is closed by exec, or a command that another
 * thread starts meanwhile would keep the pipe open.
 */
static pid_t stream_forget(FILE *file, bool any)
{
	struct stream *stream = file ? stream_find(file) : NULL;
	pid_t pid = -1;
	sys_sigset mask;

	if (!stream)
		return -1;
	mask = list_take();
	if (stream->file == file) {
		pid = stream->pid;
		if (any && pid && inode(fileno_unlocked(file)) != stream->pipe)
			pid = -1;
		else
			SYS(fcntl, fileno_unlocked(file), F_SETFD, FD_CLOEXEC);
		stream_set(stream, NULL, 0, 0);
	}
	list_give(mask);
	return pid;
}

static int close_stream(FILE *file, bool any, int (*next)(FILE *))
{
	pid_t pid = stream_forget(file, any);
	bool open;
	int closed;

	if (pid <= 0)
		return next(file);
	/* As libc: where the program has closed the descriptor itself it does not wait. */
	open = SYS(fcntl, fileno_unlocked(file), F_GETFD) != -EBADF;
	closed = REAL(fclose)(file);
	return open ? wait_for(pid, closed) : closed;
}

EXPORT int pclose(FILE *file)
{
	hook_enter(HOOK_pclose, NULL);
	HIDDEN_BODY(pclose, file);

	return close_stream(file, false, REAL(pclose));
}

EXPORT int fclose(FILE *file)
{
	hook_enter(HOOK_fclose, NULL);
	return close_stream(file, true, REAL(fclose));
}
