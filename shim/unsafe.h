/* SPDX-License-Identifier: MIT */
/*
 * Where only async-signal-safe functions may be called: in the child of a process with several threads, until it
 * executes a program, and in handlers of signals.
 *
 * Such a thread is watched: with strict=1 it is in a window of a kind of its own, WINDOW_WATCH, whenever it is in no
 * other, so that its calls come to hook_in_window(). That window has no state, changes nothing of what the calls do,
 * and all threads share it; thread_window(NULL) enters it where there is something to watch for.
 *
 * Of a child it is the thread that forked, and not before its atfork child handlers are over: they are there to make
 * locks usable again. The child of such a child had one thread in its parent, and is free.
 */
#ifndef SPORK_UNSAFE_H
#define SPORK_UNSAFE_H

#include <stdbool.h>
#include <stdint.h>

#include "real.h"
#include "thread.h"

struct hook_arguments;
struct walk_start;
struct box_site;

/* WINDOW_WATCH where the calling thread is watched, or NULL: what it is in when no other window is open. */
struct window *unsafe_window(void);

/* In a forked child, before thread_after_fork(): had its parent other threads? Else `from` and `site` do not matter. */
void unsafe_after_fork(const struct walk_start *from, const struct box_site *site);

/* It was not fork() that made it, but this one (enum spork_call). */
void unsafe_made_by(uint32_t call);

/* The calling thread, which is watched, is about to make this call, which returns to `where`. errno is not kept. */
void unsafe_call(enum hook hook, const struct hook_arguments *arguments, uintptr_t where);

/* The call starts a thread, or makes libc start one. errno is kept. */
void unsafe_thread(enum hook hook, uintptr_t where);

/* Is it one that makes libc start a thread? Of timer_create() `notifies` tells. */
static inline __attribute__((always_inline)) bool unsafe_makes_thread(enum hook hook, bool notifies)
{
	switch (hook) {
	case HOOK_aio_read:
	case HOOK_aio_read64:
	case HOOK_aio_write:
	case HOOK_aio_write64:
	case HOOK_aio_fsync:
	case HOOK_aio_fsync64:
	case HOOK_lio_listio:
	case HOOK_lio_listio64:
	case HOOK_getaddrinfo_a:
		return true;
	case HOOK_timer_create:
		return notifies;
	default:
		return false;
	}
}

/* unsafe_thread() where it is such a call. */
static inline __attribute__((always_inline)) void
unsafe_perhaps_thread(enum hook hook, uintptr_t where, bool notifies)
{
	if (__builtin_expect(thread_words.child_call != 0, 0) &&
	    unsafe_makes_thread(hook, notifies))
		unsafe_thread(hook, where);
}

/*
 * Around a handler of the program: `frame` is an address in the caller's frame. The value is for the second, which
 * is not called if the handler does not come back.
 */
uint32_t unsafe_handler_enter(int signal, uintptr_t function, uintptr_t frame);
void unsafe_handler_leave(uint32_t at, uintptr_t frame);

/* The calling thread ends. */
void unsafe_thread_end(void);

#endif
