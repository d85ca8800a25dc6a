// SPDX-License-Identifier: MIT
/*
 * Owns the records of windows that are not open.
 */
#include "memory.h"
#include "seccomp.h"
#include "sys.h"
#include "window.h"

#include "poison.h"

/*
 * Each thread keeps a record for its next spawn; what a spawn within a window took besides goes to the
 * list of free ones, linked by `outer`.
 */
static struct window *free_windows;
static struct spin free_lock CHILD_STATE;

struct window *window_take(struct thread *self)
{
	struct window *window = self ? __atomic_exchange_n(&self->spare, NULL, __ATOMIC_ACQ_REL) :
				       NULL;

	if (!window) {
		spin_lock(&free_lock);
		window = free_windows;
		if (window)
			free_windows = window->outer;
		spin_unlock(&free_lock);
	}
	if (!window)
		window = memory_take(sizeof(*window));
	if (window)
		memset(window, 0, offsetof(struct window, vfork_stack));
	return window;
}

void window_set(struct window *window)
{
	sys_sigset mask;

	/* The program's own filter need not let signals be blocked: vfork() does without. */
	if (seccomp_confined()) {
		thread_window(window);
		return;
	}
	mask = sys_sigmask(SYS_SIGNALS_ALL);
	thread_window(window);
	sys_sigmask(mask);
}

void window_give(struct window *window)
{
	struct thread *self = thread_self();

	if (self)
		window = __atomic_exchange_n(&self->spare, window, __ATOMIC_ACQ_REL);
	if (!window)
		return;
	spin_lock(&free_lock);
	window->outer = free_windows;
	free_windows = window;
	spin_unlock(&free_lock);
}

void window_drop(struct window *window)
{
	window_set(NULL);
	window_give(window);
}

void window_open_bare(uint32_t call)
{
	struct window *window = window_take(thread_self());

	if (!window)
		return;
	window->kind = WINDOW_BARE;
	window->call = call;
	window_set(window);
}

void window_close_lean(void)
{
	struct window *window = thread_window_open();

	if (window && window->kind == WINDOW_LEAN)
		window_drop(window);
}

void window_reserve(void)
{
	struct window *window = window_take(thread_self());

	if (window)
		window_give(window);
}

void window_pool_after_fork(void)
{
	spin_reset(&free_lock);
}
