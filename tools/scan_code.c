// SPDX-License-Identifier: MIT
/*
 * System calls in a file's own code that make or replace a process: a system call instruction, and before it, on a
 * straight path, the number put into its register as a constant. Nothing else is decoded: where an instruction is
 * not known, or something else may have written the register, there is nothing to tell.
 */
#include <string.h>

#include "scan.h"

struct number {
	uint32_t value;
	const char *call;
};

static const struct number numbers_x86_64[] = {
	{ 56, "clone" },   { 57, "fork" },	{ 58, "vfork" }, { 59, "execve" },
	{ 435, "clone3" }, { 322, "execveat" }, { 0, NULL },
};

static const struct number numbers_aarch64[] = {
	{ 220, "clone" }, { 221, "execve" }, { 435, "clone3" }, { 281, "execveat" }, { 0, NULL },
};

static const char *number_name(const struct number *numbers, uint32_t value)
{
	for (; numbers->call; numbers++)
		if (numbers->value == value)
			return numbers->call;
	return NULL;
}

static uint32_t read_u32(const uint8_t *at)
{
	return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 |
	       (uint32_t)at[3] << 24;
}

/* An instruction of x86-64, as far as it matters here. */
struct instruction {
	size_t length;
	uint8_t rex, opcode, modrm;
	bool two, has_modrm; /* two: after 0f */
	bool ends;	     /* does not go on to the next, or comes back with another rax */
	uint32_t immediate;
};

enum { MODRM = 1, IMM8 = 2, IMMZ = 4, BAD = 8 };

static unsigned one_byte_form(uint8_t op)
{
	if (op < 0x40) {
		static const uint8_t forms[] = { MODRM, MODRM, MODRM, MODRM, IMM8, IMMZ, BAD, BAD };

		return forms[op & 7];
	}
	if (op >= 0x50 && op <= 0x5f)
		return 0;
	if (op >= 0x70 && op <= 0x7f)
		return IMM8;
	if (op >= 0x84 && op <= 0x8f)
		return MODRM;
	if (op >= 0xb0 && op <= 0xb7)
		return IMM8;
	if (op >= 0xb8 && op <= 0xbf)
		return IMMZ;
	if ((op >= 0xd0 && op <= 0xd3) || (op >= 0xd8 && op <= 0xdf))
		return MODRM;
	switch (op) {
	case 0x63:
	case 0xf6: /* its immediate is looked at apart */
	case 0xf7:
	case 0xfe:
	case 0xff:
		return MODRM;
	case 0x68:
	case 0xa9:
	case 0xe8:
	case 0xe9:
		return IMMZ;
	case 0x69:
	case 0x81:
	case 0xc7:
		return MODRM | IMMZ;
	case 0x6a:
	case 0xa8:
	case 0xcd:
	case 0xe0 ... 0xe3:
	case 0xeb:
		return IMM8;
	case 0x6b:
	case 0x80:
	case 0x83:
	case 0xc0:
	case 0xc1:
	case 0xc6:
		return MODRM | IMM8;
	case 0x90 ... 0x99:
	case 0x9b ... 0x9f:
	case 0xa4 ... 0xa7:
	case 0xaa ... 0xaf:
	case 0xc3:
	case 0xc9:
	case 0xcc:
	case 0xf4:
	case 0xf5:
	case 0xf8 ... 0xfd:
		return 0;
	default:
		return BAD;
	}
}

static unsigned two_byte_form(uint8_t op)
{
	switch (op) {
	case 0x05:
	case 0x0b:
	case 0x31:
	case 0x77:
	case 0xa2:
	case 0xc8 ... 0xcf:
		return 0;
	case 0x80 ... 0x8f:
		return IMMZ;
	case 0x70 ... 0x73:
	case 0xa4:
	case 0xac:
	case 0xba:
	case 0xc2:
	case 0xc4 ... 0xc6:
		return MODRM | IMM8;
	case 0x0d:
	case 0x10 ... 0x1f:
	case 0x28 ... 0x2f:
	case 0x40 ... 0x6f:
	case 0x74 ... 0x76:
	case 0x7e:
	case 0x7f:
	case 0x90 ... 0x9f:
	case 0xa3:
	case 0xa5:
	case 0xab:
	case 0xad ... 0xb1:
	case 0xb3:
	case 0xb6:
	case 0xb7:
	case 0xbb ... 0xc1:
	case 0xc3:
	case 0xc7:
	case 0xd0 ... 0xfe:
		return MODRM;
	default:
		return BAD;
	}
}

