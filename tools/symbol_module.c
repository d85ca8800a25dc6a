// SPDX-License-Identifier: MIT
/*
 * From an address in a module to its functions, or its variable, and the sessions of libdwfl that modules are in.
 *
 * Owns what the user chose: where debug files are looked for, how names look, and whether servers may be asked.
 * libdwfl asks those in DEBUGINFOD_URLS by itself; a system may set that for everybody, so it is not taken for the
 * user's word.
 */
#include <dwarf.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "command.h"
#include "symbol.h"

char *symbol_folders; /* NULL: libdwfl's own list */

static bool mangled, network;

/* libdwfl's own come after; a leading '+' or '-' would be taken for an instruction, hence absolute paths. */
static int folder_add(const char *path)
{
	char *folder = realpath(path, NULL), *folders;
	struct stat status;

	if (!folder || stat(folder, &status) || !S_ISDIR(status.st_mode)) {
		complain("--debug-dir %s: %s; give a folder of debug files", path,
			 folder ? "is no folder" : strerror(errno));
		free(folder);
		return STATUS_FAILED;
	}
	if (strchr(folder, ':')) {
		complain("--debug-dir %s: the path must not have a ':'; choose another", path);
		free(folder);
		return STATUS_FAILED;
	}
	if (asprintf(&folders, "%s:%s", folder,
		     symbol_folders ? symbol_folders : ":.debug:/usr/lib/debug") < 0)
		abort();
	free(folder);
	free(symbol_folders);
	symbol_folders = folders;
	return 0;
}

int symbol_option(int id, const char *argument)
{
	const char *servers;

	switch (id) {
	case OPTION_DEBUG_DIR:
		return folder_add(argument);
	case OPTION_NO_DEMANGLE:
		mangled = true;
		return 0;
	default:
		servers = getenv("DEBUGINFOD_URLS");
		network = true;
		if (servers && *servers)
			return 0;
		complain("--debuginfod: DEBUGINFOD_URLS is not set; it says which servers to ask");
		return STATUS_FAILED;
	}
}

int display_option(struct output *output, int id, const char *argument)
{
	bool ours = id == OPTION_DEBUG_DIR || id == OPTION_NO_DEMANGLE || id == OPTION_DEBUGINFOD;

	return ours ? symbol_option(id, argument) : output_option(output, id, argument);
}

void symbol_begin(void)
{
	if (!network)
		unsetenv("DEBUGINFOD_URLS");
}

struct module_symbols *module_symbols(Dwfl_Module *module)
{
	void **data;

	dwfl_module_info(module, &data, NULL, NULL, NULL, NULL, NULL, NULL);
	if (!*data)
		*data = calloc(1, sizeof(struct module_symbols));
	if (!*data)
		abort();
	return *data;
}

static int module_end(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
		      void *argument)
{
	struct module_symbols *symbols = *data;
	struct places *places;
	GElf_Addr bias;

	(void)base, (void)argument;
	if (!symbols)
		return DWARF_CB_OK;
	if (*name == '/' && !dwfl_module_getelf(module, &bias))
		complain("%s: the file that is mapped is gone or cannot be read: no names", name);
	units_free(&symbols->units);
	table_free(&symbols->table);
	names_free(&symbols->names);
	while ((places = symbols->places)) {
		symbols->places = places->next;
		free(places);
	}
	free(symbols);
	*data = NULL;
	return DWARF_CB_OK;
}

void symbol_end(Dwfl *session)
{
	dwfl_getmodules(session, module_end, NULL, 0);
	dwfl_end(session);
}

void place_name(struct module_symbols *symbols, struct place *place, const char *name,
		const char *linkage)
{
	const char *plain = NULL;

	if (linkage)
		linkage = names_bare(&symbols->names, linkage);
	if (linkage && !mangled)
		plain = names_demangled(&symbols->names, linkage);
	place->symbol = plain ? plain : mangled && linkage ? linkage : name ? name : linkage;
	place->linkage = linkage && place->symbol && strcmp(linkage, place->symbol) ? linkage :
										      NULL;
}

/* Are names of the linker made of more than the function's? */
static bool has_mangled_names(Dwarf_Die *unit)
{
	switch (dwarf_srclang(unit)) {
	case DW_LANG_C_plus_plus:
	case DW_LANG_C_plus_plus_03:
	case DW_LANG_C_plus_plus_11:
	case DW_LANG_C_plus_plus_14:
	case DW_LANG_Rust:
		return true;
	default:
		return false;
	}
}

static void function_name(Dwfl_Module *module, struct unit *unit, Dwarf_Die *function, bool inlined,
			  uint64_t address, struct place *place)
{
	struct module_symbols *symbols = module_symbols(module);
	const char *name = dwarf_diename(function), *linkage = linkage_name(function), *qualified;
	const struct table_row *row;

	/* Some, a lambda's say, have theirs in the symbol table alone, all if what dwz shared out is missing. */
	if (!linkage && !inlined && (!name || has_mangled_names(&unit->die))) {
		row = table_find(&symbols->table, module, address);
		if (row && row->size && (!name || names_demangled(&symbols->names, row->name)))
			linkage = row->name;
	}
	if (name && !linkage && !mangled && has_mangled_names(&unit->die)) {
		qualified = qualified_name(&symbols->names, function);
		if (qualified)
			name = qualified;
	}
	place_name(symbols, place, name, linkage);
}

static struct place *place_add(struct module_symbols *symbols)
{
	struct places *places = calloc(1, sizeof(*places));

	if (!places)
		abort();
	places->next = symbols->places;
	symbols->places = places;
	return &places->place;
}

/* The functions at `address`: `place` is the innermost, the others follow as `outer`. */
static void functions_look_up(Dwfl_Module *module, struct unit *unit, Dwarf_Die *function,
			      uint64_t address, struct place *place)
{
	struct module_symbols *symbols = module_symbols(module);
	Dwarf_Die calls[INLINED_MAX];
	unsigned count = inlined_calls(function, address - unit->bias, calls);

	while (count--) {
		struct place *outer = place_add(symbols);

		function_name(module, unit, &calls[count], true, address, place);
		outer->module = place->module;
		outer->replaced = place->replaced;
		if (!inlined_from(&calls[count], &outer->file, &outer->line))
			outer->file = NULL;
		place->outer = outer;
		place = outer;
	}
	function_name(module, unit, function, false, address, place);
}

void symbol_look_up(Dwfl_Module *module, uint64_t address, struct place *place)
{
	struct module_symbols *symbols = module_symbols(module);
	const struct table_row *row;
	Dwarf_Die *function;
	struct unit *unit = units_find(&symbols->units, module, address, &function);
	Dwarf_Line *line = unit ? dwarf_getsrc_die(&unit->die, address - unit->bias) : NULL;

	if (line) {
		place->file = dwarf_linesrc(line, NULL, NULL);
		if (!place->file || dwarf_lineno(line, &place->line) || place->line <= 0)
			place->file = NULL;
	}
	if (function)
		functions_look_up(module, unit, function, address, place);
	if (place->symbol || place->outer)
		return;
	row = table_find(&symbols->table, module, address);
	if (row)
		place_name(symbols, place, NULL, row->name);
}

void symbol_data_look_up(Dwfl_Module *module, uint64_t address, struct place *place)
{
	struct module_symbols *symbols = module_symbols(module);
	const struct table_row *row = table_find(&symbols->table, module, address);

	/* One without a size is known to be there, not how far it goes. */
	if (!row || (!row->size && address != row->start))
		return;
	place_name(symbols, place, NULL, row->name);
	place->into = address - row->start;
	place->size = row->size;
}
