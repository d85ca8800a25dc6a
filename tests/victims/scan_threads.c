/* SPDX-License-Identifier: MIT */
/*
 * Forks and starts a thread; with HANDLERS, it also registers atfork handlers.
 */
#include <pthread.h>
#include <unistd.h>

static void *rest(void *nothing)
{
	return nothing;
}

int main(void)
{
	pthread_t thread;

#ifdef HANDLERS
	pthread_atfork(NULL, NULL, NULL);
#endif
	if (pthread_create(&thread, NULL, rest, NULL))
		return 1;
	pthread_join(thread, NULL);
	return fork() < 0;
}