/* Bytes of a ModRM byte, what follows it, and its displacement. */
static size_t modrm_length(const uint8_t *at, size_t left)
{
	unsigned mod = at[0] >> 6, rm = at[0] & 7;
	size_t length = 1;

	if (mod == 3)
		return 1;
	if (rm == 4) {
		if (left < 2)
			return 0;
		length++;
		if (!mod && (at[1] & 7) == 5)
			return length + 4;
	}
	if (mod == 1)
		return length + 1;
	return mod == 2 || (!mod && rm == 5) ? length + 4 : length;
}

static bool is_prefix(uint8_t byte)
{
	return memchr("\x66\xf2\xf3\x2e\x36\x3e\x26\x64\x65\xf0", byte, 10) != NULL;
}

/* False: not known, or past the end. */
static bool decode(const uint8_t *at, size_t left, struct instruction *it)
{
	size_t size = 0, immediate = 0, more;
	bool small = false;
	unsigned form, reg;

	memset(it, 0, sizeof(*it));
	for (; size < left && size < 8 && is_prefix(at[size]); size++)
		small |= at[size] == 0x66;
	if (size < left && (at[size] & 0xf0) == 0x40)
		it->rex = at[size++];
	if (size < left && at[size] == 0x0f) {
		it->two = true;
		size++;
	}
	if (size >= left)
		return false;
	it->opcode = at[size++];
	form = it->two ? two_byte_form(it->opcode) : one_byte_form(it->opcode);
	if (form & BAD)
		return false;
	if (form & MODRM) {
		if (size >= left)
			return false;
		it->has_modrm = true;
		it->modrm = at[size];
		more = modrm_length(at + size, left - size);
		if (!more)
			return false;
		size += more;
	}
	reg = it->modrm >> 3 & 7;
	if (form & IMM8 || (!it->two && it->opcode == 0xf6 && reg < 2))
		immediate = 1;
	else if (form & IMMZ || (!it->two && it->opcode == 0xf7 && reg < 2))
		immediate = small ? 2 : 4;
	if (!it->two && it->opcode >= 0xb8 && it->opcode <= 0xbf && it->rex & 8)
		immediate = 8;
	if (size > left || immediate > left - size)
		return false;
	if (immediate >= 4)
		it->immediate = read_u32(at + size);
	else if (immediate == 1)
		it->immediate = (uint32_t)(int32_t)(int8_t)at[size];
	it->length = size + immediate;
	if (!it->two)
		it->ends = it->opcode == 0xc3 || it->opcode == 0xcc || it->opcode == 0xe8 ||
			   it->opcode == 0xe9 || it->opcode == 0xeb || it->opcode == 0xf4 ||
			   (it->opcode == 0xff && reg >= 2 && reg <= 5);
	else
		it->ends = it->opcode == 0x05 || it->opcode == 0x0b || it->opcode == 0xa2;
	return true;
}

/* Whether it may write rax. True in doubt. */
static bool writes_rax(const struct instruction *it)
{
	bool rm = it->has_modrm && (it->modrm >> 6) == 3 && !(it->modrm & 7) && !(it->rex & 1);
	bool reg = it->has_modrm && !(it->modrm >> 3 & 7) && !(it->rex & 4);
	uint8_t op = it->opcode;

	if (it->two)
		return ((op >= 0x40 && op <= 0x4f) || (op >= 0x90 && op <= 0x9f) || op == 0x7e ||
			op >= 0xa3) &&
		       (rm || (reg && (op < 0x90 || (op > 0x9f && op < 0xd0))) ||
			(op == 0xc8 && !(it->rex & 1)) || op == 0xc7 || op == 0xb1);
	switch (op) {
	case 0x38:
	case 0x39:
	case 0x3a:
	case 0x3b:
	case 0x84:
	case 0x85:
		return false;
	case 0x04 ... 0x05:
	case 0x0c ... 0x0d:
	case 0x14 ... 0x15:
	case 0x1c ... 0x1d:
	case 0x24 ... 0x25:
	case 0x2c ... 0x2d:
	case 0x34 ... 0x35:
	case 0x98:
	case 0xac:
	case 0xad:
		return true;
	case 0x58:
	case 0x91 ... 0x97:
	case 0xb0:
	case 0xb4:
	case 0xb8:
		return !(it->rex & 1);
	case 0x80:
	case 0x81:
	case 0x83: /* the last of these compares */
		return rm && (it->modrm >> 3 & 7) != 7;
	case 0x8f:
	case 0xc0:
	case 0xc1:
	case 0xc6:
	case 0xc7:
	case 0xd0 ... 0xd3:
	case 0xfe:
	case 0xff:
		return rm;
	case 0xf6:
	case 0xf7:
		return rm || (it->modrm >> 3 & 7) >= 4;
	case 0xd8 ... 0xde:
		return false;
	default:
		return it->has_modrm && (rm || reg);
	}
}

