/* SPDX-License-Identifier: MIT */
/*
 * lean_locked COUNT: children read a large table under its mutex, which other threads lock and change all the time, and
 * then execute a program. Prints how many children found half of a change; one that finds the mutex taken does not look.
 */
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

#include "victim.h"

#define PAGES 8192
#define PAGE 4096
#define LOOKS 64

static struct {
	pthread_mutex_t mutex;
	unsigned char rest[PAGES * PAGE];
} * table;

static volatile int stop;

static volatile uint64_t *value(int page)
{
	return (volatile uint64_t *)&table->rest[(size_t)page * PAGE];
}

static void *change(void *unused)
{
	while (!stop) {
		pthread_mutex_lock(&table->mutex);
		for (int i = 0; i < PAGES; i += PAGES / LOOKS)
			++*value(i);
		pthread_mutex_unlock(&table->mutex);
	}
	return unused;
}

static int look(void)
{
	uint64_t first;
	int torn = 0;

	if (pthread_mutex_trylock(&table->mutex))
		return 0;
	first = *value(0);
	for (int i = 0; i < PAGES; i += PAGES / LOOKS)
		torn |= *value(i) != first;
	pthread_mutex_unlock(&table->mutex);
	return torn;
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 50, torn = 0, status;
	pthread_t thread[2];

	table = mmap(NULL, sizeof(*table), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		     0);
	memset(table->rest, 0, sizeof(table->rest));
	pthread_mutex_init(&table->mutex, NULL);
	for (int i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, change, NULL);
	for (int i = 0; i < count; i++) {
		pid_t pid = fork();

		if (!pid) {
			/* The program says it by its status. */
			execlp("sh", "sh", "-c", look() ? "exit 1" : "exit 0", NULL);
			_exit(127);
		}
		waitpid(pid, &status, 0);
		torn += status != 0;
	}
	stop = 1;
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	printf("torn %d\n", torn);
	return 0;
}
