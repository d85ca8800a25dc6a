/* SPDX-License-Identifier: MIT */
/*
 * lean_edge WHAT: a site whose children execute at first, so that they become lean, and then one that does WHAT, at the
 * edge of what the kernel's interfaces say. It prints what it sees of memory that its parent has filled.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>

#include "victim.h"

#define SIZE ((size_t)32 << 20)
#define SPARSE ((size_t)512 << 20)
#define DEEP ((size_t)1 << 20)
#define STEPS 8

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif

static unsigned char *memory, *sparse;
static int *shared; /* with the child */
static volatile pid_t forked, followed;

static void say(const char *what, long value)
{
	char line[80];

	if (write(1, line, (size_t)snprintf(line, sizeof(line), "%s %ld\n", what, value)) < 0)
		_exit(9);
}

static void said(const char *what, long result)
{
	say(what, result < 0 ? -errno : result);
}

static unsigned sum(void)
{
	unsigned result = 1;

	for (size_t i = 0; i < SIZE; i += 64)
		result = result * 31 + memory[i];
	return result;
}

static void show(void)
{
	execl("/bin/grep", "grep", "-E", "Sig(Blk|Ign|Cgt)", "/proc/self/status", NULL);
	_exit(127);
}

static void unaligned(void)
{
	said("mprotect", mprotect(memory + 100, 4096, PROT_READ));
	said("madvise", madvise(memory + (1 << 20) + 8, 8192, MADV_DONTNEED));
	said("munmap", munmap(memory + (2 << 20) + 1, 4096));
	say("mremap", mremap(memory + (3 << 20) + 12, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED);
	say("mmap", mmap(memory + 7, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1,
			 0) == MAP_FAILED);
	said("empty", mprotect(memory + (4 << 20), 0, PROT_READ));
}

static void filter(void)
{
	struct sock_fprog program = { 2, (struct sock_filter *)(memory + (8 << 20)) };
	struct sock_filter *got = (struct sock_filter *)(memory + (16 << 20) - 8);
	socklen_t count = 2;
	char byte = 0;
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_DGRAM, 0, pair))
		_exit(8);
	said("attach",
	     setsockopt(pair[1], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)));
	said("get", getsockopt(pair[1], SOL_SOCKET, SO_ATTACH_FILTER, got, &count));
	say("count", count);
	say("code", got[1].code);
	said("sent", send(pair[0], "x", 1, 0));
	said("received", recv(pair[1], &byte, 1, MSG_DONTWAIT));
}

static void stack_flags(void)
{
	stack_t stack = { .ss_sp = memory, .ss_size = 65536, .ss_flags = SS_ONSTACK }, old;

	said("first", sigaltstack(&stack, NULL));
	said("asked", sigaltstack(NULL, &old));
	say("flags", old.ss_flags);
	said("second", sigaltstack(&stack, NULL));
}

static void self_files(void)
{
	unsigned char bytes[64];
	char line[256], permissions[8];
	unsigned long low, high;
	int file = open("/proc/self/mem", O_RDWR);
	FILE *maps;

	said("mem",
	     pread(file, bytes, sizeof(bytes), (off_t)(uintptr_t)(memory + (5 << 20) + 640)));
	say("byte", bytes[0]);
	maps = fopen("/proc/self/maps", "r");
	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %7s", &low, &high, permissions) == 3 &&
		    (uintptr_t)(memory + (20 << 20)) >= low &&
		    (uintptr_t)(memory + (20 << 20)) < high)
			say(permissions, 0);
}

/* Its parent cannot open a file meanwhile, and answer which pages it has. */
static void becomes_ordinary(void)
{
	struct rlimit none = { 0, 0 }, files;
	char text[64] = "";
	long size = 0, resident = 0;
	int file;

	none.rlim_max = getrlimit(RLIMIT_NOFILE, &files) ? 0 : files.rlim_max;
	said("limit", prlimit(getppid(), RLIMIT_NOFILE, &none, &files));
	kill_one(getpid(), 0);
	said("limit", prlimit(getppid(), RLIMIT_NOFILE, &files, NULL));
	say("sparse", sparse[0] + sparse[SPARSE / 2] + sparse[SPARSE - 1]);
	file = open("/proc/self/statm", O_RDONLY);
	if (read(file, text, sizeof(text) - 1) < 0)
		_exit(6);
	sscanf(text, "%ld %ld", &size, &resident);
	say("not resident", resident < (long)(SPARSE / 2) / getpagesize());
}

/* The thread that has forked is another. */
static int parent_main_ended(void)
{
	char name[64], text[256];
	int file;
	ssize_t size;

	snprintf(name, sizeof(name), "/proc/%d/stat", (int)getppid());
	file = open(name, O_RDONLY);
	size = read(file, text, sizeof(text) - 1);
	close(file);
	if (size <= 0)
		_exit(6);
	text[size] = 0;
	return strstr(text, ") Z ") != NULL;
}

/* On an alternate stack that has the room. */
static void deep(int signal)
{
	volatile unsigned char bytes[DEEP];

	for (size_t i = sizeof(bytes); i; i -= 64)
		bytes[i - 64] = 255;
	shared[0] = signal + bytes[0];
}

static void deep_stack(void)
{
	stack_t stack = { .ss_sp = malloc(2 * DEEP), .ss_size = 2 * DEEP };
	struct sigaction action = { .sa_handler = deep, .sa_flags = SA_ONSTACK };

	sigaltstack(&stack, NULL);
	sigaction(SIGALRM, &action, NULL);
}

