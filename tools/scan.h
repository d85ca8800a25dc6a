/* SPDX-License-Identifier: MIT */
/*
 * `spork scan`, in files of one owner each: scan.c the command and the walk over folders, scan_elf.c the facts of
 * one file, scan_symbol.c its symbols, scan_code.c its system calls, scan_needed.c the libraries it needs,
 * scan_print.c text and JSON.
 *
 * Every file may be hostile. No size or offset in it is believed: counts are bounded by what the file holds,
 * strings by their table, and what is too large is left out and said so.
 */
#ifndef SPORK_SCAN_H
#define SPORK_SCAN_H

#include <gelf.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "tool.h"

/* What a hooked function is for; from its row in hooks.def. */
enum scan_family {
	FAMILY_SPAWN,
	FAMILY_EXEC,
	FAMILY_THREAD,
	FAMILY_LOCK,
	FAMILY_ATFORK,
	FAMILY_COUNT,
};

enum scan_kind { KIND_PROGRAM, KIND_LIBRARY, KIND_OBJECT, KIND_CORE, KIND_OTHER };

/* Why the shim cannot be preloaded: SCAN_REASON(id, name, words). */
#define SCAN_REASONS(SCAN_REASON)                                                                  \
	SCAN_REASON(NO_ELF, "no-elf", "it is no ELF file")                                         \
	SCAN_REASON(NOT_LOADABLE, "not-loadable", "it is neither a program nor a library")         \
	SCAN_REASON(OTHER_CLASS, "other-class", "it is of another ELF class than the shim")        \
	SCAN_REASON(OTHER_MACHINE, "other-machine", "it is built for another machine")             \
	SCAN_REASON(STATIC, "static", "it is statically linked")                                   \
	SCAN_REASON(STATIC_PIE, "static-pie", "it is statically linked (static-pie)")              \
	SCAN_REASON(OTHER_LIBC, "other-libc", "it uses another libc")                              \
	SCAN_REASON(ASAN, "asan", "it is built with AddressSanitizer")                             \
	SCAN_REASON(SET_USER_ID, "set-user-id", "it is set-user-ID")                               \
	SCAN_REASON(SET_GROUP_ID, "set-group-id", "it is set-group-ID")                            \
	SCAN_REASON(CAPABILITIES, "file-capabilities", "it has file capabilities")

enum scan_reason {
#define SCAN_REASON(id, name, words) REASON_##id,
	SCAN_REASONS(SCAN_REASON)
#undef SCAN_REASON
		REASON_COUNT,
};

struct scan_import {
	const char *symbol;	 /* static */
	char *version, *library; /* NULL: it has none */
	enum scan_family family;
};

/* A system call in the file's own code that makes or replaces a process. */
struct scan_call {
	const char *call; /* static */
	uint64_t addr;
	char *function; /* NULL: unknown */
	uint64_t into;
};

enum { SCAN_CALLS = 64, SCAN_NEEDED = 1024, SCAN_IMPORTS = 1024 };

struct scan_file {
	char *path;
	enum scan_kind kind;
	int class;
	unsigned machine;
	unsigned reasons;			      /* bits of enum scan_reason */
	const char *libc;			      /* static; NULL: it shows none */
	char *interpreter, *soname, *runpath, *rpath; /* NULL: none */
	bool go, asan, is_libc;
	char *needed[SCAN_NEEDED];
	unsigned needed_count;
	struct scan_import *import;
	unsigned imports;
	unsigned family[FAMILY_COUNT]; /* imports of each */
	bool forks, threads;
	struct scan_call *call;
	unsigned calls; /* that are kept */
	uint64_t calls_found;
	char problem[160]; /* what is damaged or was left out; empty: nothing */
};

enum scan_result { SCAN_READ, SCAN_NO_ELF, SCAN_FAILED };

/* ---- scan_elf.c ---- */

/*
 * Reads the facts; the file starts zeroed but for its path. SCAN_FAILED: `problem` tells why. scan_file_free()
 * after each of them.
 */
enum scan_result scan_file_read(struct scan_file *file, int fd);
void scan_file_free(struct scan_file *file);

