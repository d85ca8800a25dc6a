// SPDX-License-Identifier: MIT
/*
 * Local variables, by where in a function's frame they are kept.
 */
#include <dwarf.h>

#include "symbol.h"

/* A function's frame: its end is its canonical frame address. */
struct scope {
	Dwarf_Addr pc;
	int64_t offset; /* of what is looked for, from that end */
	int64_t end;
	bool variables; /* there are any: the compiler was asked to tell */
	bool pushed;	/* the frame base is the pushed frame pointer, 16 bytes below it (x86-64) */
	Dwarf_Die found, function;
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
	/* Unsigned until then: the file may say anything. */
	*start = (int64_t)(expression->number - (scope->pushed ? 16 : 0));
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

/*
 * What is declared in a block that the call is not in, the child's, is none that the caller has there. Functions that
 * were inlined share the frame of the one that they are in.
 */
static bool variable_find(Dwarf_Die *die, struct scope *scope, unsigned depth)
{
	Dwarf_Die child;
	int64_t start;
	int tag;

	if (depth == INLINED_MAX || dwarf_child(die, &child))
		return false;
	do {
		tag = dwarf_tag(&child);
		scope->variables |= tag == DW_TAG_variable || tag == DW_TAG_formal_parameter;
		if ((tag == DW_TAG_variable || tag == DW_TAG_formal_parameter) &&
		    variable_at(&child, scope, &start) && scope->end > start &&
		    (scope->offset < start ||
		     (uint64_t)scope->offset - (uint64_t)start < variable_size(&child))) {
			scope->found = child;
			return true;
		}
		if ((tag == DW_TAG_lexical_block || tag == DW_TAG_inlined_subroutine) &&
		    dwarf_haspc(&child, scope->pc) > 0 && variable_find(&child, scope, depth + 1)) {
			if (tag == DW_TAG_inlined_subroutine && !scope->function.addr)
				scope->function = child;
			return true;
		}
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

void local_look_up(Dwfl_Module *module, uint64_t address, const struct box_local *local,
		   uint32_t size, struct place *place)
{
	struct scope scope = { .offset = local->offset,
			       .end = (int64_t)((uint64_t)local->offset + size) };
	struct module_symbols *symbols = module_symbols(module);
	struct place function = { 0 };
	Dwarf_Die *die;
	struct unit *unit = units_find(&symbols->units, module, address, &die);

	if (!die)
		return;
	scope.pc = address - unit->bias;
	if (!base_known(die, &scope))
		return;
	if (!variable_find(die, &scope, 0)) {
		place->unnamed = scope.variables;
		return;
	}
	if (!scope.function.addr)
		scope.function = *die;
	place_name(symbols, &function, dwarf_diename(&scope.function),
		   linkage_name(&scope.function));
	place->function = function.symbol;
	place->symbol = dwarf_diename(&scope.found);
	place->file = dwarf_decl_file(&scope.found);
	if (dwarf_decl_line(&scope.found, &place->line))
		place->file = NULL;
}
