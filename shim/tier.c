// SPDX-License-Identifier: MIT
/*
 * Owns the choice of the tier: what rules out shared memory for the process, and for one site. Asked at
 * every fork(); may run in a signal handler of the program.
 */
#include "tier.h"

#include <sys/utsname.h>

#include "atfork.h"
#include "config.h"
#include "module.h"
#include "seccomp.h"
#include "sys.h"
#include "thread.h"

#include "poison.h"

static uint32_t forbidden; /* enum spork_reason */

void tier_forbid(enum spork_reason reason)
{
	uint32_t none = BOX_REASON_NONE;

	__atomic_compare_exchange_n(&forbidden, &none, reason, false, __ATOMIC_ACQ_REL,
				    __ATOMIC_RELAXED);
}

bool tier_kernel_serves(void)
{
	static int serves; /* 1: yes, -1: no */
	struct utsname name;
	unsigned major = 0, minor = 0;
	const char *at;

	if (!serves && !SYS(uname, &name)) {
		for (at = name.release; *at >= '0' && *at <= '9'; at++)
			major = major * 10 + (unsigned)(*at - '0');
		for (at += *at == '.'; *at >= '0' && *at <= '9'; at++)
			minor = minor * 10 + (unsigned)(*at - '0');
		serves = major > 5 || (major == 5 && minor >= 16) ? 1 : -1;
	}
	return serves > 0;
}

bool tier_cores_are_piped(void)
{
	static int piped; /* 1: yes, -1: no */
	char first = '|';
	long fd;

	if (!piped) {
		fd = SYS(openat, AT_FDCWD, "/proc/sys/kernel/core_pattern", O_RDONLY | O_CLOEXEC,
			 0);
		if (fd >= 0) {
			SYS(read, fd, &first, 1);
			SYS(close, fd);
		}
		piped = first == '|' ? 1 : -1;
	}
	return piped > 0;
}

bool tier_under_valgrind(void)
{
	static int under; /* 1: yes, -1: no */

	if (!under)
		under = module_loaded("/vgpreload_core") ? 1 : -1;
	return under > 0;
}

bool tier_shares(void)
{
	return config.reroute == REROUTE_AUTO || config.reroute == REROUTE_VFORK;
}

enum spork_reason tier_process_refuses(void)
{
	if (!tier_shares())
		return BOX_REASON_REROUTE_OFF;
	if (thread_window_open())
		return BOX_REASON_IN_CHILD;
	if (seccomp_threatens())
		return BOX_REASON_SECCOMP;
	if (!tier_kernel_serves())
		return BOX_REASON_KERNEL;
	if (tier_under_valgrind())
		return BOX_REASON_VALGRIND;
	if (arch_shadow_stack())
		return BOX_REASON_SHADOW_STACK;
	return (enum spork_reason)__atomic_load_n(&forbidden, __ATOMIC_ACQUIRE);
}

enum spork_reason tier_vfork_refuses(const struct site_visit *visit)
{
	if (!visit->site)
		return BOX_REASON_TABLE_FULL;
	if (visit->site->reason == BOX_REASON_KNOWN && !config.strict)
		return BOX_REASON_KNOWN;
	if (seccomp_threatens())
		return BOX_REASON_SECCOMP;
	if (tier_under_valgrind())
		return BOX_REASON_VALGRIND;
	if (arch_shadow_stack())
		return BOX_REASON_SHADOW_STACK;
	return BOX_REASON_NONE;
}

/* Of one that is not promoted. Another process of the session may share no memory, and has told so. */
static enum spork_reason site_reason(const struct box_site *site)
{
	return site->reason && site->reason != BOX_REASON_REROUTE_OFF ?
		       (enum spork_reason)site->reason :
		       BOX_REASON_LEARNING;
}

enum spork_reason tier_site_refuses(const struct site_visit *visit)
{
	if (!visit->site)
		return BOX_REASON_TABLE_FULL;
	if (__atomic_load_n(&visit->site->state, __ATOMIC_ACQUIRE) != BOX_SITE_PROMOTED)
		return site_reason(visit->site);
	if (visit->site->handlers != atfork_key())
		return BOX_REASON_HANDLERS;
	if (config.reaudit && visit->number % config.reaudit == 0)
		return BOX_REASON_REAUDIT;
	return BOX_REASON_NONE;
}
