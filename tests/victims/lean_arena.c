/* SPDX-License-Identifier: MIT */
/*
 * lean_arena [barred | pool]: a process of much memory whose threads allocate all the time from the heap that its children
 * allocate from as well. barred: that heap cannot grow where it is, and goes on in other mappings. pool: no thread allocates,
 * but one runs on a stack in the middle of what is left out, where the alternate stack of the one that forks is, too.
 * MALLOC_ARENA_MAX=1 makes it one heap.
 */
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>

#include "victim.h"

#define SPAWNS 60
#define BLOCKS 200
#define POOL ((size_t)128 << 20)

static void *allocate(void *seed)
{
	unsigned state = (unsigned)(uintptr_t)seed;
	void *block[512] = { 0 };

	for (;;) {
		unsigned i = (unsigned)rand_r(&state) % 512;

		free(block[i]);
		block[i] = malloc(1100 + (unsigned)rand_r(&state) % 9000);
	}
	return NULL;
}

static void *wait_for_ever(void *unused)
{
	pause();
	return unused;
}

/* What follows it keeps the heap from growing. */
static void bar(void)
{
	char *top = (char *)(((uintptr_t)sbrk(0) + 4095) & ~(uintptr_t)4095);

	if (mmap(top, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) !=
	    top)
		exit(77);
}

static void use_pool(void)
{
	char *pool = mmap(NULL, POOL, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t stack = { .ss_sp = pool + POOL / 4, .ss_size = 32 << 10 };
	pthread_attr_t attributes;
	pthread_t thread;

	memset(pool, 1, POOL);
	pthread_attr_init(&attributes);
	pthread_attr_setstack(&attributes, pool + POOL / 2, 1 << 20);
	if (pthread_create(&thread, &attributes, wait_for_ever, NULL) || sigaltstack(&stack, NULL))
		exit(77);
}

static void child(void)
{
	void *block[BLOCKS];

	for (size_t i = 0; i < BLOCKS; i++)
		memset(block[i] = malloc(1100 + i * 37), 2, 1100 + i * 37);
	for (size_t i = 0; i < BLOCKS; i += 2)
		free(block[i]);
	execl("/bin/true", "true", NULL);
	_exit(126);
}

int main(int argc, char **argv)
{
	bool pool = argc > 1 && !strcmp(argv[1], "pool");
	pthread_t thread;

	if (argc > 1 && !strcmp(argv[1], "barred"))
		bar();
	for (int i = 0; i < 800; i++)
		memset(malloc(60000), 1, 60000);
	if (pool)
		use_pool();
	for (uintptr_t i = 0; i < 2 && !pool; i++)
		pthread_create(&thread, NULL, allocate, (void *)i);
	for (int i = 0; i < SPAWNS; i++) {
		pid_t pid = xfork();

		if (!pid)
			child();
		print_status("child", i, wait_for(pid));
	}
	return 0;
}
