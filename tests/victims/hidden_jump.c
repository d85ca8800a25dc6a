/* SPDX-License-Identifier: MIT */
/*
 * hidden_jump: a thread jumps out of dl_iterate_phdr()'s callback. libc's lock stays locked, in its parent too; but
 * the thread is in other functions by the time of the fork, and the child uses another class.
 */
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <sys/syscall.h>
#include <time.h>

#include "victim.h"

static jmp_buf back;
static int ready[2];

static int each_object(struct dl_phdr_info *info, size_t size, void *data)
{
	(void)info, (void)size, (void)data;
	longjmp(back, 1);
}

HELPER void jump(void)
{
	if (!setjmp(back))
		dl_iterate_phdr(each_object, NULL);
}

static void *work(void *argument)
{
	time_t now = 0;
	struct tm fields;

	jump();
	localtime_r(&now, &fields);
	if (write(ready[1], "x", 1) != 1)
		abort();
	for (;;)
		pause();
	return argument;
}

int main(void)
{
	pthread_t thread;
	time_t now = 0;
	struct tm fields;
	char byte;
	pid_t child;
	int status;

	if (pipe(ready) || pthread_create(&thread, NULL, work, NULL) ||
	    read(ready[0], &byte, 1) != 1)
		return 2;
	child = xfork();
	if (!child) {
		alarm(5);
		localtime_r(&now, &fields);
		_exit(0);
	}
	status = wait_for(child);
	puts(status ? "child hung" : "child finished");
	fflush(stdout);
	_exit(status != 0);
}
