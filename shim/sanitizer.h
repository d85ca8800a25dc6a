/* SPDX-License-Identifier: MIT */
/*
 * Sanitizers in the program: the shim leaves it alone.
 */
#ifndef SPORK_SANITIZER_H
#define SPORK_SANITIZER_H

#include <stdbool.h>

/* Is one in the process? Looks through all that is loaded; may run anywhere. */
bool sanitizer_present(void);

/*
 * Is it one of Valgrind's checkers of threads? They know no atomic operations, and take each of the shim's for a race of
 * the program's: no thread may be the first to look for a function. May run anywhere.
 */
bool thread_checker_present(void);

/* Called by AddressSanitizer's runtime before anything else of it is set up. */
const char *__asan_default_options(void);

#endif
