// SPDX-License-Identifier: MIT
/*
 * The parts of /proc that the shim reads. All state is the caller's; nothing is kept open.
 */
#include "proc.h"

#include "text.h"

#include "poison.h"

/* A path that is put together; ends in NUL as long as one byte stays free. */
struct path {
	struct text_buffer buffer;
	char bytes[64];
};

static struct text *path_begin(struct path *path)
{
	memset(path, 0, sizeof(*path));
	path->buffer.text.put = text_buffer_put;
	path->buffer.bytes = path->bytes;
	path->buffer.capacity = sizeof(path->bytes) - 1;
	return &path->buffer.text;
}

/* Opens /proc/PID/WHAT (self where `pid` is zero). */
static long proc_open(uint32_t pid, const char *what)
{
	struct path path;
	struct text *text = path_begin(&path);

	text_string(text, "/proc/");
	if (pid)
		text_decimal(text, pid);
	else
		text_string(text, "self");
	text_string(text, what);
	return SYS(openat, AT_FDCWD, path.bytes, O_RDONLY | O_CLOEXEC, 0);
}

int proc_maps_open(struct proc_maps *maps, uint32_t pid)
{
	maps->size = maps->at = 0;
	maps->fd = proc_open(pid, "/maps");
	return maps->fd < 0 ? (int)maps->fd : 0;
}

void proc_maps_close(struct proc_maps *maps)
{
	SYS(close, maps->fd);
}

static int next_byte(struct proc_maps *maps)
{
	if (maps->at == maps->size) {
		long got = SYS(read, maps->fd, maps->bytes, sizeof(maps->bytes));

		if (got <= 0)
			return -1;
		maps->size = (size_t)got;
		maps->at = 0;
	}
	return (unsigned char)maps->bytes[maps->at++];
}

/* A hexadecimal number up to a character that is none, which is returned. */
static int next_hex(struct proc_maps *maps, uintptr_t *value)
{
	*value = 0;
	for (;;) {
		int byte = next_byte(maps);

		if (byte >= '0' && byte <= '9')
			*value = *value * 16 + (uintptr_t)(byte - '0');
		else if (byte >= 'a' && byte <= 'f')
			*value = *value * 16 + (uintptr_t)(byte - 'a' + 10);
		else
			return byte;
	}
}

/* "offset device inode   name": anonymous memory has none of them, or a name that it was given. */
static void next_kind(struct proc_maps *maps, struct proc_map *map)
{
	char name[16] = "";
	bool anonymous = true;
	int byte = ' ', field;
	size_t size = 0;

	/* of the device and the inode some digit is not zero */
	for (field = 0; field < 3 && byte == ' '; field++)
		while ((byte = next_byte(maps)) > ' ')
			anonymous &= !field || byte == '0' || byte == ':';
	while (byte >= 0 && byte != '\n') {
		byte = next_byte(maps);
		if (byte > ' ' && size < sizeof(name) - 1)
			name[size++] = (char)byte;
	}
	map->stack = !strcmp(name, "[stack]");
	map->heap = !strcmp(name, "[heap]");
	map->anonymous = anonymous && (!size || map->heap || !strncmp(name, "[anon:", 6));
}

bool proc_maps_next(struct proc_maps *maps, struct proc_map *map)
{
	if (next_hex(maps, &map->start) != '-' || next_hex(maps, &map->end) != ' ')
		return false;
	map->readable = next_byte(maps) == 'r';
	map->writable = next_byte(maps) == 'w';
	map->executable = next_byte(maps) == 'x';
	map->private = next_byte(maps) == 'p';
	next_byte(maps);
	next_kind(maps, map);
	return true;
}

bool proc_private(uintptr_t address)
{
	struct proc_maps maps;
	struct proc_map map;
	bool alone = false;

	if (proc_maps_open(&maps, 0))
		return false;
	while (proc_maps_next(&maps, &map))
		if (address >= map.start && address < map.end)
			alone = map.private;
	proc_maps_close(&maps);
	return alone;
}

/* The first bytes of one of its files, as a string. How many, or -errno. */
static long proc_read(uint32_t pid, const char *name, char *bytes, size_t capacity)
{
	long fd = proc_open(pid, name), size;

	if (fd < 0)
		return fd;
	size = SYS(read, fd, bytes, capacity - 1);
	SYS(close, fd);
	bytes[size > 0 ? size : 0] = 0;
	return size;
}

