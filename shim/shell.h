/* SPDX-License-Identifier: MIT */
/*
 * The shell of system() and popen().
 */
#ifndef SPORK_SHELL_H
#define SPORK_SHELL_H

#define SHELL "/bin/sh"

/* "sh", "-c", perhaps "--", the command, NULL */
struct shell_arguments {
	const char *argv[5];
};

/* As the libc that runs has it: since 2.38 a command may begin with a dash. */
struct shell_arguments shell_arguments(const char *command);

#endif
