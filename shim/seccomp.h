/* SPDX-License-Identifier: MIT */
/*
 * Seccomp filters: what the shim may call under one.
 */
#ifndef SPORK_SECCOMP_H
#define SPORK_SECCOMP_H

#include <stdbool.h>

/*
 * Was the process under a filter when this was first asked? Later ones are noticed as the program installs them. The
 * first call reads a file of /proc, the others make no system call.
 */
bool seccomp_filtered(void);

/*
 * Could a filter end the process for what the shim calls on its own account? Under one that was there from
 * the start a throw-away process tries it out, once.
 */
bool seccomp_threatens(void);

/* The same, of what the gate calls. */
bool seccomp_threatens_gate(void);

/*
 * Has the program added a filter of its own? Makes no system call. From then on the shim makes none that the
 * program does not ask for, as far as it can: a filter may allow what the program is known to call.
 */
bool seccomp_confined(void);

/* Must work be left undone that can be done without? For what is rare: may make one system call. */
bool seccomp_forbids_extras(void);

#endif
