// SPDX-License-Identifier: MIT
/*
 * See avfork_state.h. To look at everything takes 50 system calls, so that is done when the hooks have counted a
 * change. What was found is read by any thread without a lock: a reader that overlaps with a change reads again. Where
 * threads may have a folder or credentials of their own each looks for itself, at each call.
 */
#include "avfork_state.h"

#include <linux/capability.h>
#include <sys/prctl.h>

#include "seccomp.h"
#include "state.h"

#include "poison.h"

/* pool_identity_splits() compares the first two. */
static const char *const spaces[] = {
	"/proc/thread-self/ns/pid",  "/proc/thread-self/ns/pid_for_children",
	"/proc/thread-self/ns/time", "/proc/thread-self/ns/time_for_children",
	"/proc/thread-self/ns/mnt",  "/proc/thread-self/ns/net",
	"/proc/thread-self/ns/uts",  "/proc/thread-self/ns/ipc",
	"/proc/thread-self/ns/user", "/proc/thread-self/ns/cgroup",
};

_Static_assert(COUNT(spaces) == COUNT(((struct pool_identity *)0)->space), "avfork_state.h");

/* Lines of the thread's status: what no system call tells, or not in one. */
static const char *const restrictions[] = {
	"CapBnd:", "CapAmb:", "NoNewPrivs:", "Seccomp:", "Seccomp_filters:",
};

#define UMASK "Umask:"
#define IGNORED "SigIgn:"

static uint64_t number(const char *text, unsigned base)
{
	uint64_t value = 0;
	unsigned digit;

	for (text += strspn(text, "\t "); *text; text++) {
		digit = (unsigned)(*text <= '9' ? *text - '0' : *text - 'a' + 10);
		if (digit >= base)
			break;
		value = value * base + digit;
	}
	return value;
}

/* True: it was the umask. */
static bool status_line(const char *line, struct pool_identity *identity, struct pool_state *state)
{
	unsigned i;

	if (!strncmp(line, UMASK, sizeof(UMASK) - 1)) {
		state->umask = (mode_t)number(line + sizeof(UMASK) - 1, 8);
		return true;
	}
	if (!strncmp(line, IGNORED, sizeof(IGNORED) - 1))
		state->ignored = number(line + sizeof(IGNORED) - 1, 16);
	for (i = 0; i < COUNT(restrictions); i++)
		if (!strncmp(line, restrictions[i], strlen(restrictions[i])))
			break;
	for (; i < COUNT(restrictions) && *line; line++)
		identity->restrictions_hash =
			hash_mix(identity->restrictions_hash, (unsigned char)*line);
	return false;
}

/* 0 or -errno. Lines that matter are short; that of the groups may be cut. */
static int status_read(struct pool_identity *identity, struct pool_state *state)
{
	long fd = SYS(openat, AT_FDCWD, "/proc/thread-self/status", O_RDONLY | O_CLOEXEC, 0);
	char bytes[1024], line[80];
	bool umask_known = false;
	size_t size = 0;
	long got, i;

	if (fd < 0)
		return fd == -ENOENT ? -ENOTSUP : (int)fd;
	while ((got = SYS(read, fd, bytes, sizeof(bytes))) > 0)
		for (i = 0; i < got; i++) {
			if (bytes[i] != '\n') {
				line[size] = bytes[i];
				size += size < sizeof(line) - 1;
				continue;
			}
			line[size] = 0;
			size = 0;
			umask_known |= status_line(line, identity, state);
		}
	SYS(close, fd);
	return umask_known ? 0 : -ENOTSUP;
}

static bool file_of(int folder, const char *path, int flags, struct pool_file *file)
{
	struct stat status;

	if (!sys_stat(folder, path, flags, &status))
		return false;
	*file = (struct pool_file){ status.st_dev, status.st_ino };
	return true;
}

bool pool_file_of(int fd, struct pool_file *file)
{
	return fd >= 0 && file_of(fd, "", AT_EMPTY_PATH, file);
}

bool pool_file_is(int fd, const struct pool_file *file)
{
	struct pool_file now;

	return pool_file_of(fd, &now) && now.device == file->device && now.inode == file->inode;
}

