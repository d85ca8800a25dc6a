/* SPDX-License-Identifier: MIT */
/*
 * What no hook may use: glibc's allocator, stdio, environment and locale take locks that a fork may
 * orphan. Included last by every file of the shim; real.c and child.c, which name these functions in
 * tables, include it behind them. REAL(malloc) is not affected.
 */
#pragma GCC poison printf fprintf snprintf vsnprintf sprintf puts fputs fwrite perror
#pragma GCC poison getenv setenv unsetenv putenv strtol strtoul atoi strerror strdup asprintf