/* Whether it puts a constant into rax. */
static bool sets_rax(const struct instruction *it)
{
	if (it->two || it->rex & 1)
		return false;
	return it->opcode == 0xb8 || (it->opcode == 0xc7 && it->modrm == 0xc0);
}

/* From the constant at `from` to the system call at `to`. */
static const char *straight_path(const uint8_t *code, size_t from, size_t to)
{
	struct instruction it;
	const char *call = NULL;
	uint32_t pushed = 0;
	bool push = false;

	while (from < to) {
		/* push 57; pop rax: what code has that must be small. */
		if (!decode(code + from, to - from, &it) || it.ends)
			return NULL;
		if (push && !it.two && it.opcode == 0x58 && !(it.rex & 1))
			call = number_name(numbers_x86_64, pushed);
		else if (sets_rax(&it))
			call = number_name(numbers_x86_64, it.immediate);
		else if (writes_rax(&it))
			call = NULL;
		push = !it.two && (it.opcode == 0x6a || it.opcode == 0x68);
		pushed = it.immediate;
		from += it.length;
	}
	return from == to ? call : NULL;
}

static bool may_set(const uint8_t *code, size_t at, size_t end)
{
	size_t left = end - at;

	/* With a REX prefix before it, b8 would be r8d. */
	if (left >= 5 && code[at] == 0xb8)
		return (!at || (code[at - 1] & 0xf1) != 0x41) &&
		       number_name(numbers_x86_64, read_u32(code + at + 1));
	if (left >= 6 && code[at] == 0xc7 && code[at + 1] == 0xc0)
		return (!at || (code[at - 1] & 0xf1) != 0x41) &&
		       number_name(numbers_x86_64, read_u32(code + at + 2));
	return left >= 3 && code[at] == 0x6a && code[at + 2] == 0x58 &&
	       number_name(numbers_x86_64, code[at + 1]);
}

static const char *call_x86_64(const uint8_t *code, size_t at)
{
	size_t least = at > SCAN_CODE_BEFORE - 8 ? at - (SCAN_CODE_BEFORE - 8) : 0, from = at;
	const char *call;

	while (from-- > least) {
		call = may_set(code, from, at) ? straight_path(code, from, at) : NULL;
		if (call)
			return call;
	}
	return NULL;
}

#define SVC 0xd4000001u

static bool aarch64_ends(uint32_t word)
{
	return (word & 0x7c000000) == 0x14000000 || /* b, bl */
	       (word & 0xfe000000) == 0xd6000000 || /* br, blr, ret */
	       (word & 0xff000000) == 0xd4000000;   /* svc, hlt, brk */
}

static const char *call_aarch64(const uint8_t *code, size_t at)
{
	size_t least = at > SCAN_CODE_BEFORE ? at - SCAN_CODE_BEFORE : 0;

	while (at >= least + 4) {
		uint32_t word;

		at -= 4;
		word = read_u32(code + at);
		if (aarch64_ends(word))
			return NULL;
		/* movz x8 or w8, #number */
		if ((word & 0x7fe0001f) == 0x52800008)
			return number_name(numbers_aarch64, word >> 5 & 0xffff);
		/* In most instructions these bits are what is written. */
		if ((word & 0x1f) == 8)
			return NULL;
	}
	return NULL;
}

bool scan_code_known(unsigned machine)
{
	return machine == EM_X86_64 || machine == EM_AARCH64;
}

void scan_code(unsigned machine, const uint8_t *code, size_t size, size_t before, uint64_t addr,
	       void (*found)(void *context, uint64_t addr, const char *call), void *context)
{
	const uint8_t *at = code + (before ? before - 1 : 0), *end = code + size;
	const char *call;
	size_t place;

	if (machine == EM_AARCH64) {
		place = before > 3 ? before - 3 : 0;
		/* Instructions are aligned, whatever the section says. */
		for (place += -(addr + place) & 3; place + 4 <= size; place += 4) {
			if (read_u32(code + place) != SVC)
				continue;
			call = call_aarch64(code, place);
			if (call)
				found(context, addr + place, call);
		}
		return;
	}
	/* The first byte of a call may be the last that was seen. */
	while (end - at >= 2 && (at = memchr(at, 0x0f, (size_t)(end - at) - 1))) {
		if (at[1] == 0x05 && (call = call_x86_64(code, (size_t)(at - code))))
			found(context, addr + (uint64_t)(at - code), call);
		at++;
	}
}
