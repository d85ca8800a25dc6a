// SPDX-License-Identifier: MIT
/*
 * Fuzz target: a box, or a profile, read by `report` in each of its formats and by `sites`.
 */
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	fuzz_file(bytes, size);
	fuzz_spork("report -O /dev/null FILE");
	fuzz_spork("report -f json -O /dev/null FILE");
	fuzz_spork("report -f folded -O /dev/null FILE");
	fuzz_spork("report -f folded -k orphan-deadlock -O /dev/null FILE");
	fuzz_spork("report -f dot -O /dev/null FILE");
	fuzz_spork("report -f html -O /dev/null FILE");
	fuzz_spork("report --gen-suppressions -O /dev/null FILE");
	fuzz_spork("sites -O /dev/null FILE");
	fuzz_spork("sites -f json -O /dev/null FILE");
	return 0;
}
