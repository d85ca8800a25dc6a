// SPDX-License-Identifier: MIT
/*
 * gate_cancel WHAT: a thread is cancelled, and stays in a cleanup handler for a while; main forks meanwhile.
 *
 * wait    while it waited for a condition: the handler has the mutex for 300 ms, and the child takes it
 * hidden  inside syslog(), whose lock is free then: the handler stays until the fork is over, or for ten seconds; the
 *         child calls openlog(). Says when the fork took all that time.
 */
#include <string.h>
#include <syslog.h>
#include <time.h>

#include "orphan.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t never = PTHREAD_COND_INITIALIZER;

static void give_late(void *unused)
{
	(void)unused;
	worker_stay(300);
	pthread_mutex_unlock(&mutex);
}

static void wait_cancelled(void)
{
	pthread_mutex_lock(&mutex);
	pthread_cleanup_push(give_late, NULL);
	pthread_cancel(pthread_self());
	for (;;)
		pthread_cond_wait(&never, &mutex);
	pthread_cleanup_pop(1);
}

static void stay(void *unused)
{
	(void)unused;
	worker_stay(10000);
}

static void log_cancelled(void)
{
	pthread_cleanup_push(stay, NULL);
	pthread_cancel(pthread_self());
	syslog(LOG_DEBUG, "one line");
	pthread_cleanup_pop(1);
}

int main(int argc, char **argv)
{
	int hidden = argc > 1 && !strcmp(argv[1], "hidden");
	time_t start;
	pid_t child;

	worker_run(hidden ? log_cancelled : wait_cancelled);
	start = time(NULL);
	child = fork();
	if (child == 0) {
		alarm(5);
		if (hidden) {
			openlog("victim", 0, LOG_USER);
		} else {
			pthread_mutex_lock(&mutex);
			pthread_mutex_unlock(&mutex);
		}
		_exit(0);
	}
	if (time(NULL) - start > 8)
		printf("the fork waited for nothing\n");
	worker_end();
	return child_verdict(child, 4000);
}
