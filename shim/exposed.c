// SPDX-License-Identifier: MIT
/*
 * See exposed.h. Each owner of a table says where it is; written once, before the process has threads of the program's.
 */
#include "exposed.h"

#include "hidden.h"
#include "hook.h"
#include "orphan.h"
#include "origin.h"
#include "thread.h"

#include "poison.h"

/* Not in zeroed memory, which a large part of a process is and which would have to be searched. */
static struct exposed exposed __attribute__((used, aligned(EXPOSED_ALIGN))) = {
	.version = SPORK_EXPOSED_VERSION,
	.size = sizeof(struct exposed),
	.function_size = sizeof(struct hidden_function),
};

void exposed_init(void)
{
	exposed.functions = (uintptr_t)hidden_functions;
	thread_expose(&exposed);
	orphan_expose(&exposed);
	origin_expose(&exposed);
	__atomic_store_n(&exposed.magic, SPORK_EXPOSED_MAGIC, __ATOMIC_RELEASE);
}
