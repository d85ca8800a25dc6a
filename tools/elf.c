// SPDX-License-Identifier: MIT
/*
 * Can a program be traced by this user? Looks at the file that execve would load, by the facts that `spork scan`
 * goes by, and says why the shim will not get into it. It only ever explains: whatever cannot be read or understood
 * is taken for traceable.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "scan.h"
#include "tool.h"

#define SCRIPT_DEPTH 4 /* the kernel gives up there */

static bool program_open(const char *path, int *fd)
{
	struct stat status;

	if (stat(path, &status) || !S_ISREG(status.st_mode))
		return false;
	*fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (*fd < 0)
		return false;
	/* A script may name any file as its interpreter. */
	if (file_kernel_made(*fd)) {
		close(*fd);
		return false;
	}
	return true;
}

/*
 * Those of a program's rights that it gains: the loader ignores the shim then. Who has them gains none, nor does
 * anybody where the system gives none.
 */
static unsigned rights_gained(int fd, unsigned rights)
{
	struct statvfs mount;
	struct stat status;

	if (fstat(fd, &status) || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return 0;
	if (!fstatvfs(fd, &mount) && (mount.f_flag & ST_NOSUID))
		return 0;
	if (status.st_uid == getuid())
		rights &= ~(1u << REASON_SET_USER_ID);
	if (status.st_gid == getgid())
		rights &= ~(1u << REASON_SET_GROUP_ID);
	return getuid() ? rights : rights & ~(1u << REASON_CAPABILITIES);
}

/* The shim is not loaded then, and so does no harm. */
#define RIGHTS (1u << REASON_SET_USER_ID | 1u << REASON_SET_GROUP_ID | 1u << REASON_CAPABILITIES)
#define USELESS (RIGHTS | 1u << REASON_STATIC | 1u << REASON_STATIC_PIE)

static enum traceable judge(int fd, const struct scan_file *file, char *why, size_t size)
{
	unsigned reasons = file->reasons & ~RIGHTS, reason = 0;

	reasons |= rights_gained(fd, file->reasons & RIGHTS);
	/* What has no loader is not loaded by one, but for the loader itself. */
	if (file->kind == KIND_LIBRARY && !file->interpreter && !file->is_loader)
		reasons |= 1u << REASON_STATIC;
	if (file->kind != KIND_PROGRAM && file->kind != KIND_LIBRARY)
		reasons = 0;
	while (reason < REASON_COUNT && !(reasons & 1u << reason))
		reason++;
	if (reason == REASON_COUNT)
		return TRACE_YES;
	if (reason == REASON_OTHER_LIBC && file->interpreter)
		snprintf(why, size, "%s (its loader is %.200s)", scan_reason_text(reason),
			 file->interpreter);
	else
		snprintf(why, size, "%s", scan_reason_text(reason));
	return USELESS & 1u << reason ? TRACE_USELESS : TRACE_HARMFUL;
}

/* Whether the file is a script; `interpreter` gets the program that the kernel runs for it. */
static bool script_read(int fd, char *interpreter, size_t size)
{
	char line[256];
	ssize_t got = pread(fd, line, sizeof(line) - 1, 0);
	char *start, *end;

	if (got < 3 || line[0] != '#' || line[1] != '!')
		return false;
	line[got] = '\0';
	line[strcspn(line, "\n")] = '\0';
	start = line + 2 + strspn(line + 2, " \t");
	end = start + strcspn(start, " \t");
	*end = '\0';
	snprintf(interpreter, size, "%s", start);
	return *interpreter;
}

enum traceable elf_traceable(const char *path, char *why, size_t size)
{
	char current[4096], reason[512];
	enum traceable verdict = TRACE_YES;
	struct scan_file file = { 0 };
	int fd, depth;

	snprintf(current, sizeof(current), "%s", path);
	for (depth = 0; depth <= SCRIPT_DEPTH; depth++) {
		if (!program_open(current, &fd))
			return TRACE_YES;
		if (!script_read(fd, current, sizeof(current)))
			break;
		close(fd);
	}
	if (depth > SCRIPT_DEPTH)
		return TRACE_YES;
	if (scan_program_read(&file, fd) == SCAN_READ)
		verdict = judge(fd, &file, reason, sizeof(reason));
	scan_file_free(&file);
	close(fd);
	if (verdict != TRACE_YES && depth)
		snprintf(why, size, "its interpreter %.200s: %s", current, reason);
	else if (verdict != TRACE_YES)
		snprintf(why, size, "%s", reason);
	return verdict;
}
