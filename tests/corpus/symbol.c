// SPDX-License-Identifier: MIT
/*
 * Built with debug information in several forms, it is what the fuzz target `symbol` starts from: small, with functions
 * that are inlined, variables of static data and of frames, and a structure.
 */
static int table[4];

static int sum(int first)
{
	int local[2] = { first, first + 1 }, i;

	for (i = 0; i < 2; i++)
		local[i] += table[i];
	return local[0] * local[1];
}

int entry(int value)
{
	struct {
		int number;
		char name[3];
	} pair = { value, "ab" };

	return sum(pair.number) + pair.name[0];
}
