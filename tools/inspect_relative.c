// SPDX-License-Identifier: MIT
/*
 * The ancestors of a process that run the same program: it may be forked from them, and their threads hold what it waits
 * for. Owns what is open of them; each is opened once, and each of their threads that is asked for is stopped once.
 */
#include <elf.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "inspect.h"

#define ANCESTORS 8
#define AUXILIARY 512  /* pairs, at most */
#define RANDOM_SIZE 16 /* getauxval(3), AT_RANDOM */

struct relative_thread {
	uint32_t inner;
	pid_t tid;
	struct inspect_thread *thread; /* NULL: nobody has asked for it */
};

struct relative {
	pid_t pid;
	char name[32];
	bool forked; /* it has the memory that this process was forked with */
	bool opened;
	struct proc_maps maps;
	struct stacks *stacks;
	struct relative_thread *thread; /* sorted by `inner` */
	size_t threads;
};

static bool same_program(pid_t one, pid_t other)
{
	char first[32], second[32];

	snprintf(first, sizeof(first), "/proc/%d/exe", (int)one);
	snprintf(second, sizeof(second), "/proc/%d/exe", (int)other);
	return path_same(first, second);
}

/* What the kernel gives a process that executes a program, and one that it forks has as well. */
struct image {
	uint64_t random_at;
	char random[RANDOM_SIZE];
};

static bool image_read(pid_t pid, struct image *image)
{
	uint64_t pair[AUXILIARY][2];
	char path[32];
	ssize_t got;
	size_t i;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/auxv", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	got = read(fd, pair, sizeof(pair));
	close(fd);
	for (i = 0; got > 0 && i < (size_t)got / sizeof(*pair); i++)
		if (pair[i][0] == AT_RANDOM) {
			image->random_at = pair[i][1];
			return proc_memory(pid, pair[i][1], image->random, RANDOM_SIZE);
		}
	return false;
}

static bool same_image(pid_t one, pid_t other)
{
	struct image first, second;

	return image_read(one, &first) && image_read(other, &second) &&
	       first.random_at == second.random_at &&
	       !memcmp(first.random, second.random, RANDOM_SIZE);
}

static void relatives_list(struct inspection *inspection)
{
	struct proc_status status = inspection->status;
	struct relative *relative;
	pid_t pid;

	if (inspection->relative)
		return;
	inspection->relative = calloc(ANCESTORS, sizeof(*relative));
	if (!inspection->relative)
		abort();
	while (inspection->relatives < ANCESTORS && status.parent > 1) {
		pid = status.parent;
		if (!same_program(pid, inspection->pid) || !proc_status(pid, pid, &status))
			break;
		relative = &inspection->relative[inspection->relatives++];
		relative->pid = pid;
		memcpy(relative->name, status.name, sizeof(relative->name));
		relative->forked = same_image(pid, inspection->pid);
	}
}

static int by_inner(const void *one, const void *other)
{
	uint32_t a = ((const struct relative_thread *)one)->inner,
		 b = ((const struct relative_thread *)other)->inner;

	return a < b ? -1 : a > b;
}

static void relative_open(struct relative *relative)
{
	struct proc_status status;
	size_t count, i;
	pid_t *tids;

	relative->opened = true;
	tids = proc_threads(relative->pid, &count);
	relative->thread = calloc(count + 1, sizeof(*relative->thread));
	if (!relative->thread)
		abort();
	for (i = 0; i < count; i++)
		if (proc_status(relative->pid, tids[i], &status))
			relative->thread[relative->threads++] =
				(struct relative_thread){ .inner = (uint32_t)status.inner,
							  .tid = tids[i] };
	free(tids);
	qsort(relative->thread, relative->threads, sizeof(*relative->thread), by_inner);
}

static struct inspect_thread *thread_look(struct relative *relative, pid_t tid, bool stop)
{
	struct inspect_thread *thread = calloc(1, sizeof(*thread));

	if (!thread)
		abort();
	thread->process = relative->pid;
	thread->tid = tid;
	thread->wait.trait = "";
	if (!proc_status(relative->pid, tid, &thread->status)) {
		free(thread);
		return NULL;
	}
	proc_call(relative->pid, tid, &thread->call);
	if (!relative->stacks && !proc_maps_read(&relative->maps, relative->pid))
		relative->stacks = stacks_open(relative->pid, &relative->maps);
	if (relative->stacks)
		stacks_take(relative->stacks, tid, &thread->call,
			    stop && thread->status.state != 'D' && !thread->status.tracer,
			    &thread->stack);
	return thread;
}

struct inspect_thread *relative_thread(struct inspection *inspection, uint32_t inner, bool *forked)
{
	const struct relative_thread key = { .inner = inner };
	struct relative_thread *found;
	struct relative *relative;
	size_t i;

	relatives_list(inspection);
	for (i = 0; inner && i < inspection->relatives; i++) {
		relative = &inspection->relative[i];
		if (!relative->opened)
			relative_open(relative);
		found = relative->threads ? bsearch(&key, relative->thread, relative->threads,
						    sizeof(key), by_inner) :
					    NULL;
		if (found && !found->thread)
			found->thread = thread_look(relative, found->tid, inspection->stop);
		if (found && found->thread) {
			*forked = relative->forked;
			return found->thread;
		}
	}
	return NULL;
}

pid_t relative_forked(struct inspection *inspection)
{
	size_t i;

	relatives_list(inspection);
	for (i = 0; i < inspection->relatives; i++)
		if (inspection->relative[i].forked)
			return inspection->relative[i].pid;
	return 0;
}

const char *relative_name(const struct inspection *inspection, pid_t pid)
{
	size_t i;

	for (i = 0; i < inspection->relatives; i++)
		if (inspection->relative[i].pid == pid)
			return inspection->relative[i].name;
	return "";
}

static void relative_close(struct relative *relative)
{
	size_t i;

	for (i = 0; i < relative->threads; i++) {
		if (relative->thread[i].thread)
			free(relative->thread[i].thread->stack.frame);
		free(relative->thread[i].thread);
	}
	free(relative->thread);
	stacks_close(relative->stacks);
	proc_maps_free(&relative->maps);
}

void relatives_close(struct inspection *inspection)
{
	size_t i;

	for (i = 0; i < inspection->relatives; i++)
		relative_close(&inspection->relative[i]);
	free(inspection->relative);
}
