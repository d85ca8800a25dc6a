// SPDX-License-Identifier: MIT
/*
 * Units and functions of DWARF, by address, and the inlined calls in them.
 *
 * libdw can do the same from a unit on, but walks the whole of the unit for each address, knows no functions within
 * namespaces, where clang has them, and needs .debug_aranges, which clang does not write. Here units are sorted
 * once, and the functions of a unit when the first of them is asked for.
 */
#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#include "symbol.h"

#define DEPTH_MAX 64 /* no program nests as deep */

static void ranges_add(struct spans *spans, Dwarf_Die *die, Dwarf_Addr bias, size_t what)
{
	Dwarf_Addr base, start, end;
	ptrdiff_t at = 0;

	while ((at = dwarf_ranges(die, at, &base, &start, &end)) > 0)
		spans_add(spans, start + bias, end + bias, what);
}

/* Of split DWARF the program has only a skeleton. */
static Dwarf_Die unit_whole(Dwarf_Die *die)
{
	Dwarf_Die split;
	uint8_t type;

	if (!dwarf_cu_info(die->cu, NULL, &type, NULL, &split, NULL, NULL, NULL) &&
	    type == DW_UT_skeleton && split.addr)
		return split;
	return *die;
}

static void units_read(struct units *units, Dwfl_Module *module)
{
	Dwarf_Die *die = NULL;
	Dwarf_Addr bias;

	while ((die = dwfl_module_nextcu(module, die, &bias))) {
		units->unit =
			array_room(units->unit, &units->room, units->count, sizeof(*units->unit));
		units->unit[units->count] = (struct unit){ .die = unit_whole(die), .bias = bias };
		ranges_add(&units->spans, die, bias, units->count++);
	}
	spans_sort(&units->spans);
	units->read = true;
}

static void functions_read(struct unit *unit, Dwarf_Die *parent, unsigned depth)
{
	Dwarf_Die die;

	if (depth == DEPTH_MAX || dwarf_child(parent, &die))
		return;
	do {
		switch (dwarf_tag(&die)) {
		case DW_TAG_subprogram:
			unit->function = array_room(unit->function, &unit->room, unit->functions,
						    sizeof(*unit->function));
			unit->function[unit->functions] = die;
			ranges_add(&unit->spans, &die, unit->bias, unit->functions++);
			/* fall through */
		case DW_TAG_namespace:
		case DW_TAG_module:
		case DW_TAG_class_type:
		case DW_TAG_structure_type:
		case DW_TAG_union_type:
		case DW_TAG_lexical_block:
			functions_read(unit, &die, depth + 1);
			break;
		default:
			break;
		}
	} while (!dwarf_siblingof(&die, &die));
}

struct unit *units_find(struct units *units, Dwfl_Module *module, uint64_t address,
			Dwarf_Die **function)
{
	const struct span *span = NULL, *found;
	struct unit *unit, *first = NULL;

	*function = NULL;
	if (!units->read)
		units_read(units, module);
	while ((span = spans_find(&units->spans, address, span))) {
		unit = &units->unit[span->what];
		if (!first)
			first = unit;
		if (!unit->read) {
			functions_read(unit, &unit->die, 0);
			spans_sort(&unit->spans);
			unit->read = true;
		}
		found = spans_find(&unit->spans, address, NULL);
		if (found) {
			*function = &unit->function[found->what];
			return unit;
		}
	}
	return first;
}

void units_free(struct units *units)
{
	size_t i;

	for (i = 0; i < units->count; i++) {
		spans_free(&units->unit[i].spans);
		free(units->unit[i].function);
	}
	free(units->unit);
	spans_free(&units->spans);
	*units = (struct units){ 0 };
}

unsigned inlined_calls(Dwarf_Die *function, Dwarf_Addr pc, Dwarf_Die *calls)
{
	Dwarf_Die parent = *function, die;
	unsigned depth, count = 0;
	int none;

	for (depth = 0; depth < DEPTH_MAX && count < INLINED_MAX; depth++) {
		for (none = dwarf_child(&parent, &die); !none; none = dwarf_siblingof(&die, &die)) {
			int tag = dwarf_tag(&die);

			if ((tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block) &&
			    dwarf_haspc(&die, pc) > 0)
				break;
		}
		if (none)
			break;
		if (dwarf_tag(&die) == DW_TAG_inlined_subroutine)
			calls[count++] = die;
		parent = die;
	}
	return count;
}

static bool number_of(Dwarf_Die *die, unsigned name, Dwarf_Word *number)
{
	Dwarf_Attribute attribute;

	return dwarf_attr(die, name, &attribute) && !dwarf_formudata(&attribute, number);
}

bool inlined_from(Dwarf_Die *call, const char **file, int *line)
{
	Dwarf_Word from_file, from_line;
	Dwarf_Files *files;
	Dwarf_Die unit;
	size_t count;

	if (!number_of(call, DW_AT_call_file, &from_file) ||
	    !number_of(call, DW_AT_call_line, &from_line) || !from_line || from_line > INT32_MAX ||
	    !dwarf_diecu(call, &unit, NULL, NULL) || dwarf_getsrcfiles(&unit, &files, &count) ||
	    from_file >= count)
		return false;
	*file = dwarf_filesrc(files, from_file, NULL, NULL);
	*line = (int)from_line;
	return *file != NULL;
}

const char *linkage_name(Dwarf_Die *function)
{
	Dwarf_Attribute attribute;

	if (!dwarf_attr_integrate(function, DW_AT_linkage_name, &attribute) &&
	    !dwarf_attr_integrate(function, DW_AT_MIPS_linkage_name, &attribute))
		return NULL;
	return dwarf_formstring(&attribute);
}

/* Where a function is declared: what was inlined, or is defined elsewhere, only refers to that. */
static Dwarf_Die declaration(const Dwarf_Die *function)
{
	Dwarf_Die die = *function, next;
	Dwarf_Attribute attribute;
	int i;

	for (i = 0; i < 4; i++) {
		if (!dwarf_formref_die(dwarf_attr(&die, DW_AT_abstract_origin, &attribute),
				       &next) &&
		    !dwarf_formref_die(dwarf_attr(&die, DW_AT_specification, &attribute), &next))
			break;
		die = next;
	}
	return die;
}

const char *qualified_name(struct names *names, Dwarf_Die *function)
{
	Dwarf_Die die = declaration(function), *scopes = NULL;
	const struct name *kept = names_find(names, die.addr);
	const char *part;
	int count, parts = 0, i;
	size_t size;
	char *name;
	FILE *file;

	if (kept)
		return kept->plain;
	/* Goes through the unit, but once for each such function. */
	count = dwarf_getscopes_die(&die, &scopes);
	file = open_memstream(&name, &size);
	if (!file)
		abort();
	for (i = count - 1; i >= 0; i--) {
		int tag = dwarf_tag(&scopes[i]);

		part = dwarf_diename(&scopes[i]);
		if (i && tag == DW_TAG_namespace && !part)
			part = "(anonymous namespace)";
		if (part && (!i || tag == DW_TAG_namespace || tag == DW_TAG_class_type ||
			     tag == DW_TAG_structure_type || tag == DW_TAG_union_type))
			fprintf(file, "%s%s", parts++ ? "::" : "", part);
	}
	if (fclose(file))
		abort();
	free(scopes);
	if (parts < 2) {
		free(name);
		name = NULL;
	}
	return names_keep(names, die.addr, name);
}
