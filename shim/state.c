// SPDX-License-Identifier: MIT
/*
 * See state.h. A change in one thread counts for all, and so does one in a child that shares memory: to count one too
 * many costs a look at the state, no more.
 */
#include "state.h"

#include <linux/capability.h>
#include <linux/keyctl.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/single_threaded.h>

#include "hook.h"
#include "sys.h"
#include "window.h"

#include "poison.h"

/* Calls that older headers do not know. */
#ifndef SYS_landlock_restrict_self
#define SYS_landlock_restrict_self 446
#endif

static uint32_t generation = 1, signals, restrictions;
static bool differs;

uint32_t state_generation_of_exec(void)
{
	return __atomic_load_n(&generation, __ATOMIC_ACQUIRE);
}

uint32_t state_generation(void)
{
	return state_generation_of_exec() + __atomic_load_n(&signals, __ATOMIC_ACQUIRE);
}

void state_changed_signals(void)
{
	__atomic_add_fetch(&signals, 1, __ATOMIC_RELEASE);
}

void state_changed(void)
{
	__atomic_add_fetch(&generation, 1, __ATOMIC_RELEASE);
}

void state_changed_in_thread(void)
{
	if (!__libc_single_threaded && window_memory_is_own())
		__atomic_store_n(&differs, true, __ATOMIC_RELAXED);
	state_changed();
}

bool state_differs(void)
{
	return __atomic_load_n(&differs, __ATOMIC_RELAXED) || real_is_passed_by();
}

uint32_t state_restrictions(void)
{
	return __atomic_load_n(&restrictions, __ATOMIC_ACQUIRE);
}

/* Nobody can ask for these. A child's that shares memory are its own. */
static void restriction_added(void)
{
	if (!window_memory_is_own())
		return;
	__atomic_add_fetch(&restrictions, 1, __ATOMIC_RELEASE);
	state_changed_in_thread();
}

static void changed_by_prctl(long operation)
{
	switch (operation) {
	case PR_SET_NO_NEW_PRIVS:
	case PR_SET_SECCOMP:
	case PR_SET_SECUREBITS:
	case PR_CAPBSET_DROP:
	case PR_CAP_AMBIENT:
		state_changed_in_thread();
		break;
	default:
		break;
	}
}

void state_changed_by(long number, long operation)
{
	switch (number) {
	case SYS_prctl:
		changed_by_prctl(operation);
		break;
	case SYS_keyctl:
		if (operation == KEYCTL_JOIN_SESSION_KEYRING)
			restriction_added();
		break;
	case SYS_landlock_restrict_self:
		restriction_added();
		break;
	case SYS_chdir:
	case SYS_fchdir:
	case SYS_chroot:
	case SYS_pivot_root:
	case SYS_umask:
	case SYS_setrlimit:
	case SYS_prlimit64:
	case SYS_setsid:
	case SYS_setpgid:
		state_changed();
		break;
	/* Of libc's functions of these names some concern all threads; these concern the calling one. */
	case SYS_seccomp:
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
	case SYS_unshare:
	case SYS_setns:
		state_changed_in_thread();
		break;
	default:
		break;
	}
}

/*
 * The trait may look at the first two arguments. Counted before, too: a signal handler may come in as soon as the state
 * has changed.
 */
#define STATE_HOOK(type, function, parameters, arguments, first, second)                           \
	STATE_HOOK_BY(state_changed, type, function, parameters, arguments, first, second)
#define STATE_HOOK_BY(changed, type, function, parameters, arguments, first, second)               \
	EXPORT type function parameters                                                            \
	{                                                                                          \
		type result;                                                                       \
                                                                                                   \
		hook_enter(HOOK_##function,                                                        \
			   &(struct hook_arguments){ { (long)(first), (long)(second) } });         \
		changed();                                                                         \
		result = REAL(function) arguments;                                                 \
		changed();                                                                         \
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

STATE_HOOK_BY(state_changed_in_thread, int, capset,
	      (cap_user_header_t header, const cap_user_data_t data), (header, data), header, data)
STATE_HOOK_BY(state_changed_in_thread, int, setfsuid, (uid_t user), (user), user, 0)
STATE_HOOK_BY(state_changed_in_thread, int, setfsgid, (gid_t group), (group), group, 0)

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
