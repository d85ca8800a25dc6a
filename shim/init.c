// SPDX-License-Identifier: MIT
/*
 * Sets the shim up, once: from its constructor, or from the first hook that needs more than its real call,
 * when another library's constructor came first. Either way the process has one thread. Its destructor runs
 * in exit().
 */
#include "atfork.h"
#include "config.h"
#include "environment.h"
#include "exposed.h"
#include "hook.h"
#include "lock.h"
#include "profile.h"
#include "record.h"
#include "seccomp.h"
#include "suppress.h"
#include "sys.h"
#include "thread.h"
#include "unwind.h"

#include "poison.h"

static enum { INIT_NEW, INIT_RUNNING, INIT_DONE } state;

void hook_init(void)
{
	int error;

	if (LIKELY(state != INIT_NEW))
		return;
	state = INIT_RUNNING;
	error = errno;
	config_init();
	thread_init();
	seccomp_init();
	record_init();
	suppress_init();
	profile_init();
	unwind_init();
	environment_init();
	atfork_init();
	lock_init();
	exposed_init();
	state = INIT_DONE;
	errno = error;
}

__attribute__((constructor)) static void init(void)
{
	hook_init();
}

__attribute__((destructor)) static void end(void)
{
	profile_save();
}
