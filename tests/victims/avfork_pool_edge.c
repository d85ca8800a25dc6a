/* SPDX-License-Identifier: MIT */
/*
 * Pools where the process is out of something, or its threads, children or restrictions are not what they were; one
 * case a run: avfork_pool_edge CASE. Each case changes itself for good.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "avfork_pool.h"

#define SHOW JOB("sh", "-c", "pwd; umask; id -u")

static void expect_shown(struct avfork_pool *pool, const char *wanted)
{
	struct avfork_job job = SHOW;
	char *text = output_of(pool, &job);

	if (strcmp(text, wanted)) {
		victim_faults++;
		printf("FAULT: %swanted %s", text, wanted);
	}
}

static void expect_refused(struct avfork_pool *pool, int error, const char *what)
{
	struct avfork_job job = JOB("true");
	pid_t pid;

	errno = 0;
	pid = submit_call(pool, &job);
	expect(pid == -1 && errno == error, what);
	if (pid > 0)
		wait_for(pid);
}

/* In a process of its own. */
static void apart(void (*run)(void))
{
	pid_t pid = fork();

	if (!pid) {
		run();
		_exit(victim_faults);
	}
	victim_faults += wait_for(pid) != 0;
}

static void set_files(rlim_t limit, rlim_t most)
{
	struct rlimit files = { limit, most };

	if (setrlimit(RLIMIT_NOFILE, &files))
		exit(97);
}

static void become_nobody(void)
{
	if (geteuid() == 0 && (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534)))
		exit(97);
}

static struct avfork_pool *shared;
static pthread_barrier_t barrier;

/* Two steps: one for the thread to change, one for its job after the main thread's. */
static void in_thread(void *(*routine)(void *))
{
	pthread_t thread;

	shared = create(2);
	pthread_barrier_init(&barrier, NULL, 2);
	pthread_create(&thread, NULL, routine, NULL);
	pthread_barrier_wait(&barrier);
	expect_shown(shared, "/\n0022\n0\n");
	pthread_barrier_wait(&barrier);
	pthread_join(thread, NULL);
	expect_shown(shared, "/\n0022\n0\n");
	destroy_call(shared);
}

static void *own_folder(void *unused)
{
	expect(!unshare(CLONE_FS) && !chdir("/usr"), "no folder of its own");
	umask(0177);
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	expect_shown(shared, "/usr\n0177\n0\n");
	return unused;
}

static void *own_user(void *unused)
{
	expect(!syscall(SYS_setresuid, 65534, 65534, 65534), "setresuid");
	pthread_barrier_wait(&barrier);
	pthread_barrier_wait(&barrier);
	expect_refused(shared, ESTALE, "another user's thread has the process's children");
	return unused;
}

static void case_threads(void)
{
	umask(022);
	expect(!chdir("/"), "chdir");
	in_thread(own_folder);
	in_thread(own_user);
}

static void add_filter(void)
{
	struct sock_filter allow[] = { BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
	struct sock_fprog program = { 1, allow };

	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program))
		exit(77);
}

static void restrict_privileges(void)
{
	shared = create(1);
	expect(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl");
	expect_refused(shared, ESTALE, "no_new_privs is not the program's");
}

static void restrict_calls(void)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	shared = create(1);
	add_filter();
	expect_refused(shared, ESTALE, "the filter is not the program's");
	/* Under the one a new pool works; under the next it is refused again. */
	shared = create(1);
	expect_exit(submit(shared, &(struct avfork_job)JOB("true")), 0);
	add_filter();
	expect_refused(shared, ESTALE, "the second filter is not the program's");
}

static void restrict_bounds(void)
{
	shared = create(1);
	if (!prctl(PR_CAPBSET_DROP, 21, 0, 0, 0))
		expect_refused(shared, ESTALE, "the bounding set is not the program's");
}

static void case_restrictions(void)
{
	apart(restrict_privileges);
	apart(restrict_calls);
	apart(restrict_bounds);
}

static int misuse(void *pool)
{
	struct avfork_job job = JOB("true");

	if (chdir("/usr"))
		return 9;
	umask(0777);
	errno = 0;
	if (submit_call(pool, &job) != -1 || errno != EINVAL)
		return 1;
	errno = 0;
	if (create_call(1) || errno != EINVAL)
		return 2;
	errno = 0;
	return destroy_call(pool) != -1 || errno != EINVAL ? 3 : 0;
}

/* A child that shares the pool's memory has no pool, and what it changes is not its parent's. */
static void case_shared_child(void)
{
	struct avfork_pool *pool = create(2);

	umask(022);
	expect(!chdir("/"), "chdir");
	expect_exit(start(misuse, pool), 0);
	expect_shown(pool, "/\n0022\n0\n");
	destroy_call(pool);
}

/* A forked child holds the sockets, and lives on; the parent, too, or it has closed them. */
static void destroy_held(int closed)
{
	struct avfork_pool *pool = create(2);
	pid_t holder = fork();

	if (!holder)
		for (;;)
			pause();
	if (closed)
		close_range(3, ~0U, 0);
	expect(!destroy_call(pool), "destroy failed");
	kill_one(holder, SIGKILL);
	wait_for(holder);
	expect(waitpid(-1, NULL, 0) < 0 && errno == ECHILD, "a child is left");
}

static void case_holder(void)
{
	destroy_held(0);
	destroy_held(1);
}

