// SPDX-License-Identifier: MIT
/*
 * Owns a mirror of the process's signal handlers: read once from the kernel, when the first shared window
 * opens, and kept up by the hooks of sigaction and its kin. Reading all of them takes as long as a tenth
 * of a spawn. It answers a child that asks for a handler; a handler that was set by a raw system call is
 * seen at the next audit, and cannot run in a window either.
 */
#include "signal_window.h"

#include "hook.h"
#include "lean.h"
#include "signal_wrap.h"
#include "state.h"
#include "window.h"

#include "poison.h"

#define SIGNALS 64
#define BIT(signal) (1ULL << ((signal)-1))
/* libc's internal signals, SIGCANCEL and SIGSETXID: sigaction() refuses them, the mask hooks skip them. */
#define INTERNAL (BIT(32) | BIT(33))

static struct sigaction mirror[SIGNALS + 1];
static sys_sigset caught; /* signals whose mirror is a function */
static bool valid;

static void mirror_read(int signal)
{
	struct sigaction action;
	int failed;

	lean_action_begin(signal);
	failed = REAL(sigaction)(signal, NULL, &action);
	lean_action_end(signal);
	if (failed)
		return;
	action.sa_handler = signal_wrap_own(signal, action.sa_handler);
	mirror[signal] = action;
	if (action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN)
		__atomic_and_fetch(&caught, ~BIT(signal), __ATOMIC_ACQ_REL);
	else
		__atomic_or_fetch(&caught, BIT(signal), __ATOMIC_ACQ_REL);
}

/* After a hooked call may have changed it. errno is kept. */
static void mirror_update(int signal)
{
	int error = errno;

	/* A child that shares memory has handlers of its own. */
	if (!thread_window_open()) {
		state_changed_signals();
		if (__atomic_load_n(&valid, __ATOMIC_ACQUIRE) && signal >= 1 && signal <= SIGNALS)
			mirror_read(signal);
	}
	errno = error;
}

void signal_forget(void)
{
	if (__atomic_load_n(&valid, __ATOMIC_ACQUIRE))
		__atomic_store_n(&valid, false, __ATOMIC_RELEASE);
}

static void mirror_fill(void)
{
	int error = errno, signal;

	/* Valid first: what a hook changes meanwhile is read by it, or below. */
	__atomic_store_n(&valid, true, __ATOMIC_RELEASE);
	for (signal = 1; signal <= SIGNALS; signal++)
		if (!(BIT(signal) & INTERNAL))
			mirror_read(signal);
	errno = error;
}

static void mask_set(struct signal_window *window, sys_sigset mask)
{
	if (window->real != mask)
		sys_sigmask(mask);
	window->real = mask;
}

sys_sigset signal_caught(void)
{
	if (!__atomic_load_n(&valid, __ATOMIC_ACQUIRE))
		mirror_fill();
	return __atomic_load_n(&caught, __ATOMIC_ACQUIRE);
}

void signal_open(struct signal_window *window)
{
	window->parent_mask = window->mask = sys_sigmask(SYS_SIGNALS_ALL);
	window->real = SYS_SIGNALS_ALL;
	window->handlers = signal_caught();
}

void signal_close(const struct signal_window *window)
{
	sys_sigmask(window->parent_mask);
}

/* What differs from what signal_hold() set is the child's doing: sigsetmask() and its kin. */
void signal_catch_up(struct signal_window *window)
{
	sys_sigset changed = window->real;

	if (!window->stale)
		return;
	window->stale = false;
	SYS(rt_sigprocmask, SIG_BLOCK, NULL, &window->real, sizeof(window->real));
	changed ^= window->real;
	window->mask = (window->mask & ~changed) | (window->real & changed);
}

/*
 * A signal that is pending for a handler would have run it in a bare child, on memory that exec throws
 * away. Here it must neither run nor end the child: it is dropped.
 */
/* Until exec resets it, in place of a handler of the parent's: a signal that comes now must neither run that nor kill. */
static void nothing(int signal)
{
	(void)signal;
}

