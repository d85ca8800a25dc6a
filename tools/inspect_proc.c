// SPDX-License-Identifier: MIT
/*
 * What the kernel tells of another process: its threads, where they wait, its mappings, its memory. Only reads; none
 * of it stops the process.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/kcmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "inspect.h"

#define MAPS 65536
#define BOX_LIMIT (256U << 20)
#define KERNEL_THREAD 0x200000 /* PF_KTHREAD, linux/sched.h */

/* A small file of /proc, ended by a zero; its length, or -errno. */
static ssize_t small_read(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t got;

	if (fd < 0)
		return -errno;
	got = read(fd, text, size - 1);
	if (got < 0)
		got = -errno;
	else
		text[got] = '\0';
	close(fd);
	return got;
}

static const char *field(const char *text, const char *name)
{
	const char *at = strstr(text, name);

	return at ? at + strlen(name) : NULL;
}

static long number_field(const char *text, const char *name)
{
	const char *at = field(text, name);

	return at ? strtol(at, NULL, 10) : 0;
}

/* The name is the program's own choice, and may look like the rest of the file: that starts after it. */
static void status_parse(char *text, struct proc_status *status)
{
	char *rest = strstr(text, "\nUmask:"), *at;

	if (!rest)
		rest = strstr(text, "\nState:");
	if (strncmp(text, "Name:\t", 6) || !rest)
		return;
	*rest = ' ';
	snprintf(status->name, sizeof(status->name), "%.*s", (int)(rest - text - 6), text + 6);
	at = strstr(rest, "State:\t");
	status->state = at ? at[7] : 0;
	status->process = (pid_t)number_field(rest, "\nTgid:");
	status->parent = (pid_t)number_field(rest, "\nPPid:");
	status->tracer = (pid_t)number_field(rest, "\nTracerPid:");
	status->user = (uid_t)number_field(rest, "\nUid:");
	status->switches = (uint64_t)number_field(rest, "\nvoluntary_ctxt_switches:") +
			   (uint64_t)number_field(rest, "\nnonvoluntary_ctxt_switches:");
	at = strstr(rest, "\nNSpid:");
	for (at = at ? at + 7 : NULL; at && (*at == '\t' || *at == ' ');)
		status->inner = (pid_t)strtol(at, &at, 10);
}

bool proc_status(pid_t pid, pid_t tid, struct proc_status *status)
{
	char path[64], text[8192];
	const char *at;
	long flags = 0;

	memset(status, 0, sizeof(*status));
	snprintf(path, sizeof(path), "/proc/%d/task/%d/status", (int)pid, (int)tid);
	if (small_read(path, text, sizeof(text)) <= 0)
		return false;
	status_parse(text, status);
	if (!status->inner)
		status->inner = tid;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/stat", (int)pid, (int)tid);
	if (small_read(path, text, sizeof(text)) > 0) {
		at = strrchr(text, ')');
		if (at && sscanf(at, ") %*c %*d %*d %*d %*d %*d %ld", &flags) == 1)
			status->kernel = flags & KERNEL_THREAD;
	}
	return status->state != 0;
}

int proc_call(pid_t pid, pid_t tid, struct proc_call *call)
{
	char path[64], text[512];
	unsigned long long a[6], stack, pc;
	ssize_t got;
	int fields;

	memset(call, 0, sizeof(*call));
	snprintf(path, sizeof(path), "/proc/%d/task/%d/syscall", (int)pid, (int)tid);
	got = small_read(path, text, sizeof(text));
	if (got < 0)
		return (int)got;
	call->known = true;
	if (!strncmp(text, "running", 7)) {
		call->running = true;
		return 0;
	}
	fields = sscanf(text, "%ld %llx %llx %llx %llx %llx %llx %llx %llx", &call->number, &a[0],
			&a[1], &a[2], &a[3], &a[4], &a[5], &stack, &pc);
	if (fields == 9) {
		for (fields = 0; fields < 6; fields++)
			call->argument[fields] = a[fields];
		call->stack = stack;
		call->pc = pc;
	} else if (fields == 3) {
		/* "-1 SP PC": blocked, but not in a call */
		call->stack = a[0];
		call->pc = a[1];
	} else {
		call->known = false;
	}
	return 0;
}

pid_t *proc_threads(pid_t pid, size_t *count)
{
	pid_t *tids = calloc(INSPECT_THREADS, sizeof(*tids));
	struct dirent *entry;
	char path[64];
	DIR *folder;

	*count = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	folder = opendir(path);
	while (folder && tids && *count < INSPECT_THREADS && (entry = readdir(folder)))
		if (isdigit((unsigned char)entry->d_name[0]))
			tids[(*count)++] = (pid_t)strtol(entry->d_name, NULL, 10);
	if (folder)
		closedir(folder);
	if (*count)
		return tids;
	free(tids);
	return NULL;
}

#define CHILDREN 1024

pid_t *proc_children(pid_t pid, pid_t tid, size_t *count)
{
	char path[64], text[16 * CHILDREN], *at = text, *end;
	pid_t *pids;
	long child;

	*count = 0;
	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)tid);
	if (small_read(path, text, sizeof(text)) <= 0)
		return NULL;
	pids = calloc(CHILDREN, sizeof(*pids));
	for (; pids && *count < CHILDREN; at = end) {
		child = strtol(at, &end, 10);
		if (end == at)
			break;
		pids[(*count)++] = (pid_t)child;
	}
	return pids;
}

