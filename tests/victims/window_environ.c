/* SPDX-License-Identifier: MIT */
/*
 * window_environ [COUNT]: while the main thread spawns COUNT children, which execute with the environment
 * as it is, another thread adds variables to it and takes them away again. Each program must find all that
 * was there all the time, and nothing that never was.
 */
#include "window.h"

#define FIXED 200
#define ADDED 600

static volatile int stop;

/* The executed program. */
static int check(void)
{
	char name[32], seen[FIXED] = { 0 };
	int i, number;
	char **entry;

	for (entry = environ; *entry; entry++) {
		if (sscanf(*entry, "FIXED_%d=", &number) == 1 && number >= 0 && number < FIXED)
			seen[number] = 1;
		else if (sscanf(*entry, "ADDED_%d=", &number) != 1 && !strchr(*entry, '='))
			return 2;
		snprintf(name, sizeof(name), "D_%d=%d", number, number);
		if (strstr(*entry, "ED_") && !strstr(*entry, name))
			return 3;
	}
	for (i = 0; i < FIXED; i++)
		if (!seen[i])
			return 4;
	return 0;
}

static void *changing(void *unused)
{
	char name[32], value[32];
	int i;

	while (!stop) {
		for (i = 0; i < ADDED; i++) {
			snprintf(name, sizeof(name), "ADDED_%d", i);
			snprintf(value, sizeof(value), "%d", i);
			setenv(name, value, 1);
			/* What the environment left is soon something else's. */
			free(calloc(FIXED + (size_t)i, sizeof(char *)));
			/* A fork in the midst of setenv() would be the program's own fault. */
			usleep(5);
		}
		for (i = ADDED - 1; i >= 0; i--) {
			snprintf(name, sizeof(name), "ADDED_%d", i);
			unsetenv(name);
		}
	}
	return unused;
}

int main(int argc, char **argv)
{
	int count = number_argument(argc, argv, 1, 300), bad = 0;
	char *const args[] = { "window_environ", "check", NULL };
	char name[32], value[32], self[PATH_MAX] = "";
	pthread_t thread;
	volatile int i;

	if (argc > 1 && !strcmp(argv[1], "check"))
		return check();
	setvbuf(stdout, NULL, _IONBF, 0);
	if (readlink("/proc/self/exe", self, sizeof(self) - 1) < 0)
		return 1;
	for (i = 0; i < FIXED; i++) {
		snprintf(name, sizeof(name), "FIXED_%d", i);
		snprintf(value, sizeof(value), "%d", i);
		setenv(name, value, 1);
	}
	pthread_create(&thread, NULL, changing, NULL);
	for (i = 0; i < count; i++) {
		pid_t pid = xfork();

		if (pid == 0) {
			execv(self, args);
			_exit(errno);
		}
		bad += wait_for(pid) != 0;
	}
	stop = 1;
	pthread_join(thread, NULL);
	printf("%d children, %d with another environment\n", count, bad);
	return bad != 0;
}
