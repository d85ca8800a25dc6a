/* SPDX-License-Identifier: MIT */
/*
 * stress_window [SPAWNS [THREADS [SEED [DEVIATE]]]]: spawns at random, and counts what the parent finds
 * changed. With THREADS 0 the main thread spawns alone; else that many threads spawn, and as many again
 * use the heap, stdio, signals, the environment, locks, mappings, threads and children of their own.
 *
 * Each child writes where learning saw children write: the caller's frames, thread-local storage, errno,
 * environ, and static data while there is one thread. DEVIATE percent of them then do what no child did
 * while the site was learned: make a call that must not run in a window, after which they write everywhere,
 * the heap included; end; fault; are killed; fail to execute. After each child all of the parent's memory
 * is compared with its shadow. Prints the counts: all but the first line must be zero.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdint.h>
#include <sys/resource.h>

#include "window.h"

#define WORDS 64
#define BLOCKS 12
#define LEARNED 8 /* children of a site that write all there is to write and do nothing else */
#define SITES 2
#define THREADS_MAX 16
#define PIDS (1 << 22)

/* Words that children write and parents change, and what they must be. */
struct region {
	volatile uint64_t *live;
	uint64_t *shadow;
	int words;
};

enum { LOCAL, OUTER, LOCAL_STORAGE, GLOBAL, HEAP, REGIONS = HEAP + BLOCKS };

/* What the next child does: decided by the parent. */
struct plan {
	int all;  /* it writes all that children of its site may write, and executes */
	int how;  /* enum deviation, or -1 */
	int then; /* 0: executes; else its exit status */
	uint64_t seed;
};

struct spawner {
	uint64_t random;
	struct region region[REGIONS];
	struct plan plan;
	long spawns, deviations;
	int learned[SITES];
};

/* clang-format off */
#define DEVIATIONS(X)                                                                              \
	X(malloc) X(stdio) X(lock) X(thread) X(fork) X(sleep) X(map) X(write) X(yield) X(raise)    \
	X(user) X(read) X(exit) X(raw_exit) X(raw_kill) X(fault) X(abort) X(enoent) X(enoent_path)
/* clang-format on */

enum deviation {
#define X(name) DO_##name,
	DEVIATIONS(X) DO_COUNT
#undef X
};

static volatile uint64_t global[THREADS_MAX][WORDS];
static __thread volatile uint64_t local_storage[WORDS];
static char *program, *own_environment[] = { (char *)"ONLY=the child's", NULL };
static uint64_t nothing[WORDS];
static int deviate, threads, null_fd, pipe_ends[2];
static pid_t parent;
static int *volatile nowhere;
static volatile int stop;
static volatile sig_atomic_t child_signals;
static pthread_mutex_t mutexes[THREADS_MAX]; /* taken by the other threads */
static pthread_mutex_t environment_mutex =
	PTHREAD_MUTEX_INITIALIZER; /* libc has none for readers */
static pthread_mutex_t quiet_mutex = PTHREAD_MUTEX_INITIALIZER;

/* Seen by all processes. */
static struct {
	volatile long changed, strange_pid, strange_status, handler_in_child, hammer_faults;
} * counts;

/* Pids that fork() and its kin returned, and those that a peeking thread saw ended. */
static uint8_t *returned, *peeked;

static void mark(uint8_t *set, pid_t pid)
{
	if (pid > 0 && pid < PIDS)
		__atomic_store_n(&set[pid], 1, __ATOMIC_RELAXED);
}

