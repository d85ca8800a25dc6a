/* SPDX-License-Identifier: MIT */
/*
 * window_refuse WHAT: spawns at one site, first as any program and then in a state in which no child may
 * share memory: in a new pid namespace (unshare, setns), traced from the start or later, in a vfork child,
 * on a coroutine's stack, a signal stack or one of the program's own, at the limit of processes, behind a
 * seccomp filter that answers clone3 with an error. Prints "skip" where the state cannot be had.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <ucontext.h>

#include "window.h"

#define LEARNED 6
#define STACK ((size_t)256 << 10)

static const char *what, *detail;
static char *program;
static volatile int deviates; /* read anew by each child, so that there is one call of fork() */
static volatile int *quit;
static ucontext_t main_context, coroutine;
static int spawned;

static int is(const char *name)
{
	return !strcmp(what, name);
}

static void skip(const char *why)
{
	printf("skip: %s: %s\n", why, strerror(errno));
	exit(0);
}

static void child(void)
{
	char *const args[] = { "true", NULL };

	if (deviates == 1)
		_exit(5);
	if (deviates == 2)
		for (;;)
			pause();
	execv(program, args);
	_exit(127);
}

/* These three are the frames of the site's key, whoever calls them. */
HELPER pid_t spawn_1(int deviation)
{
	volatile long guard[4] = { 11, 22, 33, 44 };
	pid_t pid;

	deviates = deviation;
	errno = 0;
	pid = fork();
	if (pid == 0) {
		guard[2] = -1;
		child();
	}
	expect(guard[2] == 33, "a local changed");
	return pid;
}

HELPER pid_t spawn_2(int deviation)
{
	pid_t pid = spawn_1(deviation);

	spawned++;
	return pid;
}

HELPER pid_t spawn_3(int deviation)
{
	pid_t pid = spawn_2(deviation);

	__asm__ volatile("" ::: "memory");
	return pid;
}

/* The fourth of them. Waits for the child, but for one that waits itself. */
HELPER pid_t spawn(int deviation)
{
	pid_t pid = spawn_3(deviation);
	int error = errno;

	if (pid < 0)
		printf("fork: %s\n", strerror(error));
	else if (deviation != 2)
		print_status("child", spawned, wait_for(pid));
	return pid;
}

HELPER void spawn_some(void)
{
	volatile int i;

	for (i = 0; i < LEARNED; i++)
		spawn(i == LEARNED - 2);
}

static void learn(void)
{
	volatile int i;

	for (i = 0; i < LEARNED; i++)
		spawn(0);
}

/* The first child is the new namespace's init: with it all ends. */
static void in_namespace(void)
{
	pid_t init = spawn(2);

	if (init <= 0)
		return;
	spawn_some();
	kill_one(init, SIGKILL);
	print_status("init", 0, wait_for(init));
	spawn(0);
}

static void after_unshare(void)
{
	learn();
	if (unshare(CLONE_NEWPID) && unshare(CLONE_NEWUSER | CLONE_NEWPID))
		skip("unshare");
	in_namespace();
}

static void after_setns(void)
{
	int fd = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);

	learn();
	if (setns(fd, CLONE_NEWPID))
		skip("setns");
	spawn_some();
}

/* Hands signals on and takes no interest. */
static int trace(pid_t pid)
{
	int status, signal;

	for (;;) {
		if (waitpid(pid, &status, __WALL) < 0)
			return 1;
		if (WIFEXITED(status))
			return WEXITSTATUS(status);
		if (WIFSIGNALED(status))
			return 1;
		signal = WSTOPSIG(status);
		ptrace(PTRACE_CONT, pid, 0, signal == SIGTRAP || signal == SIGSTOP ? 0 : signal);
	}
}

static void traced(void)
{
	pid_t pid = fork();

	if (pid)
		exit(trace(pid));
	if (ptrace(PTRACE_TRACEME, 0, 0, 0))
		skip("ptrace");
	raise(SIGSTOP);
	learn();
	spawn_some();
}

