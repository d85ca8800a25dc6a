// SPDX-License-Identifier: MIT
/*
 * What `spork bench` tells of the machine, since figures mean little without it, and what memory it still has.
 */
#include <gnu/libc-version.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"

/* What stands after `start` in the first line that has it; without `start`, the first line. */
static bool file_line(const char *path, const char *start, char *value, size_t size)
{
	FILE *file = fopen(path, "re");
	bool found = false;
	char line[512];
	const char *from;

	snprintf(value, size, "unknown");
	if (!file)
		return false;
	while (!found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		found = !strncmp(line, start, strlen(start));
		if (!found)
			continue;
		from = line + strlen(start);
		from += strspn(from, " \t:");
		snprintf(value, size, "%.*s", (int)(size - 1), from);
		clean(value);
	}
	fclose(file);
	return found;
}

/* "always [madvise] never": the one in force */
static void chosen(char *words)
{
	char *open = strchr(words, '['), *close = open ? strchr(open, ']') : NULL;

	if (!close)
		return;
	*close = '\0';
	memmove(words, open + 1, (size_t)(close - open));
}

const struct bench_machine *bench_machine(void)
{
	static struct bench_machine machine;
	struct utsname kernel;
	char overcommit[32];

	if (*machine.kernel)
		return &machine;
	uname(&kernel);
	snprintf(machine.kernel, sizeof(machine.kernel), "%s %s", kernel.sysname, kernel.release);
	snprintf(machine.machine, sizeof(machine.machine), "%s", kernel.machine);
	snprintf(machine.glibc, sizeof(machine.glibc), "%s", gnu_get_libc_version());
	machine.cores = sysconf(_SC_NPROCESSORS_ONLN);
	file_line("/proc/cpuinfo", "model name", machine.cpu, sizeof(machine.cpu));
	file_line("/sys/kernel/mm/transparent_hugepage/enabled", "", machine.thp,
		  sizeof(machine.thp));
	chosen(machine.thp);
	file_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", "", machine.governor,
		  sizeof(machine.governor));
	machine.overcommit =
		file_line("/proc/sys/vm/overcommit_memory", "", overcommit, sizeof(overcommit)) ?
			atoi(overcommit) :
			-1;
	if (getloadavg(&machine.load, 1) != 1)
		machine.load = 0;
	return &machine;
}

/* A number of a control group's file; UINT64_MAX: there is none, or no limit. */
static uint64_t group_number(const char *group, const char *name)
{
	char path[PATH_MAX + 64], value[64];
	char *end;
	uint64_t number;

	snprintf(path, sizeof(path), "/sys/fs/cgroup%s/%s", group, name);
	if (!file_line(path, "", value, sizeof(value)))
		return UINT64_MAX;
	number = strtoull(value, &end, 10);
	return end == value ? UINT64_MAX : number;
}

uint64_t bench_memory(void)
{
	char text[64], group[PATH_MAX], *slash;
	uint64_t left = UINT64_MAX, limit, used;

	if (file_line("/proc/meminfo", "MemAvailable:", text, sizeof(text)))
		left = strtoull(text, NULL, 10) << 10;
	/* Control groups of version 2, from ours up to the root. */
	if (!file_line("/proc/self/cgroup", "0:", group, sizeof(group)))
		return left;
	for (;;) {
		limit = group_number(group, "memory.max");
		used = group_number(group, "memory.current");
		if (limit != UINT64_MAX && used != UINT64_MAX) {
			limit = limit > used ? limit - used : 0;
			left = limit < left ? limit : left;
		}
		slash = strrchr(group, '/');
		if (!slash || !*group)
			return left;
		*slash = '\0';
	}
}
