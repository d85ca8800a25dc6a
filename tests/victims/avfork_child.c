/* SPDX-License-Identifier: MIT */
/* Children of avfork(), one case a run: avfork_child CASE [NUMBER]. */
#include <fcntl.h>
#include <malloc.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "avfork.h"
#include "window.h"

static int seven(void *argument)
{
	(void)argument;
	return 7;
}

static char *quick_argv[2];

static int execute(void *argument)
{
	(void)argument;
	execv(quick_argv[0], quick_argv);
	return 99;
}

static void wait_exit(pid_t pid, int code)
{
	int status = wait_for(pid);

	expect(WIFEXITED(status) && WEXITSTATUS(status) == code, "the exit status is another");
}

static void case_status(int number)
{
	int i;

	for (i = 0; i < number; i++) {
		wait_exit(start(seven, NULL), 7);
		wait_exit(start(execute, NULL), 0);
	}
}

/* A word for each step, written by one process and awaited by another. */
static volatile int step;

static void reach(int to)
{
	__atomic_store_n(&step, to, __ATOMIC_RELEASE);
}

static void await(int to)
{
	while (__atomic_load_n(&step, __ATOMIC_ACQUIRE) < to)
		sched_yield();
}

static __thread int own = 1;
static __thread int *own_address;

static int write_errno(void *argument)
{
	int faults = 0;

	(void)argument;
	faults += errno != ERANGE || own != 5;
	faults += (pid_t)syscall(SYS_gettid) != getpid() || raise(0) != 0;
	own_address = &own;
	reach(1);
	await(2);
	for (int i = 0; i < 1000; i++) {
		close(-1);
		faults += errno != EBADF;
		own++;
	}
	faults += own != 1005 || own_address != &own;
	return faults;
}

/* The caller does not wait, and neither changes what the other has for itself. */
static void case_errno(int number)
{
	int round, i;

	for (round = 0; round < number; round++) {
		pid_t pid;

		step = 0;
		errno = ERANGE;
		own = 5;
		own_address = NULL;
		pid = start(write_errno, NULL);
		await(1);
		expect(errno == ERANGE, "errno of the caller has changed");
		reach(2);
		for (i = 0; i < 1000; i++) {
			expect(syscall(SYS_lseek, 0, 0, 12345) < 0 && errno != EBADF,
			       "errno of the child is seen by the caller");
			expect(own == 5 && !own_address, "a variable of the thread has changed");
		}
		wait_exit(pid, 0);
	}
}

static volatile sig_atomic_t handled;
static pid_t handled_by;

static void handler(int signal)
{
	(void)signal;
	handled++;
	if (getpid() != handled_by)
		syscall(SYS_exit_group, 55);
}

static int forever(void *argument)
{
	(void)argument;
	reach(1);
	while (pause() < 0)
		;
	return 0;
}

static int mask_of(void *argument)
{
	sigset_t now;

	(void)argument;
	sigprocmask(SIG_BLOCK, NULL, &now);
	return sigismember(&now, SIGUSR2) + 2 * sigismember(&now, SIGUSR1);
}

/* A signal to the child ends it by its default action; one to both runs the handler in the parent alone. */
static void case_signals(int number)
{
	struct sigaction action = { .sa_handler = handler };
	sigset_t one;
	int i, status;

	handled_by = getpid();
	sigaction(SIGUSR1, &action, NULL);
	sigemptyset(&one);
	sigaddset(&one, SIGUSR2);
	sigprocmask(SIG_BLOCK, &one, NULL);
	wait_exit(start(mask_of, NULL), 1);
	for (i = 0; i < number; i++) {
		pid_t pid;

		step = 0;
		pid = start(i % 2 ? forever : execute, NULL);
		if (i % 2 && i % 4 == 1)
			await(1);
		kill_one(pid, SIGUSR1);
		kill_one(getpid(), SIGUSR1);
		status = wait_for(pid);
		expect(i % 2 ? WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1 :
			       (WIFSIGNALED(status) && WTERMSIG(status) == SIGUSR1) || !status,
		       "the child was not killed by its signal");
		expect(handled == i + 1, "the parent's handler has not run just once");
	}
}

