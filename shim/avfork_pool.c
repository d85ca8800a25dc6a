// SPDX-License-Identifier: MIT
/*
 * The parent's side of pools: see avfork_pool.h. A pool is one mapping: what both sides need to know, then the seats,
 * each with a guard page below. A forked child finds it filled with zeros (MADV_WIPEONFORK), and so knows that the pool
 * is not its own.
 */
#include "avfork_pool.h"

#include <sched.h>
#include <sys/mman.h>

#include "avfork_slot.h"
#include "avfork_state.h"
#include "child_stack.h"
#include "config.h"
#include "environ.h"
#include "environment.h"
#include "futex.h"
#include "hook.h"
#include "record.h"
#include "seccomp.h"
#include "strings.h"
#include "undo.h"
#include "window.h"

#include "poison.h"

#define CHILDREN_MAX 1024

static size_t page_up(size_t size)
{
	return (size + sys_page() - 1) & -sys_page();
}

static void pool_end(struct avfork_pool *pool)
{
	uint32_t i;

	/* All at once, not one after the other. */
	for (i = 0; i < pool->count; i++)
		slot_close(&pool->slot[i]);
	for (i = 0; i < pool->count; i++)
		slot_end(&pool->slot[i]);
	if (pool_file_is(pool->folder, &pool->folder_file))
		SYS(close, pool->folder);
	SYS(munmap, pool, pool->mapped);
}

/* The mapping, laid out; NULL: no memory. */
static struct avfork_pool *pool_map(uint32_t count)
{
	size_t head = sizeof(struct avfork_pool) + count * sizeof(struct slot);
	size_t seat = sys_page() + page_up(SEAT_SIZE), size;
	struct avfork_pool *pool;
	uintptr_t next;
	long mapped;
	uint32_t i;

	head = page_up(head + sizeof(struct pool_identity) + 64);
	size = head + count * POOL_SEATS * seat;
	mapped = SYS(mmap, NULL, size, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mapped < 0 && mapped >= -4095)
		return NULL;
	SYS(madvise, mapped, size, MADV_WIPEONFORK);
	pool = (struct avfork_pool *)mapped;
	pool->mapped = size;
	pool->count = count;
	pool->identity = (struct pool_identity *)((uintptr_t)mapped + head -
						  ((sizeof(struct pool_identity) + 63) & ~63UL));
	next = (uintptr_t)mapped + head;
	for (i = 0; i < count * POOL_SEATS; i++, next += seat) {
		struct slot *slot = &pool->slot[i / POOL_SEATS];
		uintptr_t low = next + sys_page();
		struct seat *at = (struct seat *)((low + page_up(SEAT_SIZE) - SEAT_STRINGS -
						   sizeof(struct seat)) &
						  ~63UL);

		/* Without a guard the stack is as large. */
		SYS(mprotect, next, sys_page(), PROT_NONE);
		at->low = low;
		slot->seat[i % POOL_SEATS] = at;
		slot->pool = pool;
		slot->parent_end = -1;
	}
	return pool;
}

static int pool_start(struct avfork_pool *pool)
{
	struct pool_state state;
	uint32_t i;
	int error;

	pool->owner = (pid_t)sys_pid();
	pool->folder = -1;
	pool->confined = seccomp_confined();
	/* Linux 5.9, and 5.3 */
	if (SYS(close_range, 1, 0, 0) != -EINVAL || SYS(pidfd_open, -1, 0) != -EINVAL)
		return -ENOTSUP;
	error = pool_identity_read(pool->identity, &state);
	if (error)
		return error;
	pool->group = pool->identity->process_group;
	/* They could not ask for their parent. */
	if (pool_identity_splits(pool->identity))
		return -ENOTSUP;
	pool_state_now(pool, &state);
	pool_state_done(&state);
	/* A folder that one may be in, but not search: jobs go by children of their own. */
	if (state.refused && state.refused != EACCES)
		return -state.refused;
	for (i = 0; i < pool->count && !error; i++)
		error = slot_start(&pool->slot[i]);
	return error;
}

