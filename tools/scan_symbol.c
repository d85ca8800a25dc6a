// SPDX-License-Identifier: MIT
/*
 * Symbols of a file: those of the shim's hooks that it imports, with versions and the library that is to have them,
 * and the functions that addresses lie in. Names and families come from the shim's own table.
 */
#include <stdlib.h>
#include <string.h>

#include "scan.h"

#define MAX_VERSIONS 16384

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

/* What .gnu.version_r says of an index: names as offsets, so that nothing is copied before it is asked for. */
struct versions {
	Elf_Data *index, *needed;
	struct scan_strings strings;
};

static void versions_read(struct scan_file *file, Elf *elf, struct versions *versions)
{
	GElf_Shdr header;
	Elf_Scn *section = scan_section_find(elf, SHT_GNU_versym, &header);

	if (section)
		versions->index = scan_section_data(file, section, &header);
	section = scan_section_find(elf, SHT_GNU_verneed, &header);
	if (!section)
		return;
	versions->needed = scan_section_data(file, section, &header);
	versions->strings = scan_section_strings(file, elf, header.sh_link);
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
				*version = scan_string(&versions->strings, aux.vna_name);
				*library = scan_string(&versions->strings, need.vn_file);
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

void scan_imports_read(struct scan_file *file, Elf *elf)
{
	struct versions versions = { 0 };
	struct scan_strings strings;
	const struct hooked *hook;
	Elf_Scn *section;
	GElf_Shdr header;
	GElf_Sym symbol;
	Elf_Data *data;
	const char *name;
	int i;

	section = scan_section_find(elf, SHT_DYNSYM, &header);
	data = section ? scan_section_data(file, section, &header) : NULL;
	if (!data)
		return;
	strings = scan_section_strings(file, elf, header.sh_link);
	versions_read(file, elf, &versions);
	for (i = 1; gelf_getsym(data, i, &symbol); i++) {
		name = scan_string(&strings, symbol.st_name);
		if (!name) {
			scan_problem(file, "a symbol's name lies outside of its table");
			continue;
		}
		if (!strcmp(name, "__asan_init"))
			file->asan = true;
		if (symbol.st_shndx != SHN_UNDEF)
			continue;
		hook = hooked_find(name);
		if (hook)
			import_add(file, hook, &versions, i);
	}
}

struct nearest {
	uint64_t addr;
	const char *name;
	bool inside;
};

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
	if (!inside && (symbol->st_size || nearest->inside))
		return;
	if (nearest->name && nearest->inside == inside && nearest->addr >= symbol->st_value)
		return;
	*nearest = (struct nearest){ symbol->st_value, name, inside };
}

static void calls_name_from(struct scan_file *file, Elf *elf, GElf_Word type)
{
	struct nearest nearest[SCAN_CALLS] = { 0 };
	struct scan_strings strings;
	GElf_Shdr header;
	GElf_Sym symbol;
	Elf_Scn *section = scan_section_find(elf, type, &header);
	Elf_Data *data = section ? scan_section_data(file, section, &header) : NULL;
	const char *name;
	unsigned call;
	int i;

	if (!data)
		return;
	strings = scan_section_strings(file, elf, header.sh_link);
	for (i = 1; gelf_getsym(data, i, &symbol); i++) {
		name = scan_string(&strings, symbol.st_name);
		for (call = 0; name && call < file->calls; call++)
			nearest_look(&nearest[call], &symbol, name, file->call[call].addr);
	}
	for (call = 0; call < file->calls; call++) {
		if (!nearest[call].name || file->call[call].function ||
		    strlen(nearest[call].name) >= 4096)
			continue;
		file->call[call].function = scan_copy(nearest[call].name);
		file->call[call].into = file->call[call].addr - nearest[call].addr;
	}
}

void scan_calls_name(struct scan_file *file, Elf *elf)
{
	calls_name_from(file, elf, SHT_SYMTAB);
	calls_name_from(file, elf, SHT_DYNSYM);
}
