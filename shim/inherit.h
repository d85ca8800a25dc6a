/* SPDX-License-Identifier: MIT */
/*
 * What an executed program inherits from the process that executes it.
 */
#ifndef SPORK_INHERIT_H
#define SPORK_INHERIT_H

#include <stdint.h>

/*
 * A hash of what a handler may well change of it: open descriptors that stay open, folders, umask, ids, mask
 * and ignored signals, limits, environment. Schedules, capabilities and timers are not looked at. For
 * processes with one thread.
 */
uint64_t inherit_hash(void);

#endif
