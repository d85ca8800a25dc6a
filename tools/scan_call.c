// SPDX-License-Identifier: MIT
/*
 * The system calls in a file's own code that make or replace a process: goes over what is executable, and names the
 * functions that they lie in. scan_code.c tells one from its bytes.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "scan.h"

#define MAX_CODE ((uint64_t)1 << 30)
#define CODE_CHUNK ((size_t)256 << 10)

static void call_found(void *context, uint64_t addr, const char *call)
{
	struct scan_file *file = context;

	file->calls_found++;
	if (file->calls == SCAN_CALLS)
		return;
	if (!file->call)
		file->call = calloc(SCAN_CALLS, sizeof(*file->call));
	if (!file->call)
		abort();
	file->call[file->calls++] = (struct scan_call){ .call = call, .addr = addr };
}

/* Code a piece at a time; `budget` keeps sections that overlap from being read without end. */
static void code_range(struct scan_file *file, int fd, uint64_t offset, uint64_t size,
		       uint64_t addr, uint64_t *budget)
{
	static uint8_t buffer[SCAN_CODE_BEFORE + CODE_CHUNK];
	size_t before = 0;

	while (size) {
		size_t wanted = size < CODE_CHUNK ? (size_t)size : CODE_CHUNK;
		ssize_t got;

		if (wanted > *budget) {
			scan_problem(file, "not all of its code was looked at: too much");
			return;
		}
		got = offset > INT64_MAX ? -1 : pread(fd, buffer + before, wanted, (off_t)offset);
		if (got != (ssize_t)wanted) {
			scan_problem(file, "its code lies outside of the file");
			return;
		}
		*budget -= wanted;
		scan_code(file->machine, buffer, before + wanted, before, addr - before, call_found,
			  file);
		offset += wanted;
		addr += wanted;
		size -= wanted;
		wanted += before;
		before = wanted < SCAN_CODE_BEFORE ? wanted : SCAN_CODE_BEFORE;
		memmove(buffer, buffer + wanted - before, before);
	}
}

static void code_read(struct scan_file *file, const struct scan_image *image)
{
	uint64_t budget = image->size < MAX_CODE ? image->size : MAX_CODE;
	Elf_Scn *section = NULL;
	bool sections = false;
	GElf_Phdr segment;
	GElf_Shdr header;
	size_t i;

	while ((section = elf_nextscn(image->elf, section))) {
		if (!gelf_getshdr(section, &header))
			continue;
		sections = true;
		if (header.sh_type == SHT_PROGBITS && header.sh_flags & SHF_EXECINSTR &&
		    header.sh_flags & SHF_ALLOC)
			code_range(file, image->fd, header.sh_offset, header.sh_size,
				   header.sh_addr, &budget);
	}
	for (i = 0; !sections && i < image->segments; i++)
		if (gelf_getphdr(image->elf, (int)i, &segment) && segment.p_type == PT_LOAD &&
		    segment.p_flags & PF_X)
			code_range(file, image->fd, segment.p_offset, segment.p_filesz,
				   segment.p_vaddr, &budget);
}

struct nearest {
	uint64_t addr;
	const char *name;
	bool inside;
};

/* A function without a size, of assembly, is no larger; what lies farther has lost its symbol. */
#define FAR 1024

/* The function that holds the address, or, where sizes are missing, starts last before it. */
static void nearest_look(struct nearest *nearest, const GElf_Sym *symbol, const char *name,
			 uint64_t addr)
{
	unsigned type = GELF_ST_TYPE(symbol->st_info);
	bool inside = symbol->st_size && addr - symbol->st_value < symbol->st_size;

	if (type != STT_FUNC && type != STT_NOTYPE && type != STT_GNU_IFUNC)
		return;
	if (symbol->st_shndx == SHN_UNDEF || symbol->st_value > addr || !*name || *name == '$')
		return;
	if (!inside && (symbol->st_size || nearest->inside || addr - symbol->st_value > FAR))
		return;
	if (nearest->name && nearest->inside == inside && nearest->addr >= symbol->st_value)
		return;
	*nearest = (struct nearest){ symbol->st_value, name, inside };
}

static void nearest_symbol(struct scan_file *file, struct nearest *nearest, const GElf_Sym *symbol,
			   const char *name)
{
	unsigned call;

	for (call = 0; name && call < file->calls; call++)
		nearest_look(&nearest[call], symbol, name, file->call[call].addr);
}

static void nearest_take(struct scan_file *file, const struct nearest *nearest)
{
	unsigned call;

	for (call = 0; call < file->calls; call++) {
		if (!nearest[call].name || file->call[call].function ||
		    strlen(nearest[call].name) >= 4096)
			continue;
		file->call[call].function = scan_copy(nearest[call].name);
		file->call[call].into = file->call[call].addr - nearest[call].addr;
	}
}

/* All symbols first; what was stripped of them may still have those for the loader. */
static void calls_name(struct scan_file *file, struct scan_image *image)
{
	static const enum scan_table tables[] = { SCAN_SYMTAB, SCAN_DYNSYM };
	struct scan_symbols symbols;
	GElf_Sym symbol;
	const char *name;
	size_t at;
	int i;

	for (at = 0; at < 2; at++) {
		struct nearest nearest[SCAN_CALLS] = { 0 };

		if (!scan_symbols_open(&symbols, file, image, tables[at]))
			continue;
		for (i = 1; scan_symbols_get(&symbols, i, &symbol, &name); i++)
			nearest_symbol(file, nearest, &symbol, name);
		nearest_take(file, nearest);
	}
}

void scan_calls_read(struct scan_file *file, struct scan_image *image)
{
	if (!scan_code_known(file->machine))
		return;
	code_read(file, image);
	if (file->calls)
		calls_name(file, image);
}
