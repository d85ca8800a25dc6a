/* SPDX-License-Identifier: MIT */
/* The clean twin of scan_threads: it registers handlers. */
#define HANDLERS
#include "scan_threads.c"
