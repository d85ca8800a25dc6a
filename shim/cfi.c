// SPDX-License-Identifier: MIT
/*
 * Reads the call frame information of compiled code: DWARF 5, section 6.4, as .eh_frame keeps it (Linux
 * Standard Base Core 5.0, sections 10.6.1 and 10.6.2). Called by walk.c; may run wherever it may.
 *
 * Only what compilers emit for plain functions is understood: the frame's end is a constant above the stack
 * or the frame pointer, and the frame pointer and the return address are kept at a constant below that end.
 * All else (expressions, realigned stacks, signal frames, signed return addresses) is unknown.
 */
#include "cfi.h"

#include <dlfcn.h>

#include "sys.h"

#include "poison.h"

extern __typeof__(_dl_find_object) _dl_find_object __attribute__((weak));

#define WORD ((int64_t)sizeof(uintptr_t))

/* What is read, and how far it may be. */
struct reader {
	const uint8_t *at, *end;
	bool bad;
};

static void skip_bytes(struct reader *reader, uint64_t size)
{
	if (size > (uint64_t)(reader->end - reader->at)) {
		reader->bad = true;
		reader->at = reader->end;
	} else {
		reader->at += size;
	}
}

/* Little-endian, as all architectures here. */
static uint64_t read_bytes(struct reader *reader, unsigned size)
{
	const uint8_t *from = reader->at;
	uint64_t value = 0;

	skip_bytes(reader, size);
	if (!reader->bad)
		memcpy(&value, from, size);
	return value;
}

/* LEB128 (DWARF 5, section 7.6). */
static uint64_t read_leb(struct reader *reader, bool is_signed)
{
	uint64_t value = 0, byte;
	unsigned shift = 0;

	do {
		byte = read_bytes(reader, 1);
		reader->bad |= shift > 56;
		if (reader->bad)
			return 0;
		value |= (byte & 127) << shift;
		shift += 7;
	} while (byte & 128);
	if (is_signed && byte & 64)
		value |= -(1ULL << shift);
	return value;
}

static uint64_t read_unsigned(struct reader *reader)
{
	return read_leb(reader, false);
}

static int64_t read_signed(struct reader *reader)
{
	return (int64_t)read_leb(reader, true);
}

/* The size of an encoded address (LSB, table 10.5); 0: it has none that is known beforehand. */
static unsigned encoded_size(uint64_t encoding)
{
	static const uint8_t sizes[16] = { 8, 0, 2, 4, 8, [10] = 2, 4, 8 };

	return encoding == 0x50 /* aligned */ ? 0 : sizes[encoding & 15];
}

/* As libgcc has it, "same value" and "restored" are the same. */
enum how { HOW_SAME, HOW_SLOT, HOW_UNDEFINED, HOW_OTHER };

/* Of the registers three matter; of the stack pointer, that there is no rule for it. */
enum { KEPT_FRAME_POINTER, KEPT_LINK, KEPT_STACK, KEPT_OTHER, KEPT_COUNT };

struct row {
	uint64_t base; /* the register that the frame's end is counted from */
	int64_t offset;
	bool other; /* an expression tells the frame's end */
	struct {
		enum how how;
		int64_t offset;
	} kept[KEPT_COUNT];
};

#define REMEMBERED 4

struct table {
	uint64_t code_unit, encoding; /* of addresses in the entries of functions */
	int64_t data_unit;
	bool augmented;
	struct row row, remembered[REMEMBERED];
	unsigned depth;
};

/* Opens an entry; the word that tells its kind comes next. */
static struct reader entry_open(const uint8_t *entry)
{
	struct reader reader = { entry, entry + 4, false };
	uint64_t size = read_bytes(&reader, 4);

	reader.bad = !size || size >= 0xfffffff0; /* the end, or a 64-bit entry */
	if (!reader.bad)
		reader.end += size;
	return reader;
}

static bool augmentation_known(struct reader *reader, const char *letter, struct table *table)
{
	for (; *letter; letter++)
		switch (*letter) {
		case 'R':
			table->encoding = read_bytes(reader, 1);
			break;
		case 'L':
			read_bytes(reader, 1);
			break;
		case 'P': {
			unsigned size = encoded_size(read_bytes(reader, 1));

			if (!size)
				return false;
			skip_bytes(reader, size);
			break;
		}
		default: /* a signal frame, return addresses signed by another key, or unheard of */
			return false;
		}
	return true;
}

/* The common information entry; leaves its instructions to be read. */
static bool read_common(struct reader *reader, struct table *table)
{
	uint64_t id = read_bytes(reader, 4), version = read_bytes(reader, 1), link;
	const char *letters = (const char *)reader->at;
	const uint8_t *rest;

	if (id || (version != 1 && version != 3))
		return false;
	while (read_bytes(reader, 1))
		;
	if (reader->bad)
		return false;
	table->code_unit = read_unsigned(reader);
	table->data_unit = read_signed(reader);
	link = version == 1 ? read_bytes(reader, 1) : read_unsigned(reader);
	table->augmented = *letters == 'z';
	if (table->augmented) {
		uint64_t size = read_unsigned(reader);

		rest = reader->at;
		if (!augmentation_known(reader, letters + 1, table))
			return false;
		reader->at = rest;
		skip_bytes(reader, size);
	} else if (*letters) {
		return false;
	}
	return link == ARCH_LINK && !reader->bad;
}