/* A pool is its process's: a child that shares its memory has none, and makes none in there. */
static bool may_have_pools(void)
{
	return window_memory_is_own();
}

EXPORT struct avfork_pool *avfork_pool_create(unsigned children)
{
	struct avfork_pool *pool;
	int error;

	if (hook_is_passive()) {
		errno = ENOSYS;
		return NULL;
	}
	hook_enter(HOOK_clone, NULL);
	if (!children || children > CHILDREN_MAX || !may_have_pools()) {
		errno = EINVAL;
		return NULL;
	}
	pool = pool_map(children);
	if (!pool) {
		errno = ENOMEM;
		return NULL;
	}
	undo_not_alone();
	error = pool_start(pool);
	if (!error)
		return pool;
	pool_end(pool);
	errno = -error;
	return NULL;
}

EXPORT int avfork_pool_destroy(struct avfork_pool *pool)
{
	hook_enter(HOOK_clone, NULL);
	if (!pool || !pool->mapped || pool->owner != (pid_t)sys_pid()) {
		errno = EINVAL;
		return -1;
	}
	pool_end(pool);
	return 0;
}

/*
 * The descriptors to hand over, in the order of what they become; `open`: of 0, 1 and 2 those that are. 0 or -errno.
 */
static int job_descriptors(const struct avfork_job *given, bool open, struct seat_job *job,
			   int *fds)
{
	unsigned i;

	job->sent = 0;
	job->count = given->fd_count ? given->fd_count : 3;
	for (i = 0; i < job->count; i++) {
		int fd = given->fd_count ? given->fds[i] : (int)i;

		if (open && SYS(fcntl, fd, F_GETFD) < 0)
			continue;
		if (fd < -1)
			return -EBADF;
		if (fd < 0)
			continue;
		fds[job->sent] = fd;
		job->target[job->sent++] = (int)i;
	}
	return 0;
}

/* Copies the strings to where they stay; false: there is no room, and the job needs its caller's. */
static bool job_strings(struct seat_job *job, char *to)
{
	struct strings_room room = { to, to + SEAT_STRINGS };
	char **argv = strings_copy(&room, job->argv);
	char **envp = argv ? strings_copy(&room, job->envp) : NULL;
	char **folders = envp ? strings_copy(&room, job->folders) : NULL;

	if (!folders)
		return false;
	job->argv = argv;
	job->envp = envp;
	job->folders = folders;
	return true;
}

/* A child that waited has descriptors of its own, and has to move some of the job's out of the way. */
static bool fits(const struct seat_job *job)
{
	return job->state.limit[RLIMIT_NOFILE].rlim_max >=
	       (rlim_t)SEAT_DESCRIPTORS + job->sent + 1 + job->count + job->sent;
}

/* By a child that waits. Its pid; zero: there is none, or it cannot be given the job, for whatever reason. */
static long submit(struct avfork_pool *pool, struct seat_job *job, int *fds)
{
	struct slot *slot = !job->state.refused && fits(job) ? slot_take(pool) : NULL;
	struct seat *seat;
	bool copied;
	pid_t pid;

	if (!slot)
		return 0;
	seat = slot_seat(slot);
	pid = slot->pid;
	seat->job = *job;
	seat->job.folder = true;
	copied = job_strings(&seat->job, (char *)(seat + 1));
	fds[job->sent] = job->state.folder;
	if (slot_send(slot, fds, job->sent + 1) < 0)
		return 0;
	if (!copied)
		futex_wait_changed(&seat->running, (uint32_t)pid);
	return pid;
}

/* A job that no child waited for. On the child's stack, as its strings. */
struct alone {
	struct child_clone clone;
	struct seat_job job;
	int fds[AVFORK_POOL_FDS + 1];
};

static int alone_main(void *data)
{
	const struct alone *alone = data;

	child_clone_begin(&alone->clone);
	return seat_execute(&alone->job, alone->fds);
}

