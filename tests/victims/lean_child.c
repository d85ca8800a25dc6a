/* SPDX-License-Identifier: MIT */
/*
 * lean_child WHAT: a site whose children execute at first, so that they become lean, and then one that does WHAT. It
 * prints what it sees of memory that its parent changes as soon as it can.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>

#include "victim.h"

#define SIZE ((size_t)16 << 20)
#define STEPS 8

extern char **environ;

static unsigned char *memory, *block;
static int to_child[2], to_parent[2];

static void fill(unsigned char salt)
{
	for (size_t i = 0; i < SIZE; i += 64)
		memory[i] = block[i] = (unsigned char)(i / 64 + i / 4096 + salt);
}

static unsigned sum(void)
{
	unsigned result = 1;

	for (size_t i = 0; i < SIZE; i += 64)
		result = result * 31 + memory[i] + block[i];
	return result;
}

static unsigned sample(size_t from)
{
	unsigned result = 1;

	for (size_t i = from; i < SIZE; i += 333312)
		result = result * 31 + memory[i & ~(size_t)63] + block[i & ~(size_t)63];
	return result;
}

static void say(const char *what, unsigned value)
{
	char line[80];

	if (write(1, line, (size_t)snprintf(line, sizeof(line), "%s %u\n", what, value)) < 0)
		_exit(9);
}

static void *in_thread(void *argument)
{
	say("thread", sum());
	return argument;
}

static sigjmp_buf back;
static volatile sig_atomic_t handled;

static void jump(int signal, siginfo_t *info, void *context)
{
	(void)context;
	say("signal", (unsigned)signal);
	say("at the address", info->si_addr == (void *)16);
	say("on its stack", sample(5000));
	siglongjmp(back, 1);
}

static void count(int signal)
{
	handled += signal;
	say("handler", sample((size_t)signal * 70000));
	if (signal == SIGALRM && write(to_child[1], "x", 1) != 1)
		_exit(7);
}

static void handler_set(int signal, void (*function)(int))
{
	struct sigaction action = { .sa_handler = function, .sa_flags = SA_RESTART };

	sigfillset(&action.sa_mask);
	sigaction(signal, &action, NULL);
}

static void alarm_soon(void)
{
	struct itimerval soon = { .it_value = { .tv_usec = 20000 } };

	setitimer(ITIMER_REAL, &soon, NULL);
}

static void wait_for_byte(void)
{
	char byte;

	if (read(to_child[0], &byte, 1) != 1)
		_exit(8);
}

static void show(void)
{
	execl("/bin/grep", "grep", "-E", "Sig(Blk|Ign|Cgt)", "/proc/self/status", NULL);
	_exit(127);
}

static void large_calls(void)
{
	int file = memfd_create("large", 0);
	ssize_t wrote = write(file, memory + 1000, 10 << 20), got;

	say("wrote", (unsigned)wrote);
	got = pread(file, block + 3000, 10 << 20, 0);
	say("got", (unsigned)got);
	say("same", memcmp(memory + 1000, block + 3000, 10 << 20) == 0);
	say("sum", sum());
}

#ifdef __x86_64__
/* By the entry for 32-bit programs, where SYS_getpid is 20. */
static long old_getpid(void)
{
	long result = 20;

	__asm__ volatile("int $0x80" : "+a"(result) : : "memory");
	return result;
}
#else
#define old_getpid getpid
#endif

