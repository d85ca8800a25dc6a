// SPDX-License-Identifier: MIT
/*
 * See lean.h. Which memory the kernel reads or writes for the arguments of a system call, and fetching it before.
 */
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/uio.h>
#include <sys/utsname.h>

#include "lean_share.h"

#include "poison.h"

bool lean_peek(void *to, uintptr_t from, size_t size)
{
	struct iovec local = { to, size }, remote = { (void *)from, size };

	lean_touch(from, size);
	return SYS(process_vm_readv, sys_pid(), &local, 1, &remote, 1, 0) == (long)size;
}

bool lean_poke(uintptr_t to, const void *from, size_t size)
{
	struct iovec local = { (void *)from, size }, remote = { (void *)to, size };

	lean_touch(to, size);
	return SYS(process_vm_writev, sys_pid(), &local, 1, &remote, 1, 0) == (long)size;
}

#if ARCH_DISPATCH

/* Which memory the kernel reads or writes for an argument; where a value that is no address is one by chance, no harm. */
enum memory {
	MEMORY_NONE,
	MEMORY_STRING,
	MEMORY_BUFFER,	/* as many bytes as another argument says */
	MEMORY_FIXED,	/* `size` bytes */
	MEMORY_ARRAY,	/* of things of `size` bytes, as many as another argument says */
	MEMORY_VECTOR,	/* struct iovec, as many as another argument says */
	MEMORY_MESSAGE, /* struct msghdr */
	MEMORY_ADDRESS, /* of a socket; another argument points to its size */
};

struct argument {
	uint8_t memory, at, count;
	uint16_t size;
};

struct call {
	bool known;
	struct argument argument[4];
};

#define STRING(at)                                                                                 \
	{                                                                                          \
		MEMORY_STRING, at, 0, 0                                                            \
	}
#define BUFFER(at, count)                                                                          \
	{                                                                                          \
		MEMORY_BUFFER, at, count, 0                                                        \
	}
#define FIXED(at, size)                                                                            \
	{                                                                                          \
		MEMORY_FIXED, at, 0, size                                                          \
	}
#define ARRAY(at, count, size)                                                                     \
	{                                                                                          \
		MEMORY_ARRAY, at, count, size                                                      \
	}
#define VECTOR(at, count)                                                                          \
	{                                                                                          \
		MEMORY_VECTOR, at, count, 0                                                        \
	}
#define MESSAGE(at)                                                                                \
	{                                                                                          \
		MEMORY_MESSAGE, at, 0, 0                                                           \
	}
#define ADDRESS(at, size)                                                                          \
	{                                                                                          \
		MEMORY_ADDRESS, at, size, 0                                                        \
	}
#define CALL(name, ...) [SYS_##name] = { true, { __VA_ARGS__ } }

#define TIME sizeof(struct timespec)

static const struct call calls[] = {
#include "lean_call.def"
};

/* As long as a path or an argument may be: MAX_ARG_STRLEN. */
#define STRING_MOST ((uintptr_t)128 << 10)

/* Of what lies before the first byte that is left out nothing is known: it need not be there. */
static void touch_string(uintptr_t at)
{
	const struct lean *lean = lean_self;
	const struct lean_range *range;
	uint32_t i;

	while ((range = lean_find(at))) {
		for (lean_touch(at, 1); at < range->high; at++) {
			if (!(at & (lean->batch - 1)))
				lean_touch(at, 1);
			if (!*(const volatile char *)at)
				return;
		}
	}
	for (i = 0; i < lean->ranges; i++)
		if (lean->range[i].low - at < STRING_MOST)
			lean_touch(lean->range[i].low, STRING_MOST);
}

static void touch_vector(uintptr_t vector, size_t count)
{
	struct iovec one;

	for (; count && lean_peek(&one, vector, sizeof(one)); count--, vector += sizeof(one))
		lean_touch((uintptr_t)one.iov_base, one.iov_len);
}

