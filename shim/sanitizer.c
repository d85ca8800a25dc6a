// SPDX-License-Identifier: MIT
/*
 * Programs with AddressSanitizer, ThreadSanitizer, MemorySanitizer or HWAddressSanitizer, linked or preloaded. Their
 * runtimes stand in the way of the same functions as the shim, before it is set up; what a child writes on its parent's
 * stack is written in their shadow of it, too, which stays; and that shadow is terabytes for an audit to look at. So the
 * shim is passive in them (hook.h): what it is loaded into, because a parent was, runs as it does without.
 */
#include "sanitizer.h"

#include "config.h"
#include "real.h"
#include "sys.h"

#include "poison.h"

/* They are in the environment of what valgrind runs. */
START_TEXT bool thread_checker_present(void)
{
	const char *list = config_variable(environ, START_STRING("LD_PRELOAD")), *tool;

	tool = list ? strstr(list, START_STRING("/vgpreload_")) : NULL;
	return tool &&
	       (strstr(tool, START_STRING("_helgrind")) || strstr(tool, START_STRING("_drd")));
}

START_TEXT bool sanitizer_present(void)
{
	/* Each runtime's own first function: what it instruments calls it, so that it can be found by name. */
	const char *const functions[] = { START_STRING("__asan_init"), START_STRING("__tsan_init"),
					  START_STRING("__msan_init"),
					  START_STRING("__hwasan_init") };

	return thread_checker_present() || real_any(functions, COUNT(functions));
}

/*
 * AddressSanitizer's library wants to be the first in the process, and ends it where it is not. The libraries before it
 * must not take the functions away that it wraps: this one goes on to the next definition of each. It asks the program
 * for options by this name (sanitizer/asan_interface.h); what ASAN_OPTIONS or a program of its own says has precedence.
 */
EXPORT START_TEXT const char *__asan_default_options(void)
{
	return START_STRING("verify_asan_link_order=0");
}
