/* flags: -shared -fPIC */
/* SPDX-License-Identifier: MIT */
/*
 * Preloaded after the shim by fault_inject, so that its constructor runs first: installs a filter that hands system
 * calls which the shim's own code makes, told by the instruction pointer, to fault_inject. The program's, and libc's,
 * pass. Where the shim asks whether there is a filter it is told that there is none: it must go the ways that are
 * under test, and not those for sandboxes.
 *
 * FAULT_INJECT=SOCKET:NUMBER, where NUMBER is that of the system call, or "all"; what leads here is taken out of the
 * environment.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "../../shim/arch.h"

#define NAME "FAULT_INJECT="
#define RETURN(action) BPF_STMT(BPF_RET | BPF_K, action)
#define LOAD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))

static long call(long number, long a, long b, long c, long d)
{
	return sys_call(number, a, b, c, d, 0, 0);
}

static void fail(int status)
{
	call(SYS_exit_group, status, 0, 0, 0);
}

static unsigned long number(const char *text, unsigned base)
{
	unsigned long value = 0;

	for (;; text++) {
		unsigned digit = *text >= 'a' ? (unsigned)*text - 'a' + 10 : (unsigned)*text - '0';

		if (digit >= base)
			return value;
		value = value * base + digit;
	}
}

static char maps[1 << 16];

/* The shim's code. */
static void find(unsigned long *low, unsigned long *high)
{
	long fd = call(SYS_openat, AT_FDCWD, (long)"/proc/self/maps", O_RDONLY, 0), got, size = 0;
	char *line, *end;

	while ((got = call(SYS_read, fd, (long)(maps + size), (long)sizeof(maps) - 1 - size, 0)) >
	       0)
		size += got;
	call(SYS_close, fd, 0, 0, 0);
	for (line = maps; (end = strchr(line, '\n')); line = end + 1) {
		*end = 0;
		if (!strstr(line, "/libspork.so") || !strstr(line, " r-x"))
			continue;
		*low = number(line, 16);
		*high = number(strchr(line, '-') + 1, 16);
		return;
	}
	fail(95);
}

static long install(unsigned long low, unsigned long high, const char *which)
{
	unsigned wanted = (unsigned)number(which, 10);
	const struct sock_filter filter[] = {
		LOAD(instruction_pointer),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (unsigned)low, 0, 9),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, (unsigned)high, 8, 0),
		LOAD(instruction_pointer) /* its upper half */,
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(low >> 32), 0, 6),
		LOAD(nr),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
		LOAD(args[0]),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_GET_SECCOMP, 4, 0),
		LOAD(nr),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, wanted, 1, *which == 'a' ? 1 : 0),
		RETURN(SECCOMP_RET_ALLOW),
		RETURN(SECCOMP_RET_USER_NOTIF),
		RETURN(SECCOMP_RET_ERRNO),
	};
	struct sock_filter copy[sizeof(filter) / sizeof(*filter)];
	struct sock_fprog program = { sizeof(filter) / sizeof(*filter), copy };
	const long flags = SECCOMP_FILTER_FLAG_NEW_LISTENER;
	long fd;

	memcpy(copy, filter, sizeof(filter));
	copy[3].k += 4;
	call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0);
	fd = call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags | (1 << 5) /* WAIT_KILLABLE_RECV */,
		  (long)&program, 0);
	if (fd < 0)
		fd = call(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, (long)&program, 0);
	return fd;
}

static void hand_over(int socket, int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .header = { CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS } };
	char byte = 0;
	struct iovec vector = { &byte, 1 };
	struct msghdr message = { .msg_iov = &vector,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control.bytes) };

	memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	if (call(SYS_sendmsg, socket, (long)&message, 0, 0) != 1)
		fail(94);
	call(SYS_close, fd, 0, 0, 0);
	call(SYS_close, socket, 0, 0, 0);
}

__attribute__((constructor)) static void start(int argc, char **argv, char **environment)
{
	unsigned long low = 0, high = 0;
	char **from, **to, *found = NULL, *cut;
	long fd;

	(void)argc, (void)argv;
	for (from = to = environment; *from; from++) {
		if (!strncmp(*from, NAME, sizeof(NAME) - 1)) {
			found = *from + sizeof(NAME) - 1;
			continue;
		}
		if (!strncmp(*from, "LD_PRELOAD=", 11) && (cut = strrchr(*from, ':')))
			*cut = 0;
		*to++ = *from;
	}
	*to = NULL;
	if (!found)
		return;
	find(&low, &high);
	fd = install(low, high, strchr(found, ':') + 1);
	if (fd < 0)
		fail(77);
	hand_over((int)number(found, 10), (int)fd);
}
