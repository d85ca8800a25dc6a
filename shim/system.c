// SPDX-License-Identifier: MIT
/*
 * system(), as POSIX has it: SIGINT and SIGQUIT are ignored and SIGCHLD is blocked while the command runs, by whichever
 * threads are in here; the wait is a cancellation point, and a cancelled caller's command is killed.
 *
 * Owns what the first of them found of the two signals. Where the child cannot be made here libc's posix_spawn() makes
 * it; the rest stays the same, or two owners would restore each other's.
 */
#include <sys/wait.h>

#include "config.h"
#include "environ.h"
#include "environment.h"
#include "seccomp.h"
#include "shell.h"
#include "spawn.h"
#include "spawn_child.h"
#include "state.h"
#include "system.h"

#include "poison.h"

#define SIGNAL_BIT(signal) ((sys_sigset)1 << ((signal)-1))

/* A command that a caller waits for, and the caller's mask. */
struct running {
	pid_t pid;
	sys_sigset mask;
};

static struct spin lock CHILD_STATE;
static int callers CHILD_STATE;
static __thread int inside; /* handlers of the program may run here, and call it, or fork */
static struct sigaction interrupt, quit;

void system_after_fork(void)
{
	spin_reset(&lock);
	RESET(callers, inside);
}

static void signals_hold(sys_sigset *mask)
{
	static const struct sigaction ignore = { .sa_handler = SIG_IGN };
	sys_sigset child = SIGNAL_BIT(SIGCHLD);

	spin_lock(&lock);
	inside++;
	if (!callers++) {
		REAL(sigaction)(SIGINT, &ignore, &interrupt);
		REAL(sigaction)(SIGQUIT, &ignore, &quit);
	}
	spin_unlock(&lock);
	SYS(rt_sigprocmask, SIG_BLOCK, &child, mask, sizeof(child));
}

static void signals_release(sys_sigset mask)
{
	spin_lock(&lock);
	inside--;
	if (!--callers) {
		REAL(sigaction)(SIGINT, &interrupt, NULL);
		REAL(sigaction)(SIGQUIT, &quit, NULL);
		state_changed_signals();
	}
	spin_unlock(&lock);
	sys_sigmask(mask);
}

/* What libc's posix_spawn() is asked for where the child is not made here. */
static void make_by_libc(struct spawn_child *child)
{
	posix_spawnattr_t attributes = {
		.__flags = child->flags,
		.__sd = sys_sigset_to(child->reset),
		.__ss = sys_sigset_to(child->mask),
	};

	child->error = REAL(posix_spawn)(&child->pid, child->path, NULL, &attributes, child->argv,
					 ENVIRONMENT_KEEP(environ));
}

static void kill_command(void *data)
{
	const struct running *running = data;
	int state;

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	sys_kill(running->pid, SIGKILL);
	while (SYS(wait4, running->pid, NULL, 0, NULL) == -EINTR)
		;
	signals_release(running->mask);
	pthread_setcancelstate(state, NULL);
}

static int wait_for(struct running *running)
{
	int status;
	pid_t waited;

	pthread_cleanup_push(kill_command, running);
	do
		waited = REAL(waitpid)(running->pid, &status, 0);
	while (waited < 0 && errno == EINTR);
	pthread_cleanup_pop(0);
	return waited == running->pid ? status : -1;
}

static int run(const char *command, struct spawn_record *spawn)
{
	struct shell_arguments arguments = shell_arguments(command);
	struct spawn_child child = {
		.path = SHELL,
		.argv = (char *const *)arguments.argv,
		.flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF,
	};
	struct running running;
	int status = 127 << 8; /* as if the shell had ended with 127 */

	spawn->reason = spawn_child_refuses();
	signals_hold(&running.mask);
	child.mask = running.mask;
	child.reset = (interrupt.sa_handler != SIG_IGN ? SIGNAL_BIT(SIGINT) : 0) |
		      (quit.sa_handler != SIG_IGN ? SIGNAL_BIT(SIGQUIT) : 0);
	if (!spawn->reason)
		spawn->reason = spawn_child_run(&child);
	if (spawn->reason)
		ENVIRON_HELD((make_by_libc(&child), 0));
	running.pid = child.pid;
	if (!child.error)
		status = wait_for(&running);
	signals_release(running.mask);
	if (child.error)
		errno = child.error;
	return status;
}

EXPORT int system(const char *command)
{
	HOOK_UNLESS_PASSIVE(REAL(system)(command));

	struct spawn_record spawn = spawn_begin(HOOK_system, BOX_CALL_SYSTEM, BOX_TIER_SPAWN);
	int result;

	if (config.reroute == REROUTE_OFF || seccomp_confined()) {
		spawn.reason = spawn_child_refuses();
		result = ENVIRON_HELD(REAL(system)(command));
		/* What it ignored meanwhile. */
		state_changed_signals();
	} else {
		result = run(command ? command : "exit 0", &spawn);
		if (!command)
			result = !result;
	}
	spawn_end(&spawn, result < 0 ? -1 : 0);
	return result;
}
