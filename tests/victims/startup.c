// SPDX-License-Identifier: MIT
/*
 * startup: prints "WHAT before after" of the shim's recorder, memory and files that the process has mapped or open, at
 * first and once it has made a child. With an argument that becomes SPORK_OPTIONS in between.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int boxes(void)
{
	static char maps[1 << 16];
	int file = open("/proc/self/maps", O_RDONLY), count = 0;
	size_t size = 0;
	ssize_t got;
	char *at;

	while ((got = read(file, maps + size, sizeof(maps) - 1 - size)) > 0)
		size += (size_t)got;
	close(file);
	maps[size] = 0;
	for (at = maps; (at = strstr(at, "/dev/zero (deleted)")); at++)
		count++;
	return count;
}

int main(int argc, char **argv)
{
	int before = boxes();
	pid_t child;

	if (argc > 1)
		setenv("SPORK_OPTIONS", argv[1], 1);
	child = fork();
	if (!child)
		_exit(0);
	waitpid(child, NULL, 0);
	printf("boxes %d %d\n", before, boxes());
	return 0;
}
