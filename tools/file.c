// SPDX-License-Identifier: MIT
/*
 * Files that a box, an ELF file or a folder names, and not the user: they are looked at before they are opened.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "tool.h"

bool file_kernel_made(int fd)
{
	struct statfs status;

	if (fstatfs(fd, &status))
		return false;
	return status.f_type == PROC_SUPER_MAGIC || status.f_type == SYSFS_MAGIC ||
	       status.f_type == DEBUGFS_MAGIC || status.f_type == TRACEFS_MAGIC ||
	       status.f_type == SECURITYFS_MAGIC || status.f_type == CGROUP2_SUPER_MAGIC ||
	       status.f_type == CGROUP_SUPER_MAGIC;
}

int file_reopen(int fd, bool kernel_made)
{
	int opened, error = 0;
	struct stat status;
	char self[40];

	/* Opening a device or a FIFO may do something. This way nothing can take the file's place meanwhile. */
	if (fstat(fd, &status))
		error = errno;
	else if (S_ISDIR(status.st_mode))
		error = EISDIR;
	else if (!S_ISREG(status.st_mode))
		error = EINVAL;
	else if (!kernel_made && file_kernel_made(fd))
		error = EOPNOTSUPP;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
	opened = error ? -1 : open(self, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (!error && opened < 0)
		error = errno;
	close(fd);
	return error ? -error : opened;
}
