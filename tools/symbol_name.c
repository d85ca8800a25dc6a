// SPDX-License-Identifier: MIT
/*
 * Names of C++ and Rust as people read them, by libiberty, which binutils and gdb use.
 *
 * A name of a kilobyte can stand for one of gigabytes. What is read of it is bounded by leaving the demangler from
 * within: it has all its state on the stack, but for a few bytes that Rust's Punycode needs and that are then lost.
 */
#include <libiberty/demangle.h>
#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "symbol.h"

#define PLAIN_MAX 4096

struct collector {
	jmp_buf full;
	char text[PLAIN_MAX];
	size_t size;
};

static void collect(const char *bytes, size_t size, void *argument)
{
	struct collector *collector = argument;

	if (size >= sizeof(collector->text) - collector->size)
		longjmp(collector->full, 1);
	memcpy(collector->text + collector->size, bytes, size);
	collector->size += size;
}

/* To be freed; NULL: it is no such name. */
static char *demangle(const char *linkage)
{
	struct collector collector;
	bool done;

	if (*linkage != '_' || strlen(linkage) >= PLAIN_MAX)
		return NULL;
	if (setjmp(collector.full))
		return NULL;
	collector.size = 0;
	/* Rust's older names look like those of C++. */
	done = rust_demangle_callback(linkage, 0, collect, &collector);
	if (!done) {
		collector.size = 0;
		done = cplus_demangle_v3_callback(linkage, DMGL_PARAMS | DMGL_ANSI, collect,
						  &collector);
	}
	return done && collector.size ? strndup(collector.text, collector.size) : NULL;
}

static size_t hash(const void *key)
{
	return (size_t)((uintptr_t)key * 0x9e3779b97f4a7c15ULL >> 20);
}

static struct name *slot_find(struct name *slot, size_t room, const void *key)
{
	size_t at = hash(key) & (room - 1);

	while (slot[at].key && slot[at].key != key)
		at = (at + 1) & (room - 1);
	return &slot[at];
}

static void names_grow(struct names *names)
{
	size_t room = names->room ? names->room * 2 : 64, i;
	struct name *slot = calloc(room, sizeof(*slot));

	if (!slot)
		abort();
	for (i = 0; i < names->room; i++)
		if (names->slot[i].key)
			*slot_find(slot, room, names->slot[i].key) = names->slot[i];
	free(names->slot);
	names->slot = slot;
	names->room = room;
}

const struct name *names_find(const struct names *names, const void *key)
{
	const struct name *slot = names->room ? slot_find(names->slot, names->room, key) : NULL;

	return slot && slot->key ? slot : NULL;
}

const char *names_keep(struct names *names, const void *key, char *name)
{
	if (names->count * 2 >= names->room)
		names_grow(names);
	names->count++;
	*slot_find(names->slot, names->room, key) = (struct name){ key, name };
	return name;
}

const char *names_demangled(struct names *names, const char *linkage)
{
	const struct name *name = names_find(names, linkage);

	return name ? name->plain : names_keep(names, linkage, demangle(linkage));
}

const char *names_bare(struct names *names, const char *name)
{
	const char *version = strchr(name, '@');
	const struct name *kept;
	char *bare;

	if (!version || version == name)
		return name;
	kept = names_find(names, name);
	if (kept)
		return kept->plain;
	bare = strndup(name, (size_t)(version - name));
	if (!bare)
		abort();
	return names_keep(names, name, bare);
}

void names_free(struct names *names)
{
	size_t i;

	for (i = 0; i < names->room; i++)
		free(names->slot[i].plain);
	free(names->slot);
	*names = (struct names){ 0 };
}
