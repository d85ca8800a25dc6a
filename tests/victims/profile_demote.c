/* SPDX-License-Identifier: MIT */
/*
 * profile_demote [leak | READY GO]: spawns eight children at a site; with `leak` they write the heap, which
 * the parent undoes. With two paths it then makes the file READY, waits for the file GO, and spawns at
 * another site.
 */
#include <fcntl.h>

#include "victim.h"

static volatile int *volatile where;

HELPER pid_t spawn(void)
{
	char *args[] = { "/bin/true", NULL };
	pid_t pid = xfork();

	if (pid == 0) {
		if (where)
			*where = 1;
		execv(args[0], args);
		_exit(127);
	}
	return pid;
}

HELPER pid_t spawn_elsewhere(void)
{
	char *args[] = { "/bin/true", NULL };
	pid_t pid = fork();

	if (pid == 0) {
		execv(args[0], args);
		_exit(127);
	}
	return pid;
}

int main(int argc, char **argv)
{
	int i;

	if (argc == 2)
		where = calloc(1, sizeof(*where));
	for (i = 0; i < 8; i++) {
		wait_for(spawn());
		if (where)
			*where = 0;
	}
	if (argc < 3)
		return 0;
	close(open(argv[1], O_WRONLY | O_CREAT, 0600));
	for (i = 0; i < 1000 && access(argv[2], F_OK); i++)
		usleep(5000);
	for (i = 0; i < 5; i++)
		wait_for(spawn_elsewhere());
	return 0;
}