long proc_status(const char *name)
{
	char bytes[4096];
	long size = proc_read(0, "/status", bytes, sizeof(bytes)), value = 0;
	const char *line;

	if (size < 0)
		return size;
	line = strstr(bytes, name);
	if (!line)
		return -ENOENT;
	for (line += strlen(name); *line == ':' || *line == '\t' || *line == ' ';)
		line++;
	for (; *line >= '0' && *line <= '9'; line++)
		value = value * 10 + (*line - '0');
	return value;
}

static uint64_t decimal(const char **at)
{
	uint64_t value = 0;

	for (; **at == ' '; ++*at)
		;
	for (; **at >= '0' && **at <= '9'; ++*at)
		value = value * 10 + (uint64_t)(**at - '0');
	return value;
}

bool proc_size(struct proc_size *size)
{
	char bytes[128];
	const char *at = bytes;

	if (proc_read(0, "/statm", bytes, sizeof(bytes)) <= 0)
		return false;
	size->mapped = decimal(&at);
	size->resident = decimal(&at);
	size->shared = decimal(&at);
	return true;
}

/* "running", or the number, arguments in hexadecimal, stack pointer and program counter. */
bool proc_syscall(uint32_t pid, uint64_t *number, unsigned count)
{
	char bytes[256];
	const char *at = bytes;
	unsigned i;

	for (i = 0; i < count; i++)
		number[i] = UINT64_MAX;
	if (proc_read(pid, "/syscall", bytes, sizeof(bytes)) <= 0)
		return false;
	for (i = 0; i < count && *at >= '0' && *at <= '9'; i++) {
		uint64_t value = 0;

		if (i)
			at += 2; /* 0x */
		for (; *at > ' '; at++)
			value = i ? value * 16 + (uint64_t)(*at <= '9' ? *at - '0' :
									 *at - 'a' + 10) :
				    value * 10 + (uint64_t)(*at - '0');
		at += *at == ' ';
		number[i] = value;
	}
	return true;
}

void proc_thread_name(uint32_t pid, uint32_t tid, char name[16])
{
	struct path path;
	struct text *text = path_begin(&path);
	char bytes[16 + 1];
	long size;

	memset(name, 0, 16);
	text_string(text, "/task/");
	text_decimal(text, tid);
	text_string(text, "/comm");
	size = proc_read(pid, path.bytes, bytes, sizeof(bytes));
	if (size > 0)
		memcpy(name, bytes, (size_t)size - 1); /* not the newline */
}

char proc_state(uint32_t pid)
{
	char bytes[512];
	const char *at;

	if (proc_read(pid, "/stat", bytes, sizeof(bytes)) <= 0)
		return 0;
	at = strrchr(bytes, ')');
	return at && at[1] == ' ' ? at[2] : 0;
}

/* "ran waited slices": Documentation/scheduler/sched-stats.rst */
bool proc_turns(uint32_t pid, struct proc_turns *turns)
{
	char bytes[128];
	const char *at = bytes;

	turns->ran_ns = turns->waited_ns = 0;
	if (proc_read(pid, "/schedstat", bytes, sizeof(bytes)) <= 0)
		return false;
	turns->ran_ns = decimal(&at);
	turns->waited_ns = decimal(&at);
	return true;
}

/* Fields of /proc/PID/stat, counted as in proc(5). */
enum {
	STAT_NAME = 2,
	STAT_FLAGS = 9,
	STAT_EXIT_SIGNAL = 38,
};

/* "pid (name) state ppid ...", where the name may hold anything. */
static bool proc_stat(uint32_t pid, int field, uint64_t *value)
{
	char bytes[1024];
	const char *at;
	int now = STAT_NAME;

	if (proc_read(pid, "/stat", bytes, sizeof(bytes)) <= 0)
		return false;
	at = strrchr(bytes, ')');
	for (; at && *at && now < field; at++)
		now += *at == ' ';
	if (!at || *at < '0' || *at > '9')
		return false;
	for (*value = 0; *at >= '0' && *at <= '9'; at++)
		*value = *value * 10 + (uint64_t)(*at - '0');
	return true;
}

bool proc_flags(uint32_t pid, uint64_t *flags)
{
	return proc_stat(pid, STAT_FLAGS, flags);
}

bool proc_exit_signal(uint32_t pid, uint64_t *signal)
{
	return proc_stat(pid, STAT_EXIT_SIGNAL, signal);
}
