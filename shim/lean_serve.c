// SPDX-License-Identifier: MIT
/*
 * See lean.h. What a lean child asks of its parent is answered here, and whether there is still somebody to ask: by the
 * parent while it is held, by its keeper later.
 */
#include <fcntl.h>
#include <linux/futex.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "lean_share.h"
#include "proc.h"

#include "poison.h"

/* From its own memory, whatever other threads do to the mapping. By its own id: of a main thread that has ended none is left. */
static int64_t answer_data(struct lean_share *share)
{
	size_t size = share->size < LEAN_BYTES ? share->size : LEAN_BYTES;
	struct iovec local = { share->bytes, size }, remote = { (void *)share->address, size };
	long self = SYS(gettid);

	return SYS(process_vm_readv, self, &local, 1, &remote, 1, 0);
}

static int64_t answer_present(struct lean_share *share)
{
	uintptr_t page = sys_page();
	uint64_t entry[512], pages = share->size / page, at = 0, i;
	long fd = SYS(openat, AT_FDCWD, "/proc/thread-self/pagemap", O_RDONLY | O_CLOEXEC, 0), got;

	if (fd < 0)
		return fd;
	if (pages > LEAN_BYTES)
		pages = LEAN_BYTES;
	while (at < pages) {
		uint64_t count = pages - at < COUNT(entry) ? pages - at : COUNT(entry);

		got = SYS(pread64, fd, entry, count * 8, (share->address / page + at) * 8);
		if (got <= 0)
			break;
		for (i = 0; i < (uint64_t)got / 8; i++)
			share->bytes[at++] = (entry[i] & (PROC_PAGE_PRESENT | PROC_PAGE_SWAPPED)) !=
					     0;
	}
	SYS(close, fd);
	return (int64_t)at;
}

void lean_answer(struct lean_share *share)
{
	share->answer = share->question == LEAN_DATA ? answer_data(share) : answer_present(share);
	__atomic_store_n(&share->request, LEAN_IDLE, __ATOMIC_RELEASE);
	SYS(futex, &share->request, FUTEX_WAKE, 1);
}

bool lean_is_over(struct lean_share *share, long pid)
{
	bool begun = __atomic_load_n(&share->begun, __ATOMIC_ACQUIRE);
	uint32_t word = __atomic_load_n(lean_word(share), __ATOMIC_ACQUIRE);
	siginfo_t info;

	if (word & FUTEX_OWNER_DIED)
		return true;
	if (begun)
		return !(word & FUTEX_TID_MASK);
	memset(&info, 0, sizeof(info));
	return SYS(waitid, P_PID, pid, &info, WEXITED | WNOHANG | WNOWAIT, NULL) || info.si_pid;
}

/* linux/futex.h; Linux 5.16 */
struct waitv {
	uint64_t value, address;
	uint32_t flags, reserved;
};
#ifndef FUTEX_32
#define FUTEX_32 2
#endif

void lean_wait(struct lean_share *share, uint64_t ns)
{
	uint32_t word = __atomic_load_n(lean_word(share), __ATOMIC_ACQUIRE);
	struct waitv wait[2] = {
		{ word, (uintptr_t)lean_word(share), FUTEX_32, 0 },
		{ LEAN_IDLE, (uintptr_t)&share->request, FUTEX_32, 0 },
	};
	uint64_t until = sys_now() + ns;
	struct timespec end = { (time_t)(until / 1000000000), (long)(until % 1000000000) };

	if (word & FUTEX_OWNER_DIED ||
	    (!(word & FUTEX_TID_MASK) && __atomic_load_n(&share->begun, __ATOMIC_ACQUIRE)))
		return;
	SYS(futex_waitv, wait, 2, 0, &end, CLOCK_MONOTONIC);
}
