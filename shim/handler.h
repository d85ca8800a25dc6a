/* SPDX-License-Identifier: MIT */
/*
 * What atfork handlers do with locks, one handler at a time.
 */
#ifndef SPORK_HANDLER_H
#define SPORK_HANDLER_H

#include <stdint.h>

/*
 * The caller is about to give back `lock`, which it does not hold as far as is known (`at` is HELD_NONE), or
 * while lock_attention is set.
 */
void handler_release(uint32_t at, void *lock);

#endif
