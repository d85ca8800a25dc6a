/* flags: -rdynamic */
/* SPDX-License-Identifier: MIT */
/*
 * startup_race: a thread that libc makes behind the shim's back sets the shim up, and is held up in it, by a
 * function of libc's that the shim calls. Meanwhile the process is forked, also behind its back: nobody sets up what the child has. Both
 * call many hooks. Prints "child CODE" and "done".
 */
#include <dlfcn.h>
#include <pthread.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

#include "victim.h"

#define CALLS 10000

static int armed, held_up, released;

unsigned long getauxval(unsigned long type)
{
	__typeof__(&getauxval) next = (__typeof__(next))dlsym(RTLD_NEXT, "getauxval");

	if (__atomic_exchange_n(&armed, 0, __ATOMIC_ACQ_REL)) {
		__atomic_store_n(&held_up, 1, __ATOMIC_RELEASE);
		while (!__atomic_load_n(&released, __ATOMIC_ACQUIRE))
			usleep(1000);
	}
	return next(type);
}

static int call_hooks(void)
{
	pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	int i, failed = 0;

	for (i = 0; i < CALLS; i++)
		failed += pthread_mutex_lock(&mutex) != 0 || pthread_mutex_unlock(&mutex) != 0;
	return failed ? 1 : 0;
}

static void *first(void *unused)
{
	(void)unused;
	call_hooks();
	return NULL;
}

int main(void)
{
	void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
	__typeof__(&pthread_create) create = (__typeof__(create))dlsym(libc, "pthread_create");
	__typeof__(&fork) make_child = (__typeof__(make_child))dlsym(libc, "fork");
	pthread_t thread;
	int status;
	pid_t pid;

	/* The shim reads its options at the start; what waits is the second step. */
	armed = 1;
	if (!libc || !create || !make_child || create(&thread, NULL, first, NULL))
		return 96;
	while (!__atomic_load_n(&held_up, __ATOMIC_ACQUIRE))
		usleep(1000);
	pid = make_child();
	if (!pid)
		_exit(call_hooks());
	if (waitpid(pid, &status, 0) != pid)
		return 96;
	printf("child %d\n", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	__atomic_store_n(&released, 1, __ATOMIC_RELEASE);
	pthread_join(thread, NULL);
	call_hooks();
	puts("done");
	return 0;
}
