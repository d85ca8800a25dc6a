// SPDX-License-Identifier: MIT
/*
 * The functions of <string.h> that the shim calls, and the compiler for it, as its own: each symbol that it asked
 * libc for would be looked up at every start of every program. They may run anywhere. Once the shim is set up, what
 * may be about much memory is libc's, which knows the processor: not a sanitizer's, which knows memory that nobody may
 * touch.
 */
#include <string.h>

#include "real.h"
#include "sys.h"

/* Fewer bytes are not worth the call. */
#define MUCH 16

static __typeof__(memcpy) *libc_copy START_STATE;
static __typeof__(memmove) *libc_move START_STATE;
static __typeof__(memset) *libc_set START_STATE;
static __typeof__(memcmp) *libc_compare START_STATE;
static __typeof__(strlen) *libc_length START_STATE;

void string_init(void)
{
	libc_copy = REAL_LIBC(memcpy);
	libc_move = REAL_LIBC(memmove);
	libc_set = REAL_LIBC(memset);
	libc_compare = REAL_LIBC(memcmp);
	libc_length = REAL_LIBC(strlen);
}

/* Also where the two overlap, if it goes to a lower address. */
static START_TEXT void *copy_forward(void *to, const void *from, size_t size)
{
	const unsigned char *source = from;
	unsigned char *target = to;

	while (size--)
		*target++ = *source++;
	return to;
}

START_TEXT void *memcpy(void *restrict to, const void *restrict from, size_t size)
{
	return size >= MUCH && libc_copy ? libc_copy(to, from, size) : copy_forward(to, from, size);
}

void *memmove(void *to, const void *from, size_t size)
{
	const unsigned char *source = from;
	unsigned char *target = to;

	if (size >= MUCH && libc_move)
		return libc_move(to, from, size);
	if ((uintptr_t)target - (uintptr_t)source >= size)
		return copy_forward(to, from, size);
	while (size--)
		target[size] = source[size];
	return to;
}

void *memset(void *to, int byte, size_t size)
{
	unsigned char *target = to;

	if (size >= MUCH && libc_set)
		return libc_set(to, byte, size);
	while (size--)
		*target++ = (unsigned char)byte;
	return to;
}

START_TEXT int memcmp(const void *one, const void *other, size_t size)
{
	const unsigned char *a = one, *b = other;

	if (size >= MUCH && libc_compare)
		return libc_compare(one, other, size);
	for (; size; a++, b++, size--)
		if (*a != *b)
			return *a - *b;
	return 0;
}

void *memchr(const void *bytes, int byte, size_t size)
{
	const unsigned char *at = bytes;

	for (; size; at++, size--)
		if (*at == (unsigned char)byte)
			return (void *)at;
	return NULL;
}

void *memrchr(const void *bytes, int byte, size_t size)
{
	const unsigned char *start = bytes;

	while (size--)
		if (start[size] == (unsigned char)byte)
			return (void *)(start + size);
	return NULL;
}

size_t strnlen(const char *string, size_t limit)
{
	size_t size = 0;

	while (size < limit && string[size])
		size++;
	return size;
}

START_TEXT size_t strlen(const char *string)
{
	size_t size = 0;

	if (libc_length)
		return libc_length(string);
	while (string[size])
		size++;
	return size;
}

START_TEXT int strcmp(const char *one, const char *other)
{
	for (; *one && *one == *other; one++, other++)
		;
	return (unsigned char)*one - (unsigned char)*other;
}

START_TEXT int strncmp(const char *one, const char *other, size_t size)
{
	for (; size && *one && *one == *other; one++, other++, size--)
		;
	return size ? (unsigned char)*one - (unsigned char)*other : 0;
}

char *stpcpy(char *restrict to, const char *restrict from)
{
	while ((*to = *from++))
		to++;
	return to;
}

char *strcpy(char *restrict to, const char *restrict from)
{
	stpcpy(to, from);
	return to;
}

char *strcat(char *restrict to, const char *restrict from)
{
	stpcpy(to + strlen(to), from);
	return to;
}

char *strncpy(char *restrict to, const char *restrict from, size_t size)
{
	size_t length = strnlen(from, size);

	memset((char *)memcpy(to, from, length) + length, 0, size - length);
	return to;
}

START_TEXT char *strchr(const char *string, int character)
{
	for (; *string != (char)character; string++)
		if (!*string)
			return NULL;
	return (char *)string;
}

char *strchrnul(const char *string, int character)
{
	while (*string && *string != (char)character)
		string++;
	return (char *)string;
}

char *strrchr(const char *string, int character)
{
	return memrchr(string, character, strlen(string) + 1);
}

START_TEXT size_t strcspn(const char *string, const char *characters)
{
	size_t size = 0;

	while (string[size] && !strchr(characters, string[size]))
		size++;
	return size;
}

START_TEXT size_t strspn(const char *string, const char *characters)
{
	size_t size = 0;

	while (string[size] && strchr(characters, string[size]))
		size++;
	return size;
}

char *strpbrk(const char *string, const char *characters)
{
	string += strcspn(string, characters);
	return *string ? (char *)string : NULL;
}

START_TEXT char *strstr(const char *string, const char *part)
{
	size_t size = strlen(part);

	for (; *string != *part || strncmp(string, part, size); string++)
		if (!*string)
			return NULL;
	return (char *)string;
}
