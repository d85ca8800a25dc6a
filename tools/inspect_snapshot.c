// SPDX-License-Identifier: MIT
/*
 * What a thread has in its registers and on top of its stack.
 *
 * A thread is stopped with PTRACE_SEIZE and PTRACE_INTERRUPT, its registers and the top of its stack are copied, and
 * it goes on. That sends no signal, so nothing is left behind in a thread, whenever spork is killed: the kernel lets go
 * of what a tracer held when it ends. Of a thread that cannot be stopped /proc tells what it called the kernel with.
 */
#include <elf.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inspect.h"

/* In DWARF's numbers. */
#if defined(__x86_64__)
#define FRAME_POINTER 6
#define STACK_POINTER 7
#else
#define FRAME_POINTER 29
#define STACK_POINTER 31
#endif

#define STOP_TRIES 400 /* of a quarter of a millisecond */

void snapshot_clear(struct snapshot *snapshot)
{
	memset(snapshot->known, 0, sizeof(snapshot->known));
	snapshot->copied = 0;
	snapshot->stopped = false;
}

static void register_put(struct snapshot *snapshot, int number, uint64_t value)
{
	snapshot->registers[number] = value;
	snapshot->known[number] = true;
}

static bool registers_read(struct snapshot *snapshot, pid_t tid)
{
	struct user_regs_struct user;
	struct iovec part = { &user, sizeof(user) };

	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &part) || part.iov_len < sizeof(user))
		return false;
#if defined(__x86_64__)
	const uint64_t values[SNAPSHOT_REGISTERS] = {
		user.rax, user.rdx, user.rcx, user.rbx, user.rsi, user.rdi,
		user.rbp, user.rsp, user.r8,  user.r9,	user.r10, user.r11,
		user.r12, user.r13, user.r14, user.r15, user.rip,
	};
	int i;

	for (i = 0; i < SNAPSHOT_REGISTERS; i++)
		register_put(snapshot, i, values[i]);
	snapshot->pc = user.rip;
	snapshot->top = user.rsp;
	snapshot->argument = user.rdi;
#else
	int i;

	for (i = 0; i < 31; i++)
		register_put(snapshot, i, user.regs[i]);
	register_put(snapshot, 31, user.sp);
	snapshot->pc = user.pc;
	snapshot->top = user.sp;
	snapshot->argument = user.regs[0];
#endif
	snapshot->stopped = true;
	return true;
}

static void snapshot_at(struct snapshot *snapshot, uint64_t pc, uint64_t stack)
{
	register_put(snapshot, STACK_POINTER, stack);
#if defined(__x86_64__)
	register_put(snapshot, 16, pc);
#endif
	snapshot->pc = pc;
	snapshot->top = stack;
}

bool snapshot_call(struct snapshot *snapshot, const struct proc_call *call)
{
#if defined(__x86_64__)
	static const uint8_t arguments[6] = { 5, 4, 1, 10, 8, 9 };
#else
	static const uint8_t arguments[6] = { 0, 1, 2, 3, 4, 5 };
#endif
	int i;

	if (!call->known || call->running || !call->pc)
		return false;
	snapshot_at(snapshot, call->pc, call->stack);
	/* glibc's vfork() has its return address in the first. */
	for (i = 0; i < 6 && call->number >= 0; i++)
		register_put(snapshot, arguments[i], call->argument[i]);
	return true;
}

void snapshot_frame(struct snapshot *snapshot, uint64_t pc, uint64_t stack, uint64_t frame_pointer)
{
	snapshot_at(snapshot, pc, stack);
	register_put(snapshot, FRAME_POINTER, frame_pointer);
}

#define LATE 64

/* Threads that did not stop in time, and stop when they can: spork is still their tracer. */
static pid_t late[LATE];
static unsigned lates;

enum stop { STOP_NOT_YET, STOP_HERE, STOP_GONE };

/* `signal` is to be handed on when the thread is let go. */
static enum stop stop_poll(pid_t tid, int *signal)
{
	int status;
	pid_t got = waitpid(tid, &status, __WALL | WNOHANG);

	if (!got || (got < 0 && errno == EINTR))
		return STOP_NOT_YET;
	if (got != tid || !WIFSTOPPED(status))
		return STOP_GONE;
	*signal = status >> 16 == PTRACE_EVENT_STOP ? 0 : WSTOPSIG(status);
	return STOP_HERE;
}

static enum stop stop_wait(pid_t tid, int *signal)
{
	enum stop stop = STOP_NOT_YET;
	int tries;

	for (tries = 0; tries < STOP_TRIES && !stop; tries++) {
		stop = stop_poll(tid, signal);
		if (!stop && tries > 2)
			usleep(250);
		else if (!stop)
			sched_yield();
	}
	return stop;
}

static void detach(pid_t tid, int signal)
{
	ptrace(PTRACE_DETACH, tid, NULL, (void *)(intptr_t)signal);
}

static void late_look(void)
{
	unsigned i, kept = 0;
	enum stop stop;
	int signal = 0;

	for (i = 0; i < lates; i++) {
		stop = stop_poll(late[i], &signal);
		if (stop == STOP_HERE)
			detach(late[i], signal);
		else if (stop == STOP_NOT_YET)
			late[kept++] = late[i];
	}
	lates = kept;
}

static int stop_and_copy(struct snapshot *snapshot, pid_t tid)
{
	enum stop stop;
	int signal = 0;

	/* Only as many are asked as can be remembered. */
	if (lates == LATE)
		return -ETIMEDOUT;
	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL))
		return -errno;
	stop = ptrace(PTRACE_INTERRUPT, tid, NULL, NULL) ? STOP_GONE : stop_wait(tid, &signal);
	if (stop == STOP_NOT_YET)
		late[lates++] = tid;
	if (stop != STOP_HERE)
		return -ETIMEDOUT;
	if (registers_read(snapshot, tid))
		snapshot->copied =
			proc_memory_some(tid, snapshot->top, snapshot->copy, SNAPSHOT_SIZE);
	detach(tid, signal);
	return 0;
}

/* What would end spork or stop it waits until no thread is stopped. */
static void signals_block(sigset_t *before)
{
	static const int signals[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGTTIN, SIGTTOU };
	sigset_t set;
	size_t i;

	sigemptyset(&set);
	for (i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, before);
}

int snapshot_stop(struct snapshot *snapshot, pid_t tid)
{
	sigset_t before;
	int error;

	signals_block(&before);
	late_look();
	error = stop_and_copy(snapshot, tid);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return error;
}

void snapshot_settle(void)
{
	int tries;

	late_look();
	for (tries = 0; tries < STOP_TRIES && lates; tries++) {
		usleep(250);
		late_look();
	}
}
