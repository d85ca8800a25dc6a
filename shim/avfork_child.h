/* SPDX-License-Identifier: MIT */
/*
 * What a child of avfork() may call: the hooks' side.
 */
#ifndef SPORK_AVFORK_CHILD_H
#define SPORK_AVFORK_CHILD_H

#include "hook.h"
#include "window.h"

/* The first thing in such a child, whose thread-local storage is its own: `from` is where avfork() returned to. */
void avfork_enter(uintptr_t from);

/*
 * In such a child: reports a call that breaks its rules, and makes _exit() of one that would run exit handlers. The
 * parent does not wait, so that no real fork can start over: what else it calls, it calls.
 */
void avfork_call(enum hook hook, enum spork_reason reason, const struct hook_arguments *arguments);

/* The same for exit() and its kin, in any thread: the stubs look for a window only while one is open. */
void avfork_exit(enum hook hook, int status);

#endif
