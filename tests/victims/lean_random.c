/* SPDX-License-Identifier: MIT */
/*
 * lean_random COUNT [SEED [MEGABYTES [THREADS]]]: children that read and write at random everywhere, by themselves and by
 * system calls, and then execute a program or end. What each saw is printed, one number a child, and whether a
 * byte of the parent has changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "victim.h"

#define REGIONS 6
#define SMALL 2000

struct region {
	unsigned char *bytes;
	size_t size;
};

static struct region region[REGIONS];
static unsigned char *small[SMALL];
static int report[2], scratch;
static const char *program;

static uint64_t state;

static uint64_t next(void)
{
	state += 0x9e3779b97f4a7c15ULL;
	uint64_t value = state;

	value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9ULL;
	value = (value ^ value >> 27) * 0x94d049bb133111ebULL;
	return value ^ value >> 31;
}

static uint64_t mix(uint64_t hash, uint64_t value)
{
	return (hash ^ value) * 0x100000001b3ULL;
}

static uint64_t hash_bytes(uint64_t hash, const unsigned char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		hash = mix(hash, bytes[i]);
	return hash;
}

static uint64_t hash_all(void)
{
	uint64_t hash = 1;

	for (int i = 0; i < REGIONS; i++)
		for (size_t at = 0; at + 8 <= region[i].size; at += 8) {
			uint64_t word;

			memcpy(&word, region[i].bytes + at, 8);
			hash = mix(hash, word);
		}
	for (int i = 0; i < SMALL; i++)
		hash = hash_bytes(hash, small[i], 16 + i % 100);
	return hash;
}

static unsigned char *anywhere(size_t size)
{
	struct region *one = &region[next() % REGIONS];

	return one->bytes + next() % (one->size - size);
}

/* What the kernel reads and writes for it. */
static uint64_t call(uint64_t hash)
{
	size_t size = 1 + next() % 20000;
	unsigned char *from = anywhere(size), *to = anywhere(size);
	struct iovec vector[3];
	struct stat status;
	ssize_t got;

	switch (next() % 12) {
	case 0:
		got = pwrite(scratch, from, size, 0);
		hash = mix(hash, got);
		got = pread(scratch, to, size, 0);
		return hash_bytes(mix(hash, got), to, size);
	case 1:
		for (int i = 0; i < 3; i++)
			vector[i] = (struct iovec){ anywhere(5000), 5000 };
		lseek(scratch, 0, SEEK_SET);
		hash = mix(hash, writev(scratch, vector, 3));
		lseek(scratch, 0, SEEK_SET);
		for (int i = 0; i < 3; i++)
			vector[i].iov_base = anywhere(5000);
		return mix(hash, readv(scratch, vector, 3));
	case 2:
		strcpy((char *)from, "/proc/self/../self/../uptime");
		hash = mix(hash, stat((char *)from, (struct stat *)memset(to, 0, 1)));
		/* times and numbers are not the same from run to run */
		memset(to, 0, sizeof(struct stat));
		return mix(hash, open((char *)from, O_RDONLY | O_CLOEXEC) >= 0);
	case 3:
		strcpy((char *)from, "/nowhere/at/all");
		hash = mix(hash, stat((char *)from, &status));
		return mix(hash, errno);
	case 4:
		return mix(hash, getcwd((char *)anywhere(4096), 4096) != NULL);
	case 5: {
		int *ends = (int *)((uintptr_t)anywhere(64) & ~(uintptr_t)7);

		if (pipe(ends))
			return mix(hash, 99);
		got = write(ends[1], from, 3000);
		hash = mix(hash, got);
		got = read(ends[0], anywhere(20000), 20000);
		hash = mix(hash, got);
		close(ends[0]);
		close(ends[1]);
		return hash;
	}
	case 6: {
		struct sigaction *action =
			(struct sigaction *)((uintptr_t)anywhere(512) & ~(uintptr_t)7);

		hash = mix(hash, sigaction(SIGSEGV, NULL, action));
		hash = mix(hash, (uintptr_t)action->sa_handler);
		/* libc copies a mask of which the kernel has set a part */
		memset(action, 0, sizeof(*action));
		return hash;
	}
	case 7: {
		sigset_t *set = (sigset_t *)((uintptr_t)anywhere(512) & ~(uintptr_t)7);

		sigset_t before, *old = set + 1;

		sigfillset(set);
		hash = mix(hash, sigprocmask(SIG_BLOCK, set, old));
		hash = mix(hash, sigismember(old, SIGSEGV));
		hash = mix(hash, *anywhere(1));
		hash = mix(hash, sigprocmask(SIG_SETMASK, NULL, &before));
		hash = mix(hash, sigismember(&before, SIGSEGV) + sigismember(&before, SIGSYS));
		return next() % 2 ? hash : mix(hash, sigprocmask(SIG_SETMASK, old, NULL));
	}
	case 8: {
		void *page = (void *)((uintptr_t)anywhere(8192) & ~(uintptr_t)4095);

		/* what is there no longer is there as zero */
		if (next() % 4)
			return hash;
		if ((unsigned char *)page < region[0].bytes ||
		    (unsigned char *)page + 4096 > region[0].bytes + region[0].size)
			return hash;
		hash = mix(hash, madvise(page, 4096, MADV_DONTNEED));
		return hash_bytes(hash, page, 4096);
	}
	case 9: {
		unsigned char *block = malloc(300000);

		memset(block, 7, 300000);
		hash = hash_bytes(hash, block + 1000, 100);
		free(block);
		return hash;
	}
	case 10:
		return mix(hash, readlink("/proc/self/exe", (char *)anywhere(4096), 4096) > 0);
	default:
		return mix(hash, write(-1, from, size) + errno);
	}
}

