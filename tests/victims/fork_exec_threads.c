/* SPDX-License-Identifier: MIT */
/*
 * fork_exec_threads [COUNT [PROGRAM]]: fork_exec while four other threads live in malloc and free.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "victim.h"

static atomic_int stop;

static void *churn(void *unused)
{
	unsigned seed = 1;

	(void)unused;
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		size_t size = 16 + rand_r(&seed) % 4096;
		char *block = malloc(size);

		if (!block)
			abort();
		memset(block, 1, size);
		free(block);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int count = number_argument(argc, argv, 1, 10);
	char *program = argc > 2 ? argv[2] : "/bin/true";
	char *args[] = { program, NULL };
	volatile long guard[4] = { 11, 22, 33, 44 };
	pthread_t threads[4];
	volatile int round;
	int i;

	setvbuf(stdout, NULL, _IONBF, 0);
	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, churn, NULL);
	for (round = 0; round < count; round++) {
		volatile int here = round;
		pid_t pid = xfork();

		if (pid == 0) {
			guard[0] = guard[1] = guard[2] = guard[3] = -1;
			here = -1;
			round = count;
			execv(program, args);
			_exit(127);
		}
		expect(here == round, "a local of the loop changed");
		print_status("child", here, wait_for(pid));
	}
	atomic_store(&stop, 1);
	for (i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	expect(guard[0] == 11 && guard[1] == 22 && guard[2] == 33 && guard[3] == 44,
	       "a local of main changed");
	printf("%d spawns\n", count);
	return victim_faults != 0;
}