static void map_calls(void)
{
	unsigned char *moved;
	void *top = sbrk(0);

	say("unmapped", (unsigned)munmap(memory + (4 << 20) + 4096, 1 << 20));
	say("before", memory[(4 << 20) + 4032]);
	say("behind", memory[(5 << 20) + 4096]);
	say("fixed",
	    mmap(memory + (4 << 20) + 4096, 8192, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == memory + (4 << 20) + 4096);
	say("zero", memory[(4 << 20) + 4096]);
	say("read only", (unsigned)mprotect(memory + (8 << 20), 1 << 20, PROT_READ));
	say("read", memory[(8 << 20) + 640]);
	say("gone", (unsigned)madvise(memory + (10 << 20), 1 << 20, MADV_DONTNEED));
	say("zero", memory[(10 << 20) + 640]);
	moved = realloc(block, SIZE * 2);
	say("moved", moved[SIZE / 2] + moved[SIZE - 64]);
	moved = malloc(100000);
	memset(moved, 1, 100000);
	say("heap", sbrk(0) >= top);
	for (int i = 0; i < 64; i++) {
		void *fresh = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (*(unsigned *)fresh)
			say("not fresh", (unsigned)i);
	}
	say("far", memory[14 << 20] + memory[SIZE - 64]);
}

static void faults(const char *what)
{
	struct sigaction action = { .sa_sigaction = jump, .sa_flags = SA_SIGINFO | SA_ONSTACK };
	stack_t stack = { .ss_sp = block + SIZE + 4096, .ss_size = 1 << 16 };

	if (!strcmp(what, "fault-caught")) {
		sigaltstack(&stack, NULL);
		sigaction(SIGSEGV, &action, NULL);
		if (!sigsetjmp(back, 1))
			*(volatile int *)16 = 1;
		say("sum", sum());
		if (!sigsetjmp(back, 1))
			*(volatile int *)16 = 1;
		show();
	}
	if (!strcmp(what, "fault-sent"))
		kill_one(getpid(), SIGSEGV);
	*(volatile int *)16 = 1;
}

static void child(const char *what)
{
	char *const argv[] = { (char *)"/bin/echo", (char *)"spawned", NULL };
	struct timespec nap = { 0, 300000000 };
	pthread_t thread;
	sigset_t set;
	pid_t pid;
	int status;

	if (!strcmp(what, "handshake")) {
		say("sample", sample(0));
		wait_for_byte();
		say("sample", sample(6400));
		execl("/bin/echo", "echo", "executed", NULL);
	} else if (!strcmp(what, "stays")) {
		nanosleep(&nap, NULL);
		say("sum", sum());
		wait_for_byte();
		say("sum", sum());
		_exit(5);
	} else if (!strcmp(what, "spins")) {
		for (clock_t end = clock() + 2 * CLOCKS_PER_SEC; clock() < end;)
			sample(64 * 77);
		say("sum", sum());
		_exit(6);
	} else if (!strncmp(what, "fault", 5)) {
		faults(what);
	} else if (!strcmp(what, "blocked")) {
		sigfillset(&set);
		sigprocmask(SIG_SETMASK, &set, NULL);
		say("sample", sample(6400));
		sigprocmask(SIG_SETMASK, NULL, &set);
		say("blocked",
		    (unsigned)sigismember(&set, SIGSEGV) + (unsigned)sigismember(&set, SIGSYS));
		show();
	} else if (!strcmp(what, "ignored")) {
		signal(SIGSEGV, SIG_IGN);
		signal(SIGSYS, SIG_IGN);
		signal(SIGPIPE, SIG_IGN);
		say("sample", sample(6400));
		say("ignored", signal(SIGSYS, SIG_IGN) == SIG_IGN);
		execl("/nowhere", "nowhere", NULL);
		say("sample", sample(640000));
		show();
	} else if (!strcmp(what, "handler")) {
		handler_set(SIGUSR2, count);
		kill_one(getpid(), SIGUSR1);
		raise(SIGUSR2);
		alarm_soon();
		wait_for_byte();
		say("handled", (unsigned)handled);
		show();
	} else if (!strcmp(what, "alarm")) {
		alarm_soon();
		while (!handled)
			sample(640);
		say("handled", (unsigned)handled);
		show();
	} else if (!strcmp(what, "fork")) {
		pid = fork();
		if (!pid) {
			say("grandchild", sum());
			_exit(3);
		}
		print_status("grandchild", 0, wait_for(pid));
		say("sum", sum());
		execl("/bin/echo", "echo", "executed", NULL);
	} else if (!strcmp(what, "raw-fork")) {
		pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);
		if (!pid) {
			say("grandchild", sum());
			_exit(3);
		}
		print_status("grandchild", 0, wait_for(pid));
		execl("/bin/echo", "echo", "executed", NULL);
	} else if (!strcmp(what, "vfork")) {
		pid = vfork();
		if (!pid)
			_exit(memory[SIZE / 2] == block[SIZE / 2] ? 3 : 4);
		print_status("grandchild", 0, wait_for(pid));
		execl("/bin/echo", "echo", "executed", NULL);
	} else if (!strcmp(what, "spawn")) {
		status = posix_spawn(&pid, argv[0], NULL, NULL, argv, environ);
		print_status("grandchild", status, wait_for(pid));
		say("system", (unsigned)system("echo by system"));
		say("sum", sum());
		execl("/bin/echo", "echo", "executed", NULL);
	} else if (!strcmp(what, "thread")) {
		pthread_create(&thread, NULL, in_thread, NULL);
		pthread_join(thread, NULL);
		say("sum", sum());
		execl("/bin/echo", "echo", "executed", NULL);
	} else if (!strcmp(what, "closes")) {
		for (int i = 3; i < 4096; i++)
			close(i);
		say("sum", sum());
		execl("/bin/ls", "ls", "/proc/self/fd", NULL);
	} else if (!strcmp(what, "calls")) {
		large_calls();
		execl("/bin/echo", "echo", "executed", NULL);
	} else if (!strcmp(what, "generations")) {
		say("sample", sample(640));
		for (int i = 0; i < STEPS; i++) {
			memory[i * 64] = (unsigned char)i;
			pid = xfork();
			if (!pid && i == STEPS - 1)
				say("grandchild", sum());
			if (!pid)
				execl("/bin/true", "true", NULL);
			memory[i * 64] = 77;
			print_status("grandchild", i, wait_for(pid));
		}
		say("sum", sum());
		execl("/bin/echo", "echo", "executed", NULL);
	} else if (!strncmp(what, "wiped", 5) || !strncmp(what, "namespace", 9)) {
		say("sum", sum());
		execl("/bin/echo", "echo", "executed", NULL);
	} else if (!strcmp(what, "trapped")) {
		syscall(SYS_personality, 0xffffffff);
		say("sum", sum());
		execl("/bin/echo", "echo", "executed", NULL);
	} else if (!strcmp(what, "int80")) {
		say("the same", old_getpid() == getpid());
		say("sum", sum());
		execl("/bin/echo", "echo", "executed", NULL);
	} else if (!strcmp(what, "maps")) {
		map_calls();
		execl("/bin/echo", "echo", "executed", NULL);
	}
	_exit(127);
}

