// SPDX-License-Identifier: MIT
/*
 * lock_alias NAME...: calls the functions that take, give back, make and unmake a lock by these names, as programs
 * linked long ago do, for libc has several for one function, and prints what they return. With "print" for a name: a
 * thread is cancelled inside printf(), where libc gives the lock of the stream back by such a name.
 */
#include <dlfcn.h>
#include <pthread.h>

#include "victim.h"

#if defined(__x86_64__)
#define OLDEST "GLIBC_2.2.5"
#else
#define OLDEST "GLIBC_2.17"
#endif

static void *print(void *unused)
{
	pthread_cancel(pthread_self());
	printf("%s\n", "so far");
	return unused;
}

static void cancel_print(void)
{
	pthread_t thread;
	void *result;

	pthread_create(&thread, NULL, print, NULL);
	pthread_join(thread, &result);
	printf("cancelled %d\n", result == PTHREAD_CANCELED);
}

static void call(const char *name)
{
	static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
	static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
	int (*function)(void *, const void *) =
		(int (*)(void *, const void *))dlvsym(RTLD_DEFAULT, name, OLDEST);
	void *lock = strstr(name, "mutex")  ? (void *)&mutex :
		     strstr(name, "rwlock") ? (void *)&rwlock :
					      (void *)stderr;
	int result = function ? function(lock, NULL) : -1;

	printf("%s %d\n", name, lock == stderr ? !!function : result);
}

int main(int argc, char **argv)
{
	int i;

	setvbuf(stdout, NULL, _IONBF, 0);
	/* Until its first process is made the shim tracks no lock. */
	print_status("child", 0, system("exit 3"));
	for (i = 1; i < argc; i++)
		if (!strcmp(argv[i], "print"))
			cancel_print();
		else
			call(argv[i]);
	return 0;
}
