/* SPDX-License-Identifier: MIT */
/*
 * What a vfork() child changed in the memory that it shares with its parent, byte for byte, and undoing it.
 *
 * Only while the process has one thread, and no process that shares its memory: what others write meanwhile cannot be
 * told from what the child wrote.
 */
#ifndef SPORK_VFORK_MEMORY_H
#define SPORK_VFORK_MEMORY_H

#include "window.h"

/*
 * In the parent, before the clone; undo_save() has run. Copies the static data of the program and its libraries,
 * where this spawn's number among its site's says so; whatever it cannot copy is not compared.
 */
void vfork_memory_copy(struct window *window, uint64_t number);

/*
 * In the child: compares, and reports; once, or with strict=1 also what it has written since an exec failed. In the
 * parent, where the child ended without a call: that it did is all that is known of it.
 */
void vfork_memory_check(struct window *window);

/* In the child: an exec has failed. */
void vfork_memory_keep(struct window *window);

/* In the parent: puts back what the child wrote against the rules. */
void vfork_memory_restore(struct window *window);

/* Gives the copy back. */
void vfork_memory_drop(struct window *window);

#endif
