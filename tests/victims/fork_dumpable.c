/* SPDX-License-Identifier: MIT */
/*
 * fork_dumpable [COUNT [FROM]]: children from the FROMth on change their effective user id by a system call of their own, which makes
 * the memory that they run on undumpable; the parent's is not.
 */
#include <sys/prctl.h>
#include <sys/syscall.h>

#include "victim.h"

static char *const args[] = { "/bin/true", NULL };

/* setresuid(-1, id, -1), past every library */
static long become(long id)
{
#if defined(__x86_64__)
	long result;

	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(SYS_setresuid), "D"(-1L), "S"(id), "d"(-1L)
			 : "rcx", "r11", "memory");
	return result;
#else
	register long x8 __asm__("x8") = SYS_setresuid;
	register long x0 __asm__("x0") = -1;
	register long x1 __asm__("x1") = id;
	register long x2 __asm__("x2") = -1;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2) : "memory");
	return x0;
#endif
}

int main(int argc, char **argv)
{
	int count = number_argument(argc, argv, 1, 8), from = number_argument(argc, argv, 2, 5), i;

	setvbuf(stdout, NULL, _IONBF, 0);
	for (i = 0; i < count; i++) {
		pid_t pid = xfork();

		if (pid == 0) {
			if (i >= from && become(65534))
				_exit(126);
			execv(args[0], args);
			_exit(127);
		}
		print_status("child", i, wait_for(pid));
		expect(prctl(PR_GET_DUMPABLE) == 1, "the parent is dumpable");
	}
	return victim_faults != 0;
}
