// SPDX-License-Identifier: MIT
/*
 * Sets the shim up, in two steps. The constructor, or a hook that another library's constructor calls before it,
 * reads what the program was started with: a program may change its environment later, and a box that the options
 * name tells of every process. The rest waits for the first hook that needs it, which comes before the process has
 * a second thread; one of a thread that was made behind the shim's back waits until it is done. The destructor
 * runs in exit().
 */
#include "atfork.h"
#include "box_map.h"
#include "config.h"
#include "entry.h"
#include "environment.h"
#include "exposed.h"
#include "hook.h"
#include "lean.h"
#include "lock.h"
#include "profile.h"
#include "real.h"
#include "record.h"
#include "sanitizer.h"
#include "suppress.h"
#include "sys.h"
#include "thread.h"
#include "unwind.h"

#include "poison.h"

uint32_t hook_state START_STATE = HOOK_NEW;
static uintptr_t setting_up; /* the thread that does, by its thread pointer */

/* One for each call that has an entry. */
void *entry_next[BOX_CALL_VFORK + 1] START_STATE;

static bool started START_STATE, given START_STATE;

/* Long enough for any set-up; a child that was forked in the middle of one waits in vain, once. */
#define WAIT_YIELDS 10000

/* What the options name, or what comes before the first hook would be missing, and said too late what is wrong. */
static void start_with_options(void)
{
	config_init();
	if (box_is_named() || profile_is_named())
		record_init();
	suppress_init();
	profile_init();
}

/* Every hook is its real call from now on. */
static void be_passive(void)
{
	if (__atomic_load_n(&hook_state, __ATOMIC_RELAXED) == HOOK_PASSIVE)
		return;
	real_without_bodies();
	real_hot_begin();
	if (thread_checker_present())
		real_find_all();
	entry_next[BOX_CALL_FORK] = real_get(HOOK_fork);
	entry_next[BOX_CALL_VFORK] = real_get(HOOK_vfork);
	__atomic_store_n(&hook_state, HOOK_PASSIVE, __ATOMIC_RELEASE);
}

/* Executed programs get the shim as ever, and a box that is there for all of them is told of the process. */
static void start_passive(const char *options)
{
	if (options) {
		config_init();
		if (box_is_named())
			record_passive();
	}
	environment_init(!options || config.follow);
}

START_TEXT void hook_start(void)
{
	const char *options = NULL;
	bool passive;

	if (started)
		return;
	passive = sanitizer_present();
	if (passive)
		be_passive();
	/* A sanitizer calls hooks before libc knows the environment; the constructor comes later. */
	if (passive && !environ)
		return;
	started = true;
	/* What a set-user-ID program was given is another user's wish: such a one gets here by /etc/ld.so.preload. */
	if (!getauxval(AT_SECURE))
		options = config_variable(environ, START_STRING("SPORK_OPTIONS"));
	if (passive) {
		start_passive(options);
		return;
	}
	if (options)
		start_with_options();
	environment_init(!options || config.follow);
	given = options;
}

static void set_up(void)
{
	if (getauxval(AT_SECURE))
		config_secure();
	else if (!given)
		config_default();
	string_init();
	thread_init();
	record_init();
	unwind_init();
	atfork_init();
	lock_init();
	exposed_init();
	real_hot_begin();
	thread_self();
}

/* Another thread sets the shim up. Not so for a hook that set_up() comes through itself. */
static void wait_for_set_up(void)
{
	uintptr_t self = sys_thread_pointer();
	uint32_t busy = HOOK_SETTING_UP;
	int i;

	for (i = 0; i < WAIT_YIELDS; i++) {
		if (__atomic_load_n(&hook_state, __ATOMIC_ACQUIRE) != HOOK_SETTING_UP ||
		    __atomic_load_n(&setting_up, __ATOMIC_RELAXED) == self)
			return;
		SYS(sched_yield);
	}
	/* Should the thread be there after all, it ends that state. */
	__atomic_compare_exchange_n(&hook_state, &busy, HOOK_GIVEN_UP, false, __ATOMIC_RELAXED,
				    __ATOMIC_RELAXED);
}

void hook_set_up(void)
{
	uint32_t fresh = HOOK_NEW;
	sys_sigset mask;
	int error;

	if (__atomic_load_n(&hook_state, __ATOMIC_RELAXED) != HOOK_NEW) {
		wait_for_set_up();
		return;
	}
	error = errno;
	hook_start();
	/* A handler that ran meanwhile would go without. */
	mask = sys_sigmask(SYS_SIGNALS_ALL);
	if (__atomic_compare_exchange_n(&hook_state, &fresh, HOOK_SETTING_UP, false,
					__ATOMIC_ACQUIRE, __ATOMIC_RELAXED)) {
		__atomic_store_n(&setting_up, sys_thread_pointer(), __ATOMIC_RELAXED);
		set_up();
		__atomic_store_n(&hook_state, HOOK_READY, __ATOMIC_RELEASE);
	} else {
		wait_for_set_up();
	}
	sys_sigmask(mask);
	errno = error;
}

/*
 * Outside windows a stub or a hot row only calls libc's function, but for what may be missing later: room for the
 * box, or the program's name in /proc. A body tracks a lock, but those that every program comes through at its start
 * and end are of interest only where threads or children are, and then all is set up.
 */
static bool does_without(enum hook hook)
{
	switch (hook) {
	case HOOK_exit:
	case HOOK___cxa_atexit:
	case HOOK_setlocale:
	case HOOK_bindtextdomain:
	case HOOK_dlopen:
		return true;
	case HOOK_chroot:
	case HOOK_setrlimit:
	case HOOK_setrlimit64:
	case HOOK_prlimit:
	case HOOK_prlimit64:
		return false;
	default:
		return !real_has_body(hook);
	}
}

void hook_first(enum hook hook)
{
	if (!does_without(hook))
		hook_set_up();
}

static START_TEXT void init(void)
{
	int error = errno;

	hook_start();
	errno = error;
}

/*
 * What `constructor` makes, with the alignment of a page: it comes first of what is written to in the file, and with
 * .dynamic, .got, START_STATE and CHILD_STATE fits into one.
 */
static void (*constructor[])(void)
	__attribute__((section(".init_array"), used, aligned(4096))) = { init };

__attribute__((destructor)) static START_TEXT void end(void)
{
	if (hook_ready())
		lean_wait_children();
	if (given && profile_is_named())
		profile_save();
}
