// SPDX-License-Identifier: MIT
/*
 * Symbols of a file: the loader's table and all of them, and those of the shim's hooks that the file imports, with
 * versions and the library that is to have them. Names and families come from the shim's own table.
 */
#include <stdlib.h>
#include <string.h>

#include "scan.h"

#define MAX_VERSIONS 16384
#define MAX_NEEDS ((uint64_t)64 << 10) /* bytes of the table of versions that are needed */
#define MAX_CHAIN ((uint64_t)64 << 10) /* symbols of one hash */

enum trait { TRAIT_OTHER, TRAIT_SPAWN, TRAIT_THREAD, TRAIT_LOCK, TRAIT_NONE, TRAIT_LIBC };

/* The traits that tell a family; all others are none of ours. */
#define TRAIT_OF(trait)                                                                            \
	(!strcmp(trait, "SPAWN")  ? TRAIT_SPAWN :                                                  \
	 !strcmp(trait, "THREAD") ? TRAIT_THREAD :                                                 \
	 !strcmp(trait, "LOCK")	  ? TRAIT_LOCK :                                                   \
	 !strcmp(trait, "NONE")	  ? TRAIT_NONE :                                                   \
	 !strcmp(trait, "LIBC")	  ? TRAIT_LIBC :                                                   \
				    TRAIT_OTHER)

struct hooked {
	const char *symbol;
	enum scan_family family;
};

static const struct {
	const char *symbol, *trait;
} rows[] = {
#define HOOK(kind, id, symbol, version, trait) { #symbol, #trait },
#include "hooks.def"
#undef HOOK
};

#define ROWS (sizeof(rows) / sizeof(*rows))

static struct hooked hooked[ROWS];
static size_t hooked_count;

static bool row_family(const char *symbol, const char *trait, enum scan_family *family)
{
	switch (TRAIT_OF(trait)) {
	case TRAIT_SPAWN:
		*family = FAMILY_SPAWN;
		return true;
	case TRAIT_THREAD:
		*family = FAMILY_THREAD;
		return true;
	case TRAIT_LOCK:
		*family = FAMILY_LOCK;
		return true;
	case TRAIT_NONE:
		*family = FAMILY_EXEC;
		return !strncmp(symbol, "exec", 4) || !strncmp(symbol, "fexec", 5);
	case TRAIT_LIBC:
		*family = FAMILY_ATFORK;
		return strstr(symbol, "atfork") != NULL;
	default:
		return false;
	}
}

static int hooked_order(const void *left, const void *right)
{
	return strcmp(((const struct hooked *)left)->symbol,
		      ((const struct hooked *)right)->symbol);
}

static const struct hooked *hooked_find(const char *symbol)
{
	const struct hooked key = { symbol, 0 };
	enum scan_family family;
	size_t i;

	if (!hooked_count) {
		for (i = 0; i < ROWS; i++)
			if (row_family(rows[i].symbol, rows[i].trait, &family))
				hooked[hooked_count++] = (struct hooked){ rows[i].symbol, family };
		qsort(hooked, hooked_count, sizeof(*hooked), hooked_order);
	}
	return bsearch(&key, hooked, hooked_count, sizeof(*hooked), hooked_order);
}

const char *scan_family_name(enum scan_family family)
{
	static const char *const names[] = { "spawn", "exec", "thread", "lock", "atfork" };

	return names[family];
}

/*
 * How many symbols the loader's table has is told by its hash tables alone. GNU's holds only what a file defines,
 * which comes last: zero where it is empty, or cannot be read.
 */
