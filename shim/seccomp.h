/* SPDX-License-Identifier: MIT */
/*
 * Seccomp filters: what the shim may call under one.
 */
#ifndef SPORK_SECCOMP_H
#define SPORK_SECCOMP_H

#include <stdbool.h>

/* Notes whether the program was started under a filter. Once, single-threaded. */
void seccomp_init(void);

/*
 * Could a filter end the process for what the shim calls on its own account? Under one that was there from
 * the start a throw-away process tries it out, once.
 */
bool seccomp_threatens(void);

#endif
