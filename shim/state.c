// SPDX-License-Identifier: MIT
/*
 * See state.h. A change in one thread counts for all, and so does one in a child that shares memory: to count one too
 * many costs a look at the state, no more.
 */
#include "state.h"

#include <linux/capability.h>
#include <sys/fsuid.h>
#include <sys/resource.h>

#include "hook.h"
#include "sys.h"

#include "poison.h"

static uint32_t generation = 1;

/* Where the hooks are passed by, all may have changed since the last call. */
uint32_t state_generation(void)
{
	if (UNLIKELY(real_is_passed_by()))
		state_changed();
	return __atomic_load_n(&generation, __ATOMIC_ACQUIRE);
}

void state_changed(void)
{
	__atomic_add_fetch(&generation, 1, __ATOMIC_RELEASE);
}

void state_changed_by(long number)
{
	switch (number) {
	case SYS_chdir:
	case SYS_fchdir:
	case SYS_chroot:
	case SYS_pivot_root:
	case SYS_umask:
	case SYS_setrlimit:
	case SYS_prlimit64:
	case SYS_setuid:
	case SYS_setgid:
	case SYS_setreuid:
	case SYS_setregid:
	case SYS_setresuid:
	case SYS_setresgid:
	case SYS_setfsuid:
	case SYS_setfsgid:
	case SYS_setgroups:
	case SYS_capset:
	case SYS_setsid:
	case SYS_setpgid:
	case SYS_unshare:
	case SYS_setns:
		state_changed();
		break;
	default:
		break;
	}
}

/* The trait may look at the first two arguments. */
#define STATE_HOOK(type, function, parameters, arguments, first, second)                           \
	EXPORT type function parameters                                                            \
	{                                                                                          \
		type result;                                                                       \
                                                                                                   \
		hook_enter(HOOK_##function,                                                        \
			   &(struct hook_arguments){ { (long)(first), (long)(second) } });         \
		result = REAL(function) arguments;                                                 \
		state_changed();                                                                   \
		return result;                                                                     \
	}

STATE_HOOK(int, chdir, (const char *path), (path), path, 0)
STATE_HOOK(int, fchdir, (int fd), (fd), fd, 0)
STATE_HOOK(int, chroot, (const char *path), (path), path, 0)
STATE_HOOK(mode_t, umask, (mode_t mask), (mask), mask, 0)
STATE_HOOK(pid_t, setsid, (void), (), 0, 0)
STATE_HOOK(int, setpgid, (pid_t pid, pid_t group), (pid, group), pid, group)
STATE_HOOK(int, setpgrp, (void), (), 0, 0)

/* Of libcap's and the like: no header of libc's has it. */
int capset(cap_user_header_t header, const cap_user_data_t data);

STATE_HOOK(int, capset, (cap_user_header_t header, const cap_user_data_t data), (header, data),
	   header, data)
STATE_HOOK(int, setfsuid, (uid_t user), (user), user, 0)
STATE_HOOK(int, setfsgid, (gid_t group), (group), group, 0)

typedef __rlimit_resource_t resource_t;

STATE_HOOK(int, setrlimit, (resource_t resource, const struct rlimit *limit), (resource, limit),
	   resource, limit)
STATE_HOOK(int, setrlimit64, (resource_t resource, const struct rlimit64 *limit), (resource, limit),
	   resource, limit)
STATE_HOOK(int, prlimit,
	   (pid_t pid, resource_t resource, const struct rlimit *limit, struct rlimit *old),
	   (pid, resource, limit, old), pid, resource)
STATE_HOOK(int, prlimit64,
	   (pid_t pid, resource_t resource, const struct rlimit64 *limit, struct rlimit64 *old),
	   (pid, resource, limit, old), pid, resource)
