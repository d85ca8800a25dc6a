/* SPDX-License-Identifier: MIT */
/*
 * lean_limits WHAT: a process whose children are lean, and what its threads, its children or its surroundings do that goes
 * beyond what a single page or a living parent is asked for.
 *
 *  moved       another thread moves large mappings all the time
 *  replaced    other threads unmap large mappings all the time, and map others
 *  starts      other threads start others, which end at once, all the time
 *  sent        another thread sends SIGSEGV, which has a handler, all the time
 *  scattered   the child touches more places than a process may have mappings
 *  background  the parent ends, its child stays without any of its descriptors
 *  killed      so, and all of the parent's process group is killed, of which the child is no more
 *  alone       no process may be made but the child, which waits for its parent
 *  data        the child lowers RLIMIT_DATA below what it has
 *  data-before it was lowered before
 *  adopts      the child waits for a parent to whom orphans come
 */
#include <pthread.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "victim.h"

#define PAGE ((size_t)4096)
#define SPAWNS 8
#define MAPPINGS 50000

static size_t size = (size_t)24 << 20;
static unsigned char *memory, *volatile moved;
static int to_child[2], output[2];
static volatile bool stop;

static unsigned sum(size_t step)
{
	unsigned result = 1;

	for (size_t i = 0; i < size; i += step)
		result = result * 31 + memory[i];
	return result;
}

static unsigned char *make(size_t bytes)
{
	unsigned char *made =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (made == MAP_FAILED)
		exit(77);
	for (size_t i = 0; i < bytes; i += PAGE)
		made[i] = (unsigned char)(i / PAGE % 251);
	return made;
}

/* So many mappings that vm.max_map_count leaves few. */
static void split(void)
{
	unsigned char *at =
		mmap(NULL, MAPPINGS * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	for (size_t i = 0; i < MAPPINGS; i += 2)
		if (mprotect(at + i * PAGE, PAGE, PROT_NONE))
			exit(77);
	size = (size_t)96 << 20;
}

static void *move(void *unused)
{
	size_t bytes = (size_t)80 << 20;
	unsigned char *at = make(bytes);

	while (!stop) {
		void *free_space = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		at = mremap(at, bytes, bytes, MREMAP_MAYMOVE | MREMAP_FIXED, free_space);
		moved = at;
		usleep(20);
	}
	return unused;
}

static void *replace(void *unused)
{
	size_t bytes = (size_t)8 << 20;

	while (!stop) {
		unsigned char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
					 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		memset(at, 1, bytes / 8);
		mprotect(at, bytes / 2, PROT_READ);
		munmap(at, bytes);
	}
	return unused;
}

static void *end(void *unused)
{
	return unused;
}

static void *start(void *unused)
{
	pthread_t thread[4];

	while (!stop) {
		for (int i = 0; i < 4; i++)
			if (pthread_create(&thread[i], NULL, end, NULL))
				exit(77);
		for (int i = 0; i < 4; i++)
			pthread_join(thread[i], NULL);
	}
	return unused;
}

static volatile sig_atomic_t received;

static void receive(int signal)
{
	(void)signal;
	received++;
}

static void *send_signals(void *unused)
{
	while (!stop) {
		sig_atomic_t before = received;

		kill_one(getpid(), SIGSEGV);
		for (int i = 0; i < 20000 && received == before; i++)
			usleep(100);
		if (received == before)
			printf("FAULT: a signal is lost\n");
	}
	return unused;
}

static void wait_for_byte(int fd)
{
	char byte;

	if (read(fd, &byte, 1) != 1)
		_exit(8);
}

static void limit_data(void)
{
	struct rlimit few = { 8 << 20, 8 << 20 };

	if (setrlimit(RLIMIT_DATA, &few))
		exit(77);
}

static void child(const char *what)
{
	if (!strcmp(what, "data"))
		limit_data();
	if (!strcmp(what, "scattered")) {
		printf("sum %u\n", sum(2 * PAGE));
	} else if (!strncmp(what, "data", 4)) {
		printf("sum %u\n", sum(PAGE));
	} else if (!strcmp(what, "background") || !strcmp(what, "killed")) {
		setsid();
		close(0);
		close(1);
		close(2);
		close(output[1]);
		wait_for_byte(to_child[0]);
		_exit(sum(PAGE * 3) & 1);
	} else if (!strcmp(what, "alone") || !strcmp(what, "adopts")) {
		wait_for_byte(to_child[0]);
		printf("sum %u\n", sum(PAGE * 3));
	}
	execl("/bin/true", "true", NULL);
	_exit(127);
}

static void marks(void)
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	char line[4096];

	while (maps && fgets(line, sizeof(line), maps))
		if (!strncmp(line, "VmFlags", 7) && strstr(line, " dc"))
			printf("FAULT: a mark is left\n");
	fclose(maps);
}