long pool_descriptor(long fd)
{
	long high;

	if (fd < 0 || fd > STDERR_FILENO)
		return fd;
	high = SYS(fcntl, fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
	SYS(close, fd);
	/* So it says where the limit is lower. */
	return high == -EINVAL ? -EMFILE : high;
}

int pool_identity_read(struct pool_identity *identity, struct pool_state *state)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	gid_t groups[1024];
	long count;
	unsigned i;

	memset(identity, 0, sizeof(*identity));
	SYS(getresuid, &identity->user[0], &identity->user[1], &identity->user[2]);
	SYS(getresgid, &identity->group[0], &identity->group[1], &identity->group[2]);
	SYS(capget, &header, identity->capability);
	identity->secure_bits = (uint32_t)SYS(prctl, PR_GET_SECUREBITS);
	count = SYS(getgroups, COUNT(groups), groups);
	if (count < 0)
		return -ENOTSUP;
	identity->groups = (int)count;
	for (i = 0; i < (unsigned)count; i++)
		identity->groups_hash = hash_mix(identity->groups_hash, groups[i]);
	identity->restrictions = state_restrictions();
	identity->session = (pid_t)SYS(getsid, 0);
	identity->process_group = (pid_t)SYS(getpgid, 0);
	if (!file_of(AT_FDCWD, "/", 0, &identity->root))
		return -EACCES;
	/* Kernels without one of them have no other, either. */
	for (i = 0; i < COUNT(spaces); i++)
		file_of(AT_FDCWD, spaces[i], 0, &identity->space[i]);
	return status_read(identity, state);
}

bool pool_identity_splits(const struct pool_identity *identity)
{
	return identity->space[0].inode != identity->space[1].inode;
}

static int folder_open(void)
{
	return (int)pool_descriptor(
		SYS(openat, AT_FDCWD, ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0));
}

static bool folder_holds(const struct avfork_pool *pool)
{
	return pool_file_is(pool->folder, &pool->folder_file) &&
	       SYS(fcntl, pool->folder, F_GETFL) & O_PATH;
}

/*
 * The pool's descriptor of the folder keeps its number: whoever sends it meanwhile sends the one or the other. Only
 * where the program has closed it the number is no longer the pool's.
 */
static int folder_refresh(struct avfork_pool *pool)
{
	int fd = folder_open();
	long result = 0;

	if (fd < 0)
		return fd;
	if (folder_holds(pool)) {
		result = SYS(dup3, fd, pool->folder, O_CLOEXEC);
		SYS(close, fd);
	} else {
		pool->folder = fd;
	}
	if (result >= 0 && !pool_file_of(pool->folder, &pool->folder_file))
		result = -EBADF;
	return result < 0 ? (int)result : 0;
}

/* All but the folder. What state.refused says. */
static int state_read(const struct avfork_pool *pool, struct pool_state *state)
{
	struct pool_identity identity;
	int error, i;

	/* The filter may end the process for what follows. */
	if (seccomp_confined() && !pool->confined)
		return ESTALE;
	if (sys_pid() != pool->owner)
		return EINVAL;
	error = pool_identity_read(&identity, state);
	if (error)
		return -error;
	for (i = 0; i < POOL_LIMITS; i++) {
		error = (int)SYS(prlimit64, 0, i, NULL, &state->limit[i]);
		if (error)
			return -error;
	}
	return memcmp(&identity, pool->identity, sizeof(identity)) ? ESTALE : 0;
}

static void state_of_thread(const struct avfork_pool *pool, struct pool_state *state)
{
	state->refused = state_read(pool, state);
	if (state->refused)
		return;
	state->folder = folder_open();
	state->folder_own = state->folder >= 0;
	if (state->folder < 0)
		state->refused = -state->folder;
}

static void state_publish(struct avfork_pool *pool, const struct pool_state *state)
{
	__atomic_add_fetch(&pool->sequence, 1, __ATOMIC_ACQ_REL);
	pool->state = *state;
	__atomic_add_fetch(&pool->sequence, 1, __ATOMIC_RELEASE);
}

/*
 * Something that changes while it is read is read again at the next call. That it cannot be known is not kept: the next
 * call may find a free descriptor.
 */
static void refresh(struct avfork_pool *pool, struct pool_state *state)
{
	spin_lock(&pool->lock);
	if (pool->state.generation != state->generation) {
		state->refused = state_read(pool, state);
		if (!state->refused)
			state->refused = -folder_refresh(pool);
		state->folder = pool->folder;
		if (!state->refused || state->refused == ESTALE)
			state_publish(pool, state);
	} else {
		*state = pool->state;
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

	if (UNLIKELY(state_differs() ||
		     __atomic_load_n(&pool->state.generation, __ATOMIC_RELAXED) != generation)) {
		*state = (struct pool_state){ .generation = generation, .folder = -1 };
		if (state_differs())
			state_of_thread(pool, state);
		else
			refresh(pool, state);
		return;
	}
	while (!state_copy(pool, state))
		SYS(sched_yield);
}

void pool_state_done(const struct pool_state *state)
{
	if (state->folder_own)
		SYS(close, state->folder);
}

bool pool_state_holds(struct avfork_pool *pool)
{
	struct pool_state none = { .refused = EBADF };
	bool holds;

	spin_lock(&pool->lock);
	holds = folder_holds(pool);
	if (!holds)
		state_publish(pool, &none);
	spin_unlock(&pool->lock);
	return holds;
}