/* From then on children are in a pid namespace of their own, told to libc or not. */
static int unshared(const char *what)
{
	if (!strcmp(what, "namespace"))
		return unshare(CLONE_NEWPID);
#ifdef __x86_64__
	if (!strcmp(what, "namespace-inline")) {
		long result;

		__asm__ volatile("syscall"
				 : "=a"(result)
				 : "0"(SYS_unshare), "D"(CLONE_NEWPID)
				 : "rcx", "r11", "memory");
		return result != 0;
	}
#endif
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "handshake";
	volatile int steps; /* one site, whatever the compiler makes of the last step */
	int status;

	setvbuf(stdout, NULL, _IONBF, 0);
	if (pipe(to_child) || pipe(to_parent))
		return 2;
	memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	block = malloc(SIZE + (1 << 20));
	handler_set(SIGUSR1, count);
	handler_set(SIGALRM, count);
	if (!strcmp(what, "wiped") && madvise(memory + (1 << 20), 1 << 20, MADV_WIPEONFORK))
		return 2;
	if (!strcmp(what, "wiped-raw") &&
	    syscall(SYS_madvise, memory + (1 << 20), 1 << 20, MADV_WIPEONFORK))
		return 2;
	for (steps = 0; steps < STEPS; steps++) {
		pid_t pid;

		fill((unsigned char)steps);
		if (steps == STEPS - 1 && unshared(what))
			return 77;
		pid = xfork();
		if (!pid) {
			if (steps == STEPS - 1)
				child(what);
			execl("/bin/true", "true", NULL);
			_exit(126);
		}
		fill((unsigned char)(steps + 100));
		/* what waits for its parent has waited for what it does after the fork */
		if (steps == STEPS - 1 && strcmp(what, "handler") &&
		    write(to_child[1], "x", 1) != 1)
			return 3;
		status = wait_for(pid);
		print_status("child", steps, status);
	}
	say("parent", sum());
	return 0;
}