static void confine(void)
{
	struct rlimit two = { 2, 2 };

	/* an id that no other process has */
	if (setrlimit(RLIMIT_NPROC, &two) || setuid((uid_t)(1000000 + getpid())))
		exit(77);
}

static void spawns(const char *what, int count)
{
	for (volatile int i = 0; i < count; i++) {
		volatile bool last = i ==
				     count - 1; /* one site, whatever the compiler makes of it */
		pid_t pid;

		if (last && !strcmp(what, "alone"))
			confine();
		if (last && !strcmp(what, "data-before"))
			limit_data();
		if (last && !strcmp(what, "adopts"))
			prctl(PR_SET_CHILD_SUBREAPER, 1);
		pid = xfork();
		if (!pid) {
			memory[i] = 1;
			if (last)
				child(what);
			execl("/bin/true", "true", NULL);
			_exit(126);
		}
		memory[20 * PAGE * 3] = 7;
		if (last && (!strcmp(what, "background") || !strcmp(what, "killed")))
			return;
		if (last && write(to_child[1], "x", 1) != 1)
			exit(3);
		print_status("child", i, wait_for(pid));
	}
}

/* A process of its own, whose output is read to its end. */
static void watch(const char *what)
{
	int done[2];
	char line[80];
	pid_t pid;

	if (pipe(output) || pipe(done))
		exit(2);
	pid = xfork();
	if (!pid) {
		setpgid(0, 0);
		close(output[0]);
		close(done[0]);
		memory = make(size);
		spawns(what, SPAWNS);
		if (write(output[1], "x", 1) == 1 && !strcmp(what, "killed"))
			pause();
		_exit(0);
	}
	close(output[1]);
	close(done[1]);
	wait_for_byte(output[0]);
	if (!strcmp(what, "killed"))
		kill_one(pid, 0), killpg(pid, SIGKILL);
	print_status("parent", 0, wait_for(pid));
	while (read(output[0], line, sizeof(line)) > 0)
		;
	printf("end of its output\n");
	if (write(to_child[1], "x", 1) != 1 || read(done[0], line, 1))
		printf("FAULT\n");
	printf("end of its child\n");
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "moved";
	static const struct {
		const char *what;
		void *(*work)(void *);
		int threads, spawns;
	} others[] = {
		{ "moved", move, 2, 80 },
		{ "replaced", replace, 2, 200 },
		{ "starts", start, 2, 200 },
		{ "sent", send_signals, 1, 200 },
		{ "", NULL, 0, SPAWNS },
	}, *other = others;
	pthread_t thread[2];
	pid_t pid;

	setvbuf(stdout, NULL, _IONBF, 0);
	if (pipe(to_child))
		return 2;
	if (!strcmp(what, "background") || !strcmp(what, "killed")) {
		watch(what);
		return 0;
	}
	if (!strcmp(what, "scattered"))
		split();
	memory = make(size);
	signal(SIGSEGV, !strcmp(what, "sent") ? receive : SIG_DFL);
	while (other->threads && strcmp(other->what, what))
		other++;
	for (int i = 0; i < other->threads; i++)
		pthread_create(&thread[i], NULL, other->work, NULL);
	spawns(what, other->spawns);
	stop = true;
	for (int i = 0; i < other->threads; i++)
		pthread_join(thread[i], NULL);
	if (!strcmp(what, "moved")) {
		marks();
		pid = xfork();
		if (!pid)
			_exit(moved[PAGE * 7]);
		print_status("moved", 0, wait_for(pid));
	}
	return 0;
}
