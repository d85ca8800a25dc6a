// SPDX-License-Identifier: MIT
/*
 * avfork_popen(): see avfork.h.
 *
 * The child makes raw system calls only, and so shares the caller's thread-local storage without touching it: nothing
 * of that has to be copied. What it executes is: argv and the environment lie on its stack, and the caller goes on.
 */
#include <sys/wait.h>

#include "avfork.h"
#include "child_clone.h"
#include "child_stack.h"
#include "config.h"
#include "environ.h"
#include "environment.h"
#include "execute.h"
#include "futex.h"
#include "hook.h"
#include "memory.h"
#include "strings.h"
#include "undo.h"
#include "window.h"

#include "poison.h"

/* Arguments and environment that take more on the child's stack hold the caller until it has executed. */
#define COPY_MAX ((size_t)40 << 10)

/*
 * Why a child could not execute, by the descriptor of its stream. `said` is an errno, below a number that tells this
 * child from one whose stream had the descriptor before.
 */
struct answer {
	uint64_t said;
	uint32_t *running; /* the word of its stack; it holds the pid until the child has executed or ended */
	uint32_t pid;
	uint64_t device, inode; /* of the pipe: the descriptor may be another's by now */
};

#define ANSWERS 256
static struct answer *answers[4096];

struct popen_start {
	struct child_clone clone;
	struct answer *answer; /* or NULL */
	uint64_t number;
	int fd, target;
	char *const *argv, *const *envp;
	const char *folders;
	sys_sigset mask;
};

struct popen_mode {
	bool reads, asks;
};

static bool mode_parse(const char *text, struct popen_mode *mode)
{
	*mode = (struct popen_mode){ .reads = *text == 'r' };
	if (*text != 'r' && *text != 'w')
		return false;
	for (text++; *text == 'e' || *text == 'x'; text++)
		mode->asks |= *text == 'x';
	return !*text;
}

/* NULL: no memory, or no such descriptor. */
static struct answer *answer_of(int fd, bool make)
{
	struct answer *chunk, *none = NULL;
	size_t index = (size_t)fd / ANSWERS;

