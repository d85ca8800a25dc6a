// SPDX-License-Identifier: MIT
/*
 * From an address in a box to its function or variable, file and line.
 *
 * Each module gets a session of libdwfl of its own, opened when first asked for, so that one broken file spoils
 * nothing else. A file whose build-id is not the recorded one is not asked; a debug file with the recorded one may
 * still be there, and is. That there are no names is said once for each module.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "symbol.h"

enum module_state { MODULE_UNTRIED, MODULE_OPEN, MODULE_UNUSABLE };

struct module {
	enum module_state state;
	const char
		*problem; /* the file is gone or another: what is open is its debug file; or NULL */
	Dwfl *session;
	Dwfl_Module *dwfl;
	Dwarf_Addr bias; /* session address less link-time address */
};

struct cached {
	uint64_t offset;
	uint32_t module; /* zero: empty */
	struct place place;
};

struct symbols {
	const struct box *box;
	struct module module[BOX_CAPACITY_MODULE];
	struct cached *code;
	size_t cached, room; /* a power of two */
};

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_build_id_find_elf,
	.find_debuginfo = dwfl_standard_find_debuginfo,
	.section_address = dwfl_offline_section_address,
	.debuginfo_path = &symbol_folders,
};

struct symbols *symbols_open(const struct box *box)
{
	struct symbols *symbols = calloc(1, sizeof(*symbols));

	if (!symbols)
		abort();
	symbol_begin();
	symbols->box = box;
	return symbols;
}

static void module_close(struct module *module)
{
	if (module->session)
		symbol_end(module->session);
	module->session = NULL;
	module->dwfl = NULL;
}

/* Said at the end, when it breaks no line of what is printed. */
static void missing_say(const struct box_module *record, const char *problem)
{
	char id[2 * sizeof(record->build_id) + 1] = "";
	uint32_t i;

	for (i = 0; i < record->build_id_size && i < sizeof(record->build_id); i++)
		sprintf(id + 2 * i, "%02x", record->build_id[i]);
	if (*id)
		complain(
			"%s %s: no names; --debug-dir takes a folder that has .build-id/%.2s/%s.debug",
			record->path, problem, id, id + 2);
	else
		complain("%s %s: no names", record->path, problem);
}

/* Lines that are worth reading; a hostile box has as many modules as it likes. */
#define MISSING_SAID 8

void symbols_close(struct symbols *symbols)
{
	uint32_t i, missing = 0;

	for (i = 0; i < BOX_CAPACITY_MODULE; i++) {
		const struct module *module = &symbols->module[i];

		if (module->state == MODULE_UNUSABLE && module->problem &&
		    ++missing <= MISSING_SAID)
			missing_say(box_module(symbols->box, i + 1), module->problem);
		module_close(&symbols->module[i]);
	}
	if (missing > MISSING_SAID)
		complain("%u more files were deleted or replaced, or cannot be read: no names",
			 missing - MISSING_SAID);
	free(symbols->code);
	free(symbols);
}

/* Paths come from the box. Or -errno. */
static int file_open(const char *path)
{
	int fd = open(path, O_PATH | O_CLOEXEC);

	return fd < 0 ? -errno : file_reopen(fd, false);
}

static bool same_build(const struct module *module, const struct box_module *record)
{
	const unsigned char *build_id;
	GElf_Addr where;
	int size = dwfl_module_build_id(module->dwfl, &build_id, &where);

	return !record->build_id_size || ((uint32_t)size == record->build_id_size &&
					  !memcmp(build_id, record->build_id, (size_t)size));
}

/* A session with that file alone; takes the descriptor, which may be -1. False: it is of no use. */
static bool file_report(struct module *module, const char *path, int fd)
{
	module->session = dwfl_begin(&callbacks);
	if (module->session) {
		dwfl_report_begin(module->session);
		module->dwfl = dwfl_report_offline(module->session, path_base(path), path, fd);
		dwfl_report_end(module->session, NULL, NULL);
	}
	if (!module->dwfl && fd >= 0)
		close(fd);
	if (module->dwfl && dwfl_module_getelf(module->dwfl, &module->bias))
		return true;
	module_close(module);
	return false;
}

/* The file of that build, or else its debug file, wherever libdwfl finds one. */
static bool build_open(struct module *module, const struct box_module *record)
{
	Dwfl *session = record->build_id_size ? dwfl_begin(&callbacks) : NULL;
	char *path = NULL;
	Dwfl_Module *sought;
	Elf *elf = NULL;
	int fd = -1;

	if (!session)
		return false;
	dwfl_report_begin(session);
	sought = dwfl_report_module(session, path_base(record->path), 0, 1);
	if (sought &&
	    !dwfl_module_report_build_id(sought, record->build_id, record->build_id_size, 0)) {
		fd = dwfl_build_id_find_elf(sought, NULL, NULL, 0, &path, &elf);
		if (fd < 0)
			fd = dwfl_build_id_find_debuginfo(sought, NULL, NULL, 0, NULL, NULL, 0,
							  &path);
	}
	if (fd >= 0 && file_report(module, path ? path : record->path, fd) &&
	    !same_build(module, record))
		module_close(module);
	elf_end(elf);
	free(path);
	dwfl_report_end(session, NULL, NULL);
	dwfl_end(session);
	return module->session != NULL;
}

