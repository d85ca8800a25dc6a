// SPDX-License-Identifier: MIT
/*
 * See avfork_state.h. To look at everything takes 50 system calls, so that is done when the hooks have counted a
 * change. What was found is read by any thread without a lock: a reader that overlaps with a change reads again.
 */
#include "avfork_state.h"

#include <linux/capability.h>

#include "proc.h"
#include "state.h"

#include "poison.h"

static const char *const spaces[] = {
	"/proc/thread-self/ns/mnt",  "/proc/thread-self/ns/net",
	"/proc/thread-self/ns/uts",  "/proc/thread-self/ns/ipc",
	"/proc/thread-self/ns/user", "/proc/thread-self/ns/cgroup",
	"/proc/thread-self/ns/pid",  "/proc/thread-self/ns/pid_for_children",
};

int pool_identity_read(struct pool_identity *identity)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct stat status;
	gid_t groups[1024];
	long count;
	unsigned i;

	memset(identity, 0, sizeof(*identity));
	SYS(getresuid, &identity->user[0], &identity->user[1], &identity->user[2]);
	SYS(getresgid, &identity->group[0], &identity->group[1], &identity->group[2]);
	SYS(capget, &header, identity->capability);
	count = SYS(getgroups, COUNT(groups), groups);
	if (count < 0)
		return (int)count;
	identity->groups = (int)count;
	for (i = 0; i < (unsigned)count; i++)
		identity->groups_hash = hash_mix(identity->groups_hash, groups[i]);
	identity->session = (pid_t)SYS(getsid, 0);
	identity->process_group = (pid_t)SYS(getpgid, 0);
	if (!sys_stat(AT_FDCWD, "/", 0, &status))
		return -EACCES;
	identity->root.device = status.st_dev;
	identity->root.inode = status.st_ino;
	for (i = 0; i < COUNT(spaces); i++) {
		/* Kernels without one of them have no other, either. */
		if (!sys_stat(AT_FDCWD, spaces[i], 0, &status))
			continue;
		identity->space[i].device = status.st_dev;
		identity->space[i].inode = status.st_ino;
	}
	return 0;
}

/* The line is octal, and read as decimal. */
static long umask_now(void)
{
	long digits = proc_status("Umask"), value = 0, unit;

	if (digits < 0)
		return -ENOTSUP;
	for (unit = 1; digits; digits /= 10, unit *= 8)
		value += digits % 10 * unit;
	return value;
}

/* The pool's descriptor of the folder keeps its number: whoever sends it meanwhile sends the one or the other. */
static int folder_refresh(const struct avfork_pool *pool)
{
	long fd = SYS(openat, AT_FDCWD, ".", O_PATH | O_DIRECTORY | O_CLOEXEC), result;

	if (fd < 0)
		return (int)fd;
	result = SYS(dup3, fd, pool->folder, O_CLOEXEC);
	SYS(close, fd);
	return result < 0 ? (int)result : 0;
}

static int state_read(const struct avfork_pool *pool, struct pool_state *state)
{
	struct pool_identity identity;
	int error = pool_identity_read(&identity), i;
	long mask = umask_now();

	if (!error)
		error = folder_refresh(pool);
	if (error || mask < 0)
		return error ? -error : (int)-mask;
	state->umask = (mode_t)mask;
	for (i = 0; i < POOL_LIMITS; i++) {
		error = (int)SYS(prlimit64, 0, i, NULL, &state->limit[i]);
		if (error)
			return -error;
	}
	return memcmp(&identity, pool->identity, sizeof(identity)) ? ESTALE : 0;
}

/* Something that changes while it is read is read again at the next call. */
static void refresh(struct avfork_pool *pool)
{
	struct pool_state state = { .generation = state_generation() };

	spin_lock(&pool->lock);
	if (pool->state.generation != state.generation) {
		state.refused = state_read(pool, &state);
		__atomic_add_fetch(&pool->sequence, 1, __ATOMIC_ACQ_REL);
		pool->state = state;
		__atomic_add_fetch(&pool->sequence, 1, __ATOMIC_RELEASE);
	}
	spin_unlock(&pool->lock);
}

static bool state_copy(struct avfork_pool *pool, struct pool_state *state)
{
	uint32_t sequence = __atomic_load_n(&pool->sequence, __ATOMIC_ACQUIRE);

	memcpy(state, &pool->state, sizeof(*state));
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	return !(sequence & 1) && sequence == __atomic_load_n(&pool->sequence, __ATOMIC_RELAXED);
}

void pool_state_now(struct avfork_pool *pool, struct pool_state *state)
{
	uint32_t generation = state_generation();

	if (UNLIKELY(__atomic_load_n(&pool->state.generation, __ATOMIC_RELAXED) != generation))
		refresh(pool);
	while (!state_copy(pool, state))
		SYS(sched_yield);
}
