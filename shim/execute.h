/* SPDX-License-Identifier: MIT */
/*
 * Executing a program by raw system calls alone, for children that share thread-local storage, and so errno, with a
 * parent that runs on.
 */
#ifndef SPORK_EXECUTE_H
#define SPORK_EXECUTE_H

/*
 * As execvpe(), but that a file that is no program is not given to a shell: `file` is looked for in `folders`, a list
 * as in PATH, unless it has a slash. NULL: that of a program without PATH. Uses 4.5 KB of stack. Returns only if it
 * fails: -errno, as execvpe() has it.
 */
long execute(const char *file, char *const argv[], char *const envp[], const char *folders);

/* Makes `to` a copy of the descriptor that the program keeps, also where it is that one itself. Negative: -errno. */
long execute_dup2(int from, int to);

#endif
