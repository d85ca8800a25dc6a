/* SPDX-License-Identifier: MIT */
/*
 * fork_wait_thread [COUNT [PROGRAM]]: another thread waits for any child all the while. What it reaps
 * must be what fork() returned, each pid once and nothing else.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "victim.h"

#define MOST 4096

static pid_t forked[MOST], reaped[MOST];
static int statuses[MOST];
static atomic_int forks_done, reaps;

static void *reaper(void *unused)
{
	(void)unused;
	for (;;) {
		int done = atomic_load(&forks_done), status, at;
		pid_t pid = waitpid(-1, &status, 0);

		if (pid > 0) {
			at = atomic_load(&reaps);
			if (at == MOST)
				return NULL;
			reaped[at] = pid;
			statuses[at] = status;
			atomic_store(&reaps, at + 1);
		} else if (errno == ECHILD) {
			if (done)
				return NULL;
			usleep(100);
		} else if (errno != EINTR) {
			return NULL;
		}
	}
}

static int count_of(pid_t pid, const pid_t *list, int size)
{
	int found = 0, i;

	for (i = 0; i < size; i++)
		found += list[i] == pid;
	return found;
}

int main(int argc, char **argv)
{
	int count = number_argument(argc, argv, 1, 20);
	char *program = argc > 2 ? argv[2] : "/bin/true";
	char *args[] = { program, NULL };
	pthread_t thread;
	int i, bad = 0;

	setvbuf(stdout, NULL, _IONBF, 0);
	if (count > MOST)
		return 1;
	pthread_create(&thread, NULL, reaper, NULL);
	for (i = 0; i < count; i++) {
		pid_t pid = xfork();

		if (pid == 0) {
			execv(program, args);
			_exit(127);
		}
		forked[i] = pid;
	}
	atomic_store(&forks_done, 1);
	pthread_join(thread, NULL);

	printf("forked %d, reaped %d\n", count, atomic_load(&reaps));
	for (i = 0; i < count; i++)
		expect(count_of(forked[i], reaped, atomic_load(&reaps)) == 1,
		       "a child was not reaped exactly once");
	for (i = 0; i < atomic_load(&reaps); i++) {
		expect(count_of(reaped[i], forked, count) == 1, "wait saw a pid never returned");
		bad += statuses[i] != 0;
	}
	printf("%d ended badly\n", bad);
	return victim_faults || bad;
}
