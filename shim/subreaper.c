// SPDX-License-Identifier: MIT
/*
 * Owns the count of open shared windows in this process.
 */
#include "subreaper.h"

#include <sys/prctl.h>

#include "sys.h"

#include "poison.h"

static struct spin lock;
static unsigned windows;
static bool was_one;

void subreaper_enter(void)
{
	spin_take(&lock);
	if (!windows++) {
		int is_one = 0;

		SYS(prctl, PR_GET_CHILD_SUBREAPER, &is_one);
		was_one = is_one;
		if (!was_one)
			SYS(prctl, PR_SET_CHILD_SUBREAPER, 1);
	}
	spin_give(&lock);
}

void subreaper_leave(void)
{
	spin_take(&lock);
	if (!--windows && !was_one)
		SYS(prctl, PR_SET_CHILD_SUBREAPER, 0);
	spin_give(&lock);
}

void subreaper_after_fork(void)
{
	lock.taken = 0;
	windows = 0;
}
