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

/* Waits for the stop that was asked for, not for ever. The signal to hand on when it is let go, or -1. */
static int stop_wait(pid_t tid)
{
	int tries, status;
	pid_t got;

	for (tries = 0; tries < STOP_TRIES; tries++) {
		got = waitpid(tid, &status, __WALL | WNOHANG);
		if (got == tid)
			break;
		if (got < 0 && errno != EINTR)
			return -1;
		if (tries > 2)
			usleep(250);
		else
			sched_yield();
	}
	if (tries == STOP_TRIES || !WIFSTOPPED(status))
		return -1;
	return status >> 16 == PTRACE_EVENT_STOP ? 0 : WSTOPSIG(status);
}

static int stop_and_copy(struct snapshot *snapshot, pid_t tid)
{
	int signal;

	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL))
		return -errno;
	/* One that does not stop is let go when spork ends. */
	if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL))
		return -errno;
	signal = stop_wait(tid);
	if (signal < 0)
		return -ETIMEDOUT;
	if (registers_read(snapshot, tid))
		snapshot->copied =
			proc_memory_some(tid, snapshot->top, snapshot->copy, SNAPSHOT_SIZE);
	ptrace(PTRACE_DETACH, tid, NULL, (void *)(intptr_t)signal);
	return 0;
}

int snapshot_stop(struct snapshot *snapshot, pid_t tid)
{
	sigset_t ends, before;
	int error;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	sigaddset(&ends, SIGQUIT);
	sigprocmask(SIG_BLOCK, &ends, &before);
	error = stop_and_copy(snapshot, tid);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return error;
}
