// SPDX-License-Identifier: MIT
/*
 * Changing credentials: not while a child of popen(), which has the old ones, still shares memory with its parent.
 */
#include <grp.h>

#include "child_stack.h"
#include "hook.h"
#include "state.h"
#include "sys.h"

#include "poison.h"

#define CREDENTIAL(function, parameters, arguments)                                                \
	EXPORT int function parameters                                                             \
	{                                                                                          \
		int result;                                                                        \
                                                                                                   \
		hook_enter(HOOK_##function, NULL);                                                 \
		child_stack_settle();                                                              \
		result = REAL(function) arguments;                                                 \
		state_changed();                                                                   \
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