/* As strace -f -p: also all children, and until they end. */
static void follow(pid_t victim)
{
	long options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
		       PTRACE_O_TRACEEXEC;
	int status;
	pid_t pid;

	if (ptrace(PTRACE_SEIZE, victim, 0, options)) {
		*quit = 2;
		_exit(0);
	}
	alarm(30);
	*quit = 1;
	while ((pid = waitpid(-1, &status, __WALL)) > 0) {
		int signal = WIFSTOPPED(status) ? WSTOPSIG(status) : 0;

		if (!WIFSTOPPED(status))
			continue;
		ptrace(PTRACE_CONT, pid, 0, signal == SIGTRAP || status >> 16 ? 0 : signal);
	}
	_exit(0);
}

static void traced_later(void)
{
	pid_t victim = getpid(), tracer;

	learn();
	quit = shared_memory(4096);
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	tracer = fork();
	if (tracer == 0) {
		if (fork())
			_exit(0);
		follow(victim);
	}
	wait_for(tracer);
	while (!*quit)
		usleep(100);
	if (*quit == 2)
		skip("ptrace");
	spawn_some();
}

/* Not allowed, and done. */
static void in_vfork(void)
{
	volatile pid_t pid;

	learn();
	pid = vfork();
	if (pid == 0) {
		spawn_some();
		_exit(8);
	}
	print_status("vfork child", 0, wait_for(pid));
	spawn_some();
}

static void on_coroutine(void)
{
	spawn_some();
}

static void run_coroutine(char *stack)
{
	getcontext(&coroutine);
	coroutine.uc_stack.ss_sp = stack;
	coroutine.uc_stack.ss_size = STACK;
	coroutine.uc_link = &main_context;
	makecontext(&coroutine, on_coroutine, 0);
	swapcontext(&main_context, &coroutine);
}

static char *new_stack(void)
{
	return mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void coroutines(void)
{
	char *heap = malloc(STACK), *mapped = new_stack();

	if (strcmp(detail, "first"))
		learn();
	run_coroutine(mapped);
	run_coroutine(heap);
	learn();
	free(heap);
}

static void on_signal(int signal)
{
	(void)signal;
	spawn_some();
}

static void signal_stack(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
	stack_t stack = { .ss_sp = new_stack(), .ss_size = STACK };

	sigaltstack(&stack, NULL);
	sigaction(SIGUSR1, &action, NULL);
	if (strcmp(detail, "first"))
		learn();
	raise(SIGUSR1);
	learn();
}

static void *run_thread(void *unused)
{
	spawn_some();
	spawn_some();
	return unused;
}

static void own_stack(void)
{
	pthread_attr_t attributes;
	char *heap = malloc(STACK);
	pthread_t thread;

	learn();
	pthread_attr_init(&attributes);
	pthread_attr_setstack(&attributes, strcmp(detail, "heap") ? new_stack() : heap, STACK);
	if (pthread_create(&thread, &attributes, run_thread, NULL))
		skip("pthread_create");
	pthread_join(thread, NULL);
	spawn_some();
}

static void no_processes(void)
{
	struct rlimit limit;

	learn();
	getrlimit(RLIMIT_NPROC, &limit);
	/* root is above it */
	if (getuid() == 0 && setresuid(12345, 12345, 12345))
		skip("setresuid");
	limit.rlim_cur = 0;
	setrlimit(RLIMIT_NPROC, &limit);
	spawn_some();
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NPROC, &limit);
	spawn_some();
}

static void filtered(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_clone3, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (uint32_t)atoi(detail)),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { COUNT(code), code };

	learn();
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter))
		skip("seccomp");
	spawn_some();
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*run)(void);
	} table[] = {
		{ "unshare", after_unshare },
		{ "setns", after_setns },
		{ "traced", traced },
		{ "traced-later", traced_later },
		{ "vfork", in_vfork },
		{ "coroutine", coroutines },
		{ "signal-stack", signal_stack },
		{ "own-stack", own_stack },
		{ "processes", no_processes },
		{ "seccomp", filtered },
	};
	int i;

	what = string_argument(argc, argv, 1, "none");
	detail = string_argument(argc, argv, 2, "");
	setvbuf(stdout, NULL, _IONBF, 0);
	program = quick_program();
	for (i = 0; i < COUNT(table); i++)
		if (is(table[i].name)) {
			table[i].run();
			return victim_faults != 0;
		}
	return 2;
}
