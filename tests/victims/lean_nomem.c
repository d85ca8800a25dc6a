/* SPDX-License-Identifier: MIT */
/*
 * lean_nomem [GROWS]: forks that execute, before and after one mapping of the process has grown larger than the machine's memory and
 * swap: after five of ten, or after GROWS. No copy of such a mapping is promised any more (overcommit_memory=0), so that a bare fork fails from then on.
 */
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "victim.h"

#define PIECES 4
#define FILLED ((size_t)32 << 20)

/* In pieces, each of which is small enough to be promised; the kernel joins them. */
static char *map_more_than_there_is(void)
{
	struct sysinfo machine;
	size_t piece, i;
	char *memory;

	if (sysinfo(&machine))
		return NULL;
	piece = (machine.totalram + machine.totalswap) * machine.mem_unit / 100 * 120 / PIECES;
	piece &= ~(((size_t)2 << 20) - 1);
	memory = mmap(NULL, PIECES * piece, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	for (i = 0; i < PIECES; i++)
		if (mprotect(memory + i * piece, piece, PROT_READ | PROT_WRITE))
			return NULL;
	return memory;
}

int main(int argc, char **argv)
{
	int grows = argc > 1 ? atoi(argv[1]) : 5;
	char *memory = NULL;

	setvbuf(stdout, NULL, _IONBF, 0);
	for (volatile int i = 0; i < 10; i++) {
		char *volatile path;
		pid_t pid;

		if (i == grows) {
			memory = map_more_than_there_is();
			if (!memory)
				return 77;
			strcpy(memset(memory, 1, FILLED), "/bin/true");
		}
		pid = fork();
		path = memory;
		if (!pid) {
			void *volatile block = malloc(100);

			free(block);
			execl(path ? path : "/bin/true", "true", NULL);
			_exit(126);
		}
		if (pid < 0)
			printf("child %d: %s\n", i, strerror(errno));
		else
			print_status("child", i, wait_for(pid));
	}
	return 0;
}