bool proc_is_ours(void)
{
	char id[32] = "";

	return readlink("/proc/self", id, sizeof(id) - 1) <= 0 || atoi(id) == getpid();
}

bool proc_same_memory(pid_t one, pid_t other)
{
	return syscall(SYS_kcmp, one, other, KCMP_VM, 0, 0) == 0;
}

pid_t proc_living(pid_t pid)
{
	static pid_t asked, living;
	struct proc_status status;
	size_t count, i;
	pid_t *tids;

	if (asked == pid)
		return living;
	asked = living = pid;
	if (!proc_status(pid, pid, &status) || status.state != 'Z')
		return pid;
	tids = proc_threads(pid, &count);
	for (i = 0; i < count && living == pid; i++)
		if (proc_status(pid, tids[i], &status) && status.state != 'Z')
			living = tids[i];
	free(tids);
	return living;
}

int proc_maps_read(struct proc_maps *maps, pid_t pid)
{
	unsigned long long start, end, offset, inode;
	char path[64], permissions[5], *line = NULL;
	struct proc_map *map, *bigger;
	unsigned major, minor;
	size_t size = 0, room = 0;
	ssize_t length;
	int name, error = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)proc_living(pid));
	file = fopen(path, "re");
	if (!file)
		return -errno;
	while (maps->count < MAPS && (length = getline(&line, &size, file)) > 0) {
		if (line[length - 1] == '\n')
			line[length - 1] = '\0';
		if (sscanf(line, "%llx-%llx %4s %llx %x:%x %llu %n", &start, &end, permissions,
			   &offset, &major, &minor, &inode, &name) != 7)
			continue;
		if (maps->count == room) {
			room = room ? 2 * room : 256;
			bigger = realloc(maps->map, room * sizeof(*maps->map));
			if (!bigger)
				break;
			maps->map = bigger;
		}
		map = &maps->map[maps->count++];
		*map = (struct proc_map){ start,
					  end,
					  offset,
					  inode,
					  major,
					  minor,
					  permissions[1] == 'w',
					  permissions[3] == 's',
					  line[name] ? strdup(line + name) : NULL };
	}
	/* ESRCH: it ends just now, and has no memory any more. */
	if (ferror(file))
		error = -errno;
	free(line);
	fclose(file);
	return error;
}

void proc_maps_free(struct proc_maps *maps)
{
	size_t i;

	for (i = 0; i < maps->count; i++)
		free(maps->map[i].path);
	free(maps->map);
	*maps = (struct proc_maps){ 0 };
}

const struct proc_map *proc_map_at(const struct proc_maps *maps, uint64_t address)
{
	size_t low = 0, high = maps->count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (address < maps->map[middle].start)
			high = middle;
		else if (address >= maps->map[middle].end)
			low = middle + 1;
		else
			return &maps->map[middle];
	}
	return NULL;
}

size_t proc_memory_some(pid_t pid, uint64_t address, void *bytes, size_t size)
{
	struct iovec here = { bytes, size }, there = { (void *)(uintptr_t)address, size };
	ssize_t got = process_vm_readv(proc_living(pid), &here, 1, &there, 1, 0);

	return got > 0 ? (size_t)got : 0;
}

bool proc_memory(pid_t pid, uint64_t address, void *bytes, size_t size)
{
	return proc_memory_some(pid, address, bytes, size) == size;
}

/* Without the right to open it: what is there, copied. */
static int box_copy(pid_t pid, const struct proc_map *map)
{
	size_t size = map->end - map->start, at, chunk = 1U << 20, got, i;
	int fd = memfd_create("spork inspect", MFD_CLOEXEC);
	char *bytes = malloc(chunk);
	static const char zeros[4096];

	if (fd < 0 || !bytes || ftruncate(fd, (off_t)size))
		goto fail;
	for (at = 0; at < size; at += chunk) {
		got = proc_memory_some(pid, map->start + at, bytes,
				       size - at < chunk ? size - at : chunk);
		for (i = 0; i + sizeof(zeros) <= got; i += sizeof(zeros))
			if (memcmp(bytes + i, zeros, sizeof(zeros)) &&
			    pwrite(fd, bytes + i, sizeof(zeros), (off_t)(at + i)) < 0)
				goto fail;
	}
	free(bytes);
	return fd;
fail:
	free(bytes);
	if (fd >= 0)
		close(fd);
	return -1;
}

int proc_box(pid_t pid, const struct proc_maps *maps)
{
	const struct proc_map *map;
	struct stat status;
	char path[96];
	uint64_t magic;
	size_t i;
	int fd;

	for (i = 0; i < maps->count; i++) {
		map = &maps->map[i];
		if (!map->shared || map->offset || !map->path ||
		    map->end - map->start > BOX_LIMIT ||
		    !proc_memory(pid, map->start, &magic, sizeof(magic)) ||
		    magic != SPORK_BOX_MAGIC)
			continue;
		snprintf(path, sizeof(path), "/proc/%d/map_files/%llx-%llx", (int)pid,
			 (unsigned long long)map->start, (unsigned long long)map->end);
		fd = stat(path, &status) || !S_ISREG(status.st_mode) ?
			     -1 :
			     open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
		return fd >= 0 ? fd : box_copy(pid, map);
	}
	return -1;
}