static void count(volatile long *counter)
{
	__atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

/* xorshift64 */
static uint64_t next(uint64_t *random)
{
	*random ^= *random << 13;
	*random ^= *random >> 7;
	*random ^= *random << 17;
	return *random;
}

static int below(uint64_t *random, int limit)
{
	return (int)(next(random) >> 33) % limit;
}

static void region_set(struct region *region, volatile uint64_t *live, int words, uint64_t *random)
{
	int i;

	region->live = live;
	region->words = words;
	region->shadow = malloc((size_t)words * sizeof(*region->shadow));
	if (!region->shadow)
		abort();
	for (i = 0; i < words; i++)
		live[i] = region->shadow[i] = next(random);
}

static void region_check(const struct region *region)
{
	int i;

	for (i = 0; i < region->words; i++)
		if (region->live[i] != region->shadow[i])
			count(&counts->changed);
}

/* The parent goes on with its own work. */
static void region_change(struct region *region, uint64_t *random)
{
	int at = below(random, region->words);

	region->live[at] = region->shadow[at] = next(random);
}

static void region_scribble(const struct region *region, uint64_t *random, int all)
{
	int i;

	for (i = 0; i < region->words; i++)
		if (all || next(random) & 1)
			region->live[i] ^= next(random) | 1;
}

static void on_child(int signal)
{
	(void)signal;
	child_signals++;
	if (raw_call(SYS_getpid, 0, 0, 0, 0, 0) != parent && in_window())
		count(&counts->handler_in_child);
}

static void *thread(void *data)
{
	return data;
}

static void reap(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* A call that must not run in a window, or an end. `random` is the child's own. */
static void do_deviate(int how, uint64_t *random)
{
	char *const args[] = { "true", NULL };
	pthread_t id;
	FILE *stream;
	char *block;
	pid_t pid;

	switch (how) {
	case DO_malloc:
		block = malloc((size_t)below(random, 100000));
		if (block)
			*(volatile char *)block = 1;
		free(block);
		break;
	case DO_stdio:
		stream = fopen("/dev/null", "w");
		if (stream && fprintf(stream, "%d", how) > 0)
			fclose(stream);
		break;
	case DO_lock:
		pthread_mutex_lock(&quiet_mutex);
		break;
	case DO_thread:
		if (!pthread_create(&id, NULL, thread, NULL))
			pthread_join(id, NULL);
		break;
	case DO_fork:
		pid = fork();
		if (pid == 0)
			_exit(0);
		reap(pid);
		break;
	case DO_sleep:
		usleep(1);
		break;
	case DO_map:
		mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		break;
	case DO_write:
		if (write(null_fd, "x", 1) != 1)
			_exit(90);
		break;
	case DO_yield:
		sched_yield();
		break;
	case DO_raise:
		raise(SIGWINCH);
		break;
	case DO_user:
		if (setresuid((uid_t)-1, (uid_t)-1, (uid_t)-1))
			_exit(91);
		break;
	case DO_read:
		if (read(pipe_ends[0], &pid, 1) != -1)
			_exit(92);
		break;
	case DO_exit:
		_exit(21);
	case DO_raw_exit:
		raw_call(SYS_exit_group, 22, 0, 0, 0, 0);
		break;
	case DO_raw_kill:
		raw_call(SYS_kill, raw_call(SYS_getpid, 0, 0, 0, 0, 0), SIGKILL, 0, 0, 0);
		break;
	case DO_fault:
		*nowhere = 1;
		break;
	case DO_abort:
		abort();
	case DO_enoent:
		execv("/nonexistent", args);
		break;
	case DO_enoent_path:
		execvp("no-such-program-anywhere", args);
		break;
	}
}

/* The wait status of such a child: the signal, or the exit status that was planned. */
static int planned_status(const struct plan *plan)
{
	switch (plan->how) {
	case DO_exit:
		return 21 << 8;
	case DO_raw_exit:
		return 22 << 8;
	case DO_raw_kill:
		return SIGKILL;
	case DO_fault:
		return SIGSEGV;
	case DO_abort:
		return SIGABRT;
	default:
		return plan->then << 8;
	}
}

/* In the child. What comes before the deviation is of the kinds that learning saw, in the same order. */
static void child(struct spawner *self)
{
	const struct plan plan = self->plan;
	char *const args[] = { program, NULL };
	uint64_t random = plan.seed;
	sigset_t set;
	int i;

	region_scribble(&self->region[LOCAL], &random, plan.all);
	region_scribble(&self->region[LOCAL_STORAGE], &random, plan.all);
	/* With other threads alive, frames further up and static data would have the site refused. */
	if (!threads) {
		region_scribble(&self->region[OUTER], &random, plan.all);
		region_scribble(&self->region[GLOBAL], &random, plan.all);
	}
	errno = (int)(next(&random) & 0xffff);
	if (plan.all || next(&random) & 1)
		environ = own_environment;
	dup2(null_fd, 0);
	close(pipe_ends[1]);
	sigemptyset(&set);
	sigaddset(&set, 1 + below(&random, 30));
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGINT, next(&random) & 1 ? SIG_IGN : SIG_DFL);
	if (plan.how >= 0) {
		do_deviate(plan.how, &random);
		/* From here on it is a real fork. */
		if (in_window())
			count(&counts->changed);
		for (i = 0; i < REGIONS; i++)
			region_scribble(&self->region[i], &random, 0);
		if (plan.then)
			_exit(plan.then);
	}
	execv(program, args);
	_exit(93);
}

HELPER pid_t site_0(struct spawner *self)
{
	pid_t pid = xfork();

	if (pid == 0)
		child(self);
	return pid;
}

/* Another frame, and the child returns from two. */
HELPER pid_t site_1_fork(void)
{
	pid_t pid = fork();

	__asm__ volatile("" ::: "memory");
	return pid;
}

HELPER pid_t site_1(struct spawner *self)
{
	pid_t pid = site_1_fork();

	if (pid == 0)
		child(self);
	return pid;
}

static void make_plan(struct spawner *self, int site)
{
	struct plan *plan = &self->plan;

	plan->all = self->learned[site]++ < LEARNED;
	plan->how = -1;
	plan->then = 0;
	plan->seed = next(&self->random) | 1;
	if (!plan->all && below(&self->random, 100) < deviate) {
		plan->how = below(&self->random, DO_COUNT);
		plan->then = next(&self->random) & 1 ? 0 : 30 + below(&self->random, 10);
		self->deviations++;
	}
}

static int wait_somehow(struct spawner *self, pid_t pid)
{
	siginfo_t info;
	int status = 0;

	switch (below(&self->random, 3)) {
	case 0:
		while (wait4(pid, &status, 0, NULL) < 0 && errno == EINTR)
			;
		return status;
	case 1:
		memset(&info, 0, sizeof(info));
		while (waitid(P_PID, (id_t)pid, &info, WEXITED) < 0 && errno == EINTR)
			;
		return info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
	default:
		return wait_for(pid);
	}
}

/* One spawn, in a frame with words of its own. */
HELPER void spawn_one(struct spawner *self, int site)
{
	volatile uint64_t words[WORDS];
	int before = child_signals, error = below(&self->random, 100), status, i;
	pid_t pid;

	for (i = 0; i < WORDS; i++)
		words[i] = self->region[LOCAL].shadow[i];
	self->region[LOCAL].live = words;
	for (i = 0; i < REGIONS; i++)
		region_change(&self->region[i], &self->random);
	make_plan(self, site);
	errno = error;
	pid = site ? site_1(self) : site_0(self);
	if (errno != error)
		count(&counts->changed);
	for (i = 0; i < REGIONS; i++)
		region_check(&self->region[i]);
	pthread_mutex_lock(&environment_mutex);
	if (!getenv("STRESS") || getenv("ONLY"))
		count(&counts->changed);
	pthread_mutex_unlock(&environment_mutex);
	mark(returned, pid);
	status = wait_somehow(self, pid) & ~0x80;
	if (status != planned_status(&self->plan))
		count(&counts->strange_status);
	if (!threads && child_signals != before + 1)
		count(&counts->strange_pid);
	self->region[LOCAL].live = nothing;
	self->spawns++;
}

HELPER void spawn_many(struct spawner *self, long spawns)
{
	volatile uint64_t words[WORDS / 4];
	int i;

	for (i = 0; i < WORDS / 4; i++)
		words[i] = self->region[OUTER].shadow[i];
	self->region[OUTER].live = words;
	while (self->spawns < spawns)
		spawn_one(self, below(&self->random, SITES));
	self->region[OUTER].live = nothing;
}

static void spawner_init(struct spawner *self, int number, uint64_t seed)
{
	int i;

	memset(self, 0, sizeof(*self));
	self->random = (seed + 1) * 0x9e3779b97f4a7c15ULL + (uint64_t)number * 0x1234567;
	region_set(&self->region[LOCAL], nothing, WORDS, &self->random);
	region_set(&self->region[OUTER], nothing, WORDS / 4, &self->random);
	region_set(&self->region[LOCAL_STORAGE], local_storage, WORDS, &self->random);
	region_set(&self->region[GLOBAL], global[number], WORDS, &self->random);
	for (i = 0; i < BLOCKS; i++) {
		int words = 1 << i;

		region_set(&self->region[HEAP + i], malloc((size_t)words * 8), words,
			   &self->random);
	}
}

struct job {
	pthread_t id;
	int number;
	long spawns;
	uint64_t seed;
	long done, deviations;
};

static void *run_spawner(void *data)
{
	struct spawner *self = malloc(sizeof(*self));
	struct job *job = data;

	if (!self)
		abort();
	spawner_init(self, job->number, job->seed);
	spawn_many(self, job->spawns);
	job->done = self->spawns;
	job->deviations = self->deviations;
	return NULL;
}

static void hammer_children(uint64_t *random)
{
	/* Not environ: who reads that himself may see what a child made of it, or a thread makes. */
	char *args[] = { program, NULL }, *environment[] = { "HAMMER=1", NULL };
	pid_t pid = -1;

	switch (below(random, 3)) {
	case 0:
		if (posix_spawn(&pid, program, NULL, NULL, args, environment))
			pid = -1;
		break;
	case 1:
		pid = vfork();
		if (pid == 0) {
			execve(program, args, environment);
			_exit(1);
		}
		break;
	default:
		pid = fork();
		if (pid == 0)
			_exit(0);
	}
	mark(returned, pid);
	if (pid <= 0 || wait_for(pid))
		count(&counts->hammer_faults);
}

/* Does to the process what threads do, and finds its own things as they were. */
static void *hammer(void *data)
{
	struct job *job = data;
	uint64_t random = job->seed * 7919 + (uint64_t)job->number + 1;
	char name[32], value[32], *blocks[32] = { NULL };
	FILE *stream = fopen("/dev/null", "w");
	pthread_t id;
	char *map;
	int at;

	while (!stop) {
		switch (below(&random, 10)) {
		case 0:
		case 1:
		case 2:
			at = below(&random, 32);
			if (blocks[at] && blocks[at][5] != (char)at)
				count(&counts->hammer_faults);
			free(blocks[at]);
			blocks[at] = malloc(16 + (size_t)below(&random, 3000));
			if (!blocks[at])
				abort();
			memset(blocks[at], at, 16);
			break;
		case 3:
			if (!stream || fprintf(stream, "%d %s\n", job->number, "text") < 6)
				count(&counts->hammer_faults);
			break;
		case 4:
			kill(parent, SIGUSR1);
			break;
		case 5:
			snprintf(name, sizeof(name), "HAMMER_%d_%d", job->number,
				 below(&random, 50));
			snprintf(value, sizeof(value), "%d", below(&random, 1000));
			pthread_mutex_lock(&environment_mutex);
			if (setenv(name, value, 1) || !getenv(name) || strcmp(getenv(name), value))
				count(&counts->hammer_faults);
			pthread_mutex_unlock(&environment_mutex);
			break;
		case 6:
			pthread_mutex_lock(&mutexes[job->number]);
			usleep(1);
			pthread_mutex_unlock(&mutexes[job->number]);
			break;
		case 7:
			map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
				   -1, 0);
			if (map == MAP_FAILED)
				abort();
			map[4096] = 1;
			munmap(map, 8192);
			break;
		case 8:
			if (below(&random, 4))
				break;
			if (pthread_create(&id, NULL, thread, NULL))
				abort();
			pthread_join(id, NULL);
			break;
		default:
			if (!below(&random, 4))
				hammer_children(&random);
			else if (setresuid((uid_t)-1, (uid_t)-1, (uid_t)-1))
				count(&counts->hammer_faults);
		}
		if (!below(&random, 8))
			usleep(50);
	}
	for (at = 0; at < 32; at++)
		free(blocks[at]);
	fclose(stream);
	return NULL;
}

