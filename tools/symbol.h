/* SPDX-License-Identifier: MIT */
/*
 * What the files of symbolising share. symbol.c knows the modules of a box; symbol_module.c what is found in one
 * module, with the help of the others. Files that are looked at may be damaged or hostile. Used by one thread at a
 * time.
 */
#ifndef SPORK_SYMBOL_H
#define SPORK_SYMBOL_H

#include <elfutils/libdwfl.h>

#include "tool.h"

/* ---- symbol_span.c: which of many ranges of addresses, that may overlap, has an address ---- */

struct span {
	uint64_t start, end;
	uint64_t reach; /* the end of all spans up to this one */
	size_t what;
};

struct spans {
	struct span *span;
	size_t count, room;
};

void spans_add(struct spans *spans, uint64_t start, uint64_t end, size_t what);
/* Once, after the last was added. */
void spans_sort(struct spans *spans);
/*
 * The next span that has `address`, from the greatest start down; `before` is the one found last, or NULL. NULL:
 * there is none.
 */
const struct span *spans_find(const struct spans *spans, uint64_t address,
			      const struct span *before);
void spans_free(struct spans *spans);

/* An array with room for one more than `count`, grown by doubling; aborts without memory. */
void *array_room(void *array, size_t *room, size_t count, size_t size);

/* ---- symbol_name.c: names as people read them ---- */

struct names {
	struct name {
		const void *key; /* where in the file the name, or what has it, was found */
		char *plain;	 /* NULL: has no other form */
	} * slot;
	size_t count, room; /* a power of two */
};

/*
 * What a name of the linker says in C++ or Rust; NULL: it is of neither, or is no name that can be read in bounded
 * time. `linkage` must live as long as `names`.
 */
const char *names_demangled(struct names *names, const char *linkage);
/* A name without the "@VERSION" that symbol tables have after it. */
const char *names_bare(struct names *names, const char *name);
/* What is kept for that key; NULL: nothing. */
const struct name *names_find(const struct names *names, const void *key);
/* Keeps it, and frees it in the end. NULL: that there is none. */
const char *names_keep(struct names *names, const void *key, char *name);
void names_free(struct names *names);

/* ---- symbol_table.c: the symbols of an ELF file ---- */

struct table {
	bool read;
	struct spans spans;
	struct table_row {
		uint64_t start, size;
		const char *name;
		unsigned rank; /* of several at one address the highest is shown */
	} * row;
	size_t rows, room;
};

/*
 * The symbol at an address of the session. One without a size counts as far as the next symbol and the end of its
 * section. NULL: there is none.
 */
const struct table_row *table_find(struct table *table, Dwfl_Module *module, uint64_t address);
/* Where the first symbol after `address` is; UINT64_MAX: there is none. */
uint64_t table_next(struct table *table, Dwfl_Module *module, uint64_t address);
void table_free(struct table *table);

/* ---- symbol_dwarf.c: units and functions of DWARF ---- */

struct unit {
	Dwarf_Die die;
	Dwarf_Addr bias; /* session address less DWARF's */
	bool read;
	struct spans spans; /* of its functions */
	Dwarf_Die *function;
	size_t functions, room;
};

struct units {
	bool read;
	struct spans spans;
	struct unit *unit;
	size_t count, room;
};

/* The unit and, NULL if there is none, the function (never an inlined one) at an address. */
struct unit *units_find(struct units *units, Dwfl_Module *module, uint64_t address,
			Dwarf_Die **function);
void units_free(struct units *units);

#define INLINED_MAX 64

/* The inlined calls that DWARF's address `pc` lies in, the outermost first; how many. */
unsigned inlined_calls(Dwarf_Die *function, Dwarf_Addr pc, Dwarf_Die *calls);

/* Where an inlined function was called. False: not known. */
bool inlined_from(Dwarf_Die *call, const char **file, int *line);

/* The linker's name of a function; NULL: it has no other than its own. */
const char *linkage_name(Dwarf_Die *function);

/* A function's name with the namespaces and classes that it is declared in; NULL: it is in none. */
const char *qualified_name(struct names *names, Dwarf_Die *function);

/* ---- symbol_module.c ---- */

/* What was read of a module of a session; it is kept with the module. */
struct module_symbols {
	struct units units;
	struct table table;
	struct names names;
	struct places {
		struct places *next;
		struct place place;
	} * places;
};

struct module_symbols *module_symbols(Dwfl_Module *module);

/* Sets symbol and linkage of a place. Either name may be NULL. */
void place_name(struct module_symbols *symbols, struct place *place, const char *name,
		const char *linkage);

/* ---- symbol_local.c ---- */

/* The variable of the function at the call `address` that has some of these bytes of its frame. */
void local_look_up(Dwfl_Module *module, uint64_t address, const struct box_local *local,
		   uint32_t size, struct place *place);

#endif
