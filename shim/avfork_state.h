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
	uint32_t capability[6], secure_bits;
	int groups;
	uint64_t groups_hash;
	uint64_t restrictions_hash; /* capabilities that exec may give, no_new_privs, filters */
	uint32_t restrictions;	    /* state_restrictions() */
	pid_t session, process_group;
	struct pool_file root, space[10];
};

/* The calling thread's, and its umask and what the process ignores. 0 or -errno. */
int pool_identity_read(struct pool_identity *identity, struct pool_state *state);

/* Are its children in another pid namespace? */
bool pool_identity_splits(const struct pool_identity *identity);

/*
 * What the calling thread is like, read anew only after something has changed it, or where threads may differ; into
 * `state`, which goes to pool_state_done(). Signals may be blocked or not.
 */
void pool_state_now(struct avfork_pool *pool, struct pool_state *state);
void pool_state_done(const struct pool_state *state);

/*
 * The program has closed descriptors that are the pool's: does that of the folder still hold? If not, the next job has
 * a new one.
 */
bool pool_state_holds(struct avfork_pool *pool);

/* Is `fd` open on that file? */
bool pool_file_is(int fd, const struct pool_file *file);

/* The file that `fd` is open on; false: none. */
bool pool_file_of(int fd, struct pool_file *file);

/* Moves a descriptor, or -errno, off 0, 1 and 2: these are the program's to close and open. */
long pool_descriptor(long fd);

#endif