/* Looks at every child that has ended, and leaves it to the others to reap. */
static void *peek(void *unused)
{
	siginfo_t info;

	while (!stop) {
		info.si_pid = 0;
		if (!waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT))
			mark(peeked, info.si_pid);
		sched_yield();
	}
	return unused;
}

static int lines(const char *path)
{
	FILE *stream = fopen(path, "r");
	int found = 0, c;

	if (!stream)
		return 0;
	while ((c = getc(stream)) != EOF)
		found += c == '\n';
	fclose(stream);
	return found;
}

static int entries(const char *path)
{
	DIR *folder = opendir(path);
	int found = 0;

	while (folder && readdir(folder))
		found++;
	if (folder)
		closedir(folder);
	return found;
}

/* Processes of the caller's group but itself: children, and children of children that were left behind. */
static int left_behind(void)
{
	DIR *folder = opendir("/proc");
	struct dirent *entry;
	int found = 0;

	while (folder && (entry = readdir(folder))) {
		pid_t pid = atoi(entry->d_name);

		found += pid > 0 && pid != parent && getpgid(pid) == parent;
	}
	if (folder)
		closedir(folder);
	return found;
}

static void run(long spawns, uint64_t seed, long *deviations)
{
	struct job spawners[THREADS_MAX], hammers[THREADS_MAX];
	pthread_t peeker;
	int i;

	for (i = 0; i < threads; i++) {
		spawners[i] = (struct job){ .number = i, .spawns = spawns / threads, .seed = seed };
		hammers[i] = spawners[i];
		if (pthread_create(&hammers[i].id, NULL, hammer, &hammers[i]) ||
		    pthread_create(&spawners[i].id, NULL, run_spawner, &spawners[i]))
			abort();
	}
	if (pthread_create(&peeker, NULL, peek, NULL))
		abort();
	for (i = 0; i < threads; i++) {
		pthread_join(spawners[i].id, NULL);
		*deviations += spawners[i].deviations;
	}
	stop = 1;
	pthread_join(peeker, NULL);
	for (i = 0; i < threads; i++)
		pthread_join(hammers[i].id, NULL);
}

