/* SPDX-License-Identifier: MIT */
/*
 * Executing a program by raw system calls alone, for children that share thread-local storage, and so errno, with a
 * parent that runs on.
 */
#ifndef SPORK_EXECUTE_H
#define SPORK_EXECUTE_H

/*
 * As execvpe(), but that a file that is no program is not given to a shell: `file` is looked for in `folders`, a list
 * as in PATH, unless it has a slash. NULL: that of confstr(). Uses 4.5 KB of stack. Returns -errno if it fails, the one that execvpe() would give.
 */
long execute(const char *file, char *const argv[], char *const envp[], const char *folders);

#endif
