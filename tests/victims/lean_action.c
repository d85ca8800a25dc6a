/* SPDX-License-Identifier: MIT */
/*
 * lean_action COUNT [PIECES]: children of a process with much memory, in so many mappings, while another thread sets one of
 * two handlers of SIGSEGV after the other. Each time it was the other one that was there; and one of them in the children.
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

static int memory_fill(long pieces)
{
	size_t size = ((size_t)32 << 20) / pieces, page = sysconf(_SC_PAGESIZE);

	while (pieces--) {
		char *piece = mmap(NULL, size + page, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (piece == MAP_FAILED || mprotect(piece + size, page, PROT_NONE))
			return -1;
		memset(piece, 1, size);
	}
	return 0;
}

static void child(void)
{
	void *volatile block = malloc(100);
	struct sigaction now;

	free(block);
	if (sigaction(SIGSEGV, NULL, &now) || (now.sa_handler != one && now.sa_handler != other))
		_exit(125);
	execl("/bin/true", "true", NULL);
	_exit(126);
}

int main(int argc, char **argv)
{
	long count = number_argument(argc, argv, 1, 50);
	pthread_t thread;

	if (memory_fill(number_argument(argc, argv, 2, 1)))
		return 2;
	signal(SIGSEGV, one);
	pthread_create(&thread, NULL, change, NULL);
	while (!set)
		sched_yield();
	for (volatile int i = 0; i < count; i++) {
		pid_t pid = xfork();

		if (!pid)
			child();
		print_status("child", i, wait_for(pid));
	}
	stop = 1;
	pthread_join(thread, NULL);
	return victim_faults != 0;
}
