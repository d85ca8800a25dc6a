/* SPDX-License-Identifier: MIT */
/*
 * What an executed program inherits from the process that executes it.
 */
#ifndef SPORK_INHERIT_H
#define SPORK_INHERIT_H

#include <stdint.h>

/*
 * A hash of it: open descriptors that stay open, folders, umask, ids, mask and ignored signals, limits,
 * environment. Equal hashes, equal programs to be executed. For processes with one thread.
 */
uint64_t inherit_hash(void);

#endif
