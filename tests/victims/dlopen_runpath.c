/* flags: -Wl,-z,now -Wl,-rpath,$ORIGIN/dlopen_runpath.d -Wl,--enable-new-dtags */
/* SPDX-License-Identifier: MIT */
/*
 * dlopen_runpath NAME: loads an object that only this program's own search path leads to, which dlopen() takes from
 * the object that calls it; and calls hello() in it.
 */
#include <dlfcn.h>

#include "victim.h"

int main(int argc, char **argv)
{
	void *object = dlopen(string_argument(argc, argv, 1, "libhello.so"), RTLD_NOW);
	void (*hello)(void) = object ? (void (*)(void))dlsym(object, "hello") : NULL;

	if (!hello) {
		printf("%s\n", dlerror());
		return 1;
	}
	hello();
	return 0;
}
