// SPDX-License-Identifier: MIT
/*
 * See shell.h.
 */
#include "shell.h"

#include <gnu/libc-version.h>

#include "real.h"
#include "sys.h"

#include "poison.h"

static bool ends_options(void)
{
	__typeof__(&gnu_get_libc_version) version_of = REAL_LIBC(gnu_get_libc_version);
	const char *version = version_of ? version_of() : "";
	unsigned minor = 0;

	if (version[0] != '2' || version[1] != '.')
		return true;
	for (version += 2; *version >= '0' && *version <= '9'; version++)
		minor = minor * 10 + (unsigned)(*version - '0');
	return minor >= 38;
}

struct shell_arguments shell_arguments(const char *command)
{
	struct shell_arguments arguments = { { "sh", "-c", "--", command, NULL } };

	if (!ends_options()) {
		arguments.argv[2] = command;
		arguments.argv[3] = NULL;
	}
	return arguments;
}