int main(int argc, char **argv)
{
	long spawns = number_argument(argc, argv, 1, 2000), deviations = 0, phantoms = 0;
	uint64_t seed = (uint64_t)number_argument(argc, argv, 3, 1);
	struct sigaction action = { .sa_handler = on_child, .sa_flags = SA_RESTART };
	struct rlimit no_core = { 0, 0 };
	struct spawner *alone;
	int i, fds, maps, tries;

	threads = number_argument(argc, argv, 2, 0);
	deviate = number_argument(argc, argv, 4, 10);
	if (threads > THREADS_MAX)
		return 2;
	/* With a group of its own it can tell what was left behind. */
	setpgid(0, 0);
	parent = getpid();
	setrlimit(RLIMIT_CORE, &no_core);
	setenv("STRESS", "parent", 1);
	program = quick_program();
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	counts = shared_memory(sizeof(*counts));
	returned = calloc(PIDS, 1);
	peeked = calloc(PIDS, 1);
	alone = malloc(sizeof(*alone));
	if (null_fd < 0 || pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK) || !returned || !peeked ||
	    !alone)
		return 2;
	for (i = 0; i < THREADS_MAX; i++)
		pthread_mutex_init(&mutexes[i], NULL);
	sigaction(SIGCHLD, &action, NULL);
	signal(SIGUSR1, SIG_IGN);
	/* Warm: what malloc, the shim and libc keep is there. */
	fds = entries("/proc/self/fd");
	if (threads)
		run(200, seed + 1, &deviations);
	spawner_init(alone, 0, seed);
	if (!threads)
		spawn_many(alone, spawns < 200 ? spawns : 200);
	stop = 0;
	deviations = 0;
	maps = lines("/proc/self/maps");
	if (threads)
		run(spawns, seed, &deviations);
	else
		spawn_many(alone, spawns);
	if (!threads)
		deviations = alone->deviations;

	for (i = 0; i < PIDS; i++)
		phantoms += peeked[i] && !returned[i];
	/* The audit's twins end within two seconds. */
	for (tries = 0; tries < 300 && left_behind(); tries++)
		usleep(10000);
	errno = 0;
	if (waitpid(-1, NULL, __WALL | WNOHANG) != -1 || errno != ECHILD)
		phantoms++;
	printf("%ld spawns, %ld deviations\n", spawns, deviations);
	printf("%ld words changed\n", counts->changed);
	printf("%ld children ended otherwise\n", counts->strange_status);
	printf("%ld phantom children, %ld SIGCHLD too many or too few\n", phantoms,
	       counts->strange_pid);
	printf("%d processes left behind\n", left_behind());
	printf("%ld handlers in a window\n", counts->handler_in_child);
	printf("%ld faults of other threads\n", counts->hammer_faults);
	printf("%d descriptors leaked\n", entries("/proc/self/fd") - fds);
	/* Heaps of threads that ended come and go. */
	maps = lines("/proc/self/maps") - maps;
	printf("%d mappings leaked\n", threads && maps <= 4 * threads ? 0 : maps);
	return 0;
}
