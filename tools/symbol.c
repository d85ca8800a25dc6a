// SPDX-License-Identifier: MIT
/*
 * From an address in a module to its function or variable, file and line, with libdw.
 *
 * Each module gets a session of its own, opened when first asked for, so that one broken file
 * spoils nothing else. Debug information is looked for in the file and in the system's folders,
 * never on the network. A file whose build-id is not the recorded one is not asked. Used by one
 * thread at a time.
 */
#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tool.h"

#define CACHE_SLOTS 4096

enum module_state { MODULE_UNTRIED, MODULE_OPEN, MODULE_REPLACED, MODULE_UNUSABLE };

struct module {
	enum module_state state;
	Dwfl *session;
	Dwfl_Module *dwfl;
	Dwarf_Addr bias; /* session address less link-time address */
};

struct cached {
	uint64_t offset;
	uint32_t module;
	struct place place;
};

struct symbols {
	const struct box *box;
	struct module module[BOX_CAPACITY_MODULE];
	struct cached code[CACHE_SLOTS];
	uint32_t searched; /* words without a name: see nameless_size() */
};

static char *debug_folders; /* NULL: libdwfl's own list */

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_build_id_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
	.section_address = dwfl_offline_section_address,
	.debuginfo_path = &debug_folders,
};

struct symbols *symbols_open(const struct box *box)
{
	struct symbols *symbols = calloc(1, sizeof(*symbols));

	if (!symbols)
		abort();
	unsetenv("DEBUGINFOD_URLS");
	symbols->box = box;
	return symbols;
}

void symbols_close(struct symbols *symbols)
{
	size_t i;

	for (i = 0; i < BOX_CAPACITY_MODULE; i++)
		if (symbols->module[i].session)
			dwfl_end(symbols->module[i].session);
	free(symbols);
}

/* Paths come from the box: only regular files may be opened, anything else may hang or act. */
static int file_open(const char *path)
{
	struct stat status;

	if (*path != '/' || stat(path, &status) || !S_ISREG(status.st_mode))
		return -1;
	return open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
}

static enum module_state module_open(struct module *module, const struct box_module *record)
{
	const unsigned char *build_id;
	int fd = file_open(record->path), size;
	GElf_Addr where;

	if (fd < 0)
		return MODULE_UNUSABLE;
	module->session = dwfl_begin(&callbacks);
	if (!module->session) {
		close(fd);
		return MODULE_UNUSABLE;
	}
	dwfl_report_begin(module->session);
	module->dwfl =
		dwfl_report_offline(module->session, path_base(record->path), record->path, fd);
	if (!module->dwfl)
		close(fd);
	dwfl_report_end(module->session, NULL, NULL);
	if (!module->dwfl || !dwfl_module_getelf(module->dwfl, &module->bias))
		return MODULE_UNUSABLE;
	size = dwfl_module_build_id(module->dwfl, &build_id, &where);
	if (record->build_id_size && ((uint32_t)size != record->build_id_size ||
				      memcmp(build_id, record->build_id, record->build_id_size)))
		return MODULE_REPLACED;
	return MODULE_OPEN;
}

/* The frame's module, opened if that is possible; fills in what is known without it. */
static struct module *frame_module(struct symbols *symbols, const struct box_frame *frame,
				   struct place *place)
{
	const struct box_module *record = box_module(symbols->box, frame->module);
	struct module *module;

	if (!record || !record->path[0])
		return NULL;
	module = &symbols->module[frame->module - 1];
	if (module->state == MODULE_UNTRIED)
		module->state = module_open(module, record);
	place->module = record->path;
	place->replaced = module->state == MODULE_REPLACED;
	return module->state == MODULE_OPEN ? module : NULL;
}

/* The unit that has `address`. Not every compiler writes the index for dwfl_module_addrdie(). */
static Dwarf_Die *unit_find(Dwfl_Module *dwfl, Dwarf_Addr address, Dwarf_Addr *bias)
{
	Dwarf_Die *unit = dwfl_module_addrdie(dwfl, address, bias);

	if (unit)
		return unit;
	while ((unit = dwfl_module_nextcu(dwfl, unit, bias)))
		if (dwarf_haspc(unit, address - *bias) > 0)
			return unit;
	return NULL;
}

