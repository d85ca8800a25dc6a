// SPDX-License-Identifier: MIT
/*
 * Owns the right to replace environ: one window, or any number of threads inside setenv() and its kin.
 *
 * A hook costs one load while no such window is open. A window takes some hundred microseconds, so waiters
 * yield; nobody waits longer than the limits below, whatever happens to whom he waits for.
 */
#include "environ.h"

#include "hook.h"
#include "sys.h"
#include "thread.h"

#define TAKE_LIMIT_NS 20000000ULL
#define WAIT_LIMIT_NS 2000000000ULL

static int window_open_now;
static int writers;

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
	if (wait_for_zero(&writers, TAKE_LIMIT_NS))
		return true;
	environ_give();
	return false;
}

void environ_give(void)
{
	__atomic_store_n(&window_open_now, 0, __ATOMIC_SEQ_CST);
}

void environ_wait(void)
{
	if (UNLIKELY(__atomic_load_n(&window_open_now, __ATOMIC_RELAXED)) && !thread_words.window)
		wait_for_zero(&window_open_now, WAIT_LIMIT_NS);
}

void environ_after_fork(void)
{
	window_open_now = 0;
	writers = 0;
}

static void write_begin(enum hook hook)
{
	hook_enter(hook, NULL);
	for (;;) {
		environ_wait();
		__atomic_add_fetch(&writers, 1, __ATOMIC_SEQ_CST);
		if (!__atomic_load_n(&window_open_now, __ATOMIC_SEQ_CST) || thread_words.window)
			return;
		__atomic_sub_fetch(&writers, 1, __ATOMIC_SEQ_CST);
	}
}

static int write_end(int result)
{
	__atomic_sub_fetch(&writers, 1, __ATOMIC_SEQ_CST);
	return result;
}

EXPORT char *getenv(const char *name)
{
	environ_wait();
	return REAL(getenv)(name);
}

EXPORT char *secure_getenv(const char *name)
{
	environ_wait();
	return REAL(secure_getenv)(name);
}

EXPORT int setenv(const char *name, const char *value, int replace)
{
	write_begin(HOOK_setenv);
	return write_end(REAL(setenv)(name, value, replace));
}

EXPORT int unsetenv(const char *name)
{
	write_begin(HOOK_unsetenv);
	return write_end(REAL(unsetenv)(name));
}

EXPORT int putenv(char *string)
{
	write_begin(HOOK_putenv);
	return write_end(REAL(putenv)(string));
}

EXPORT int clearenv(void)
{
	write_begin(HOOK_clearenv);
	return write_end(REAL(clearenv)());
}
