// SPDX-License-Identifier: MIT
/*
 * madvise() and pkey_mprotect(): memory that the program wants its children to have otherwise, or that is not like any
 * other, cannot be left out of them by lean.c.
 */
#include <sys/mman.h>

#include "hook.h"
#include "lean.h"
#include "sys.h"

#include "poison.h"

EXPORT int madvise(void *start, size_t size, int advice)
{
	HOOK_UNLESS_PASSIVE(REAL(madvise)(start, size, advice));
	hook_enter(HOOK_madvise, NULL);
	lean_notice(SYS_madvise, (long[]){ 0, 0, advice });
	return REAL(madvise)(start, size, advice);
}

EXPORT int pkey_mprotect(void *start, size_t size, int protection, int key)
{
	HOOK_UNLESS_PASSIVE(REAL(pkey_mprotect)(start, size, protection, key));
	hook_enter(HOOK_pkey_mprotect, NULL);
	lean_notice(SYS_pkey_mprotect, NULL);
	return REAL(pkey_mprotect)(start, size, protection, key);
}
