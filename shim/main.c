// SPDX-License-Identifier: MIT
/*
 * Returning from main() runs exit() inside libc, where no hook is. So main is wrapped, and its return is
 * an exit like any other: a child in its window is taken out of it first.
 */
#include "hidden.h"
#include "hook.h"
#include "sys.h"
#include "thread.h"

#include "poison.h"

typedef int main_function(int, char **, char **);
typedef int start_function(main_function *, int, char **, void (*)(void), void (*)(void),
			   void (*)(void), void *);

static main_function *program_main START_STATE;

static START_TEXT int wrapped_main(int argc, char **argv, char **envp)
{
	struct held_caller caller = HELD_CALLER;
	int status = program_main(argc, argv, envp);

	hook_enter(HOOK_exit, &(struct hook_arguments){ { status } });
	if (!hook_ready())
		return status;
	hidden_exit(caller.where, caller.stack, status);
	return status;
}

start_function __libc_start_main;

/* Called by the program's _start (csu/libc-start.c); 2.34 changed its version, not its arguments. */
EXPORT START_TEXT int __libc_start_main(main_function *function, int argc, char **argv,
					void (*init)(void), void (*fini)(void),
					void (*rtld_fini)(void), void *stack_end)
{
	start_function *start;

	program_main = function;
	thread_main_stack((uintptr_t)stack_end);
	start = (start_function *)(uintptr_t)real_address(START_STRING("__libc_start_main"));
	return start(wrapped_main, argc, argv, init, fini, rtld_fini, stack_end);
}