static uint64_t gnu_hash_count(struct scan_image *image, uint64_t table)
{
	uint64_t buckets_at, chains_at, chain, last, left;
	Elf_Data *data = scan_image_at(image, table, 16, ELF_T_WORD);
	uint32_t head[4], i;
	const uint32_t *word;

	if (!data)
		return 0;
	memcpy(head, data->d_buf, sizeof(head));
	buckets_at = table + 16 +
		     (uint64_t)head[2] * (image->header.e_ident[EI_CLASS] == ELFCLASS64 ? 8 : 4);
	data = scan_image_at(image, buckets_at, (uint64_t)head[0] * 4, ELF_T_WORD);
	if (!data)
		return 0;
	word = data->d_buf;
	for (last = 0, i = 0; i < head[0]; i++)
		if (word[i] > last)
			last = word[i];
	if (last < head[1])
		return 0;
	chains_at = buckets_at + (uint64_t)head[0] * 4;
	chain = chains_at + (last - head[1]) * 4;
	left = scan_image_left(image, chain) / 4;
	if (left > MAX_CHAIN)
		left = MAX_CHAIN;
	data = scan_image_at(image, chain, left * 4, ELF_T_WORD);
	if (!data)
		return 0;
	word = data->d_buf;
	for (i = 0; i < left; i++)
		if (word[i] & 1)
			return last + i + 1;
	return 0;
}

/* The symbols end where another table starts, at the latest. */
static uint64_t distance_count(struct scan_image *image, uint64_t symbols)
{
	static const int64_t tags[] = { DT_STRTAB,   DT_VERSYM, DT_VERNEED, DT_VERDEF, DT_HASH,
					DT_GNU_HASH, DT_RELA,	DT_REL,	    DT_JMPREL };
	uint64_t end = UINT64_MAX, at;
	size_t i;

	for (i = 0; i < sizeof(tags) / sizeof(*tags); i++)
		if (scan_image_dynamic(image, tags[i], &at) && at > symbols && at < end)
			end = at;
	return end == UINT64_MAX ?
		       0 :
		       (end - symbols) / gelf_fsize(image->elf, ELF_T_SYM, 1, EV_CURRENT);
}

static uint64_t dynamic_count(struct scan_image *image, uint64_t symbols)
{
	uint64_t table, count = 0;
	Elf_Data *data;

	if (scan_image_dynamic(image, DT_GNU_HASH, &table))
		count = gnu_hash_count(image, table);
	if (!count && scan_image_dynamic(image, DT_HASH, &table) &&
	    (data = scan_image_at(image, table, 8, ELF_T_WORD)))
		count = ((const uint32_t *)data->d_buf)[1];
	return count ? count : distance_count(image, symbols);
}

static bool dynsym_open(struct scan_symbols *symbols, struct scan_file *file,
			struct scan_image *image)
{
	size_t entry = gelf_fsize(image->elf, ELF_T_SYM, 1, EV_CURRENT);
	uint64_t at, count;

	if (!scan_image_dynamic(image, DT_SYMTAB, &at) || !(count = dynamic_count(image, at)))
		return false;
	symbols->data = count > INT32_MAX ? NULL :
					    scan_image_at(image, at, count * entry, ELF_T_SYM);
	symbols->strings = image->strings;
	if (!symbols->data)
		scan_problem(file, "its table of symbols lies outside of the file");
	return symbols->data;
}

bool scan_symbols_open(struct scan_symbols *symbols, struct scan_file *file,
		       struct scan_image *image, enum scan_table table)
{
	GElf_Shdr header;
	Elf_Scn *section;

	if (table == SCAN_DYNSYM)
		return dynsym_open(symbols, file, image);
	section = scan_section_find(image->elf, SHT_SYMTAB, &header);
	symbols->data = section ? scan_section_data(file, section, &header) : NULL;
	if (symbols->data)
		symbols->strings = scan_section_strings(file, image->elf, header.sh_link);
	return symbols->data;
}

bool scan_symbols_get(const struct scan_symbols *symbols, int index, GElf_Sym *symbol,
		      const char **name)
{
	if (!gelf_getsym(symbols->data, index, symbol))
		return false;
	*name = scan_string(&symbols->strings, symbol->st_name);
	return true;
}

bool scan_symbol_find(struct scan_file *file, struct scan_image *image, const char *wanted,
		      GElf_Sym *symbol)
{
	struct scan_symbols symbols;
	const char *name;
	int i;

	if (!scan_symbols_open(&symbols, file, image, SCAN_DYNSYM))
		return false;
	for (i = 1; scan_symbols_get(&symbols, i, symbol, &name); i++)
		if (name && !strcmp(name, wanted))
			return true;
	return false;
}

/* What the version tables say of an index: names as offsets, so that nothing is copied before it is asked for. */
struct versions {
	Elf_Data *index, *needed;
	const struct scan_strings *strings;
};

