/* SPDX-License-Identifier: MIT */
/*
 * What a child inherits of its parent and a child that was started ahead does not: folder, root, umask, limits,
 * credentials, session and namespaces. The hooks of what changes them count the changes.
 */
#ifndef SPORK_STATE_H
#define SPORK_STATE_H

#include <stdbool.h>
#include <stdint.h>

/* Changes so far. Acquire: what is read of the state afterwards is no older. */
uint32_t state_generation(void);

/* After a call that may have changed it. */
void state_changed(void);

/* The same after a raw system call of this number, by syscall(). */
void state_changed_by(long number);

#endif
