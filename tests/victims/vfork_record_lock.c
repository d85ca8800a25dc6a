/* SPDX-License-Identifier: MIT */
/*
 * vfork_record_lock FAULT PLACE: the vfork child takes POSIX record locks through fcntl(). They are its own, not its
 * parent's, and gone with it: a parent that meant to have locked has not. Bare and under the shim alike.
 *
 *   setlk, setlkw   by fcntl, one that waits and one that does not
 *   fcntl64         by that name
 *   unlock          gives back what the parent holds: it does not
 *   twin            flock() and open file description locks, which parent and child share, and F_GETLK
 */
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>

#include "vfork.h"

static int file;
static const struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 10 };
static const struct flock no_lock = { .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_len = 10 };

FAULT(setlk, fcntl(file, F_SETLK, &lock))
FAULT(setlkw, fcntl(file, F_SETLKW, &lock))
FAULT(fcntl64, fcntl64(file, F_SETLK, &lock))
FAULT(unlock, fcntl(file, F_SETLK, &no_lock))

/* Another process finds out. */
static void look(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(fcntl(file, F_SETLK, &lock) != 0);
	printf("parent's file is %s\n", wait_for(pid) ? "locked" : "free");
}

static const struct fault faults[] = {
	ROW(setlk, look),
	ROW(setlkw, look),
	ROW(fcntl64, look),
	ROW(unlock, look),
};

static void child_twin(void)
{
	struct flock found = lock;

	if (flock(file, LOCK_EX) || fcntl(file, F_OFD_SETLK, &lock) || fcntl(file, F_GETLK, &found))
		_exit(errno);
	execute();
}

int main(int argc, char **argv)
{
	setup();
	file = memfd_create("locked", MFD_CLOEXEC);
	if (file < 0)
		return 97;
	if (!strcmp(string_argument(argc, argv, 1, ""), "unlock"))
		fcntl(file, F_SETLK, &lock);
	if (!is_twin(argc, argv))
		return commit(faults, COUNT(faults), argc, argv);
	finish(start(child_twin));
	look();
	return 0;
}