static void versions_read(struct scan_image *image, size_t symbols, struct versions *versions)
{
	uint64_t at, left;

	versions->strings = &image->strings;
	if (scan_image_dynamic(image, DT_VERSYM, &at))
		versions->index = scan_image_at(image, at, symbols * 2, ELF_T_HALF);
	if (!scan_image_dynamic(image, DT_VERNEED, &at))
		return;
	/* Nothing tells its size; what follows it does no harm. */
	left = scan_image_left(image, at);
	versions->needed =
		scan_image_at(image, at, left < MAX_NEEDS ? left : MAX_NEEDS, ELF_T_VNEED);
}

static bool version_find(const struct versions *versions, int symbol, const char **version,
			 const char **library)
{
	size_t budget = versions->needed ? MAX_VERSIONS : 0;
	GElf_Verneed need;
	GElf_Vernaux aux;
	GElf_Versym index;
	size_t at = 0, inner;
	unsigned i;

	if (!versions->index || !gelf_getversym(versions->index, symbol, &index))
		return false;
	/* Entries may overlap, and a chain of them need not be one. */
	while (budget && at < versions->needed->d_size &&
	       gelf_getverneed(versions->needed, (int)at, &need)) {
		inner = at + need.vn_aux;
		for (i = 0; i < need.vn_cnt && budget; i++, budget--) {
			if (inner >= versions->needed->d_size ||
			    !gelf_getvernaux(versions->needed, (int)inner, &aux))
				break;
			if ((aux.vna_other & 0x7fff) == (index & 0x7fff)) {
				*version = scan_string(versions->strings, aux.vna_name);
				*library = scan_string(versions->strings, need.vn_file);
				return true;
			}
			if (!aux.vna_next)
				break;
			inner += aux.vna_next;
		}
		if (!need.vn_next)
			break;
		at += need.vn_next;
		budget -= budget > 0;
	}
	return false;
}

static void import_add(struct scan_file *file, const struct hooked *hook,
		       const struct versions *versions, int symbol)
{
	const char *version = NULL, *library = NULL;
	struct scan_import *import;

	if (file->imports == SCAN_IMPORTS) {
		scan_problem(file, "it imports a function again and again");
		return;
	}
	/* In powers of two. */
	if (!(file->imports & (file->imports - 1))) {
		file->import = realloc(file->import,
				       (file->imports ? 2 * file->imports : 1) * sizeof(*import));
		if (!file->import)
			abort();
	}
	import = &file->import[file->imports++];
	memset(import, 0, sizeof(*import));
	import->symbol = hook->symbol;
	import->family = hook->family;
	if (version_find(versions, symbol, &version, &library)) {
		import->version = version && strlen(version) < 256 ? scan_copy(version) : NULL;
		import->library = library && strlen(library) < 4096 ? scan_copy(library) : NULL;
	}
	file->family[hook->family]++;
	/* Of what makes processes, these run atfork handlers, and leave a copy with one thread. */
	if (hook->family == FAMILY_SPAWN && strcmp(hook->symbol, "_Fork") &&
	    ((strstr(hook->symbol, "fork") && !strstr(hook->symbol, "vfork")) ||
	     !strcmp(hook->symbol, "daemon")))
		file->forks = true;
	if (hook->family == FAMILY_THREAD && strstr(hook->symbol, "_create"))
		file->threads = true;
}

void scan_imports_read(struct scan_file *file, struct scan_image *image)
{
	struct versions versions = { 0 };
	struct scan_symbols symbols;
	const struct hooked *hook;
	GElf_Sym symbol;
	const char *name;
	int i;

	if (!scan_symbols_open(&symbols, file, image, SCAN_DYNSYM))
		return;
	versions_read(image,
		      symbols.data->d_size / gelf_fsize(image->elf, ELF_T_SYM, 1, EV_CURRENT),
		      &versions);
	for (i = 1; scan_symbols_get(&symbols, i, &symbol, &name); i++) {
		if (!name)
			scan_problem(file, "a symbol's name lies outside of its table");
		if (!name || symbol.st_shndx != SHN_UNDEF)
			continue;
		hook = hooked_find(name);
		if (hook)
			import_add(file, hook, &versions, i);
	}
}