/* The name of the innermost function at `pc`, inlined ones too, as the line table sees it. */
static const char *function_name(Dwarf_Die *unit, Dwarf_Addr pc)
{
	Dwarf_Die *scopes = NULL;
	int count = dwarf_getscopes(unit, pc, &scopes), i;
	const char *name = NULL;

	for (i = 0; i < count && !name; i++) {
		int tag = dwarf_tag(&scopes[i]);

		if (tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine)
			name = dwarf_diename(&scopes[i]);
	}
	free(scopes);
	return name;
}

void symbol_look_up(Dwfl_Module *dwfl, uint64_t address, struct place *place)
{
	Dwarf_Addr bias;
	Dwarf_Die *unit = unit_find(dwfl, address, &bias);
	Dwarf_Line *line = unit ? dwarf_getsrc_die(unit, address - bias) : NULL;
	GElf_Off into;
	GElf_Sym symbol;

	if (line) {
		place->file = dwarf_linesrc(line, NULL, NULL);
		if (!place->file || dwarf_lineno(line, &place->line) || place->line <= 0)
			place->file = NULL;
	}
	if (unit)
		place->symbol = function_name(unit, address - bias);
	if (!place->symbol) {
		place->symbol =
			dwfl_module_addrinfo(dwfl, address, &into, &symbol, NULL, NULL, NULL);
		/* Past the end of a symbol is not in it: the file is stripped there. */
		if (place->symbol && symbol.st_size && into >= symbol.st_size)
			place->symbol = NULL;
	}
}

struct place symbols_code(struct symbols *symbols, const struct box_frame *frame)
{
	struct place place = { 0 };
	struct cached *cached;

	if (!frame->module)
		return place;
	cached = &symbols->code[(frame->offset ^ frame->offset >> 12 ^ frame->module * 97U) %
				CACHE_SLOTS];
	if (cached->module != frame->module || cached->offset != frame->offset) {
		struct module *module = frame_module(symbols, frame, &place);

		if (module && frame->offset)
			symbol_look_up(module->dwfl, frame->offset - 1 + module->bias, &place);
		*cached = (struct cached){ frame->offset, frame->module, place };
	}
	return cached->place;
}

struct place symbols_data(struct symbols *symbols, const struct box_frame *frame)
{
	struct place place = { 0 };
	struct module *module = frame_module(symbols, frame, &place);
	GElf_Off into;
	GElf_Sym symbol;
	const char *name;

	if (!module)
		return place;
	name = dwfl_module_addrinfo(module->dwfl, frame->offset + module->bias, &into, &symbol,
				    NULL, NULL, NULL);
	if (name && (into < symbol.st_size || !into)) {
		place.symbol = name;
		place.into = into;
		place.size = symbol.st_size;
	}
	return place;
}

/* No frame is larger. */
#define FRAME_MAX ((int64_t)1 << 40)

/* A function's frame: its end is its canonical frame address. */
struct scope {
	Dwarf_Addr pc;
	int64_t offset; /* of what is looked for, from that end */
	int64_t end;
	bool variables; /* there are any: the compiler was asked to tell */
	bool pushed;	/* the frame base is the pushed frame pointer, 16 bytes below it (x86-64) */
	Dwarf_Die found;
};

/* Where a variable starts, from the end of its frame; only of one that stays where it is. */
static bool variable_at(Dwarf_Die *die, const struct scope *scope, int64_t *start)
{
	Dwarf_Attribute attribute;
	Dwarf_Op *expression;
	size_t length;

	if (!dwarf_attr_integrate(die, DW_AT_location, &attribute) ||
	    dwarf_getlocation_addr(&attribute, scope->pc, &expression, &length, 1) != 1 ||
	    length != 1 || expression->atom != DW_OP_fbreg)
		return false;
	*start = (int64_t)expression->number - (scope->pushed ? 16 : 0);
	return true;
}

/* Aggregates say how large they are, arrays mostly through their dimensions. */
static Dwarf_Word variable_size(Dwarf_Die *die)
{
	Dwarf_Attribute attribute;
	Dwarf_Die type, peeled;
	Dwarf_Word size;

	if (!dwarf_formref_die(dwarf_attr_integrate(die, DW_AT_type, &attribute), &type) ||
	    dwarf_peel_type(&type, &peeled) || dwarf_aggregate_size(&peeled, &size))
		return 1;
	return size;
}

