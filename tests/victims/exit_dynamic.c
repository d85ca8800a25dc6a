// SPDX-License-Identifier: MIT
/* exit_dynamic: the least that a dynamically linked program can do. */

int main(void)
{
	return 0;
}
