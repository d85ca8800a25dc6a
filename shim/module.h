/* SPDX-License-Identifier: MIT */
/*
 * Addresses as (module, offset): how a place in a program keeps its name from one process to the next.
 */
#ifndef SPORK_MODULE_H
#define SPORK_MODULE_H

#include <stdbool.h>
#include <stdint.h>

#include "box.h"

struct link_map;

struct module {
	uintptr_t start, end;	     /* mapped range */
	uintptr_t bias;		     /* address less link-time address */
	uintptr_t got_low, got_high; /* lazily bound slots; got_high is past the end */
	uint64_t key;		     /* of build-id, or of path */
	uint32_t index;		     /* in the box, plus one */
	bool loader;		     /* ld.so itself */
};

/* The module that holds an address; false: none. Lock-free; may run in a window. */
bool module_find(uintptr_t address, struct module *module);

/* Module and offset of an address; only `addr` where there is no module. */
void module_frame(uintptr_t address, struct box_frame *frame);

/*
 * The address of `size` bytes at `offset` in the module with this box index as this process has it; 0: it is
 * not loaded, or not so large.
 */
uintptr_t module_address(uint32_t index, uint64_t offset, uint64_t size);

/* Is that the file name of the module with this box index? */
bool module_is_named(uint32_t index, const char *name);

/*
 * Does the file of the module with this box index have a table of symbols, which strip(1) takes away? Reads the file,
 * each time.
 */
bool module_has_symbols(uint32_t index);

/* Has a module been loaded whose path contains this? */
bool module_loaded(const char *part);

/* Index of the main program in the box, plus one. */
uint32_t module_program(void);

bool module_is_shim(uintptr_t address);

/* The link maps, in the order of loading, of the shim and of the first object, which is the program; NULL: unknown. */
const struct link_map *module_shim(void);
const struct link_map *module_first(void);

/* A library may have been unloaded: forget what is cached. */
void module_forget(void);

/* Changes whenever an address may have come to mean another place. */
uint32_t module_generation(void);

void module_after_fork(void);

#endif
