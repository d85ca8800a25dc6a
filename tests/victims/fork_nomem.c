/* SPDX-License-Identifier: MIT */
/*
 * fork_nomem: learns a site, then maps so much, of which nothing is touched, that the kernel does not
 * promise it a second time: fork() fails with ENOMEM (kernel/fork.c dup_mmap accounts each private mapping
 * anew; mm/util.c __vm_enough_memory refuses one that is larger than memory and swap together, also where
 * vm.overcommit_memory is 0, as it is by default). Adjacent mappings become one, so each of them may be had.
 * Prints how many of the spawns at that site failed. A child that gives way to a real fork then fails as a
 * bare one does.
 */
#include "window.h"

#define SPAWNS 6
#define CHUNKS 64

static char *program;
static volatile int deviates;

static pid_t spawn(int deviation)
{
	char *const args[] = { "true", NULL };
	pid_t pid;

	deviates = deviation;
	pid = fork();
	if (pid == 0) {
		if (deviates)
			_exit(5);
		execv(program, args);
		_exit(127);
	}
	return pid;
}

static void spawn_some(const char *when, int deviation)
{
	int failed = 0, error = 0, well = 0;
	volatile int i;

	for (i = 0; i < SPAWNS; i++) {
		pid_t pid = spawn(deviation);

		if (pid < 0) {
			failed++;
			error = errno;
		} else {
			well += wait_for(pid) == (deviation ? 5 << 8 : 0);
		}
	}
	printf("%s: %d of %d failed%s%s, %d ended well\n", when, failed, SPAWNS, failed ? ": " : "",
	       failed ? strerror(error) : "", well);
}

/* Would fork() work? Asked past every library. */
static int can_fork(void)
{
	pid_t pid = (pid_t)raw_call(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		raw_call(SYS_exit_group, 0, 0, 0, 0, 0);
	if (pid > 0)
		wait_for(pid);
	return pid > 0;
}

/* True: fork() fails from now on. */
static int fill(char *space, size_t chunk)
{
	int i;

	for (i = 0; i < CHUNKS && can_fork(); i++)
		if (mmap(space + (size_t)i * chunk, chunk, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
			break;
	return !can_fork();
}

int main(void)
{
	static const char *const phases[] = { "empty", "full", "full, giving way", "full still",
					      "empty again" };
	size_t chunk = ((size_t)sysconf(_SC_PHYS_PAGES) / 8 + 1) * (size_t)sysconf(_SC_PAGESIZE);
	char *space = mmap(NULL, CHUNKS * chunk, PROT_NONE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	volatile int phase; /* one call for all, so that it is one site */

	setvbuf(stdout, NULL, _IONBF, 0);
	program = quick_program();
	for (phase = 0; phase < COUNT(phases); phase++) {
		if (phase == 1 && (space == MAP_FAILED || !fill(space, chunk))) {
			printf("skip: fork() never fails for want of memory here\n");
			return 0;
		}
		if (phase == 4)
			munmap(space, CHUNKS * chunk);
		spawn_some(phases[phase], phase == 2);
	}
	return victim_faults != 0;
}
