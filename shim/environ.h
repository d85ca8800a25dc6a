/* SPDX-License-Identifier: MIT */
/*
 * `environ` while other threads run: a child that shares memory and replaces it (libuv's and PHP's do)
 * replaces it for them too, until the window closes.
 */
#ifndef SPORK_ENVIRON_H
#define SPORK_ENVIRON_H

#include <stdbool.h>

/*
 * For a window whose child will replace environ: waits until no thread changes the environment and no
 * other such window is open, and keeps getenv() and its kin waiting until environ_give(). False: it took
 * too long.
 */
bool environ_take(void);
void environ_give(void);

/*
 * For whoever reads environ, changes it, or copies it with the whole process: no such window is open
 * until environ_release(). Holders do not keep each other out. Nests; costs nothing with one thread.
 */
void environ_hold(void);
void environ_release(void);

/* The value of `call`, which runs while environ is held. */
#define ENVIRON_HELD(call)                                                                         \
	({                                                                                         \
		__typeof__(call) held_result;                                                      \
                                                                                                   \
		environ_hold();                                                                    \
		held_result = (call);                                                              \
		environ_release();                                                                 \
		held_result;                                                                       \
	})

/*
 * For a window whose child only reads environ, and later than a child with memory of its own would: as
 * environ_hold(), and setenv() and its kin wait until environ_unkeep(). False: they took too long.
 */
bool environ_keep(void);
void environ_unkeep(void);

/* The value of `call`, which runs while environ is kept, or, where that takes too long, held. */
#define ENVIRON_KEPT(call)                                                                         \
	({                                                                                         \
		bool environ_kept = environ_keep();                                                \
		__typeof__(call) kept_result;                                                      \
                                                                                                   \
		if (!environ_kept)                                                                 \
			environ_hold();                                                            \
		kept_result = (call);                                                              \
		if (environ_kept)                                                                  \
			environ_unkeep();                                                          \
		else                                                                               \
			environ_release();                                                         \
		kept_result;                                                                       \
	})

void environ_after_fork(void);

#endif
