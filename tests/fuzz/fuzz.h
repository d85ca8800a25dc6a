/* SPDX-License-Identifier: MIT */
/*
 * What the fuzz targets share. Each is one file that hands the fuzzer's bytes, as a file in memory, to the commands of
 * the tool as users call them: main() of tools/spork.c goes by the name spork_main() here. `tests/fuzz/run` runs them.
 */
#ifndef SPORK_FUZZ_H
#define SPORK_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* The target's own: takes one input. libFuzzer calls it. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Puts the bytes into the one file in memory; its path, which holds until the process ends. */
const char *fuzz_file(const uint8_t *bytes, size_t size);

/* Runs `spork WORD...`, words separated by blanks, FILE for the file's path; output goes to /dev/null. */
void fuzz_spork(const char *words);

#endif
