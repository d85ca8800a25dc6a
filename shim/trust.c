// SPDX-License-Identifier: MIT
#include "trust.h"

#include <stddef.h>

const char *trust_problem(const struct stat *status, uid_t user, bool roots)
{
	if (status->st_uid != user && (!roots || status->st_uid))
		return "belongs to another user";
	if (status->st_mode & (S_IWGRP | S_IWOTH))
		return "can be written by others";
	return NULL;
}
