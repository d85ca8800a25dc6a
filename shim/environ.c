// SPDX-License-Identifier: MIT
/*
 * Owns the right to replace environ: one window's, or else it is held by any number of threads that read,
 * change or copy it: getenv() and its kin, forks, other windows.
 *
 * A window takes some hundred microseconds, so waiters yield; nobody waits longer than the limits below,
 * whatever happens to whom he waits for.
 */
#include "environ.h"

#include <sys/single_threaded.h>

#include "hidden.h"
#include "hook.h"
#include "sys.h"
#include "thread.h"

/* For other windows, and for holders; then the spawn is a real fork. */
#define TAKE_LIMIT_NS 20000000ULL
#define HOLDERS_LIMIT_NS 2000000ULL
#define WAIT_LIMIT_NS 2000000000ULL

static int window_open_now CHILD_STATE;
static int holders CHILD_STATE;
static int keepers CHILD_STATE; /* windows whose children read environ */
static int changers
	CHILD_STATE; /* threads in setenv() and its kin, which free what environ points to */

/* Yields while `*word` is not zero; false: the limit passed. */
static bool wait_for_zero(const int *word, uint64_t limit_ns)
{
	uint64_t until = sys_now() + limit_ns;

	while (__atomic_load_n(word, __ATOMIC_SEQ_CST)) {
		if (sys_now() > until)
			return false;
		SYS(sched_yield);
	}
	return true;
}

bool environ_take(void)
{
	uint64_t until = sys_now() + TAKE_LIMIT_NS;
	int open = 0;

	while (!__atomic_compare_exchange_n(&window_open_now, &open, 1, false, __ATOMIC_SEQ_CST,
					    __ATOMIC_SEQ_CST)) {
		if (sys_now() > until)
			return false;
		SYS(sched_yield);
		open = 0;
	}
	if (wait_for_zero(&holders, HOLDERS_LIMIT_NS))
		return true;
	environ_give();
	return false;
}

void environ_give(void)
{
	__atomic_store_n(&window_open_now, 0, __ATOMIC_SEQ_CST);
}

void environ_hold(void)
{
	bool waited = false;

	/* A child in its window has the environ that it made. */
	if (__libc_single_threaded || thread_window_open())
		return;
	for (;;) {
		__atomic_add_fetch(&holders, 1, __ATOMIC_SEQ_CST);
		if (waited || !__atomic_load_n(&window_open_now, __ATOMIC_SEQ_CST))
			break;
		__atomic_sub_fetch(&holders, 1, __ATOMIC_SEQ_CST);
		waited = !wait_for_zero(&window_open_now, WAIT_LIMIT_NS);
	}
	thread_words.environ_held++;
}

void environ_release(void)
{
	/* A child in its window did not take what it finds here. */
	if (!thread_words.environ_held || thread_window_open())
		return;
	thread_words.environ_held--;
	__atomic_sub_fetch(&holders, 1, __ATOMIC_SEQ_CST);
}

bool environ_keep(void)
{
	environ_hold();
	if (!thread_words.environ_held)
		return true;
	for (;;) {
		__atomic_add_fetch(&keepers, 1, __ATOMIC_SEQ_CST);
		if (!__atomic_load_n(&changers, __ATOMIC_SEQ_CST))
			return true;
		__atomic_sub_fetch(&keepers, 1, __ATOMIC_SEQ_CST);
		if (!wait_for_zero(&changers, HOLDERS_LIMIT_NS)) {
			environ_release();
			return false;
		}
	}
}

void environ_unkeep(void)
{
	if (thread_words.environ_held)
		__atomic_sub_fetch(&keepers, 1, __ATOMIC_SEQ_CST);
	environ_release();
}

/* False: there is nobody to keep out. Before environ is held, or others would wait for both. */
static bool change_begin(void)
{
	if (__libc_single_threaded || thread_window_open())
		return false;
	__atomic_add_fetch(&changers, 1, __ATOMIC_SEQ_CST);
	wait_for_zero(&keepers, WAIT_LIMIT_NS);
	return true;
}

static void change_end(bool begun)
{
	if (begun)
		__atomic_sub_fetch(&changers, 1, __ATOMIC_SEQ_CST);
}

/* The value of `call`, which changes the environment. */
#define ENVIRON_CHANGED(call)                                                                      \
	({                                                                                         \
		bool begun = change_begin();                                                       \
		int changed_result = ENVIRON_HELD(call);                                           \
                                                                                                   \
		change_end(begun);                                                                 \
		changed_result;                                                                    \
	})

void environ_after_fork(void)
{
	RESET(window_open_now, 0);
	RESET(holders, 0);
	RESET(keepers, 0);
	RESET(changers, 0);
}

EXPORT char *getenv(const char *name)
{
	hook_enter(HOOK_getenv, NULL);
	return ENVIRON_HELD(REAL(getenv)(name));
}

EXPORT char *secure_getenv(const char *name)
{
	hook_enter(HOOK_secure_getenv, NULL);
	return ENVIRON_HELD(REAL(secure_getenv)(name));
}

EXPORT int setenv(const char *name, const char *value, int replace)
{
	hook_enter(HOOK_setenv, NULL);
	HIDDEN_BODY(setenv, name, value, replace);

	return ENVIRON_CHANGED(REAL(setenv)(name, value, replace));
}

EXPORT int unsetenv(const char *name)
{
	hook_enter(HOOK_unsetenv, NULL);
	HIDDEN_BODY(unsetenv, name);

	return ENVIRON_CHANGED(REAL(unsetenv)(name));
}

EXPORT int putenv(char *string)
{
	hook_enter(HOOK_putenv, NULL);
	HIDDEN_BODY(putenv, string);

	return ENVIRON_CHANGED(REAL(putenv)(string));
}

EXPORT int clearenv(void)
{
	hook_enter(HOOK_clearenv, NULL);
	HIDDEN_BODY(clearenv);

	return ENVIRON_CHANGED(REAL(clearenv)());
}