static void module_open(struct module *module, const struct box_module *record)
{
	int fd;

	module->state = MODULE_UNUSABLE;
	if (*record->path != '/')
		return;
	fd = file_open(record->path);
	if (fd >= 0) {
		if (file_report(module, record->path, fd) && same_build(module, record)) {
			module->state = MODULE_OPEN;
			return;
		}
		module->problem = module->session ? "was replaced since (its build-id is another)" :
						    "is no ELF file that can be read";
		module_close(module);
	} else {
		module->problem = fd == -ENOENT || fd == -ENOTDIR ? "was deleted since" :
				  fd == -EINVAL || fd == -EISDIR  ? "is not a regular file" :
				  fd == -EOPNOTSUPP ? "is made by the kernel, and was not opened" :
						      "cannot be read";
	}
	if (build_open(module, record))
		module->state = MODULE_OPEN;
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
		module_open(module, record);
	place->module = record->path;
	place->replaced = module->problem;
	return module->state == MODULE_OPEN ? module : NULL;
}

static struct cached *slot_find(struct cached *slot, size_t room, const struct box_frame *frame)
{
	uint64_t hash = (frame->offset ^ (uint64_t)frame->module << 48) * 0x9e3779b97f4a7c15ULL;
	size_t at = (size_t)(hash >> 32) & (room - 1);

	while (slot[at].module &&
	       (slot[at].module != frame->module || slot[at].offset != frame->offset))
		at = (at + 1) & (room - 1);
	return &slot[at];
}

static struct cached *code_slot(struct symbols *symbols, const struct box_frame *frame)
{
	struct cached *slot;
	size_t i, room;

	if (symbols->cached * 2 >= symbols->room) {
		room = symbols->room ? symbols->room * 2 : 256;
		slot = calloc(room, sizeof(*slot));
		if (!slot)
			abort();
		for (i = 0; i < symbols->room; i++) {
			const struct cached *old = &symbols->code[i];
			const struct box_frame key = { .offset = old->offset,
						       .module = old->module };

			if (old->module)
				*slot_find(slot, room, &key) = *old;
		}
		free(symbols->code);
		symbols->code = slot;
		symbols->room = room;
	}
	return slot_find(symbols->code, symbols->room, frame);
}

struct place symbols_code(struct symbols *symbols, const struct box_frame *frame)
{
	struct place place = { 0 };
	struct cached *cached;
	struct module *module;

	if (!frame->module)
		return place;
	cached = code_slot(symbols, frame);
	if (cached->module)
		return cached->place;
	module = frame_module(symbols, frame, &place);
	if (module && frame->offset)
		symbol_look_up(module->dwfl, frame->offset - 1 + module->bias, &place);
	/* A box that is being written may get the module yet. */
	if (place.module) {
		*cached = (struct cached){ frame->offset, frame->module, place };
		symbols->cached++;
	}
	return place;
}

struct place symbols_data(struct symbols *symbols, const struct box_frame *frame)
{
	struct place place = { 0 };
	struct module *module = frame_module(symbols, frame, &place);

	if (module)
		symbol_data_look_up(module->dwfl, frame->offset + module->bias, &place);
	return place;
}

/* No frame is larger. */
#define FRAME_MAX ((int64_t)1 << 40)

const struct box_frame *written_frame(const struct box_violation *violation)
{
	uint32_t at = violation->local.frame;

	if (violation->kind != BOX_VIOLATION_VFORK_WROTE_LOCALS || at >= BOX_STACK_FRAMES ||
	    at >= violation->fork_frames)
		return NULL;
	return &violation->fork[at];
}

struct place symbols_written(struct symbols *symbols, const struct box_violation *violation)
{
	const struct box_frame *frame = written_frame(violation);
	const struct box_local *local = &violation->local;
	struct place place = { 0 };
	struct module *module;

	if (violation->kind != BOX_VIOLATION_VFORK_WROTE_LOCALS)
		return symbols_data(symbols, &violation->lock);
	module = frame ? frame_module(symbols, frame, &place) : NULL;
	/* What a box says may be anything. */
	if (module && frame->offset && local->known && local->offset >= -FRAME_MAX &&
	    local->offset <= 0)
		local_look_up(module->dwfl, frame->offset - 1 + module->bias, local,
			      violation->leak.size, &place);
	return place;
}

/* Bytes up to the next variable. */
static uint64_t nameless_size(struct symbols *symbols, const struct box_write *rest)
{
	const struct box_frame frame = { .offset = rest->offset, .module = rest->module };
	struct place place;
	struct module *module = frame_module(symbols, &frame, &place);
	uint64_t address = rest->offset, next;

	if (!module)
		return rest->size;
	address += module->bias;
	next = table_next(&module_symbols(module->dwfl)->table, module->dwfl, address);
	return next - address < rest->size ? next - address : rest->size;
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
