/* SPDX-License-Identifier: MIT */
/*
 * Whose files are used, for the shim and the tools alike. Pure, as text.h is: no state, may run anywhere.
 */
#ifndef SPORK_TRUST_H
#define SPORK_TRUST_H

#include <stdbool.h>
#include <sys/stat.h>

/*
 * Is it a file of this user's in which nobody else has a part? NULL, or what is wrong with it. Root's is everybody's to
 * read, with `roots`.
 */
const char *trust_problem(const struct stat *status, uid_t user, bool roots);

#endif