	if (fd < 0 || index >= COUNT(answers))
		return NULL;
	chunk = __atomic_load_n(&answers[index], __ATOMIC_ACQUIRE);
	if (!chunk && make) {
		/* Of two that come at once one wastes its memory. */
		chunk = memory_take(ANSWERS * sizeof(*chunk));
		if (chunk && !__atomic_compare_exchange_n(&answers[index], &none, chunk, false,
							  __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			chunk = none;
	}
	return chunk ? &chunk[fd % ANSWERS] : NULL;
}

/* Zeros: it could not be asked, and stays unknown. */
static void answer_begin(struct answer *answer, uint64_t number, int fd)
{
	struct stat status = { 0 };

	sys_stat(fd, "", AT_EMPTY_PATH, &status);
	*answer =
		(struct answer){ .said = number, .device = status.st_dev, .inode = status.st_ino };
}

static bool answer_is_of(const struct answer *answer, int fd)
{
	struct stat status;

	return answer->said && sys_stat(fd, "", AT_EMPTY_PATH, &status) &&
	       answer->device == status.st_dev && answer->inode == status.st_ino;
}

static int popen_child(void *data)
{
	struct popen_start *start = data;
	uint64_t said = start->number;
	long error;

	child_clone_begin(&start->clone);
	error = execute_dup2(start->fd, start->target);
	SYS(rt_sigprocmask, SIG_SETMASK, &start->mask, NULL, sizeof(start->mask));
	if (error >= 0)
		error = execute(start->argv[0], start->argv, start->envp, start->folders);
	if (start->answer)
		__atomic_compare_exchange_n(&start->answer->said, &said, said | (uint64_t)-error,
					    false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
	return 127;
}

/* pid or -errno. Signals are blocked. `start` is copied to the child's stack. */
static long start_child(struct popen_start *start)
{
	struct strings_room room;
	struct popen_start *copy;
	char **argv, **envp;
	struct child_stack stack;
	uintptr_t high;
	long pid;

	if (!child_stack_take(&stack))
		return -ENOMEM;
	high = stack.low + CHILD_STACK_SIZE - COPY_MAX;
	room = (struct strings_room){ (char *)high, (char *)high + COPY_MAX };
	argv = strings_copy(&room, start->argv);
	envp = argv ? strings_copy(&room, start->envp) : NULL;
	start->clone.flags = envp ? 0 : CLONE_VFORK;
	if (envp) {
		start->argv = argv;
		start->envp = envp;
		start->folders = config_variable(envp, "PATH");
	}
	copy = (struct popen_start *)((high - sizeof(*copy)) & ~63UL);
	/* While it is not zero it is the pid: whoever waits for this child knows it from the next. */
	start->clone.running = start->clone.tid = stack.running;
	start->clone.low = stack.low;
	start->clone.high = (uintptr_t)copy;
	start->clone.exit_signal = SIGCHLD;
	if (start->answer)
		start->answer->running = stack.running;
	child_stack_executes_soon(&stack);
	*copy = *start;
	pid = child_clone(&copy->clone, popen_child, copy);
	if (pid < 0)
		child_stack_give(&stack);
	return pid;
}

static long run(struct popen_start *start)
{
	static char *const nothing[] = { NULL };
	sys_sigset mask = sys_sigmask(SYS_SIGNALS_ALL);
	long pid;

	start->mask = mask;
	start->envp = ENVIRONMENT_KEEP(environ);
	if (!start->envp)
		start->envp = nothing;
	start->folders = config_variable(start->envp, "PATH");
	pid = start_child(start);
	sys_sigmask(mask);
	return pid;
}

/* The caller's stream, and the child at the other end. errno is set if it fails. */
static FILE *popen_run(const char *const argv[], const struct popen_mode *mode, int *end,
		       pid_t *pid)
{
	static uint32_t number;
	struct popen_start start = {
		.fd = end[mode->reads],
		.target = mode->reads,
		.argv = (char *const *)argv,
		.number = (uint64_t)__atomic_add_fetch(&number, 1, __ATOMIC_RELAXED) << 32,
	};
	struct answer *answer = answer_of(end[!mode->reads], mode->asks);
	FILE *stream;
	long child;

	if (mode->asks && !answer) {
		errno = ENOMEM;
		return NULL;
	}
	stream = fdopen(end[!mode->reads], mode->reads ? "r" : "w");
	if (!stream)
		return NULL;
	if (mode->asks)
		answer_begin(answer, start.number, end[!mode->reads]);
	start.answer = mode->asks ? answer : NULL;
	undo_not_alone();
	child = ENVIRON_KEPT(run(&start));
	if (child > 0) {
		if (start.answer)
			answer->pid = (uint32_t)child;
		SYS(close, start.fd);
		*pid = (pid_t)child;
		return stream;
	}
	fclose(stream);
	SYS(close, start.fd);
	end[0] = end[1] = -1;
	errno = (int)-child;
	return NULL;
}

EXPORT FILE *avfork_popen(const char *const argv[], const char *text, pid_t *given)
{
	struct spawn_record spawn = { .call = BOX_CALL_AVFORK_POPEN, .tier = BOX_TIER_VFORK };
	struct popen_mode mode;
	FILE *stream = NULL;
	int end[2] = { -1, -1 };
	pid_t pid = -1;
	long error;

	if (hook_is_passive()) {
		errno = ENOSYS;
		return NULL;
	}
	hook_enter(HOOK_clone, NULL);
	spawn.start_ns = sys_now();
	if (!argv || !argv[0] || !text || !mode_parse(text, &mode)) {
		errno = EINVAL;
		return NULL;
	}
	error = SYS(pipe2, end, O_CLOEXEC);
	if (error)
		errno = (int)-error;
	else
		stream = popen_run(argv, &mode, end, &pid);
	if (!stream && end[0] >= 0) {
		SYS(close, end[0]);
		SYS(close, end[1]);
	}
	if (stream && given)
		*given = pid;
	spawn.pid = pid;
	window_record(&spawn);
	return stream;
}

EXPORT int avfork_error(FILE *stream)
{
	const struct answer *answer = stream ? answer_of(fileno_unlocked(stream), false) : NULL;

	if (!answer || !answer_is_of(answer, fileno_unlocked(stream))) {
		errno = EINVAL;
		return -1;
	}
	futex_wait_changed(answer->running, answer->pid);
	return (int)(uint32_t)__atomic_load_n(&answer->said, __ATOMIC_ACQUIRE);
}
