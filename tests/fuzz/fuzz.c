// SPDX-License-Identifier: MIT
/*
 * The file that the fuzzer's bytes are read from, and the way into the tool. Linked into every target.
 */
#include "fuzz.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { WORDS = 16, LINE = 256 };

int spork_main(int argc, char **argv);

static char path[64];
static int fd = -1;

const char *fuzz_file(const uint8_t *bytes, size_t size)
{
	if (fd < 0)
		fd = memfd_create("fuzz", 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (fd < 0 || ftruncate(fd, 0) || pwrite(fd, bytes, size, 0) != (ssize_t)size)
		abort();
	return path;
}

void fuzz_spork(const char *words)
{
	char line[LINE], program[] = "spork", *argv[WORDS] = { program }, *word, *rest = line;
	int argc = 1;

	snprintf(line, sizeof(line), "%s", words);
	while (argc < WORDS - 1 && (word = strsep(&rest, " ")))
		argv[argc++] = strcmp(word, "FILE") ? word : path;
	optind = 0; /* getopt(3): starts anew */
	spork_main(argc, argv);
}
