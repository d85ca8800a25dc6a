/* SPDX-License-Identifier: MIT */
/*
 * The mapping of the box: made once, while the process has one thread, and kept for as long as it lives. No descriptor is.
 */
#ifndef SPORK_BOX_MAP_H
#define SPORK_BOX_MAP_H

#include <stdbool.h>
#include <stdint.h>

#include "box.h"

/* Do the options name a file? */
bool box_is_named(void);

/*
 * Opens the file that the options name, or makes it; or else memory that forked children share. NULL: there is not even that.
 * What is wrong with the file is told.
 */
struct box_header *box_map(void);

/* The file, or NULL. */
struct box_header *box_map_named(void);

/* Where each table starts in it, for how many records of how many bytes. The header says so to readers: others may change it. */
struct box_table_map {
	uint64_t offset;
	uint32_t stride, capacity;
};
extern struct box_table_map box_tables[BOX_TABLE_COUNT] __attribute__((visibility("hidden")));

#endif