void signal_exec(struct signal_window *window)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, deflt = { .sa_handler = SIG_DFL },
			 harmless = { .sa_handler = nothing, .sa_flags = SA_RESTART };
	sys_sigset reset;
	int signal;

	signal_catch_up(window);
	reset = window->own;
	while ((signal = sys_signal_next(&reset))) {
		REAL(sigaction)(signal, &ignore, NULL);
		REAL(sigaction)(signal, &deflt, NULL);
	}
	reset = window->handlers & ~window->mask;
	while ((signal = sys_signal_next(&reset)))
		REAL(sigaction)(signal, &harmless, NULL);
	mask_set(window, window->mask);
}

void signal_inherit(const struct signal_window *window)
{
	sys_sigset inherited = window->handlers;
	int signal;

	while ((signal = sys_signal_next(&inherited)))
		REAL(sigaction)(signal, &mirror[signal], NULL);
	sys_sigmask(window->mask);
}

void signal_reset(const struct signal_window *window)
{
	struct sigaction deflt = { .sa_handler = SIG_DFL };
	sys_sigset set = window->handlers;
	int signal;

	while ((signal = sys_signal_next(&set)))
		REAL(sigaction)(signal, &deflt, NULL);
}

void signal_hold(struct signal_window *window)
{
	mask_set(window, window->mask | window->handlers);
}

void *signal_handler(int signal)
{
	return (void *)mirror[signal].sa_handler;
}

sys_sigset signal_pending(void)
{
	sys_sigset pending = 0;

	SYS(rt_sigpending, &pending, sizeof(pending));
	return pending;
}

void signal_raise(sys_sigset signals)
{
	int signal;

	while ((signal = sys_signal_next(&signals)))
		sys_kill(sys_pid(), signal);
}

/* The window that a call belongs to, if the caller is a child that shares memory. */
static struct window *shared(void)
{
	struct window *window = thread_words.window;

	return window && !window->busy &&
			       (window->kind == WINDOW_SHARED || window->kind == WINDOW_VFORK) ?
		       window :
		       NULL;
}

static int mask_change(struct window *open, int how, const sigset_t *set, sigset_t *old)
{
	struct signal_window *window = &open->signal;
	sys_sigset before, given;

	signal_catch_up(window);
	before = window->mask;
	if (set) {
		memcpy(&given, set, sizeof(given));
		if (how == SIG_BLOCK)
			given = before | given;
		else if (how == SIG_UNBLOCK)
			given = before & ~given;
		else if (how != SIG_SETMASK)
			return EINVAL;
		/* as the kernel and libc do */
		window->mask = given & ~(BIT(SIGKILL) | BIT(SIGSTOP) | INTERNAL);
		if (open->kind == WINDOW_VFORK)
			signal_hold(window);
	}
	if (old) {
		memset(old, 0, sizeof(*old));
		memcpy(old, &before, sizeof(before));
	}
	return 0;
}

EXPORT int sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	struct window *window = shared();
	int error;

	hook_enter(HOOK_sigprocmask, NULL);
	if (!window)
		return REAL(sigprocmask)(how, set, old);
	error = mask_change(window, how, set, old);
	if (error)
		errno = error;
	return error ? -1 : 0;
}

EXPORT int pthread_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	struct window *window = shared();

	hook_enter(HOOK_pthread_sigmask, NULL);
	return window ? mask_change(window, how, set, old) : REAL(pthread_sigmask)(how, set, old);
}

/* The signal has an action of the child's own. */
static void action_note(struct window *open, int signal, sighandler_t handler)
{
	struct signal_window *window = &open->signal;
	bool inherited = window->handlers & BIT(signal);

	signal_catch_up(window);
	window->handlers &= ~BIT(signal);
	if (handler == SIG_DFL || handler == SIG_IGN)
		window->own &= ~BIT(signal);
	else
		window->own |= BIT(signal);
	if (inherited && open->kind == WINDOW_VFORK)
		signal_hold(window);
}

static int action_change(struct window *open, int signal, const struct sigaction *action,
			 struct sigaction *old)
{
	struct signal_window *window = &open->signal;
	bool inherited = signal >= 1 && signal <= SIGNALS && window->handlers & BIT(signal);

	if (REAL(sigaction)(signal, action, old))
		return -1;
	if (inherited && old)
		*old = mirror[signal];
	if (action)
		action_note(open, signal, action->sa_handler);
	return 0;
}