static int until_told(void *argument)
{
	int *go = argument;

	while (!__atomic_load_n(go, __ATOMIC_ACQUIRE))
		usleep(10000);
	return 3;
}

static void case_flight(int number)
{
	static int go;
	static pid_t pid[8192];
	int i;

	for (i = 0; i < number; i++)
		pid[i] = start(until_told, &go);
	__atomic_store_n(&go, 1, __ATOMIC_RELEASE);
	for (i = 0; i < number; i++)
		wait_exit(pid[i], 3);
	i = mappings();
	pid[0] = start(seven, NULL);
	wait_exit(pid[0], 7);
	expect(mappings() == i, "a stack was mapped though there are free ones");
}

static void case_reclaim(int number)
{
	int i, before;

	for (i = 0; i < 100; i++)
		wait_exit(start(i % 2 ? seven : execute, NULL), i % 2 ? 7 : 0);
	before = mappings();
	for (i = 0; i < number; i++) {
		pid_t pid = start(i % 100 ? seven : i % 200 ? forever : execute, NULL);
		int status;

		if (i % 100 == 0 && i % 200)
			kill_one(pid, SIGKILL);
		status = wait_for(pid);
		expect(i % 100 == 0 || status == 7 << 8, "the exit status is another");
	}
	expect(mappings() == before, "the memory map has grown");
}

/* Threads that use the heap, and threads that start children, all at once. */
static void *start_many(void *argument)
{
	int i, number = *(int *)argument;

	for (i = 0; i < number; i++) {
		errno = 1000 + i;
		wait_exit(start(i % 2 ? seven : execute, NULL), i % 2 ? 7 : 0);
		expect(errno == 1000 + i, "errno of the caller has changed");
	}
	return NULL;
}

static void case_threads(int number)
{
	pthread_t thread[4];
	int i;

	start_churning(2);
	for (i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, start_many, &number);
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
}

/* A thread ends while its child lives: the child's storage was never the thread's. */
static pid_t outlives;

static void *start_one(void *argument)
{
	outlives = start(until_told, argument);
	return NULL;
}

static void case_thread_ends(int number)
{
	pthread_t thread;
	int i, go;

	for (i = 0; i < number; i++) {
		go = 0;
		pthread_create(&thread, NULL, start_one, &go);
		pthread_join(thread, NULL);
		__atomic_store_n(&go, 1, __ATOMIC_RELEASE);
		wait_exit(outlives, 3);
	}
}

/* A real child of the parent's while children of avfork() are on their way: it makes its own. */
static void case_fork(int number)
{
	int i, go, status;

	for (i = 0; i < number; i++) {
		pid_t child, pid;

		go = 0;
		child = start(until_told, &go);
		pid = fork();
		if (!pid) {
			int before = mappings();

			wait_exit(start(seven, NULL), 7);
			expect(mappings() == before, "the child's stacks were not free");
			_exit(victim_faults);
		}
		status = wait_for(pid);
		expect(status == 0, "the forked child went wrong");
		go = 1;
		wait_exit(child, 3);
	}
}

static int tell_when_alone(void *argument)
{
	long parent = (long)argument;

	while (getppid() == parent)
		usleep(1000);
	usleep(10000);
	return write(1, "child goes on\n", 14) != 14;
}

/* The parent executes, or ends, and the child does what it was to do. */
static void case_parent_ends(int number)
{
	(void)number;
	start(tell_when_alone, (void *)(long)getpid());
	_exit(0);
}

static int slow_write(void *argument)
{
	char path[64], program[256];
	ssize_t size;

	snprintf(path, sizeof(path), "/proc/%ld/exe", (long)argument);
	do {
		usleep(1000);
		size = readlink(path, program, sizeof(program) - 1);
		program[size > 0 ? size : 0] = 0;
	} while (size > 0 && !strstr(program, "sleep") && !strstr(program, "coreutils"));
	return write(1, "child goes on\n", 14) != 14;
}

static void case_parent_executes(int number)
{
	(void)number;
	start(slow_write, (void *)(long)getpid());
	execlp("sleep", "sleep", "1", NULL);
	_exit(98);
}

