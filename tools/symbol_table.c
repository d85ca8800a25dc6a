// SPDX-License-Identifier: MIT
/*
 * The symbols of a module, from whichever of its files has the best table (libdwfl knows: the debug file, the file
 * itself, its .gnu_debugdata, its dynamic symbols), sorted once: libdwfl's own search goes through all of them each
 * time.
 */
#include <elf.h>
#include <stdlib.h>
#include <string.h>

#include "symbol.h"

/* As libdwfl prefers them: global to weak to local, and those that have a size. */
static unsigned rank_of(const GElf_Sym *symbol)
{
	unsigned rank = GELF_ST_BIND(symbol->st_info) == STB_GLOBAL ? 2 :
			GELF_ST_BIND(symbol->st_info) == STB_WEAK   ? 1 :
								      0;

	return rank + (symbol->st_size ? 3 : 0);
}

static bool is_wanted(const GElf_Sym *symbol, const char *name)
{
	int type = GELF_ST_TYPE(symbol->st_info);

	if (!name || !*name || symbol->st_shndx == SHN_UNDEF || type == STT_SECTION ||
	    type == STT_FILE || type == STT_TLS)
		return false;
	/* $x, $d: what aarch64's assembler marks code and data with. */
	return type != STT_NOTYPE || *name != '$' || GELF_ST_BIND(symbol->st_info) != STB_LOCAL;
}

/* The end of the section that a symbol is in; zero: it is in none. */
static uint64_t section_end(Elf *elf, GElf_Word section, Dwarf_Addr bias)
{
	GElf_Shdr header;

	if (!elf || !gelf_getshdr(elf_getscn(elf, section), &header) ||
	    !(header.sh_flags & SHF_ALLOC))
		return 0;
	return header.sh_addr + header.sh_size + bias;
}

static int by_start(const void *left, const void *right)
{
	const struct table_row *a = left, *b = right;

	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	return a->rank < b->rank ? -1 : a->rank > b->rank;
}

/* A row without a size has the end of its section in `size` until its neighbour is known. */
static void table_read(struct table *table, Dwfl_Module *module)
{
	int count = dwfl_module_getsymtab(module), i;
	uint64_t end;
	size_t at;

	for (i = 1; i < count; i++) {
		GElf_Addr address;
		GElf_Word section;
		Dwarf_Addr bias;
		GElf_Sym symbol;
		Elf *elf;
		const char *name = dwfl_module_getsym_info(module, i, &symbol, &address, &section,
							   &elf, &bias);

		if (!is_wanted(&symbol, name))
			continue;
		end = symbol.st_size ? address + symbol.st_size : section_end(elf, section, bias);
		table->row = array_room(table->row, &table->room, table->rows, sizeof(*table->row));
		table->row[table->rows++] =
			(struct table_row){ address, symbol.st_size ? symbol.st_size : end, name,
					    rank_of(&symbol) };
	}
	if (table->rows)
		qsort(table->row, table->rows, sizeof(*table->row), by_start);
	for (at = 0; at < table->rows; at++) {
		struct table_row *row = &table->row[at];
		size_t next = at + 1;

		end = row->start + row->size;
		if (row->rank < 3) {
			while (next < table->rows && table->row[next].start == row->start)
				next++;
			end = row->size;
			if (next < table->rows && table->row[next].start < end)
				end = table->row[next].start;
			row->size = 0;
		}
		spans_add(&table->spans, row->start, end, at);
	}
	spans_sort(&table->spans);
	table->read = true;
}

const struct table_row *table_find(struct table *table, Dwfl_Module *module, uint64_t address)
{
	const struct table_row *best = NULL, *row;
	const struct span *span = NULL;

	if (!table->read)
		table_read(table, module);
	while ((span = spans_find(&table->spans, address, span))) {
		row = &table->row[span->what];
		/* A label within a function is less than the function. */
		if (!best ||
		    (row->start == best->start ? row->rank > best->rank : row->size && !best->size))
			best = row;
		else if (best->size && row->start != best->start)
			break;
	}
	return best;
}

uint64_t table_next(struct table *table, Dwfl_Module *module, uint64_t address)
{
	size_t low = 0, high, middle;

	if (!table->read)
		table_read(table, module);
	for (high = table->rows; low < high;) {
		middle = low + (high - low) / 2;
		if (table->row[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < table->rows ? table->row[low].start : UINT64_MAX;
}

void table_free(struct table *table)
{
	spans_free(&table->spans);
	free(table->row);
	*table = (struct table){ 0 };
}
