/* SPDX-License-Identifier: MIT */
/*
 * What a shared window's child may change in its parent, saved before and put back after.
 */
#ifndef SPORK_UNDO_H
#define SPORK_UNDO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "arch.h"
#include "box.h"
#include "site.h"

#define UNDO_STACK ((size_t)128 << 10)
/* What children write, and what larger pages add to that: static data is saved by whole pages. */
#define UNDO_BYTES ((size_t)BOX_SITE_WRITTEN + 4 * (ARCH_PAGE_MAX - 4096))

/*
 * What is learned is rounded to this: other bytes of a value may change next time. Not to more, since what
 * lies next to it may be another thread's to change meanwhile.
 */
#define WRITE_UNIT 4
#define WRITE_LOW(start) ((start) & ~((__typeof__(start))WRITE_UNIT - 1))
#define WRITE_HIGH(end) WRITE_LOW((end) + WRITE_UNIT - 1)

struct undo {
	uintptr_t stack; /* lowest address saved: the caller's stack pointer */
	size_t stack_size;
	bool alone;	     /* nobody else writes this memory */
	bool environ_shared; /* other threads wait to see environ again */
	char **environment;
	long dumpable; /* of the memory: set*id in the child resets it (kernel/cred.c, commit_creds) */
	int error;
	uint32_t ranges;
	struct {
		uintptr_t address;
		uint32_t size, at;
	} range[BOX_SITE_WRITES + 1];
	uint8_t bytes[UNDO_BYTES];
	uint64_t stack_words[UNDO_STACK / 8];
};

/*
 * Saves errno, environ, the dumpable flag, `stack_size` bytes from `stack` up, and what the site's children
 * are known to write. `environ_shared` is the caller's to set before. All signals are blocked.
 * BOX_REASON_NONE, or why it cannot.
 */
enum spork_reason undo_save(struct undo *undo, const struct site_visit *visit, uintptr_t stack,
			    size_t stack_size);

/* A process that shares this one's memory was made: it may write there, like a thread. */
void undo_not_alone(void);

/*
 * Puts back what differs. The calling frame must lie below what was saved. `returned`: the frames of the
 * stack below it have returned in the child, so all of them is put back; above it, with other threads
 * alive, which may write there too, only what the site's children were seen to write.
 */
void undo_restore(const struct undo *undo, const struct box_site *site, uintptr_t returned);

/* Parts of that: the stack below `returned`, the thread's own storage. */
void undo_restore_stack(const struct undo *undo, uintptr_t returned);
void undo_restore_storage(const struct undo *undo);

/* The bytes at `address` as they were; NULL: static data that was not saved. */
const uint8_t *undo_bytes(const struct undo *undo, uintptr_t address, size_t size);

/* The word of the saved stack at `address`; false: not saved. */
bool undo_word(const struct undo *undo, uintptr_t address, uintptr_t *word);

/*
 * In the child: below which address the frames of its parent have returned (unwind_returned()), as far as the saved stack
 * tells.
 */
uintptr_t undo_returned(struct undo *undo);

/* Is it put back whatever is known of the site, while the process has one thread? */
bool undo_saves_always(const struct box_write *write);

/* Address of a range that a site's children write; 0: its module is not loaded here. */
uintptr_t undo_address(const struct box_write *write);

#endif
