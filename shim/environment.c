// SPDX-License-Identifier: MIT
/*
 * Owns copies of LD_PRELOAD and SPORK_OPTIONS as the process was started with them. Used by the exec and
 * spawn hooks, also in a child that shares memory: only the caller's stack is written.
 */
#include "environment.h"

#include "config.h"
#include "module.h"
#include "seccomp.h"
#include "sys.h"
#include "thread.h"

#include "poison.h"

#define PRELOAD "LD_PRELOAD="
#define OPTIONS "SPORK_OPTIONS="
#define NAME "libspork.so"
#define NAME_SIZE (sizeof(NAME) - 1)

/* More variables than this, and the environment is passed on as it is: stacks are finite. */
#define VARIABLES_MAX 8192
#define STACK_SPARE ((size_t)8 << 10)

/* The element of LD_PRELOAD that is this shim is longer than that in no usual place. */
#define ELEMENT_SHORT 256
#define ELEMENT_LONG 1024

/* Ready to be environment strings; NULL and empty: the shim is not to be passed on, or there are no options. */
static char *preload START_STATE;
static char preload_short[sizeof(PRELOAD) + ELEMENT_SHORT] START_STATE;
static char preload_long[sizeof(PRELOAD) + ELEMENT_LONG];
static char options[4096];

/* That element; once it is known. */
static const char *shim(void)
{
	return preload + sizeof(PRELOAD) - 1;
}

static START_TEXT size_t element_size(const char *element)
{
	size_t size = 0;

	while (element[size] && element[size] != ':' && element[size] != ' ')
		size++;
	return size;
}

/* The element of a LD_PRELOAD list that names the shim, or NULL. */
static const char *shim_element(const char *list)
{
	size_t size = strlen(shim());

	while (size && list && *list) {
		if (element_size(list) == size && !memcmp(list, shim(), size))
			return list;
		list += element_size(list);
		list += strspn(list, ": ");
	}
	return NULL;
}

/* The element that the user wrote, whatever path ld.so made of it. */
static START_TEXT void shim_find(const char *list)
{
	while (list && *list) {
		size_t size = element_size(list);

		if (size >= NAME_SIZE && size <= ELEMENT_LONG &&
		    !memcmp(list + size - NAME_SIZE, START_STRING(NAME), NAME_SIZE)) {
			preload = size <= ELEMENT_SHORT ? preload_short : preload_long;
			memcpy(preload, START_STRING(PRELOAD), sizeof(PRELOAD) - 1);
			memcpy(preload + sizeof(PRELOAD) - 1, list, size);
			return;
		}
		list += size;
		list += strspn(list, ": ");
	}
}

static void variable_remove(const char *prefix)
{
	char **from, **to;

	for (from = to = environ; from && *from; from++)
		if (strncmp(*from, prefix, strlen(prefix)))
			*to++ = *from;
	if (from)
		*to = NULL;
}

/* Takes the shim out of the list in place; what other libraries are preloaded stays. */
static void shim_remove(char *list)
{
	char *element = (char *)shim_element(list);
	char *rest;

	if (!element)
		return;
	rest = element + element_size(element);
	rest += strspn(rest, ": ");
	memmove(element, rest, strlen(rest) + 1);
	if (!*list)
		variable_remove(PRELOAD);
}

START_TEXT void environment_init(bool follow)
{
	const char *list = config_variable(environ, START_STRING("LD_PRELOAD"));
	const char *given = config_variable(environ, START_STRING("SPORK_OPTIONS"));

	/* The other elements are the program's to drop. */
	shim_find(list);
	if (!preload)
		return;
	if (!follow) {
		shim_remove((char *)list);
		variable_remove(OPTIONS);
		preload = NULL;
		return;
	}
	if (given && *given && strlen(given) < sizeof(options) - sizeof(OPTIONS)) {
		strcpy(options, OPTIONS);
		strcat(options, given);
	}
}

/* Is there so much left of the calling thread's stack, and some to spare? The main thread's grows. */
static bool stack_has(size_t size)
{
	const struct thread *self = thread_words.self;
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	if (size < STACK_SPARE)
		return true;
	if (!self || !self->stack_low || here < self->stack_low)
		return false;
	return SYS(gettid) == sys_pid() || here - self->stack_low > size + STACK_SPARE;
}

/*
 * Has the caller given rights up since the program was started? What it then leaves out of an environment it may leave
 * out for whom it executes.
 */
static bool has_given_up(void)
{
	return seccomp_confined() || (unsigned long)SYS(geteuid) != getauxval(AT_EUID) ||
	       (unsigned long)SYS(getegid) != getauxval(AT_EGID);
}

struct environment_room environment_room(char *const *environment)
{
	const char *list = config_variable(environment, "LD_PRELOAD");
	struct environment_room room = { .list = list, .list_size = list ? strlen(list) : 0 };
	size_t size;

	if (!preload || shim_element(list) || has_given_up())
		return room;
	while (environment && environment[room.count])
		if (++room.count > VARIABLES_MAX)
			return room;
	size = (room.count + 3) * sizeof(char *) + sizeof(PRELOAD) + strlen(shim()) + 1 +
	       room.list_size + 1;
	room.size = stack_has(size) ? size : 0;
	return room;
}

char *const *environment_keep(char *const *environment, const struct environment_room *room,
			      void *to)
{
	bool has_options = config_variable(environment, "SPORK_OPTIONS");
	char **kept = to, *variable;
	size_t count = 0, i;

	for (i = 0; i < room->count && (variable = environment[i]); i++)
		if (*variable != PRELOAD[0] || strncmp(variable, PRELOAD, sizeof(PRELOAD) - 1))
			kept[count++] = variable;
	if (!has_options && options[0])
		kept[count++] = options;
	kept[count] = preload;
	if (room->list) {
		char *joined = (char *)(kept + count + 2);
		size_t size;

		strcpy(joined, PRELOAD);
		strcat(joined, shim());
		strcat(joined, ":");
		size = strlen(joined);
		memcpy(joined + size, room->list, room->list_size);
		joined[size + room->list_size] = 0;
		kept[count] = joined;
	}
	kept[count + 1] = NULL;
	return kept;
}