static void keep(struct table *table, uint64_t number, enum how how, int64_t offset)
{
	unsigned kept = number == ARCH_FRAME_POINTER ? KEPT_FRAME_POINTER :
			number == ARCH_LINK	     ? KEPT_LINK :
			number == ARCH_STACK_POINTER ? KEPT_STACK :
						       KEPT_OTHER;

	table->row.kept[kept].how = how;
	table->row.kept[kept].offset = offset;
}

/* DWARF 5, section 6.4.2, and table 7.29; sections 10.6.1 of LSB for the GNU one. */
enum {
	CFA_NOP = 0x00,
	CFA_ADVANCE_1 = 0x02,
	CFA_ADVANCE_2 = 0x03,
	CFA_ADVANCE_4 = 0x04,
	CFA_OFFSET_EXTENDED = 0x05,
	CFA_RESTORE_EXTENDED = 0x06,
	CFA_UNDEFINED = 0x07,
	CFA_SAME_VALUE = 0x08,
	CFA_REMEMBER = 0x0a,
	CFA_RESTORE_STATE = 0x0b,
	CFA_DEFINE = 0x0c,
	CFA_DEFINE_REGISTER = 0x0d,
	CFA_DEFINE_OFFSET = 0x0e,
	CFA_DEFINE_EXPRESSION = 0x0f,
	CFA_EXPRESSION = 0x10,
	CFA_OFFSET_EXTENDED_SIGNED = 0x11,
	CFA_DEFINE_SIGNED = 0x12,
	CFA_DEFINE_OFFSET_SIGNED = 0x13,
	CFA_VALUE_EXPRESSION = 0x16,
	CFA_GNU_ARGUMENTS_SIZE = 0x2e,
};

/* One instruction, of those with a byte of their own. False: not understood. */
static bool execute(struct reader *reader, struct table *table, uint64_t code, uint64_t *advance)
{
	struct row *row = &table->row;
	uint64_t number;

	switch (code) {
	case CFA_NOP:
		return true;
	case CFA_ADVANCE_1:
	case CFA_ADVANCE_2:
	case CFA_ADVANCE_4:
		*advance = read_bytes(reader, 1U << (code - CFA_ADVANCE_1));
		return true;
	case CFA_OFFSET_EXTENDED:
		number = read_unsigned(reader);
		keep(table, number, HOW_SLOT, (int64_t)read_unsigned(reader) * table->data_unit);
		return true;
	case CFA_OFFSET_EXTENDED_SIGNED:
		number = read_unsigned(reader);
		keep(table, number, HOW_SLOT, read_signed(reader) * table->data_unit);
		return true;
	case CFA_RESTORE_EXTENDED:
	case CFA_SAME_VALUE:
		keep(table, read_unsigned(reader), HOW_SAME, 0);
		return true;
	case CFA_UNDEFINED:
		keep(table, read_unsigned(reader), HOW_UNDEFINED, 0);
		return true;
	case CFA_REMEMBER:
		if (table->depth == REMEMBERED)
			return false;
		table->remembered[table->depth++] = *row;
		return true;
	case CFA_RESTORE_STATE:
		if (!table->depth)
			return false;
		*row = table->remembered[--table->depth];
		return true;
	case CFA_DEFINE:
	case CFA_DEFINE_SIGNED:
		row->other = false;
		row->base = read_unsigned(reader);
		row->offset = code == CFA_DEFINE ? (int64_t)read_unsigned(reader) :
						   read_signed(reader) * table->data_unit;
		return true;
	case CFA_DEFINE_REGISTER:
		row->other = false;
		row->base = read_unsigned(reader);
		return true;
	case CFA_DEFINE_OFFSET:
		row->offset = (int64_t)read_unsigned(reader);
		return true;
	case CFA_DEFINE_OFFSET_SIGNED:
		row->offset = read_signed(reader) * table->data_unit;
		return true;
	case CFA_DEFINE_EXPRESSION:
		row->other = true;
		skip_bytes(reader, read_unsigned(reader));
		return true;
	case CFA_EXPRESSION:
	case CFA_VALUE_EXPRESSION:
		keep(table, read_unsigned(reader), HOW_OTHER, 0);
		skip_bytes(reader, read_unsigned(reader));
		return true;
	case CFA_GNU_ARGUMENTS_SIZE:
		read_unsigned(reader);
		return true;
	default: /* among them the one by which aarch64 signs return addresses */
		return false;
	}
}

