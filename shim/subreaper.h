/* SPDX-License-Identifier: MIT */
/*
 * The process is a child subreaper while a shared window is open, so that the real fork which takes over
 * from an upgraded child becomes its child. A program that is one already stays one.
 */
#ifndef SPORK_SUBREAPER_H
#define SPORK_SUBREAPER_H

/* Around each shared window; nest, in one thread and among threads. Signals are blocked. */
void subreaper_enter(void);
void subreaper_leave(void);

void subreaper_after_fork(void);

#endif
