/* SPDX-License-Identifier: MIT */
/*
 * lean_action COUNT: children of a process with much memory, while another thread sets one of two handlers of SIGSEGV after
 * the other. Each time it was the other one that was there.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "victim.h"

static atomic_int stop;
static atomic_uint set;

static void one(int signal)
{
	_exit(signal);
}

static void other(int signal)
{
	_exit(signal + 1);
}

static void *change(void *unused)
{
	struct sigaction action = { 0 }, old;
	void (*last)(int) = one;

	while (!stop) {
		action.sa_handler = last == one ? other : one;
		sigaction(SIGSEGV, &action, &old);
		expect(old.sa_handler == last, "the handler was another one's");
		last = action.sa_handler;
		if (set++ % 2)
			expect(signal(SIGSEGV, last) == last, "signal() told of another one's");
	}
	return unused;
}

int main(int argc, char **argv)
{
	long count = number_argument(argc, argv, 1, 50);
	size_t size = 32 << 20;
	pthread_t thread;

	if (!memset(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), 1,
		    size))
		return 2;
	signal(SIGSEGV, one);
	pthread_create(&thread, NULL, change, NULL);
	while (!set)
		sched_yield();
	for (volatile int i = 0; i < count; i++) {
		pid_t pid = xfork();

		if (!pid) {
			void *volatile block = malloc(100);

			free(block);
			execl("/bin/true", "true", NULL);
			_exit(126);
		}
		print_status("child", i, wait_for(pid));
	}
	stop = 1;
	pthread_join(thread, NULL);
	return victim_faults != 0;
}