/* A program closes what it did not open, and opens files of its own there. */
static void case_closed(void)
{
	struct avfork_pool *pool = create(2);
	ino_t null = 0;
	struct stat status;
	int i, end = 0;

	expect(!chdir("/"), "chdir");
	umask(022);
	expect_shown(pool, "/\n0022\n0\n");
	close_range(3, ~0U, 0);
	for (i = 0; i < 32; i++) {
		end = open("/dev/null", O_RDONLY | O_CLOEXEC);
		fstat(end, &status);
		null = status.st_ino;
	}
	for (i = 0; i < 5; i++)
		expect_shown(pool, "/\n0022\n0\n");
	expect(!chdir("/usr"), "chdir");
	expect_shown(pool, "/usr\n0022\n0\n");
	expect(!destroy_call(pool), "destroy failed");
	for (i = 3; i <= end; i++)
		expect(!fstat(i, &status) && status.st_ino == null, "a file is another");
}

/* What is closed of 0, 1 and 2 stays so. */
static void case_standard(void)
{
	struct avfork_job job = JOB("sh", "-c", "test ! -e /proc/$$/fd/0");
	struct avfork_pool *pool;
	int in = dup(0);

	close(0);
	pool = create(2);
	expect(fcntl(0, F_GETFD) < 0, "the pool has taken descriptor 0");
	expect_exit(submit(pool, &job), 0);
	umask(022);
	expect_exit(submit(pool, &job), 0);
	expect(fcntl(0, F_GETFD) < 0, "the pool has taken descriptor 0 later");
	destroy_call(pool);
	dup2(in, 0);
}

static void no_descriptors(void)
{
	struct avfork_pool *pool = create(2);
	int first, last;

	set_files(64, 64);
	first = last = open("/dev/null", O_RDONLY | O_CLOEXEC);
	while ((last = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0)
		;
	umask(022);
	expect_exit(submit(pool, &(struct avfork_job)JOB("sh", "-c", "exit 3")), 3);
	close_range((unsigned)first, 63, 0);
	expect_shown(pool, "/\n0022\n0\n");
	destroy_call(pool);
}

static void few_descriptors(void)
{
	struct avfork_pool *pool;
	int error = -1;
	struct avfork_job job = JOB("true");

	job.error = &error;
	close_range(3, ~0U, 0);
	set_files(6, 6);
	pool = create(1);
	expect_exit(submit(pool, &job), 0);
	expect_exit(submit(pool, &job), 0);
	expect(!error, "an error where there is none");
}

/* More than the children could have had when they were started. */
static void more_descriptors(void)
{
	struct avfork_job job = JOB("sh", "-c", "test -e /proc/self/fd/39");
	struct rlimit limit;
	struct avfork_pool *pool;
	int fds[40], i;

	getrlimit(RLIMIT_NOFILE, &limit);
	set_files(16, limit.rlim_max);
	pool = create(1);
	set_files(limit.rlim_cur, limit.rlim_max);
	for (i = 0; i < 40; i++)
		fds[i] = i < 3 ? i : 2;
	job.fds = fds;
	job.fd_count = 40;
	for (i = 0; i < 5; i++)
		expect_exit(submit(pool, &job), 0);
}

/* The kernel limits how many descriptors a user has on their way. */
static void descriptors_in_flight(void)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int) * 10)];
	} control = { .header = { CMSG_LEN(sizeof(int) * 10), SOL_SOCKET, SCM_RIGHTS } };
	struct iovec vector = { "x", 1 };
	struct msghdr message = { .msg_iov = &vector,
				  .msg_iovlen = 1,
				  .msg_control = &control,
				  .msg_controllen = sizeof(control) };
	struct avfork_pool *pool;
	int pair[2], i;

	memset(CMSG_DATA(&control.header), 0, sizeof(int) * 10);
	become_nobody();
	pool = create(1);
	set_files(64, 64);
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair))
		exit(97);
	for (i = 0; i < 100 && sendmsg(pair[0], &message, MSG_DONTWAIT) > 0; i++)
		;
	expect_exit(submit(pool, &(struct avfork_job)JOB("sh", "-c", "exit 3")), 3);
}

static void case_descriptors(void)
{
	expect(!chdir("/"), "chdir");
	apart(no_descriptors);
	apart(few_descriptors);
	apart(more_descriptors);
	apart(descriptors_in_flight);
}

/* A folder that its user may be in, but may not search. */
static void case_folder(void)
{
	struct avfork_job job = JOB("sh", "-c", "exit 3");
	struct avfork_pool *pool;

	if (mkdir("barred", 0700) || chown("barred", 65534, 65534) || chdir("barred"))
		exit(97);
	become_nobody();
	pool = create(1);
	if (chmod(".", 0))
		exit(97);
	umask(022);
	expect_exit(submit(pool, &job), 3);
	pool = create(1);
	expect_exit(submit(pool, &job), 3);
}

static void case_namespace(void)
{
	errno = 0;
	if (unshare(CLONE_NEWPID))
		exit(77);
	expect(!create_call(1) && errno == ENOTSUP, "children in another pid namespace");
}

static const struct {
	const char *name;
	void (*run)(void);
} cases[] = {
	{ "threads", case_threads },
	{ "restrictions", case_restrictions },
	{ "shared-child", case_shared_child },
	{ "holder", case_holder },
	{ "closed", case_closed },
	{ "standard", case_standard },
	{ "descriptors", case_descriptors },
	{ "folder", case_folder },
	{ "namespace", case_namespace },
};

int main(int argc, char **argv)
{
	size_t i;

	setvbuf(stdout, NULL, _IONBF, 0);
	find_pools();
	for (i = 0; argc > 1 && i < sizeof(cases) / sizeof(*cases); i++)
		if (!strcmp(argv[1], cases[i].name)) {
			cases[i].run();
			puts("done");
			return victim_faults != 0;
		}
	return 95;
}
