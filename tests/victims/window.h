/* SPDX-License-Identifier: MIT */
/*
 * What the victims share that attack the spawn window: memory that survives a child's start-over, and the
 * question whether a child runs in its parent's memory. Nothing here makes a call that the shim interposes.
 */
#ifndef WINDOW_VICTIM_H
#define WINDOW_VICTIM_H

#include <limits.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include "victim.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof(*(array))))

/* A system call that no library sees. */
HELPER long raw_call(long number, long a, long b, long c, long d, long e)
{
#if defined(__x86_64__)
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
			 : "rcx", "r11", "memory");
	return result;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = number;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4)
			 : "memory");
	return x0;
#endif
}

#define KCMP_VM 1

/* Does the calling process share its parent's memory? False too where the kernel does not tell. */
HELPER int in_window(void)
{
	return raw_call(SYS_kcmp, raw_call(SYS_getpid, 0, 0, 0, 0, 0),
			raw_call(SYS_getppid, 0, 0, 0, 0, 0), KCMP_VM, 0, 0) == 0;
}

/* Does the kernel answer that question? Containers may forbid it. */
HELPER int windows_can_be_told(void)
{
	pid_t self = getpid();

	return raw_call(SYS_kcmp, self, self, KCMP_VM, 0, 0) == 0;
}

/* Shared by all processes of the victim. */
HELPER void *shared_memory(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		exit(97);
	return memory;
}

HELPER void cpu_relax(void)
{
#if defined(__x86_64__)
	__asm__ volatile("pause" ::: "memory");
#else
	__asm__ volatile("" ::: "memory");
#endif
}

HELPER void *churn(void *unused)
{
	unsigned seed = 1;

	for (;;) {
		char *block = malloc(16 + rand_r(&seed) % 4096);

		if (!block)
			abort();
		block[0] = 1;
		free(block);
		if (rand_r(&seed) % 64 == 0)
			usleep(100);
	}
	return unused;
}

/* Threads that use the heap until the process ends. They take no signals: those are the caller's. */
HELPER void start_churning(int threads)
{
	sigset_t all, old;
	pthread_t thread;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	while (threads-- > 0)
		if (pthread_create(&thread, NULL, churn, NULL))
			abort();
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* A program that only exits, as fast as may be: the one beside this victim, or true. */
HELPER char *quick_program(void)
{
	static char path[PATH_MAX];
	ssize_t size = readlink("/proc/self/exe", path, sizeof(path) - 32);
	char *slash;

	path[size > 0 ? size : 0] = 0;
	slash = strrchr(path, '/');
	if (slash)
		strcpy(slash + 1, "exit_static");
	return slash && !access(path, X_OK) ? path : (char *)"/bin/true";
}

#endif