static void touch_message(uintptr_t at)
{
	struct msghdr message;

	if (!lean_peek(&message, at, sizeof(message)))
		return;
	lean_touch((uintptr_t)message.msg_name, message.msg_namelen);
	lean_touch((uintptr_t)message.msg_control, message.msg_controllen);
	touch_vector((uintptr_t)message.msg_iov, message.msg_iovlen);
}

static void touch_address(uintptr_t address, uintptr_t size_at)
{
	uint32_t size;

	if (lean_peek(&size, size_at, sizeof(size)))
		lean_touch(address, size);
}

/* As much as there is of it, up to the first that is NULL: how many, and whether that was found. */
static size_t peek_words(uintptr_t *word, size_t most, uintptr_t at, bool *last)
{
	struct iovec local = { word, most * sizeof(*word) }, remote = { (void *)at, local.iov_len };
	size_t count;
	long got;

	lean_touch(at, local.iov_len);
	got = SYS(process_vm_readv, sys_pid(), &local, 1, &remote, 1, 0);
	most = got > 0 ? (size_t)got / sizeof(*word) : 0;
	for (count = 0; count < most && word[count]; count++)
		;
	*last = count < most || !most;
	return count;
}

/* Arguments or environment of a program: strings up to NULL. */
static void touch_strings(uintptr_t at)
{
	uintptr_t string[64];
	bool last = !at;
	size_t count, i;

	for (; !last; at += count * sizeof(*string)) {
		count = peek_words(string, COUNT(string), at, &last);
		for (i = 0; i < count; i++)
			touch_string(string[i]);
	}
}

static void touch_argument(const uintptr_t *given, const struct argument *argument)
{
	uintptr_t value = given[argument->at], count = given[argument->count];

	switch (argument->memory) {
	case MEMORY_STRING:
		touch_string(value);
		break;
	case MEMORY_BUFFER:
		lean_touch(value, count);
		break;
	case MEMORY_FIXED:
		lean_touch(value, argument->size);
		break;
	case MEMORY_ARRAY:
		/* more than the kernel would take is no array */
		lean_touch(value, (count & 0x7fffffff) * argument->size);
		break;
	case MEMORY_VECTOR:
		touch_vector(value, count < 1024 ? count : 1024);
		break;
	case MEMORY_MESSAGE:
		touch_message(value);
		break;
	case MEMORY_ADDRESS:
		touch_address(value, count);
		break;
	default:
		break;
	}
}

bool lean_touch_arguments(long number, const uintptr_t *argument)
{
	unsigned i;

	if (number < 0 || (size_t)number >= COUNT(calls) || !calls[number].known)
		return false;
	for (i = 0; i < COUNT(calls->argument); i++)
		touch_argument(argument, &calls[number].argument[i]);
	return true;
}

/* Longer is none of the names. */
#define VIEW_MOST 64

bool lean_is_view(uintptr_t path)
{
	static const char views[][16] = { "maps",      "smaps", "smaps_rollup", "numa_maps",
					  "map_files", "mem",	"pagemap" };
	char text[VIEW_MOST + 1] = "", *at = text;
	struct iovec local = { text, VIEW_MOST }, remote = { (void *)path, VIEW_MOST };
	size_t i;

	touch_string(path);
	/* it may end sooner, at a page that is not there */
	SYS(process_vm_readv, sys_pid(), &local, 1, &remote, 1, 0);
	/* relative to a folder it may be there as well */
	if (text[0] == '/' && strncmp(text, "/proc/", 6))
		return false;
	for (i = 0; text[i]; i++)
		if (text[i] == '/')
			at = text + i + 1;
	for (i = 0; i < COUNT(views); i++)
		if (!strcmp(at, views[i]))
			return true;
	return false;
}

void lean_touch_program(uintptr_t path, uintptr_t argv, uintptr_t envp)
{
	touch_string(path);
	touch_strings(argv);
	touch_strings(envp);
}

#endif
