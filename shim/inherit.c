// SPDX-License-Identifier: MIT
/*
 * Asks the kernel for what execve() leaves as it is (POSIX.1-2024, execve; execve(2)). Has no state; runs in
 * a real fork's child, before it goes on to the program.
 */
#include "inherit.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "sys.h"

#include "poison.h"

#define SIGNALS 64

/* struct linux_dirent64 of getdents64(2) */
struct entry {
	uint64_t inode;
	int64_t offset;
	unsigned short size;
	unsigned char type;
	char name[];
};

static uint64_t hash_descriptor(uint64_t hash, int fd)
{
	struct stat status;
	long flags = SYS(fcntl, fd, F_GETFD);

	if (flags < 0 || flags & FD_CLOEXEC || !sys_stat(fd, "", AT_EMPTY_PATH, &status))
		return hash;
	hash = hash_mix(hash_mix(hash, (uint64_t)fd), (uint64_t)SYS(fcntl, fd, F_GETFL));
	return hash_mix(hash_mix(hash, status.st_dev), status.st_ino);
}

static int number_of(const char *name)
{
	int number = 0;

	if (*name < '0' || *name > '9')
		return -1;
	for (; *name; name++)
		number = number * 10 + (*name - '0');
	return number;
}

static uint64_t hash_descriptors(uint64_t hash)
{
	char bytes[2048] __attribute__((aligned(8)));
	long folder = SYS(openat, AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	long got, at;

	if (folder < 0)
		return hash;
	while ((got = SYS(getdents64, folder, bytes, sizeof(bytes))) > 0)
		for (at = 0; at < got;) {
			const struct entry *entry = (const struct entry *)(bytes + at);
			int fd = number_of(entry->name);

			if (fd >= 0)
				hash = hash_descriptor(hash, fd);
			at += entry->size;
		}
	SYS(close, folder);
	return hash;
}

static uint64_t hash_folder(uint64_t hash, const char *path)
{
	struct stat status;

	if (!sys_stat(AT_FDCWD, path, 0, &status))
		return hash;
	return hash_mix(hash_mix(hash, status.st_dev), status.st_ino);
}

static uint64_t hash_signals(uint64_t hash)
{
	struct sys_action action;
	sys_sigset mask = 0;
	int signal;

	SYS(rt_sigprocmask, SIG_BLOCK, NULL, &mask, sizeof(mask));
	hash = hash_mix(hash, mask);
	for (signal = 1; signal <= SIGNALS; signal++)
		if (!sys_action(signal, NULL, &action) && action.handler == (uintptr_t)SIG_IGN)
			hash = hash_mix(hash, (uint64_t)signal);
	return hash;
}

static uint64_t hash_limits(uint64_t hash)
{
	uint64_t limit[2];
	int resource;

	for (resource = 0; resource < RLIM_NLIMITS; resource++)
		if (!SYS(prlimit64, 0, resource, NULL, limit))
			hash = hash_mix(hash_mix(hash, limit[0]), limit[1]);
	return hash_mix(hash, (uint64_t)SYS(getpriority, PRIO_PROCESS, 0));
}

static uint64_t hash_ids(uint64_t hash)
{
	unsigned user[3] = { 0 }, group[3] = { 0 };
	int i;

	SYS(getresuid, &user[0], &user[1], &user[2]);
	SYS(getresgid, &group[0], &group[1], &group[2]);
	for (i = 0; i < 3; i++)
		hash = hash_mix(hash_mix(hash, user[i]), group[i]);
	hash = hash_mix(hash, (uint64_t)SYS(getpgid, 0));
	return hash_mix(hash, (uint64_t)SYS(getsid, 0));
}

static uint64_t hash_environ(uint64_t hash)
{
	char **variable;
	const char *at;

	for (variable = environ; variable && *variable; variable++)
		for (at = *variable; *at; at++)
			hash = hash_mix(hash, (unsigned char)*at);
	return hash;
}

uint64_t inherit_hash(void)
{
	uint64_t hash = 1;
	long mask = SYS(umask, 0);

	SYS(umask, mask);
	hash = hash_mix(hash, (uint64_t)mask);
	hash = hash_folder(hash, ".");
	hash = hash_folder(hash, "/");
	hash = hash_descriptors(hash);
	hash = hash_signals(hash);
	hash = hash_limits(hash);
	hash = hash_ids(hash);
	return hash_environ(hash);
}
