// SPDX-License-Identifier: MIT
/*
 * lock_first: a signal handler interrupts the first call of pthread_spin_trylock() after each of its instructions, and
 * calls it, too, in a child that is given a second for that. Prints how many did. 77: not on this machine.
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define TRAP 0x100UL /* the flag that traps after each instruction */

static pthread_spinlock_t spin, other;
static int steps, hung_at;

/* No function that the shim knows. */
static long call(long number, long a, long b, long c, long d)
{
	register long r10 __asm__("r10") = d;
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10)
			 : "rcx", "r11", "memory");
	return result;
}

static void on_trap(int signal)
{
	int status = 0;
	long child;

	(void)signal;
	steps++;
	if (hung_at)
		return;
	child = call(SYS_fork, 0, 0, 0, 0);
	if (child == 0) {
		call(SYS_alarm, 1, 0, 0, 0);
		pthread_spin_trylock(&other);
		call(SYS_exit_group, 0, 0, 0, 0);
	}
	call(SYS_wait4, child, (long)&status, 0, 0);
	if (status)
		hung_at = steps;
}

static void trap(int on)
{
	uint64_t flags = __builtin_ia32_readeflags_u64();

	__builtin_ia32_writeeflags_u64(on ? flags | TRAP : flags & ~TRAP);
}

int main(void)
{
	pthread_spin_init(&spin, 0);
	pthread_spin_init(&other, 0);
	signal(SIGTRAP, on_trap);
	trap(1);
	pthread_spin_trylock(&spin);
	trap(0);
	if (hung_at)
		printf("hung after %d instructions\n", hung_at);
	else
		printf("%s instructions, no call hung\n", steps > 100 ? "many" : "few");
	return hung_at != 0;
}
#else
int main(void)
{
	return 77;
}
#endif
