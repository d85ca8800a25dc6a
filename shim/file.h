/* SPDX-License-Identifier: MIT */
/*
 * Files that the options name: who may have made them, and what must not happen to the program over them.
 */
#ifndef SPORK_FILE_H
#define SPORK_FILE_H

#include "sys.h"

/*
 * Opens the file, or makes it for its user alone (0600, whatever the umask); `flags` are further ones of open(2).
 * A descriptor, close-on-exec, or -errno: -ELOOP for a symbolic link. `created`: it is new.
 */
long file_open(const char *path, int flags, bool *created);

/* trust_problem() for the user that the process is: for report_problem(). */
const char *file_problem(const struct stat *status, bool roots);

/*
 * Could the file not be opened (`error`: -errno) because it is another user's? Then the option was meant for the
 * processes that this one comes from, which have changed their user since, and nothing is said: it would land in the
 * output of programs that nobody asked about.
 */
bool file_is_out_of_reach(const char *path, long error);

/* Around a write: a reader that has gone, and a limit on the size of files, come as an error and not as a signal. */
struct file_signals {
	sys_sigset mask, pending;
};
void file_signals_hold(struct file_signals *signals);
void file_signals_release(const struct file_signals *signals);

#endif
