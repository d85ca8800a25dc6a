/* SPDX-License-Identifier: MIT */
/*
 * What the hooks that make a process by themselves do first and last.
 */
#ifndef SPORK_SPAWN_H
#define SPORK_SPAWN_H

#include "fork.h"
#include "hook.h"
#include "sys.h"
#include "window.h"

static inline __attribute__((always_inline)) struct spawn_record
spawn_begin(enum hook hook, uint32_t call, uint32_t tier)
{
	struct spawn_record spawn = { .call = call, .tier = tier };

	hook_init();
	hook_enter(hook, NULL);
	spawn.start_ns = sys_now();
	return spawn;
}

/* `pid` is zero where it is not known, -1 with errno where there is no process. errno is kept. */
static inline void spawn_end(struct spawn_record *spawn, long pid)
{
	spawn->pid = pid;
	window_record(spawn);
}

#endif