/* The instructions for what lies before `distance` from the function's start. */
static bool run(struct reader *reader, struct table *table, uint64_t distance)
{
	uint64_t reached = 0;

	while (reader->at < reader->end && reached < distance) {
		uint64_t code = read_bytes(reader, 1), operand = code & 0x3f, advance = 0;

		switch (code >> 6) {
		case 1: /* DW_CFA_advance_loc */
			advance = operand;
			break;
		case 2: /* DW_CFA_offset */
			keep(table, operand, HOW_SLOT,
			     (int64_t)read_unsigned(reader) * table->data_unit);
			break;
		case 3: /* DW_CFA_restore */
			keep(table, operand, HOW_SAME, 0);
			break;
		default:
			if (!execute(reader, table, code, &advance))
				return false;
		}
		reached += advance * table->code_unit;
		if (reader->bad)
			return false;
	}
	return true;
}

/* The header of .eh_frame_hdr (LSB, section 10.6.2) in the one form that linkers write. */
struct search {
	uint8_t version, frame_encoding, count_encoding, entry_encoding;
	int32_t frame;
	uint32_t count;
	struct {
		int32_t start, entry;
	} at[];
};

/* The entry of the function that holds `address`, and where it starts by the table; NULL: there is none. */
static const uint8_t *search(uintptr_t address, uintptr_t *start)
{
	struct dl_find_object found;
	const struct search *table;
	uint32_t low = 0, high;

	if (!_dl_find_object || _dl_find_object((void *)address, &found) || !found.dlfo_eh_frame)
		return NULL;
	table = found.dlfo_eh_frame;
	if (table->version != 1 || encoded_size(table->frame_encoding) != 4 ||
	    table->count_encoding != 0x03 /* udata4 */ ||
	    table->entry_encoding != 0x3b /* datarel, sdata4 */ || (uintptr_t)table % 4)
		return NULL;
	for (high = table->count; low < high;) {
		uint32_t middle = low + (high - low) / 2;

		if ((uintptr_t)table + (uintptr_t)(intptr_t)table->at[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return NULL;
	*start = (uintptr_t)table + (uintptr_t)(intptr_t)table->at[low - 1].start;
	return (const uint8_t *)table + table->at[low - 1].entry;
}

/* The slot `offset` below the frame's end; 0: not one that a rule can tell. */
static unsigned slot_of(int64_t offset)
{
	return offset < 0 && offset % WORD == 0 && -offset / WORD < 1 << CFI_SLOT_BITS ?
		       (unsigned)(-offset / WORD) :
		       0;
}

static struct cfi_rule rule_of(const struct row *row)
{
	struct cfi_rule rule = { .kind = CFI_UNKNOWN };
	unsigned link = slot_of(row->kept[KEPT_LINK].offset);
	unsigned frame_pointer = slot_of(row->kept[KEPT_FRAME_POINTER].offset);

	if (row->kept[KEPT_LINK].how == HOW_UNDEFINED) {
		rule.kind = CFI_OUTERMOST;
		return rule;
	}
	if (row->other || row->offset < 0 || row->offset % WORD ||
	    row->offset / WORD >= 1 << CFI_SIZE_BITS)
		return rule;
	if (row->kept[KEPT_LINK].how != HOW_SLOT || !link || row->kept[KEPT_STACK].how != HOW_SAME)
		return rule;
	if (row->kept[KEPT_FRAME_POINTER].how != HOW_SAME &&
	    (row->kept[KEPT_FRAME_POINTER].how != HOW_SLOT || !frame_pointer))
		return rule;
	rule.size = (unsigned)(row->offset / WORD) & ((1 << CFI_SIZE_BITS) - 1);
	rule.link = link & ((1 << CFI_SLOT_BITS) - 1);
	if (row->kept[KEPT_FRAME_POINTER].how == HOW_SLOT)
		rule.frame_pointer = frame_pointer & ((1 << CFI_SLOT_BITS) - 1);
	if (row->base == ARCH_STACK_POINTER)
		rule.kind = CFI_STACK;
	else if (row->base == ARCH_FRAME_POINTER)
		rule.kind = CFI_FRAME_POINTER;
	return rule;
}

bool cfi_rule(uintptr_t pc, struct cfi_rule *rule)
{
	struct table table = { .depth = 0 };
	struct reader reader, common;
	uint64_t range, back;
	const uint8_t *entry;
	uintptr_t start;
	unsigned size;

	memset(rule, 0, sizeof(*rule));
	/* A call may be a function's last instruction: its return address is already the next one's. */
	entry = search(pc - 1, &start);
	if (!entry)
		return false;
	reader = entry_open(entry);
	back = read_bytes(&reader, 4);
	if (reader.bad || !back)
		return true;
	common = entry_open(entry + 4 - back);
	if (common.bad || !read_common(&common, &table))
		return true;
	size = encoded_size(table.encoding);
	skip_bytes(&reader, size);
	range = read_bytes(&reader, size);
	if (table.augmented)
		skip_bytes(&reader, read_unsigned(&reader));
	if (size && !reader.bad && pc - 1 - start < range && run(&common, &table, UINT64_MAX) &&
	    run(&reader, &table, pc - start))
		*rule = rule_of(&table.row);
	return true;
}

bool cfi_same_function(uintptr_t one, uintptr_t other)
{
	uintptr_t starts[2];

	return search(one - 1, &starts[0]) && search(other - 1, &starts[1]) &&
	       starts[0] == starts[1];
}
