/* flags: -shared -fPIC */
/* SPDX-License-Identifier: MIT */
/*
 * What vfork_wrote_memory loads: a library with data of its own.
 */
volatile int library_data = 7;
static volatile int library_bss;

void library_set(int value)
{
	library_bss = value;
}

int library_get(void)
{
	return library_bss;
}
