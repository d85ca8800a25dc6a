// SPDX-License-Identifier: MIT
/*
 * Changing credentials: not while a child of popen(), which has the old ones, still shares memory with its parent. And
 * what the process then learns is no longer its parent's.
 */
#include <grp.h>

#include "child_stack.h"
#include "hook.h"
#include "record.h"
#include "seccomp.h"
#include "state.h"
#include "sys.h"
#include "window.h"

#include "poison.h"

static void user_changed(void)
{
	state_changed();
	if (window_memory_is_own() && !seccomp_confined())
		record_part_from_user();
}

#define CREDENTIAL(function, parameters, arguments)                                                \
	EXPORT int function parameters                                                             \
	{                                                                                          \
		int result;                                                                        \
                                                                                                   \
		hook_enter(HOOK_##function, NULL);                                                 \
		child_stack_settle();                                                              \
		result = REAL(function) arguments;                                                 \
		user_changed();                                                                    \
		return result;                                                                     \
	}

CREDENTIAL(setuid, (uid_t user), (user))
CREDENTIAL(seteuid, (uid_t effective), (effective))
CREDENTIAL(setreuid, (uid_t real, uid_t effective), (real, effective))
CREDENTIAL(setresuid, (uid_t real, uid_t effective, uid_t saved), (real, effective, saved))
CREDENTIAL(setgid, (gid_t group), (group))
CREDENTIAL(setegid, (gid_t effective), (effective))
CREDENTIAL(setregid, (gid_t real, gid_t effective), (real, effective))
CREDENTIAL(setresgid, (gid_t real, gid_t effective, gid_t saved), (real, effective, saved))
CREDENTIAL(setgroups, (size_t count, const gid_t *groups), (count, groups))
CREDENTIAL(initgroups, (const char *user, gid_t group), (user, group))
