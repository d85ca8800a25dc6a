/* SPDX-License-Identifier: MIT */
/*
 * fault_inject COUNTS CALL ERROR FIRST LAST PROGRAM [ARG]...: executes PROGRAM with the shim that SPORK_SHIM names, and
 * lets the FIRST to the LAST of the system calls CALL that the shim's own code makes fail with ERROR, in the process and
 * all that it forks. CALL and ERROR are numbers; CALL all: of each kind; ERROR 0: none fails.
 *
 * Ends as PROGRAM does, when all of its processes have. COUNTS gets a line for each kind of call: its number, how many
 * there were, and how many of them were made to fail.
 *
 * The calls of one program are told from those of another by the address of the shim's code, which a program that is
 * executed maps elsewhere: see fault_preload.c.
 */
#include <fcntl.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "victim.h"

#define CALLS 1024

static unsigned calls[CALLS], failed[CALLS];
static unsigned first, last;
static int error;

static void execute(char **argv, int socket, const char *call)
{
	const char *preload = getenv("SPORK_SHIM");
	char own[4096], value[8192], fault[64];
	ssize_t size = readlink("/proc/self/exe", own, sizeof(own) - 1);

	if (!preload || size < 0)
		_exit(99);
	own[size] = 0;
	*strrchr(own, '/') = 0;
	snprintf(value, sizeof(value), "%s:%s/fault_preload", preload, own);
	snprintf(fault, sizeof(fault), "%d:%s", socket, call);
	setenv("LD_PRELOAD", value, 1);
	setenv("FAULT_INJECT", fault, 1);
	execvp(argv[0], argv);
	_exit(127);
}

static int listener(int socket)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	char byte;
	struct iovec vector = { &byte, 1 };
	struct msghdr message = { .msg_iov = &vector,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	int fd;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1 || !message.msg_controllen)
		return -1;
	memcpy(&fd, CMSG_DATA(&control.header), sizeof(fd));
	return fd;
}

static void answer(int fd)
{
	struct seccomp_notif asked;
	struct seccomp_notif_resp answer = { .flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE };
	unsigned call;

	memset(&asked, 0, sizeof(asked));
	if (ioctl(fd, SECCOMP_IOCTL_NOTIF_RECV, &asked))
		return;
	call = (unsigned)asked.data.nr % CALLS;
	answer.id = asked.id;
	calls[call]++;
	if (error && calls[call] >= first && calls[call] <= last) {
		answer.flags = 0;
		answer.error = -error;
		failed[call]++;
	}
	ioctl(fd, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

static void serve(int fd)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };

	while (poll(&wait, 1, -1) > 0 && !(wait.revents & POLLHUP))
		answer(fd);
}

static void counts_write(const char *path)
{
	FILE *file = fopen(path, "we");
	unsigned call;

	for (call = 0; file && call < CALLS; call++)
		if (calls[call])
			fprintf(file, "%u %u %u\n", call, calls[call], failed[call]);
	if (file)
		fclose(file);
}

int main(int argc, char **argv)
{
	int pair[2], status, fd;
	pid_t pid;

	if (argc < 7 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		return 99;
	fcntl(pair[0], F_SETFD, FD_CLOEXEC);
	error = atoi(argv[3]);
	first = (unsigned)atoi(argv[4]);
	last = (unsigned)atoi(argv[5]);
	pid = fork();
	if (!pid)
		execute(argv + 6, pair[1], argv[2]);
	close(pair[1]);
	fd = listener(pair[0]);
	close(pair[0]);
	if (fd >= 0)
		serve(fd);
	status = wait_for(pid);
	counts_write(argv[1]);
	if (WIFSIGNALED(status))
		return 128 + WTERMSIG(status);
	return fd < 0 ? 93 : WEXITSTATUS(status);
}
