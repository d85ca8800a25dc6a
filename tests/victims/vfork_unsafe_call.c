/* flags: -fno-builtin */
/* SPDX-License-Identifier: MIT */
/*
 * vfork_unsafe_call FAULT PLACE: the vfork child calls what works on memory that is its parent's too.
 *
 *   malloc    bare: the parent's heap has grown
 *   strdup    the same, inside libc
 *   free      bare: the parent's block is gone; the parent dies when it frees it, or uses what is another's
 *   fputs     bare: the text lies in the parent's buffer, and the parent writes it
 *   mutex     bare: the mutex stays locked
 *   setenv    bare: the parent's environment has changed
 *   localtime bare: the parent's struct tm has
 *   late      malloc, after an effect that has been seen: it must not be done twice
 *   waits     malloc; the parent comes back only when the child has ended, whatever became of it
 *   twin      what may be called: getenv, strlen, memcpy, write
 */
#include <malloc.h>
#include <time.h>

#include "vfork.h"

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char *block;
static FILE *stream;
static struct tm *own_time;
static const time_t other_time = 1000000000;
static const char child_writes[] = "child writes\n";
static size_t heap_size;

/* The pointer is used, so the call is made. */
#define USE(pointer) __asm__ volatile("" ::"r"(pointer) : "memory")

HELPER void write_line(void)
{
	if (write(1, child_writes, sizeof(child_writes) - 1) < 0)
		_exit(96);
}

FAULT(malloc, USE(malloc(5000)))
FAULT(strdup, USE(strdup(block)))
FAULT(free, free(block))
FAULT(fputs, fputs("child's text\n", stream))
FAULT(mutex, pthread_mutex_lock(&mutex))
FAULT(setenv, setenv("CHILD", "1", 1))
FAULT(localtime, USE(localtime(&other_time)))
FAULT(late, write_line(); USE(malloc(5000)))
FAULT(waits, USE(malloc(5000)); usleep(100000); write_line(); _exit(0))

static void look_heap(void)
{
	printf("parent sees its heap %s\n", mallinfo2().uordblks == heap_size ? "whole" : "grown");
}

static void look_block(void)
{
	printf("parent sees its block %s\n",
	       block[0] == 'p' && block[4998] == 'p' ? "whole" : "gone");
	free(block);
	printf("parent frees it\n");
}

static void look_stream(void)
{
	fputs("parent's text\n", stream);
	fclose(stream);
}

static void look_mutex(void)
{
	printf("parent sees mutex %s\n", pthread_mutex_trylock(&mutex) ? "locked" : "free");
}

static void look_environment(void)
{
	printf("parent sees CHILD %s\n", getenv("CHILD") ? "set" : "unset");
}

static void look_time(void)
{
	printf("parent sees year %d\n", own_time->tm_year);
}

static void go_on(void)
{
	printf("parent goes on\n");
}

static const struct fault faults[] = {
	ROW(malloc, look_heap),	   ROW(strdup, look_heap), ROW(free, look_block),
	ROW(fputs, look_stream),   ROW(mutex, look_mutex), ROW(setenv, look_environment),
	ROW(localtime, look_time), ROW(late, NULL),	   ROW(waits, look_heap),
};

static void child_twin(void)
{
	char text[64];
	const char *home = getenv("PARENT");

	memcpy(text, home ? home : "", home ? strlen(home) + 1 : 1);
	if (strcmp(text, "1"))
		_exit(1);
	write_line();
	execute();
}

int main(int argc, char **argv)
{
	static char buffer[BUFSIZ];

	setup();
	setenv("PARENT", "1", 1);
	setenv("TZ", "UTC", 1);
	block = malloc(5000);
	stream = fdopen(dup(1), "w");
	own_time = localtime(&(time_t){ 0 });
	if (!block || !stream)
		return 97;
	memset(block, 'p', 4999);
	block[4999] = 0;
	setvbuf(stream, buffer, _IOFBF, sizeof(buffer));
	heap_size = mallinfo2().uordblks;
	if (!strcmp(string_argument(argc, argv, 1, ""), "waits"))
		came_back = go_on;
	if (!is_twin(argc, argv))
		return commit(faults, COUNT(faults), argc, argv);
	finish(start(child_twin));
	look_heap();
	return 0;
}
