/* SPDX-License-Identifier: MIT */
/*
 * posix_spawn() without libc's: on a kept stack, with handlers cleared by the clone itself. For posix_spawn(), system()
 * and popen() of the program.
 */
#ifndef SPORK_SPAWN_CHILD_H
#define SPORK_SPAWN_CHILD_H

#include <spawn.h>

#include "box.h"
#include "sys.h"

/* How the program is looked for. */
enum {
	SPAWN_SEARCH = 1,    /* in PATH, as posix_spawnp() */
	SPAWN_SHELL = 2,     /* a file without a "#!" line is the shell's, as before glibc 2.15 */
	SPAWN_OTHERWISE = 4, /* libc's alone */
};

/* One element of posix_spawn_file_actions_t as libc has it (posix/spawn_int.h). */
struct spawn_action {
	int kind;
	union {
		int fd;
		struct {
			int from, to;
		} dup2;
		struct {
			int fd;
			const char *path;
			int flags;
			mode_t mode;
		} open;
		const char *folder;
	};
};

struct spawn_action spawn_action_close(int fd);
struct spawn_action spawn_action_dup2(int from, int to);

/* What a child does before it executes. */
struct spawn_child {
	const char *path;
	unsigned how;
	char *const *argv;
	char *const *envp; /* NULL: the process's own, with the shim in it */
	const posix_spawn_file_actions_t *actions; /* or NULL */
	short flags;				   /* POSIX_SPAWN_... */
	pid_t group;
	int policy;
	struct sched_param parameter;
	sys_sigset reset; /* signals that get their default action */
	sys_sigset mask;  /* that it executes with */

	const char *folders; /* PATH, for SPAWN_SEARCH */
	pid_t pid;
	int error; /* that kept it from being made, or from executing: an errno */
};

/* May a child be made so now? Else libc's function does it, for the reason. */
enum spork_reason spawn_child_refuses(void);

/*
 * As spawn_child_refuses(), and takes over what `attributes` say; both may be NULL. The child needs them until it has
 * executed.
 */
enum spork_reason spawn_child_prepare(struct spawn_child *child,
				      const posix_spawn_file_actions_t *actions,
				      const posix_spawnattr_t *attributes);

/*
 * Makes the child, and suspends the caller until it has executed or ended: `pid` and `error` are as posix_spawn() has
 * them, and after an error there is no child. Else the reason why it was not tried. errno is kept.
 */
enum spork_reason spawn_child_run(struct spawn_child *child);

/*
 * The same, but where all that the child needs fits on its stack, the caller goes on at once: if the child cannot execute
 * then it ends with status 127. Of the actions only those without paths.
 */
enum spork_reason spawn_child_start(struct spawn_child *child);

#endif
