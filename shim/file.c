// SPDX-License-Identifier: MIT
/*
 * See file.h. Raw system calls only: reports are written anywhere.
 */
#include "file.h"

#include "trust.h"

#include "poison.h"

#define MODE 0600
#define TRIES 3

long file_open(const char *path, int flags, bool *created)
{
	int tries = 0;
	long fd;

	/* Most find one, and to ask for a new one first costs more; of two that ask at once one finds the other's. */
	do {
		fd = SYS(openat, AT_FDCWD, path, flags | O_NOFOLLOW | O_CLOEXEC, 0);
		*created = false;
		if (fd != -ENOENT)
			break;
		fd = SYS(openat, AT_FDCWD, path, flags | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			 MODE);
		*created = fd >= 0;
		if (*created)
			SYS(fchmod, fd, MODE);
	} while (fd == -EEXIST && tries++ < TRIES);
	return fd;
}

const char *file_problem(const struct stat *status, bool roots)
{
	return trust_problem(status, (uid_t)SYS(geteuid), roots);
}

bool file_is_out_of_reach(const char *path, long error)
{
	struct stat status;
	long failed;

	if (error != -EACCES && error != -EPERM)
		return false;
	failed = SYS(newfstatat, AT_FDCWD, path, &status, AT_SYMLINK_NOFOLLOW);
	/* Where there is none, and none can be made, the option is a mistake. */
	return failed ? failed == -EACCES : status.st_uid != (uid_t)SYS(geteuid);
}

#define SIGNALS (1ULL << (SIGPIPE - 1) | 1ULL << (SIGXFSZ - 1))

void file_signals_hold(struct file_signals *signals)
{
	const sys_sigset held = SIGNALS;

	signals->mask = signals->pending = 0;
	SYS(rt_sigprocmask, SIG_BLOCK, &held, &signals->mask, sizeof(held));
	SYS(rt_sigpending, &signals->pending, sizeof(signals->pending));
}

void file_signals_release(const struct file_signals *signals)
{
	const sys_sigset ours = SIGNALS & ~signals->pending;
	const struct timespec now = { 0 };

	SYS(rt_sigtimedwait, &ours, NULL, &now, sizeof(ours));
	SYS(rt_sigprocmask, SIG_SETMASK, &signals->mask, NULL, sizeof(signals->mask));
}
