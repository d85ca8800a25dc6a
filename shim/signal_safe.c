// SPDX-License-Identifier: MIT
/*
 * signal_safe.def as a table by row of hooks.def.
 */
#include "signal_safe.h"

static const bool safe[HOOK_COUNT] = {
#define SAFE(source, id) [HOOK_##id] = true,
#define SAFE_UNSEEN(source, name)
#include "signal_safe.def"
};

bool signal_safe(enum hook hook)
{
	return safe[hook];
}
