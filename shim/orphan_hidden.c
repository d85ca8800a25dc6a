// SPDX-License-Identifier: MIT
/*
 * See orphan_hidden.h. Owns what is known of the addresses of hidden locks.
 */
#include "orphan_hidden.h"

#include "config.h"
#include "hook.h"
#include "module.h"
#include "orphan_report.h"
#include "popen.h"
#include "report.h"
#include "seccomp.h"
#include "sys.h"

#include "poison.h"

/* One thread at a time finds out about a hidden lock, and repairs it. */
static struct spin trial_lock CHILD_STATE;
/* Addresses of hidden locks, as they become known. */
static uintptr_t words[LOCK_COUNT];

/* What stands for a hidden lock in the table: an address that is no lock's. */
static void *hidden_object(enum hidden_lock lock)
{
	static const char objects[LOCK_COUNT];

	return (void *)(uintptr_t)&objects[lock];
}

void orphan_hide(struct orphan *orphan, const struct hidden_function *function, unsigned which)
{
	orphan->held.handler = (uint16_t)(function - hidden_functions);
	orphan->held.lock = hidden_object((enum hidden_lock)function->holds[which]);
}

void orphan_hidden_after_fork(void)
{
	spin_reset(&trial_lock);
}

static void put_name(char *to, size_t size, const char *name)
{
	memcpy(to, name, strnlen(name, size - 1));
}

void orphan_describe_hidden(const struct orphan *orphan, struct box_violation *violation)
{
	const struct held *held = &orphan->held;
	size_t lock = (size_t)((char *)held->lock - (char *)hidden_object(LOCK_NONE));

	if (words[lock])
		module_frame(words[lock], &violation->lock);
	put_name(violation->text, sizeof(violation->text), hidden_class((enum hidden_lock)lock));
	put_name(violation->held_in, sizeof(violation->held_in),
		 hidden_name((enum hidden_id)held->handler));
	put_name(violation->asked_in, sizeof(violation->asked_in),
		 real_name((enum hook)orphan->asked));
}

#define REPAIRS 4

/* One call may wait for several words, one after the other. */
static void repair_hidden(struct orphan *orphan, const struct hidden_function *function,
			  enum hidden_lock lock, const long arguments[6])
{
	uintptr_t word = words[lock];
	unsigned i;

	for (i = 0; i < REPAIRS && hidden_remake(lock, word); i++) {
		if (hidden_try(function, lock, arguments, &word) == HIDDEN_FREE) {
			orphan->gone = true;
			return;
		}
	}
	report_problem("on_orphan=repair", hidden_class(lock), "could not be unlocked",
		       "the child may block on it");
}

static void tell_hidden(struct orphan *orphan, const struct hidden_function *function,
			enum spork_remedy remedy)
{
	struct box_violation violation;

	orphan->asked = function->hook;
	if (!orphan->told)
		orphan_tell(orphan, &violation);
	orphan->told = true;
	orphan_tell_deadlock(orphan, &violation, remedy);
}

/* The program's error is the same, though it only hangs where libc's popen() runs. */
static bool check_popen(struct orphan *orphan, const struct hidden_function *function)
{
	words[LOCK_POPEN] = popen_orphan();
	orphan->gone = true;
	if (!words[LOCK_POPEN])
		return false;
	tell_hidden(orphan, function,
		    config.on_orphan == ON_ORPHAN_ABORT ? BOX_REMEDY_ABORT : BOX_REMEDY_REPAIR);
	return config.on_orphan == ON_ORPHAN_ABORT;
}

/* Returns whether the process is to be aborted. */
static bool check_hidden(struct orphan *orphan, const struct hidden_function *function,
			 enum hidden_lock lock, const long arguments[6])
{
	enum hidden_verdict verdict;

	if (orphan->gone)
		return false;
	if (lock == LOCK_POPEN && popen_is_own())
		return check_popen(orphan, function);
	verdict = hidden_try(function, lock, arguments, &words[lock]);
	if (verdict == HIDDEN_FREE)
		orphan->gone = true;
	if (verdict == HIDDEN_FREE || verdict == HIDDEN_PASSES)
		return false;
	tell_hidden(orphan, function, orphan_remedy());
	if (verdict == HIDDEN_BLOCKED && config.on_orphan == ON_ORPHAN_REPAIR)
		repair_hidden(orphan, function, lock, arguments);
	return verdict == HIDDEN_BLOCKED && config.on_orphan == ON_ORPHAN_ABORT;
}

void orphan_check_hidden(const struct hidden_function *function, const long arguments[6])
{
	struct orphan *orphan;
	int error = errno;
	bool end = false;
	unsigned i;

	for (i = 0; i < HIDDEN_LOCKS && function->takes[i]; i++) {
		orphan = orphan_of(hidden_object((enum hidden_lock)function->takes[i]));
		if (!orphan || orphan->gone || seccomp_confined())
			continue;
		spin_lock(&trial_lock);
		end |= check_hidden(orphan, function, (enum hidden_lock)function->takes[i],
				    arguments);
		spin_unlock(&trial_lock);
	}
	if (end)
		REAL(abort)();
	errno = error;
}
