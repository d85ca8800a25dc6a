/* SPDX-License-Identifier: MIT */
/*
 * Which functions are async-signal-safe: signal_safe.def.
 */
#ifndef SPORK_SIGNAL_SAFE_H
#define SPORK_SIGNAL_SAFE_H

#include <stdbool.h>

#include "real.h"

/* May run anywhere. */
bool signal_safe(enum hook hook);

#endif
