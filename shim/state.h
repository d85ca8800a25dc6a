/* SPDX-License-Identifier: MIT */
/*
 * What a child inherits of its parent and a child that was started ahead does not: folder, root, umask, limits,
 * ignored signals, credentials, restrictions, session and namespaces. The hooks of what changes them count the changes.
 */
#ifndef SPORK_STATE_H
#define SPORK_STATE_H

#include <stdbool.h>
#include <stdint.h>

/* Changes so far. Acquire: what is read of the state afterwards is no older. */
uint32_t state_generation(void);

/* The same, without ignored signals, which keep nobody from executing a program. */
uint32_t state_generation_of_exec(void);

/* After a call that may have changed it. */
void state_changed(void);

/* After one that may have changed which signals are ignored, and nothing else. */
void state_changed_signals(void);

/* After one that concerns the calling thread alone, or its folder and umask from now on. */
void state_changed_in_thread(void);

/* After a raw system call of this number, by syscall() or prctl(), whose first argument was `operation`. */
void state_changed_by(long number, long operation);

/* May threads be unlike each other, or the hooks be passed by? Then changes are not counted for all. */
bool state_differs(void);

/* How often the process has done what cannot be asked for: Landlock's rules, a session keyring of its own. */
uint32_t state_restrictions(void);

#endif
