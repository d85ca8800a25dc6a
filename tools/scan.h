/* SPDX-License-Identifier: MIT */
/*
 * `spork scan`, in files of one owner each: scan.c the command and the walk over folders, scan_image.c the bytes of
 * one file, scan_elf.c its facts, scan_symbol.c its symbols, scan_call.c and scan_code.c its system calls,
 * scan_needed.c the libraries it needs, scan_print.c text and JSON.
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
#include <sys/stat.h>
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
	SCAN_REASON(TSAN, "tsan", "it is built with ThreadSanitizer")                              \
	SCAN_REASON(MSAN, "msan", "it is built with MemorySanitizer")                              \
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
	bool go;
	unsigned sanitizer;	 /* the bit of its reason; zero: none */
	bool starts;		 /* has what a program's start calls, as a libc does */
	bool is_loader, is_libc; /* glibc's; its loader is a part of it */
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
/*
 * The same without its system calls, to judge a program that is to be executed: damage of what only tools look at
 * is no failure.
 */
enum scan_result scan_program_read(struct scan_file *file, int fd);
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

/* ---- scan_image.c ---- */

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

struct scan_image {
	int fd;
	struct stat status;
	uint64_t size; /* bytes of the file */
	Elf *elf;
	GElf_Ehdr header;
	size_t segments;	     /* program headers that can be read */
	Elf_Data *dynamic;	     /* NULL: none */
	struct scan_strings strings; /* the loader's */
};

/*
 * SCAN_NO_ELF and SCAN_FAILED (`problem` tells why): there is nothing to read. scan_image_close() after each of
 * them. What the image hands out lives as long as it.
 */
enum scan_result scan_image_open(struct scan_image *image, struct scan_file *file, int fd);
void scan_image_close(struct scan_image *image);
/* Finds the dynamic section and its string table by the program headers. */
void scan_image_link(struct scan_image *image, struct scan_file *file);
/* The first entry of the dynamic section with that tag; false: none. */
bool scan_image_dynamic(const struct scan_image *image, int64_t tag, uint64_t *value);
/* `size` bytes that the file has at a virtual address; NULL: it has not that many there. */
Elf_Data *scan_image_at(struct scan_image *image, uint64_t address, uint64_t size, Elf_Type type);
/* Bytes from there to the end of the segment's part of the file; zero: it has none there. */
uint64_t scan_image_left(struct scan_image *image, uint64_t address);

/*
 * Which of `count` texts, at most 32 of less than 64 bytes each, its data that are not code hold: bit i for texts[i].
 * Segments may overlap: no more is read than the file has.
 */
uint32_t scan_image_texts(struct scan_image *image, const char *const *texts, unsigned count);

/* The data of a section, unless it is too large or lies outside of the file. */
Elf_Data *scan_section_data(struct scan_file *file, Elf_Scn *section, const GElf_Shdr *header);
/* The string table that `index` names; empty where there is none. */
struct scan_strings scan_section_strings(struct scan_file *file, Elf *elf, size_t index);
/* The first section of that type; NULL: none. */
Elf_Scn *scan_section_find(Elf *elf, GElf_Word type, GElf_Shdr *header);

/* ---- scan_symbol.c ---- */

/* What the loader has, and what a linker leaves for debuggers. */
enum scan_table { SCAN_DYNSYM, SCAN_SYMTAB };

struct scan_symbols {
	Elf_Data *data;
	struct scan_strings strings;
};

/* False: there is no such table, or, with a problem, it lies outside of the file. */
bool scan_symbols_open(struct scan_symbols *symbols, struct scan_file *file,
		       struct scan_image *image, enum scan_table table);
/* False: there are no more. `name` is NULL where it lies outside of its table. */
bool scan_symbols_get(const struct scan_symbols *symbols, int index, GElf_Sym *symbol,
		      const char **name);
/* A symbol of the loader's table by its name; false: it has none. */
bool scan_symbol_find(struct scan_file *file, struct scan_image *image, const char *wanted,
		      GElf_Sym *symbol);

void scan_imports_read(struct scan_file *file, struct scan_image *image);
const char *scan_family_name(enum scan_family family);

/* ---- scan_call.c ---- */

/* The calls, and the functions that they lie in. */
void scan_calls_read(struct scan_file *file, struct scan_image *image);

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
	bool used; /* by some file; others of its name were tried, for another machine say */
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

/* Libraries are looked up below that folder, a descriptor that it takes, from now on; -1: from our own root. */
void scan_needed_root(int fd);

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
