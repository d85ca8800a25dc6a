/* SPDX-License-Identifier: MIT */
/*
 * seccomp_confined WHAT [COUNT]: spawns COUNT children, then allows itself only what it and libc call, on pain
 * of death. exit: it ends; handlers: with atfork handlers; fork, vfork: after a last child. child: each of the
 * COUNT children confines itself so before it forks.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "victim.h"

#define ALLOW(name)                                                                                \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_##name, 0, 1),                                     \
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

static const struct sock_filter filter[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	ALLOW(write),
	ALLOW(exit_group),
	ALLOW(clone),
#ifdef SYS_vfork
	ALLOW(vfork),
#endif
	ALLOW(set_robust_list),
	ALLOW(wait4),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
};

static void confine(void)
{
	struct sock_fprog program = { sizeof(filter) / sizeof(*filter),
				      (struct sock_filter *)filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program))
		_exit(77);
}

/* A frame more than the wrapper has. */
HELPER void spawn(int number, int confined)
{
	char *args[] = { "/bin/true", NULL };
	pid_t pid = xfork();

	if (pid == 0 && confined) {
		confine();
		pid = xfork();
		if (pid == 0)
			_exit(5);
		_exit(WEXITSTATUS(wait_for(pid)));
	}
	if (pid == 0) {
		execv(args[0], args);
		_exit(127);
	}
	print_status("child", number, wait_for(pid));
}

static void handler(void)
{
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "exit";
	int count = number_argument(argc, argv, 2, 5), i;
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	pid_t pid = 0;

	setvbuf(stdout, NULL, _IONBF, 0);
	if (!strcmp(what, "handlers"))
		pthread_atfork(handler, handler, handler);
	for (i = 0; i < count; i++)
		spawn(i, !strcmp(what, "child"));
	confine();
	pthread_mutex_lock(&mutex);
	pthread_mutex_unlock(&mutex);
	if (!strcmp(what, "vfork")) {
		pid = vfork();
		if (pid == 0)
			_exit(6);
	} else if (strcmp(what, "exit") != 0) {
		pid = xfork();
		if (pid == 0)
			_exit(7);
	}
	if (pid)
		print_status("last child", count, wait_for(pid));
	printf("confined\n");
	return 0;
}
