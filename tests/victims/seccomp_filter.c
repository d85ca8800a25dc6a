/* SPDX-License-Identifier: MIT */
/*
 * seccomp_filter FILTER PROGRAM [ARG]...: executes PROGRAM under a filter. container: clone3 is answered
 * with ENOSYS, as container runtimes do; errno: with EPERM, and so is all else that few programs call; kill,
 * trap: process_vm_readv ends the process, with a signal that a handler may catch. NUMBER=ACTION: that system call is
 * answered with the error of that number, or, ACTION being kill or trap, as above.
 * seccomp_filter late COUNT: spawns COUNT children, installs the filter `kill` by itself, spawns as many.
 */
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "victim.h"

static char *const args[] = { "/bin/true", NULL };

static struct sock_filter filter[32];
static unsigned short size;

static void add(struct sock_filter instruction)
{
	filter[size++] = instruction;
}

static void answer(unsigned number, unsigned action)
{
	add((struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1));
	add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, action));
}

static void install(const char *name)
{
	struct sock_fprog program = { 0, filter };

	add((struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
					 offsetof(struct seccomp_data, nr)));
	if (!strcmp(name, "container")) {
		answer(SYS_clone3, SECCOMP_RET_ERRNO | ENOSYS);
	} else if (!strcmp(name, "errno")) {
		answer(SYS_clone3, SECCOMP_RET_ERRNO | EPERM);
		answer(SYS_process_vm_readv, SECCOMP_RET_ERRNO | EPERM);
		answer(SYS_timer_create, SECCOMP_RET_ERRNO | EPERM);
		answer(SYS_memfd_create, SECCOMP_RET_ERRNO | EPERM);
		answer(SYS_signalfd4, SECCOMP_RET_ERRNO | EPERM);
	} else if (!strcmp(name, "kill")) {
		answer(SYS_process_vm_readv, SECCOMP_RET_KILL_PROCESS);
	} else if (!strcmp(name, "trap")) {
		answer(SYS_process_vm_readv, SECCOMP_RET_TRAP);
	} else if (strchr(name, '=')) {
		const char *action = strchr(name, '=') + 1;

		answer((unsigned)atoi(name),
		       !strcmp(action, "kill") ? SECCOMP_RET_KILL_PROCESS :
		       !strcmp(action, "trap") ? SECCOMP_RET_TRAP :
						 SECCOMP_RET_ERRNO | (unsigned)atoi(action));
	} else {
		exit(99);
	}
	add((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
	program.len = size;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)) {
		perror("seccomp");
		exit(77);
	}
}

static void on_trap(int signal)
{
	(void)signal;
	printf("FAULT: a handler of the program ran\n");
}

int main(int argc, char **argv)
{
	int i, count;

	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc < 3)
		return 99;
	if (strcmp(argv[1], "late")) {
		install(argv[1]);
		execv(argv[2], argv + 2);
		return 127;
	}
	signal(SIGSYS, on_trap);
	count = atoi(argv[2]);
	for (i = 0; i < 2 * count; i++) {
		pid_t pid;

		if (i == count)
			install("kill");
		pid = xfork();
		if (pid == 0) {
			execv(args[0], args);
			_exit(127);
		}
		print_status("child", i, wait_for(pid));
	}
	return 0;
}
