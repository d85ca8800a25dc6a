// SPDX-License-Identifier: MIT
/*
 * Owns what is known of clone3(). Some containers answer it with ENOSYS: their filters cannot look at its flags.
 */
#include "clone.h"

#include "sys.h"

#include "poison.h"

static int works; /* 1: yes, -1: no */

bool clone3_works(void)
{
	/* A size of zero is refused by whoever looks at it. */
	if (!__atomic_load_n(&works, __ATOMIC_RELAXED))
		__atomic_store_n(&works, SYS(clone3, NULL, 0) == -EINVAL ? 1 : -1,
				 __ATOMIC_RELAXED);
	return __atomic_load_n(&works, __ATOMIC_RELAXED) > 0;
}

bool clone3_failed(long error)
{
	if (error != -ENOSYS && error != -EINVAL && error != -EPERM)
		return false;
	__atomic_store_n(&works, -1, __ATOMIC_RELAXED);
	return true;
}