/* A first damage is kept: it is what the line of error says. */
void scan_problem(struct scan_file *file, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Forks and starts threads, and registers no atfork handler. */
bool scan_file_hazard(const struct scan_file *file);

/* Whether calls were found that the shim does not see: those of libc's own code are behind its hooks. */
bool scan_file_bypasses(const struct scan_file *file);

const char *scan_reason_name(unsigned reason);
const char *scan_reason_text(unsigned reason);
const char *scan_kind_name(enum scan_kind kind);
/* NULL: it has no name here. */
const char *scan_machine_name(unsigned machine);

/* strdup() that does not fail. */
char *scan_copy(const char *string);

/* A string table: `size` bytes, the last of them a zero. */
struct scan_strings {
	const char *base;
	size_t size;
};

/* NULL: there is none at that offset. */
static inline const char *scan_string(const struct scan_strings *strings, uint64_t offset)
{
	return offset < strings->size ? strings->base + offset : NULL;
}

/* The data of a section, unless it is too large or lies outside of the file. */
Elf_Data *scan_section_data(struct scan_file *file, Elf_Scn *section, const GElf_Shdr *header);
/* The string table that `index` names; empty where there is none. */
struct scan_strings scan_section_strings(struct scan_file *file, Elf *elf, size_t index);
/* The first section of that type; NULL: none. */
Elf_Scn *scan_section_find(Elf *elf, GElf_Word type, GElf_Shdr *header);

/* ---- scan_symbol.c ---- */

void scan_imports_read(struct scan_file *file, Elf *elf);
/* Names the functions that the calls lie in. */
void scan_calls_name(struct scan_file *file, Elf *elf);
const char *scan_family_name(enum scan_family family);

/* ---- scan_code.c ---- */

bool scan_code_known(unsigned machine);

/*
 * Goes over the code at `addr`, `size` bytes of which the first `before` were seen already; calls found() with the
 * address and the name of each system call of ours in the rest.
 */
void scan_code(unsigned machine, const uint8_t *code, size_t size, size_t before, uint64_t addr,
	       void (*found)(void *context, uint64_t addr, const char *call), void *context);

/* How much of the code before a place decides what is found there. */
enum { SCAN_CODE_BEFORE = 64 };

/* ---- scan_needed.c ---- */

struct scan_library {
	struct scan_file file;
	dev_t device;
	ino_t inode;
	bool printed;
	char *needed_by;       /* the file that it was found for */
	int edge[SCAN_NEEDED]; /* by its needed: a library, or -1 */
	bool resolved;
};

/* A library that a file needs, itself or through others. */
struct scan_link {
	const char *name;
	const struct scan_library *library; /* NULL: not found */
	const char *needed_by;
};

struct scan_closure {
	struct scan_link *link;
	unsigned count;
	bool forks, threads, handlers; /* of the file and its libraries */
};

/* Opens what is a regular file and nothing else; -errno, -EISDIR for folders, -EINVAL for other kinds. */
int scan_open(const char *path, bool follow);

void scan_closure_read(struct scan_closure *closure, const struct scan_file *file);
/* The hazard of a file, or with a closure of it and its libraries together. */
bool scan_closure_hazard(const struct scan_file *file, const struct scan_closure *closure);
void scan_closure_free(struct scan_closure *closure);
/* The next library that was read and not printed; NULL: none. */
struct scan_library *scan_library_next(void);
/* A file that is printed by itself is not printed again as a library. */
void scan_library_seen(dev_t device, ino_t inode);
/* Whether a library was printed. */
bool scan_library_printed(dev_t device, ino_t inode);
void scan_libraries_free(void);

/* ---- scan_print.c ---- */

struct scan_totals {
	uint64_t files, elf, no_elf, preloadable, hazards, bypasses, errors;
};

void scan_print_file(struct output *output, const struct scan_file *file,
		     const struct scan_closure *closure, const char *needed_by, bool named);
void scan_print_error(struct output *output, const char *path, const char *message);
void scan_print_totals(struct output *output, const struct scan_totals *totals);

#endif
