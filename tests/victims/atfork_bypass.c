/* SPDX-License-Identifier: MIT */
/*
 * atfork_bypass CALL WHAT [none]: a child is made without the atfork handlers, by _Fork, clone, fork (the system call),
 * raw (clone, the system call) or clone3; by libc's fork() as a twin: libc. With `none` there are no handlers. WHAT it
 * does: exec, ends by _exit, calls what is safe in a signal handler; or what needs handlers: malloc, lock, exit, fork;
 * exec of what is not there, then says so; again: the same by another child of its own; orphan: takes a lock that
 * another thread holds.
 */
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "atfork.h"
#include "orphan.h"

HANDLERS(a, 'A', 'a', '1')

static const char *maker, *what;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *volatile sink;

static pid_t make(int (*body)(void *));

static void worker(void)
{
	pthread_mutex_lock(&lock);
	worker_stay(-1);
	pthread_mutex_unlock(&lock);
}

static int in_child(void *unused)
{
	char *args[] = { "/bin/true", NULL }, *none[] = { "/nonexistent", NULL };
	int fd;

	(void)unused;
	if (!strcmp(what, "exec"))
		execv(args[0], args);
	if (!strcmp(what, "safe")) {
		fd = open("/dev/null", O_RDWR);
		dup2(fd, 0);
		close(fd);
		if (write(0, "x", 1) != 1 || chdir("/"))
			_exit(3);
		umask(022);
		execv(args[0], args);
	}
	if (!strcmp(what, "execfail")) {
		execv(none[0], none);
		sink = malloc(10);
		_exit(127);
	}
	if (!strcmp(what, "malloc"))
		sink = malloc(10);
	if (!strcmp(what, "lock") || !strcmp(what, "orphan")) {
		pthread_mutex_lock(&lock);
		pthread_mutex_unlock(&lock);
	}
	if (!strcmp(what, "exit"))
		exit(0);
	if (!strcmp(what, "fork")) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		print_status("grandchild", 0, wait_for(pid));
	}
	if (!strcmp(what, "again")) {
		what = "malloc";
		print_status("grandchild", 0, wait_for(make(in_child)));
	}
	_exit(0);
}

/* Linux 5.3 */
struct clone3_arguments {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
};

static pid_t make(int (*body)(void *))
{
	static char stack[2][65536] __attribute__((aligned(16)));
	static int stacks;
	struct clone3_arguments arguments = { .exit_signal = SIGCHLD };
	pid_t pid;

	if (!strcmp(maker, "clone"))
		return clone(body, stack[stacks++] + sizeof(*stack), SIGCHLD, NULL);
	if (!strcmp(maker, "_Fork"))
		pid = _Fork();
	else if (!strcmp(maker, "raw"))
		pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
	else if (!strcmp(maker, "clone3"))
		pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof(arguments));
#ifdef SYS_fork
	else if (!strcmp(maker, "fork"))
		pid = (pid_t)syscall(SYS_fork);
#endif
	else
		pid = fork();
	if (pid == 0)
		_exit(body(NULL));
	return pid;
}

int main(int argc, char **argv)
{
	int verdict;
	pid_t pid;

	maker = string_argument(argc, argv, 1, "_Fork");
	what = string_argument(argc, argv, 2, "malloc");
	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc < 4)
		REGISTER(a);
	if (!strcmp(what, "orphan"))
		worker_run(worker);
	pid = make(in_child);
	if (!strcmp(what, "orphan")) {
		verdict = child_verdict(pid, 500);
		worker_end();
		return verdict;
	}
	print_status("child", 0, wait_for(pid));
	return 0;
}
