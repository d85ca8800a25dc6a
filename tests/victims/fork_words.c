/* SPDX-License-Identifier: MIT */
/*
 * fork_words WHERE [COUNT]: while COUNT children execute, another thread counts in memory of the forking
 * thread: thread-local storage (tls), there between two words that the children write (between), a word
 * of the stack beside one that they write (beside). Or the forking
 * thread runs on a stack in memory of the program's, below which there are its data, and children change
 * them (pool). The parent's words are its own, every one.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>

#include "victim.h"

static char *const args[] = { "/bin/true", NULL };
static __thread atomic_int local;
static __thread struct {
	volatile int before;
	atomic_int word;
	volatile int after;
} between;
static const char *where;
static int count;
static volatile int stop;
static long counted;

static void *counting(void *data)
{
	atomic_int *word = data;

	while (!stop) {
		atomic_fetch_add(word, 1);
		counted++;
	}
	return NULL;
}

/* The child's pid and the other thread's word lie in the same eight bytes. */
struct pair {
	volatile int pid;
	atomic_int word;
};

static __attribute__((noinline)) void spawn(struct pair *pair)
{
	pair->pid = fork();
	if (pair->pid == 0) {
		pair->pid = -1;
		if (!strcmp(where, "between"))
			between.before = between.after = -1;
		execv(args[0], args);
		_exit(127);
	}
	wait_for(pair->pid);
}

static void count_beside(atomic_int *word)
{
	struct pair pair __attribute__((aligned(8))) = { 0, 0 };
	pthread_t thread;
	int i;

	if (!word)
		word = &pair.word;
	if (pthread_create(&thread, NULL, counting, word))
		exit(99);
	for (i = 0; i < count; i++)
		spawn(&pair);
	stop = 1;
	pthread_join(thread, NULL);
	expect(atomic_load(word) == (int)counted, "the other thread's word has every count");
}

struct pool {
	volatile long data[512];
	char stack[256 << 10];
};

static void *on_pool(void *data)
{
	struct pool *pool = data;
	int i;

	for (i = 0; i < count; i++) {
		pid_t pid = xfork();

		if (pid == 0) {
			pool->data[256] = 9;
			execv(args[0], args);
			_exit(127);
		}
		wait_for(pid);
		expect(pool->data[256] == 0, "the data below the stack are the parent's");
	}
	return NULL;
}

static void run_on_pool(void)
{
	struct pool *pool = mmap(NULL, sizeof(*pool), PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	pthread_attr_t attributes;
	pthread_t thread;

	pthread_attr_init(&attributes);
	if (pool == MAP_FAILED ||
	    pthread_attr_setstack(&attributes, pool->stack, sizeof(pool->stack)) ||
	    pthread_create(&thread, &attributes, on_pool, pool))
		exit(99);
	pthread_join(thread, NULL);
}

int main(int argc, char **argv)
{
	where = string_argument(argc, argv, 1, "beside");
	count = number_argument(argc, argv, 2, 100);
	if (!strcmp(where, "pool"))
		run_on_pool();
	else
		count_beside(!strcmp(where, "tls")     ? &local :
			     !strcmp(where, "between") ? &between.word :
							 NULL);
	printf("%s: %d faults\n", where, victim_faults);
	return victim_faults != 0;
}
