/* SPDX-License-Identifier: MIT */
/*
 * What the process is like now, for children that were started when it was like something else.
 */
#ifndef SPORK_AVFORK_STATE_H
#define SPORK_AVFORK_STATE_H

#include "avfork_pool.h"

/* What a child that has been started cannot change any more, or must not try to. */
struct pool_identity {
	uint32_t user[3], group[3]; /* real, effective, saved */
	uint32_t capability[6];
	int groups, first_groups[32];
	uint64_t groups_hash;
	pid_t session, process_group;
	struct {
		uint64_t device, inode;
	} root, space[8];
};

/* 0 or -errno. */
int pool_identity_read(struct pool_identity *identity);

/*
 * The state that holds, read anew only after something has changed it; into `state`. errno of why it cannot be known is
 * in its `refused`. Signals may be blocked or not.
 */
void pool_state_now(struct avfork_pool *pool, struct pool_state *state);

#endif
