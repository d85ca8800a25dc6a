/* SPDX-License-Identifier: MIT */
/*
 * vfork_fd_flags FAULT PLACE: the vfork child changes the flags of an open file description by F_SETFL, which its
 * parent shares: the parent finds itself with them, bare and under the shim alike.
 *
 *   nonblock   of a pipe
 *   append     of a file
 *   dup        through a duplicate that the child made
 *   fcntl64    by that name
 *   twin own   of a description that the child opened
 *   twin again of one that it opened in the place of the parent's, which it had closed
 *   twin       flags of the descriptor, F_DUPFD, F_GETFL
 */
#include <fcntl.h>
#include <sys/mman.h>

#include "vfork.h"

static int ends[2], file;

FAULT(nonblock, fcntl(ends[0], F_SETFL, O_NONBLOCK))
FAULT(append, fcntl(file, F_SETFL, O_APPEND))
FAULT(dup, dup2(ends[0], 0); fcntl(0, F_SETFL, O_NONBLOCK))
FAULT(fcntl64, fcntl64(ends[0], F_SETFL, O_NONBLOCK))

static void look(void)
{
	printf("parent sees nonblock %d append %d\n", !!(fcntl(ends[0], F_GETFL) & O_NONBLOCK),
	       !!(fcntl(file, F_GETFL) & O_APPEND));
}

static const struct fault faults[] = {
	ROW(nonblock, look),
	ROW(append, look),
	ROW(dup, look),
	ROW(fcntl64, look),
};

static void child_own(void)
{
	int own = open("/dev/null", O_RDWR);

	if (own < 0 || fcntl(own, F_SETFL, O_NONBLOCK))
		_exit(errno);
	execute();
}

static void child_again(void)
{
	close(ends[0]);
	if (open("/dev/null", O_RDWR) != ends[0])
		_exit(99);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	execute();
}

static void child_twin(void)
{
	fcntl(ends[0], F_SETFD, 0);
	fcntl(ends[0], F_SETFD, FD_CLOEXEC);
	close(fcntl(ends[0], F_DUPFD_CLOEXEC, 100));
	if (fcntl(ends[0], F_GETFL) < 0)
		_exit(errno);
	execute();
}

int main(int argc, char **argv)
{
	const char *which = string_argument(argc, argv, 2, "");

	setup();
	file = memfd_create("file", MFD_CLOEXEC);
	if (pipe(ends) || file < 0)
		return 97;
	if (!is_twin(argc, argv))
		return commit(faults, COUNT(faults), argc, argv);
	if (!strcmp(which, "own"))
		finish(start(child_own));
	else if (!strcmp(which, "again"))
		finish(start(child_again));
	else
		finish(start(child_twin));
	look();
	return 0;
}
