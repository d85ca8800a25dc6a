/* SPDX-License-Identifier: MIT */
/*
 * What the victims share that use pools.
 */
#ifndef AVFORK_POOL_VICTIM_H
#define AVFORK_POOL_VICTIM_H

#include <fcntl.h>

#include "avfork.h"

static __typeof__(&avfork_pool_create) create_call;
static __typeof__(&avfork_pool_submit) submit_call;
static __typeof__(&avfork_pool_destroy) destroy_call;

HELPER struct avfork_pool *create(unsigned children)
{
	struct avfork_pool *pool = create_call(children);

	if (!pool) {
		printf("avfork_pool_create: %s\n", strerror(errno));
		exit(96);
	}
	return pool;
}

HELPER pid_t submit(struct avfork_pool *pool, const struct avfork_job *job)
{
	pid_t pid = submit_call(pool, job);

	if (pid < 0) {
		printf("avfork_pool_submit: %s\n", strerror(errno));
		exit(96);
	}
	return pid;
}

HELPER void expect_exit(pid_t pid, int code)
{
	int status = wait_for(pid);

	if (!WIFEXITED(status) || WEXITSTATUS(status) != code) {
		victim_faults++;
		printf("FAULT: status %#x instead of exit %d\n", status, code);
	}
}

/* Starts `argv` with its output into a pipe, and reads that. */
HELPER char *output_of(struct avfork_pool *pool, struct avfork_job *job)
{
	static char text[65536];
	int end[2], fds[3] = { 0, -1, 2 };
	size_t size = 0;
	ssize_t got;
	pid_t pid;

	if (pipe2(end, O_CLOEXEC))
		exit(97);
	fds[1] = end[1];
	if (!job->fd_count) {
		job->fds = fds;
		job->fd_count = 3;
	}
	pid = submit(pool, job);
	close(end[1]);
	while ((got = read(end[0], text + size, sizeof(text) - 1 - size)) > 0)
		size += (size_t)got;
	text[size] = 0;
	close(end[0]);
	job->fds = NULL;
	job->fd_count = 0;
	expect_exit(pid, 0);
	return text;
}

#define JOB(...)                                                                                   \
	{                                                                                          \
		.argv = (const char *const[])                                                      \
		{                                                                                  \
			__VA_ARGS__, NULL                                                          \
		}                                                                                  \
	}

HELPER void find_pools(void)
{
	create_call = AVFORK_FIND(avfork_pool_create);
	submit_call = AVFORK_FIND(avfork_pool_submit);
	destroy_call = AVFORK_FIND(avfork_pool_destroy);
}

#endif
