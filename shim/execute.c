// SPDX-License-Identifier: MIT
/*
 * See execute.h. Which errors end the search is as in glibc's posix/execvpe.c.
 */
#include "execute.h"

#include <limits.h>

#include "sys.h"

#include "poison.h"

#define FOLDERS "/bin:/usr/bin"

/* Is another folder worth a try? */
static bool goes_on(long error)
{
	return error == -EACCES || error == -ENOENT || error == -ESTALE || error == -ENOTDIR ||
	       error == -ENODEV || error == -ETIMEDOUT;
}

long execute(const char *file, char *const argv[], char *const envp[], const char *folders)
{
	char path[PATH_MAX + NAME_MAX + 2];
	size_t name = strnlen(file, PATH_MAX), folder;
	bool denied = false;
	const char *end;
	long error;

	if (!name)
		return -ENOENT;
	if (memchr(file, '/', name))
		return SYS(execve, file, argv, envp);
	/* One that is too long remains so: what is wrong with a folder comes first, as in glibc. */
	if (name > NAME_MAX)
		name = NAME_MAX + 1;
	for (folders = folders ? folders : FOLDERS;; folders = end + 1) {
		end = strchrnul(folders, ':');
		folder = (size_t)(end - folders);
		error = -ENOENT;
		if (folder < PATH_MAX) {
			memcpy(path, folders, folder);
			path[folder] = '/';
			/* an empty name is the current folder's */
			folder += folder > 0;
			memcpy(path + folder, file, name);
			path[folder + name] = 0;
			error = SYS(execve, path, argv, envp);
		}
		denied |= error == -EACCES;
		if (!goes_on(error))
			return error;
		if (!*end)
			return denied ? -EACCES : error;
	}
}

long execute_dup2(int from, int to)
{
	return from == to ? SYS(fcntl, from, F_SETFD, 0) : SYS(dup3, from, to, 0);
}