static long start_alone(const struct seat_job *job, const int *fds)
{
	struct child_stack stack;
	struct alone *alone;
	uintptr_t strings;
	unsigned i;
	long pid;

	/* It inherits all that a pool's child must be told; what must stay out is refused before. */
	for (i = 0; i < job->sent; i++)
		if (SYS(fcntl, fds[i], F_GETFD) < 0)
			return -EBADF;
	if (!child_stack_take(&stack))
		return -ENOMEM;
	strings = stack.low + CHILD_STACK_SIZE - SEAT_STRINGS;
	alone = (struct alone *)((strings - sizeof(*alone)) & ~63UL);
	memset(alone, 0, sizeof(*alone));
	alone->job = *job;
	memcpy(alone->fds, fds, sizeof(alone->fds));
	alone->clone = (struct child_clone){
		.flags = job_strings(&alone->job, (char *)strings) ? 0 : CLONE_VFORK,
		.running = stack.running,
		.low = stack.low,
		.high = (uintptr_t)alone,
		.exit_signal = SIGCHLD,
	};
	child_stack_executes_soon(&stack);
	pid = child_clone(&alone->clone, alone_main, alone);
	if (pid < 0)
		child_stack_give(&stack);
	return pid;
}

static long submit_or_start(struct avfork_pool *pool, struct seat_job *job, int *fds)
{
	long pid = submit(pool, job, fds);
	sys_sigset mask;

	if (pid)
		return pid;
	mask = sys_sigmask(SYS_SIGNALS_ALL);
	pid = start_alone(job, fds);
	sys_sigmask(mask);
	return pid;
}

/* pid or -errno. While environ is kept. */
static long run(struct avfork_pool *pool, const struct avfork_job *given)
{
	char *const *envp = given->envp ? (char *const *)given->envp : environ;
	char *folders[] = { (char *)config_variable(environ, "PATH"), NULL }, *nothing = NULL;
	struct seat_job job = {
		.argv = (char *const *)given->argv,
		.folders = folders,
		.error = given->error,
	};
	int fds[AVFORK_POOL_FDS + 1];
	long result = job_descriptors(given, false, &job, fds);

	if (result < 0)
		return result;
	pool_state_now(pool, &job.state);
	if (job.state.refused == ESTALE || job.state.refused == EINVAL)
		return -job.state.refused;
	job.envp = ENVIRONMENT_KEEP(envp);
	if (!job.envp)
		job.envp = &nothing;
	SYS(rt_sigprocmask, SIG_BLOCK, NULL, &job.mask, sizeof(job.mask));
	if (job.error)
		*job.error = 0;
	result = submit_or_start(pool, &job, fds);
	if (result == -EBADF && !given->fd_count) {
		job_descriptors(given, true, &job, fds);
		result = submit_or_start(pool, &job, fds);
	}
	pool_state_done(&job.state);
	return result;
}

/* As window_record(), but that it asks the kernel for nothing. */
static void record(const struct avfork_pool *pool, uint64_t start_ns, long result)
{
	const struct thread *self = thread_words.self;
	struct box_event event = {
		.call = BOX_CALL_AVFORK_SUBMIT,
		.tier = BOX_TIER_VFORK,
		.pid = (uint32_t)pool->owner,
		.tid = self ? self->tid : (uint32_t)pool->owner,
		.child = result > 0 ? (uint32_t)result : 0,
		.time_ns = start_ns,
		.duration_ns = sys_now() - start_ns,
		.error = result < 0 ? (uint32_t)-result : 0,
	};

	record_event(&event);
}

EXPORT pid_t avfork_pool_submit(struct avfork_pool *pool, const struct avfork_job *job)
{
	uint64_t start_ns = sys_now();
	int error = errno;
	long result;

	hook_enter(HOOK_clone, NULL);
	if (!pool || !pool->mapped || !may_have_pools() || !job || !job->argv || !job->argv[0] ||
	    job->flags || job->fd_count > AVFORK_POOL_FDS || (job->fd_count && !job->fds)) {
		errno = EINVAL;
		return -1;
	}
	result = ENVIRON_KEPT(run(pool, job));
	record(pool, start_ns, result);
	errno = result < 0 ? (int)-result : error;
	return result < 0 ? -1 : (pid_t)result;
}