EXPORT int sigaction(int signal, const struct sigaction *action, struct sigaction *old)
{
	struct window *window = shared();
	struct sigaction wrapped;
	struct signal_wrap wrap;
	sighandler_t handler, before;
	int result;

	hook_enter(HOOK_sigaction, NULL);
	if (window)
		return action_change(window, signal, action, old);
	handler = signal_wrap_begin(&wrap, signal, action ? action->sa_handler : SIG_DFL, false);
	if (wrap.given) {
		wrapped = *action;
		wrapped.sa_handler = handler;
	}
	lean_action_begin(signal);
	result = REAL(sigaction)(signal, wrap.given ? &wrapped : action, old);
	lean_action_end(signal);
	before = signal_wrap_end(&wrap, signal, result != 0,
				 !result && old ? old->sa_handler : SIG_DFL);
	if (!result && old)
		old->sa_handler = before;
	if (action)
		mirror_update(signal);
	return result;
}

EXPORT sighandler_t signal(int number, sighandler_t handler)
{
	struct window *window = shared();
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART }, old;
	struct signal_wrap wrap;
	sighandler_t result;

	hook_enter(HOOK_signal, NULL);
	if (window) {
		/* BSD semantics, as glibc's; siginterrupt() of the parent is not asked */
		action.sa_mask = sys_sigset_to(number > 0 && number <= SIGNALS ? BIT(number) : 0);
		return action_change(window, number, &action, &old) ? SIG_ERR : old.sa_handler;
	}
	handler = signal_wrap_begin(&wrap, number, handler, false);
	lean_action_begin(number);
	result = REAL(signal)(number, handler);
	lean_action_end(number);
	result = signal_wrap_end(&wrap, number, result == SIG_ERR, result);
	mirror_update(number);
	return result;
}

/* A vfork() child has set it by one of the relatives below; what it had before, in place of the kernel's answer. */
static sighandler_t relative_changed(int signal, sighandler_t before)
{
	struct window *window = shared();
	struct sigaction now;

	if (!window || signal < 1 || signal > SIGNALS || REAL(sigaction)(signal, NULL, &now))
		return before;
	if (before != SIG_ERR && window->signal.handlers & BIT(signal))
		before = mirror[signal].sa_handler;
	action_note(window, signal, now.sa_handler);
	return before;
}

/* The relatives that few programs use: a window of fork() gives way to a real fork first. */
#define SIGNAL_HOOK(name)                                                                          \
	EXPORT sighandler_t name(int number, sighandler_t handler)                                 \
	{                                                                                          \
		struct signal_wrap wrap;                                                           \
		sighandler_t result;                                                               \
                                                                                                   \
		hook_enter(HOOK_##name, NULL);                                                     \
		handler = signal_wrap_begin(&wrap, number, handler, HOOK_##name == HOOK_sigset);   \
		lean_action_begin(number);                                                         \
		result = ((sighandler_t(*)(int, sighandler_t))real_get(HOOK_##name))(number,       \
										     handler);     \
		lean_action_end(number);                                                           \
		result = signal_wrap_end(&wrap, number, result == SIG_ERR, result);                \
		mirror_update(number);                                                             \
		return relative_changed(number, result);                                           \
	}

sighandler_t __sysv_signal(int, sighandler_t);
sighandler_t sysv_signal(int, sighandler_t);

SIGNAL_HOOK(bsd_signal)
SIGNAL_HOOK(ssignal)
SIGNAL_HOOK(__sysv_signal)
SIGNAL_HOOK(sysv_signal)
SIGNAL_HOOK(sigset)

EXPORT int sigignore(int number)
{
	int result;

	hook_enter(HOOK_sigignore, NULL);
	lean_action_begin(number);
	result = ((int (*)(int))real_get(HOOK_sigignore))(number);
	lean_action_end(number);
	mirror_update(number);
	relative_changed(number, SIG_ERR);
	return result;
}

EXPORT int siginterrupt(int number, int interrupt)
{
	int result;

	hook_enter(HOOK_siginterrupt, NULL);
	lean_action_begin(number);
	result = ((int (*)(int, int))real_get(HOOK_siginterrupt))(number, interrupt);
	lean_action_end(number);
	mirror_update(number);
	return result;
}
