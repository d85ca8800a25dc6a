/* SPDX-License-Identifier: MIT */
/*
 * lean_malloc [THREADS]: children that allocate on their way to exec, in a program that is linked with a malloc() of its own.
 */
#include <pthread.h>
#include <sys/mman.h>

#include "victim.h"

#define SIZE ((size_t)64 << 20)

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char *memory;
static size_t used;
static char *volatile block; /* the compiler must not know what malloc() returned is for */

void *malloc(size_t size)
{
	char *fresh;

	pthread_mutex_lock(&mutex);
	if (!memory)
		memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			      0);
	fresh = memory + used + 16;
	used += (size + 31) & ~(size_t)15;
	pthread_mutex_unlock(&mutex);
	if (used > SIZE)
		abort();
	memcpy(fresh - 16, &size, sizeof(size));
	return fresh;
}

void free(void *old)
{
	(void)old;
}

void *calloc(size_t count, size_t size)
{
	return malloc(count * size);
}

void *realloc(void *old, size_t size)
{
	void *fresh = malloc(size);
	size_t had = 0;

	if (old)
		memcpy(&had, (char *)old - 16, sizeof(had));
	return old ? memcpy(fresh, old, had < size ? had : size) : fresh;
}

static void *idle(void *argument)
{
	pause();
	return argument;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	for (int i = number_argument(argc, argv, 1, 0); i > 0; i--)
		pthread_create(&thread, NULL, idle, NULL);
	block = malloc(SIZE / 2);
	memset(block, 1, SIZE / 2);
	for (volatile int i = 0; i < 10; i++) {
		pid_t pid = xfork();

		if (!pid) {
			block = malloc(100);
			block[0] = 1;
			execl("/bin/true", "true", NULL);
			_exit(126);
		}
		print_status("child", i, wait_for(pid));
	}
	return 0;
}
