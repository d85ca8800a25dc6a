// SPDX-License-Identifier: MIT
/*
 * Fuzz target: an ELF file, read by `scan`, and by `run` before it runs a program.
 */
#include <stddef.h>

#include "fuzz.h"
#include "tools/scan.h"

static void found(void *context, uint64_t addr, const char *call)
{
	uint64_t *last = context;

	/* In order, and within what was asked for. */
	if (addr < *last || !call)
		__builtin_trap();
	*last = addr;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	const char *path = fuzz_file(bytes, size);
	uint64_t last = 0;
	char why[600];

	/* Libraries of the system would be read again and again. */
	fuzz_spork(size % 64 ? "scan -O /dev/null FILE" : "scan --follow-needed -O /dev/null FILE");
	fuzz_spork("scan -f json -O /dev/null FILE");
	elf_traceable(path, why, sizeof(why));
	/* Code that no header names. */
	scan_code(EM_X86_64, bytes, size, 0, 0, found, &last);
	last = 0;
	scan_code(EM_AARCH64, bytes, size, size / 2, 1, found, &last);
	return 0;
}
