// SPDX-License-Identifier: MIT
/*
 * Fuzz target: an ELF file with its debug information, of which the names and lines of addresses are asked, as it is
 * when a box names that file.
 */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"
#include "tools/tool.h"

enum { STEP = 7, STEPS = 24 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	struct box_module module = { .ready = 1 };
	struct box_frame frame = { .module = 1 };
	struct box_violation written = {
		.kind = BOX_VIOLATION_VFORK_WROTE_LOCALS,
		.fork_frames = 1,
		.local = { -16, 0, 1 },
		.leak = { .size = 4 },
	};
	struct box_write rest = { 0, 256, 1 }, piece;
	struct box box = { .module = &module };
	struct symbols *symbols;
	struct place place;
	uint32_t i;

	strcpy(module.path, fuzz_file(bytes, size));
	box.slots[BOX_TABLE_MODULE] = 1;
	symbols = symbols_open(&box);
	for (i = 0; i < STEPS; i++) {
		/* Programs that are made to be small start at zero, or where the linker puts them. */
		frame.offset = (i % 2 ? 0x1000 : 0) + i * STEP;
		place = symbols_code(symbols, &frame);
		if (place.symbol && strlen(place.symbol) > size + 4096)
			abort();
		symbols_data(symbols, &frame);
		written.fork[0] = frame;
		symbols_written(symbols, &written);
	}
	while (symbols_piece(symbols, &rest, &piece, &place))
		;
	symbols_close(symbols);
	return 0;
}
