/* SPDX-License-Identifier: MIT */
/*
 * vfork_lock_held: the vfork child locks a mutex that another thread holds, and gives back while the child waits. Bare it
 * gets it: it shares memory with that thread.
 */
#include <pthread.h>

#include "victim.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int ready[2];

static void *hold(void *data)
{
	(void)data;
	pthread_mutex_lock(&lock);
	expect(write(ready[1], "", 1) == 1, "write");
	usleep(300000);
	pthread_mutex_unlock(&lock);
	return NULL;
}

int main(void)
{
	pthread_t thread;
	char byte;
	pid_t pid;

	expect(!pipe(ready), "pipe");
	pthread_create(&thread, NULL, hold, NULL);
	expect(read(ready[0], &byte, 1) == 1, "read");
	pid = vfork();
	if (!pid) {
		pthread_mutex_lock(&lock);
		pthread_mutex_unlock(&lock);
		execl("/bin/true", "true", NULL);
		_exit(1);
	}
	print_status("child", 0, wait_for(pid));
	pthread_join(thread, NULL);
	return victim_faults;
}
