/* SPDX-License-Identifier: MIT */
/*
 * flat WHAT [COUNT [PROGRAM]]: what it has of memory, descriptors and the like once everything was done a few times, and
 * after COUNT times more, a line each. spawn: PROGRAM, by fork(), vfork(), posix_spawn(), system() and popen() in turn;
 * lock: four threads with locks of each kind, which start and end, and a fork now and then. idle: what it has while it
 * does nothing, after a mutex, a thread and a child; with COUNT 0 after nothing at all.
 */
#include <dirent.h>
#include <pthread.h>
#include <spawn.h>

#include "victim.h"

#define HERE 32 /* enough of each for what is made once */

enum { PRIVATE, SHARED, DESCRIPTORS, MAPPINGS, THREADS, TIMERS, CHILDREN, COUNTS };

static const char *const names[COUNTS] = {
	"private KB", "shared KB", "descriptors", "mappings", "threads", "timers", "children",
};

static char *program;

/* The sum of the numbers behind `key`, or with NULL the number of lines. */
static long in_file(const char *path, const char *key)
{
	FILE *file = fopen(path, "re");
	char line[512];
	long sum = 0;

	while (file && fgets(line, sizeof(line), file))
		if (!key)
			sum++;
		else if (!strncmp(line, key, strlen(key)))
			sum += atol(line + strcspn(line, "0123456789"));
	if (file)
		fclose(file);
	return sum;
}

static long entries(const char *path)
{
	DIR *folder = opendir(path);
	long count = -3; /* two dots, and its own descriptor */

	while (folder && readdir(folder))
		count++;
	if (folder)
		closedir(folder);
	return count;
}

static long children(void)
{
	char path[64];
	long count = 0, pid;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
	file = fopen(path, "re");
	while (file && fscanf(file, "%ld", &pid) == 1)
		count++;
	if (file)
		fclose(file);
	return count;
}

static long threads(void)
{
	return in_file("/proc/self/status", "Threads:");
}

/* The kernel tells who joins a thread that it has ended before it is gone. */
static void measure(long *count)
{
	int tries;

	for (tries = 0; threads() > 1 && tries < 500; tries++)
		usleep(10000);
	count[PRIVATE] = in_file("/proc/self/status", "RssAnon:");
	count[SHARED] = in_file("/proc/self/status", "RssShmem:");
	count[DESCRIPTORS] = entries("/proc/self/fd");
	count[MAPPINGS] = in_file("/proc/self/maps", NULL);
	count[THREADS] = threads();
	count[TIMERS] = in_file("/proc/self/timers", NULL);
	count[CHILDREN] = children();
}

static void ended(int status)
{
	expect(WIFEXITED(status) && !WEXITSTATUS(status), "a child ended otherwise");
}

static void by_fork(void)
{
	char *args[] = { program, NULL };
	pid_t pid = xfork();

	if (!pid) {
		execv(program, args);
		_exit(127);
	}
	ended(wait_for(pid));
}

static void by_vfork(void)
{
	char *args[] = { program, NULL };
	pid_t pid = vfork();

	if (!pid) {
		execv(program, args);
		_exit(127);
	}
	ended(wait_for(pid));
}

static void by_posix_spawn(void)
{
	char *args[] = { program, NULL };
	pid_t pid;

	expect(!posix_spawn(&pid, program, NULL, NULL, args, environ), "posix_spawn failed");
	ended(wait_for(pid));
}

static void by_popen(void)
{
	FILE *stream = popen(program, "re");

	expect(stream != NULL, "popen failed");
	if (stream)
		ended(pclose(stream));
}

static void spawn(long number)
{
	/* Shells take time: they come less often. */
	if (number % HERE == 5)
		by_popen();
	else if (number % HERE == 15)
		ended(system(program));
	else if (number % 4 == 0)
		by_vfork();
	else if (number % 4 == 1)
		by_posix_spawn();
	else
		by_fork();
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;

static void *traffic(void *data)
{
	pthread_mutex_t own;
	int i;

	pthread_mutex_init(&own, NULL);
	for (i = 0; i < 1000; i++) {
		pthread_mutex_lock(&own);
		pthread_mutex_lock(&mutex);
		pthread_cond_signal(&cond);
		pthread_mutex_unlock(&mutex);
		pthread_rwlock_rdlock(&rwlock);
		pthread_rwlock_unlock(&rwlock);
		pthread_mutex_unlock(&own);
	}
	pthread_mutex_destroy(&own);
	return data;
}

static void lock(long number)
{
	pthread_t thread[4];
	int i;

	for (i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, traffic, NULL);
	if (number % 4 == 0)
		by_fork();
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
}

static void idle(int busy)
{
	pthread_t thread;
	long count[COUNTS];
	int i;

	if (busy) {
		pthread_create(&thread, NULL, traffic, NULL);
		pthread_join(thread, NULL);
		by_fork();
	}
	measure(count);
	for (i = 0; i < COUNTS; i++)
		printf("%s %ld\n", names[i], count[i]);
}

int main(int argc, char **argv)
{
	const char *what = string_argument(argc, argv, 1, "idle");
	long count = number_argument(argc, argv, 2, 1000), before[COUNTS], after[COUNTS], i;
	void (*once)(long) = !strcmp(what, "lock") ? lock : spawn;

	program = (char *)string_argument(argc, argv, 3, "/bin/true");
	if (!strcmp(what, "idle")) {
		idle(count != 0);
		return victim_faults != 0;
	}
	for (i = 0; i < 4L * HERE; i++)
		once(i);
	measure(before);
	for (i = 0; i < count; i++)
		once(i);
	measure(after);
	for (i = 0; i < COUNTS; i++)
		printf("%s %ld %ld\n", names[i], before[i], after[i]);
	return victim_faults != 0;
}