/* What the child changes of its own is not its parent's. */
static int change(void *argument)
{
	struct rlimit limit = { 50, 50 };
	sigset_t all;

	(void)argument;
	sigfillset(&all);
	umask(0);
	close(0);
	setsid();
	setrlimit(RLIMIT_NOFILE, &limit);
	sigprocmask(SIG_SETMASK, &all, NULL);
	signal(SIGTERM, SIG_IGN);
	return chdir("/") != 0;
}

static void case_own(int number)
{
	struct sigaction action;
	struct rlimit limit;
	char folder[PATH_MAX];
	sigset_t mask;

	(void)number;
	umask(027);
	wait_exit(start(change, NULL), 0);
	expect(umask(0) == 027, "the umask is the child's");
	expect(getcwd(folder, sizeof(folder)) && strcmp(folder, "/"), "the folder is the child's");
	expect(fcntl(0, F_GETFD) >= 0, "a descriptor is gone");
	getrlimit(RLIMIT_NOFILE, &limit);
	expect(limit.rlim_cur != 50, "a limit is the child's");
	sigprocmask(SIG_BLOCK, NULL, &mask);
	expect(!sigismember(&mask, SIGINT), "the mask is the child's");
	sigaction(SIGTERM, NULL, &action);
	expect(action.sa_handler == SIG_DFL, "an action is the child's");
	expect(getsid(0) != getpid() || getpid() == getsid(0), "the session is the child's");
}

static int overflow(void *argument)
{
	volatile char frame[4096];

	frame[0] = 1;
	if (argument == frame)
		return 0;
	return overflow(argument) + frame[0];
}

static int use_stack(void *argument)
{
	volatile char frame[AVFORK_STACK - 512];

	(void)argument;
	for (size_t i = 0; i < sizeof(frame); i += 64)
		frame[i] = 1;
	return frame[64];
}

/* All that is promised of the stack, and the end of the child alone where it uses more. */
static void case_stack(int number)
{
	struct rlimit none = { 0, 0 };
	int i, status;

	setrlimit(RLIMIT_CORE, &none);
	for (i = 0; i < number; i++) {
		wait_exit(start(use_stack, NULL), 1);
		status = wait_for(start(overflow, NULL));
		expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV,
		       "the child went on below its stack");
	}
}

static void case_errors(int number)
{
	struct rlimit limit = { 0, 0 };
	__typeof__(&avfork) call = AVFORK_FIND(avfork);

	(void)number;
	errno = 0;
	expect(call(NULL, NULL) == -1 && errno == EINVAL, "no routine is not EINVAL");
	if (geteuid() == 0 && (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)))
		exit(97);
	setrlimit(RLIMIT_NPROC, &limit);
	errno = 0;
	expect(call(seven, NULL) == -1 && errno == EAGAIN, "no more processes is not EAGAIN");
}

/* In a signal handler. */
static pid_t handler_pid;

static void start_in_handler(int signal)
{
	(void)signal;
	handler_pid = start(seven, NULL);
}

static void case_handler(int number)
{
	struct sigaction action = { .sa_handler = start_in_handler };
	int i;

	sigaction(SIGUSR1, &action, NULL);
	for (i = 0; i < number; i++) {
		raise(SIGUSR1);
		wait_exit(handler_pid, 7);
	}
}

static const struct {
	const char *name;
	void (*run)(int);
} cases[] = {
	{ "status", case_status },
	{ "errno", case_errno },
	{ "signals", case_signals },
	{ "flight", case_flight },
	{ "reclaim", case_reclaim },
	{ "threads", case_threads },
	{ "thread-ends", case_thread_ends },
	{ "fork", case_fork },
	{ "parent-ends", case_parent_ends },
	{ "parent-executes", case_parent_executes },
	{ "own", case_own },
	{ "stack", case_stack },
	{ "errors", case_errors },
	{ "handler", case_handler },
};

int main(int argc, char **argv)
{
	int i;

	setvbuf(stdout, NULL, _IONBF, 0);
	quick_argv[0] = quick_program();
	for (i = 0; argc > 1 && i < COUNT(cases); i++)
		if (!strcmp(argv[1], cases[i].name)) {
			cases[i].run(number_argument(argc, argv, 2, 1));
			puts("done");
			return victim_faults != 0;
		}
	return 95;
}
