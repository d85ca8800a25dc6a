/* SPDX-License-Identifier: MIT */
/*
 * fork_dumpable [COUNT [FROM]]: children from the FROMth on change their effective user id by a system call of their own, which makes
 * the memory that they run on undumpable; the parent's is not.
 */
#include <sys/prctl.h>

#include "window.h"

static char *const args[] = { "/bin/true", NULL };

int main(int argc, char **argv)
{
	int count = number_argument(argc, argv, 1, 8), from = number_argument(argc, argv, 2, 5), i;

	setvbuf(stdout, NULL, _IONBF, 0);
	for (i = 0; i < count; i++) {
		pid_t pid = xfork();

		if (pid == 0) {
			if (i >= from && raw_call(SYS_setresuid, -1, 65534, -1, 0, 0))
				_exit(126);
			execv(args[0], args);
			_exit(127);
		}
		print_status("child", i, wait_for(pid));
		expect(prctl(PR_GET_DUMPABLE) == 1, "the parent is dumpable");
	}
	return victim_faults != 0;
}
