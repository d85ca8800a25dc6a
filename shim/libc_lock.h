/* SPDX-License-Identifier: MIT */
/*
 * What libc's lock objects say of themselves, and how they are made open again. The layouts are those of
 * glibc 2.25 and later (bits/struct_mutex.h, bits/struct_rwlock.h, semaphore.h's new_sem). The lock must be readable.
 */
#ifndef SPORK_LIBC_LOCK_H
#define SPORK_LIBC_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "box.h"
#include "held.h"

/* Bytes from the lock's address on that are read here; eight at least. */
size_t libc_lock_size(enum held_kind kind);

/* Is it locked, so far as it tells, by this thread? A lock that keeps no owner: by anybody. */
bool libc_lock_held(enum held_kind kind, const void *lock, uint32_t tid);

/*
 * Is it locked, whoever it was: glibc notes the owner of a mutex or a writer's lock after it has taken it, and takes
 * the note back before it gives it up. `nobody`: only if there is no such note.
 */
bool libc_lock_taken(enum held_kind kind, const void *lock, bool nobody);

/* Does it look like a plain mutex, or a spin lock, that this thread has or is giving back? Other memory may, too. */
bool libc_lock_left(enum held_kind kind, const void *lock, uint32_t tid);

/*
 * Is it shared between processes, whose threads fork does not take away? Made for that, and in shared memory: in
 * private memory each process has its own, whatever it was made for.
 */
bool libc_lock_shared(enum held_kind kind, const void *lock);

/* Does it keep the id of its owner, which a forked child does not have, so that the child cannot unlock it? */
bool libc_lock_owned(enum held_kind kind, const void *lock);

/* Makes it unlocked, of the kind that it was. Only where no other thread can reach it. */
void libc_lock_remake(enum held_kind kind, void *lock);

/* Gives back, on behalf of its owner which is not here, what that one took last. The same holds. */
void libc_lock_disown(enum held_kind kind, void *lock);

/* What is special about a lock that keeps its owner, in a word or two; at most 31 bytes. */
const char *libc_lock_owner_word(enum held_kind kind, const void *lock);

enum spork_lock_type libc_lock_type(enum held_kind kind);

/* Learns what an unlocked spin lock looks like on this machine. */
void libc_lock_init(void);

#endif
