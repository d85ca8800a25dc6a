// SPDX-License-Identifier: MIT
/*
 * The clocks of the kernel, by the vDSO. clock_gettime() would be another preloaded library's where one wraps it: one
 * that makes up the time (libfaketime), by which no deadline can be kept, or a sanitizer's, which is not set up before
 * its constructor. May run anywhere.
 */
#include <time.h>

#include "real.h"
#include "sys.h"

#include "poison.h"

typedef long read_clock(clockid_t clock, struct timespec *time);

static long ask_kernel(clockid_t clock, struct timespec *time)
{
	return SYS(clock_gettime, clock, time);
}

/* Valgrind and some sandboxes hide the vDSO. */
static read_clock *find(void)
{
	read_clock *found = (read_clock *)(uintptr_t)real_first(ARCH_VDSO_CLOCK);

	return found ? found : ask_kernel;
}

uint64_t sys_clock(clockid_t clock)
{
	static read_clock *read_clock_known;
	read_clock *read = __atomic_load_n(&read_clock_known, __ATOMIC_RELAXED);
	struct timespec now = { 0 };

	if (UNLIKELY(!read)) {
		read = find();
		__atomic_store_n(&read_clock_known, read, __ATOMIC_RELAXED);
	}
	read(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}