/* What is declared in a block that the call is not in, the child's, is none that the caller has there. */
static bool variable_find(Dwarf_Die *die, struct scope *scope)
{
	Dwarf_Die child;
	int64_t start;
	int tag;

	if (dwarf_child(die, &child))
		return false;
	do {
		tag = dwarf_tag(&child);
		scope->variables |= tag == DW_TAG_variable || tag == DW_TAG_formal_parameter;
		if ((tag == DW_TAG_variable || tag == DW_TAG_formal_parameter) &&
		    variable_at(&child, scope, &start) && scope->end > start &&
		    scope->offset < start + (int64_t)variable_size(&child)) {
			scope->found = child;
			return true;
		}
		if ((tag == DW_TAG_lexical_block || tag == DW_TAG_inlined_subroutine) &&
		    dwarf_haspc(&child, scope->pc) > 0 && variable_find(&child, scope))
			return true;
	} while (!dwarf_siblingof(&child, &child));
	return false;
}

/* What offsets count from; false: from something that a stack alone does not tell. */
static bool base_known(Dwarf_Die *function, struct scope *scope)
{
	Dwarf_Attribute attribute;
	Dwarf_Op *expression;
	size_t length;

	if (!dwarf_attr_integrate(function, DW_AT_frame_base, &attribute) ||
	    dwarf_getlocation_addr(&attribute, scope->pc, &expression, &length, 1) != 1 ||
	    length != 1)
		return false;
	scope->pushed = expression->atom == DW_OP_reg6;
	return scope->pushed || expression->atom == DW_OP_call_frame_cfa;
}

struct place symbols_local(struct symbols *symbols, const struct box_frame *frame,
			   const struct box_local *local, uint32_t size)
{
	struct place place = { 0 };
	struct module *module = frame_module(symbols, frame, &place);
	struct scope scope = { .offset = local->offset, .end = local->offset + size };
	Dwarf_Die *unit, *scopes = NULL;
	Dwarf_Addr bias;
	int count, i;

	/* What a box says may be anything. */
	if (!module || !frame->offset || !local->known || local->offset < -FRAME_MAX ||
	    local->offset > 0)
		return place;
	unit = unit_find(module->dwfl, frame->offset - 1 + module->bias, &bias);
	if (!unit)
		return place;
	scope.pc = frame->offset - 1 + module->bias - bias;
	count = dwarf_getscopes(unit, scope.pc, &scopes);
	/* Functions that were inlined share the frame of the one that they are in. */
	for (i = 0; i < count; i++) {
		if (dwarf_tag(&scopes[i]) != DW_TAG_subprogram)
			continue;
		if (!base_known(&scopes[i], &scope))
			break;
		if (!variable_find(&scopes[i], &scope)) {
			place.unnamed = scope.variables;
			break;
		}
		place.symbol = dwarf_diename(&scope.found);
		place.function = dwarf_diename(&scopes[i]);
		place.file = dwarf_decl_file(&scope.found);
		if (dwarf_decl_line(&scope.found, &place.line))
			place.file = NULL;
		break;
	}
	free(scopes);
	return place;
}

/* A site writes a few of them; a hostile box has them by the million, and each takes a walk over all symbols. */
#define SEARCHED_MOST 10000

/* Bytes up to the next variable. */
static uint64_t nameless_size(struct symbols *symbols, const struct box_write *rest)
{
	struct box_frame frame = { .module = rest->module };
	uint64_t size;

	/* Variables without a name to be shown by are seldom smaller. */
	for (size = 4 - rest->offset % 4; size < rest->size; size += 4) {
		if (symbols->searched++ >= SEARCHED_MOST)
			break;
		frame.offset = rest->offset + size;
		if (symbols_data(symbols, &frame).symbol)
			return size;
	}
	return rest->size;
}

bool symbols_piece(struct symbols *symbols, struct box_write *rest, struct box_write *piece,
		   struct place *place)
{
	struct box_frame frame = { .offset = rest->offset, .module = rest->module };
	uint64_t size = rest->size;

	if (!rest->size)
		return false;
	*place = symbols_data(symbols, &frame);
	if (place->symbol && place->size > place->into && size > place->size - place->into)
		size = place->size - place->into;
	else if (!place->symbol && rest->module)
		size = nameless_size(symbols, rest);
	*piece = *rest;
	piece->size = (uint32_t)size;
	rest->offset += size;
	rest->size -= (uint32_t)size;
	return true;
}