static void deep_wait(void)
{
	struct itimerval soon = { .it_value = { .tv_usec = 1000 } };

	setitimer(ITIMER_REAL, &soon, NULL);
	while (!*(volatile int *)&shared[0])
		;
	say("handled", shared[0]);
}

/* A system call on a stack that has no room, where nobody needs any. */
static void narrow(void)
{
	unsigned char *stack =
		mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	long result = SYS_getpid;

	mprotect(stack, 4096, PROT_NONE);
#ifdef __x86_64__
	__asm__ volatile("mov %%rsp, %%rbx\n\tmov %1, %%rsp\n\tsyscall\n\tmov %%rbx, %%rsp"
			 : "+a"(result)
			 : "r"(stack + 4096)
			 : "rbx", "rcx", "r11", "memory");
#else
	result = getpid();
#endif
	say("the same", result == getpid());
}

static void child(const char *what)
{
	stack_t stack;

	if (!strcmp(what, "unaligned")) {
		unaligned();
	} else if (!strcmp(what, "filter")) {
		filter();
	} else if (!strcmp(what, "stack-flags")) {
		stack_flags();
	} else if (!strcmp(what, "in-handler")) {
		sigaltstack(NULL, &stack);
		say("stack", stack.ss_sp == memory + (12 << 20));
		say("sum", sum());
		show();
	} else if (!strcmp(what, "main-ends")) {
		shared[1] = 1;
		while (!*(volatile int *)&shared[2])
			;
		while (!parent_main_ended())
			sched_yield();
	} else if (!strcmp(what, "guard")) {
		say("guard", memory[6 << 20]);
	} else if (!strcmp(what, "files")) {
		self_files();
	} else if (!strcmp(what, "narrow")) {
		narrow();
	} else if (!strcmp(what, "stack-after")) {
		kill_one(getpid(), 0);
		sigaltstack(NULL, &stack);
		say("stack", stack.ss_sp == memory + (12 << 20));
	} else if (!strcmp(what, "deep")) {
		deep_wait();
	} else if (!strcmp(what, "deep-child")) {
		deep_stack();
		deep_wait();
	} else if (!strcmp(what, "sparse")) {
		becomes_ordinary();
	} else if (!strcmp(what, "follow")) {
		usleep(20000); /* bare, its parent's fork() returns before */
		_exit(3);
	}
	say("sum", sum());
	execl("/bin/echo", "echo", "executed", NULL);
	_exit(127);
}

static void fork_here(int signal)
{
	(void)signal;
	forked = xfork();
}

/* The frame that the child returns by is its parent's. */
static void fork_in_handler(void)
{
	struct sigaction action = { .sa_handler = fork_here };

	sigfillset(&action.sa_mask);
	sigaction(SIGUSR1, &action, NULL);
	raise(SIGUSR1);
}

static pthread_mutex_t guarded = PTHREAD_MUTEX_INITIALIZER;

static void take(void)
{
	pthread_mutex_lock(&guarded);
}

static void give(void)
{
	pthread_mutex_unlock(&guarded);
}

/* Another child for the one that has ended. */
static void follow(int signal)
{
	(void)signal;
	if (followed != -1)
		return;
	followed = fork();
	if (!followed)
		_exit(4);
}

static void before(const char *what)
{
	struct sock_filter *program = (struct sock_filter *)(memory + (8 << 20));
	stack_t stack = { .ss_sp = memory + (12 << 20), .ss_size = 65536 };
	sigset_t set;

	if (!strcmp(what, "filter")) {
		program[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_IMM, 0);
		program[1] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_A, 0);
	} else if (!strcmp(what, "in-handler")) {
		sigfillset(&set);
		sigdelset(&set, SIGUSR1);
		sigprocmask(SIG_SETMASK, &set, NULL);
		sigaltstack(&stack, NULL);
	} else if (!strcmp(what, "deep")) {
		deep_stack();
	} else if (!strcmp(what, "stack-after")) {
		sigaltstack(&stack, NULL);
	} else if (!strcmp(what, "sparse")) {
		sparse = mmap(NULL, SPARSE, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		sparse[SPARSE / 2] = 5;
		sparse[SPARSE - 1] = 6;
	} else if (!strcmp(what, "follow")) {
		pthread_atfork(take, give, give);
		signal(SIGCHLD, follow);
	} else if (!strcmp(what, "guard")) {
		madvise(memory + (6 << 20), 4096, MADV_GUARD_INSTALL);
	}
}

static void *run(void *argument)
{
	const char *what = argument;
	volatile int steps; /* one site, whatever the compiler makes of the last step */

	for (steps = 0; steps < STEPS; steps++) {
		if (steps == STEPS - 1)
			followed = -1;
		if (!strcmp(what, "in-handler"))
			fork_in_handler();
		else
			forked = xfork();
		if (!forked) {
			if (steps == STEPS - 1)
				child(what);
			execl("/bin/true", "true", NULL);
			_exit(126);
		}
		print_status("child", steps, wait_for(forked));
	}
	if (!strcmp(what, "follow"))
		print_status("follower", 0, wait_for(followed));
	if (strcmp(what, "guard"))
		say("parent", sum());
	return NULL;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "unaligned";
	pthread_t thread;

	setvbuf(stdout, NULL, _IONBF, 0);
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (size_t i = 0; i < SIZE; i += 64)
		memory[i] = (unsigned char)(i / 64 + i / 4096);
	before(what);
	if (strcmp(what, "main-ends")) {
		run((void *)what);
		return 0;
	}
	pthread_create(&thread, NULL, run, (void *)what);
	while (!*(volatile int *)&shared[1])
		;
	shared[2] = 1;
	syscall(SYS_exit, 0);
	return 1;
}