static void child(int number)
{
	uint64_t hash = 3;
	/* the first of them show that they execute */
	int steps = number < 4 ? 0 : next() % 60;

	for (int i = 0; i < steps; i++) {
		unsigned char *at = anywhere(64);

		switch (next() % 5) {
		case 0:
		case 1:
			hash = hash_bytes(hash, at, 1 + next() % 64);
			break;
		case 2:
			*at = next();
			break;
		case 3: {
			int which = next() % SMALL;

			hash = hash_bytes(hash, small[which], 16);
			if (next() % 2) {
				free(small[which]);
				small[which] = malloc(16 + which % 100);
				memset(small[which], 5, 16 + which % 100);
			}
			break;
		}
		default:
			hash = call(hash);
		}
	}
	uint64_t *out = (uint64_t *)((uintptr_t)anywhere(64) & ~(uintptr_t)7);

	out[0] = number;
	out[1] = hash;
	if (write(report[1], out, 16) != 16)
		_exit(3);
	if (next() % 8 == 0 && number >= 4)
		_exit(0);
	char **argv = (char **)((uintptr_t)anywhere(512) & ~(uintptr_t)7);
	char *path = (char *)anywhere(4096);

	strcpy(path, program);
	argv[0] = path;
	argv[1] = strcpy((char *)anywhere(64), "an argument");
	argv[2] = NULL;
	/* where they lie on top of each other, the argument is what it is */
	strcpy(path, program);
	execv(path, argv);
	execl(program, program, NULL);
	_exit(4);
}

/* Keeps libc's heaps, and memory of its own, changing. */
static void *busy(void *argument)
{
	unsigned char *own[64] = { 0 };
	uint64_t own_state = (uintptr_t)argument;

	for (;;) {
		own_state = own_state * 6364136223846793005ULL + 1442695040888963407ULL;
		int i = own_state >> 33 & 63;
		size_t size = 16 + (own_state >> 40) % ((own_state >> 20 & 15) ? 2000 : 200000);

		free(own[i]);
		own[i] = malloc(size);
		memset(own[i], i, size);
		if (i == 7)
			usleep(100);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int count = number_argument(argc, argv, 1, 10);
	uint64_t seed = number_argument(argc, argv, 2, 1);
	size_t megabytes = number_argument(argc, argv, 3, 16);
	char name[] = "/tmp/lean_random.XXXXXX";

	program = "/bin/true";
	scratch = mkstemp(name);
	unlink(name);
	state = seed;
	setvbuf(stdout, NULL, _IONBF, 0);
	if (pipe(report))
		return 2;
	for (int i = 0; i < SMALL; i++)
		small[i] = malloc(16 + i % 100);
	for (int i = 0; i < REGIONS; i++) {
		region[i].size = (megabytes << 20) / (1 + i) + 4096 * i + 8 * i;
		region[i].bytes = i % 2 ? malloc(region[i].size) :
					  mmap(NULL, region[i].size, PROT_READ | PROT_WRITE,
					       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		/* the last one is sparse */
		for (size_t at = 0; at + 8 <= region[i].size; at += i == REGIONS - 1 ? 40960 : 8) {
			uint64_t word = next();

			memcpy(region[i].bytes + at, &word, 8);
		}
	}
	uint64_t before = hash_all();
	pthread_t thread;

	for (long i = number_argument(argc, argv, 4, 0); i > 0; i--)
		pthread_create(&thread, NULL, busy, (void *)i);

	for (int i = 0; i < count; i++) {
		uint64_t fresh = mix(seed, i), saw[2] = { 0 };
		pid_t pid;
		int status;

		state = fresh;
		pid = fork();
		if (!pid)
			child(i);
		if (pid < 0) {
			perror("fork");
			return 2;
		}
		waitpid(pid, &status, 0);
		if (read(report[0], saw, sizeof(saw)) != sizeof(saw) || saw[0] != (uint64_t)i ||
		    status) {
			printf("child %d: status %x\n", i, (unsigned)status);
			return 1;
		}
		printf("%d %016llx\n", i, (unsigned long long)saw[1]);
		if (i % 256 == 0 || i + 1 == count)
			expect(hash_all() == before, "the parent's memory has changed");
	}
	return victim_faults != 0;
}
