/* flags: -iquote . -iquote shim */
/* SPDX-License-Identifier: MIT */
/*
 * walk_stack: the shim's own stack walk against libgcc's unwinder, on frames of many shapes: both find the
 * same. Prints how many walks of plain shapes took the short way, and of others.
 */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unwind.h>

#include "arch.h"
#include "victim.h"
#include "walk.h"

#define FRAMES 16

static uintptr_t stack_end;
static unsigned walked, passed_on, differ;
static uint32_t modules;

struct expected {
	struct walk_start start;
	struct unwind_frame frame[FRAMES];
	unsigned steps, count;
};

/* The first frame is look()'s own, the second its caller's. */
static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *data)
{
	struct expected *expected = data;
	uintptr_t pc = _Unwind_GetIP(context);

	if (expected->steps++ == 0)
		return _URC_NO_REASON;
	if (!pc || expected->count == FRAMES)
		return _URC_END_OF_STACK;
	if (!expected->count) {
		expected->start.pc = pc;
		expected->start.stack = _Unwind_GetCFA(context);
		expected->start.frame_pointer = _Unwind_GetGR(context, ARCH_FRAME_POINTER);
		expected->start.stack_end = stack_end;
	}
	expected->frame[expected->count].pc = pc;
	expected->frame[expected->count].stack = _Unwind_GetCFA(context);
	expected->count++;
	return _URC_NO_REASON;
}

__attribute__((noinline)) static void look(void)
{
	struct expected expected = { .count = 0 };
	struct unwind_frame frame[FRAMES];
	unsigned capacity, count, i;
	bool complete;

	_Unwind_Backtrace(step, &expected);
	for (capacity = 1; capacity <= FRAMES; capacity *= 2) {
		count = walk_stack(&expected.start, frame, capacity, &complete);
		if (!complete)
			count = 0;
		walked += count > 0;
		passed_on += !count;
		if (count && count != (expected.count < capacity ? expected.count : capacity))
			differ++;
		for (i = 0; i < count; i++)
			if (frame[i].pc != expected.frame[i].pc ||
			    frame[i].stack != expected.frame[i].stack)
				differ++;
	}
}

/* What the shim's files ask of others. */
bool module_is_shim(uintptr_t address)
{
	(void)address;
	return false;
}

uint32_t module_generation(void)
{
	return modules;
}

static int compare(const void *a, const void *b)
{
	look();
	return *(const int *)a - *(const int *)b;
}

__attribute__((noinline)) static int from_libc(void)
{
	int numbers[] = { 3, 1, 2 };

	qsort(numbers, 3, sizeof(*numbers), compare);
	return numbers[0];
}

__attribute__((noinline)) static int deep(int depth)
{
	volatile int local[8] = { depth };

	if (depth)
		return deep(depth - 1) + local[0];
	look();
	return local[0];
}

/* A size that is not known beforehand: the frame is told from the frame pointer. */
__attribute__((noinline)) static int variable(size_t size)
{
	volatile char local[size];

	local[0] = 1;
	look();
	return local[0] + deep(2);
}

/* Each parameter that goes by the stack moves the stack pointer, and back. */
__attribute__((noinline)) static int many(long a, long b, long c, long d, long e, long f, long g,
					  long h, long i, long j)
{
	look();
	return (int)(a + b + c + d + e + f + g + h + i + j);
}

__attribute__((noinline)) static int branches(int way)
{
	volatile int local[4] = { way };

	if (way == 1) {
		look();
		return local[0];
	}
	if (way == 2)
		return many(1, 2, 3, 4, 5, 6, 7, 8, 9, 10) + local[0];
	look();
	return local[0] + 1;
}

__attribute__((noinline)) static int large(void)
{
	volatile char local[100000];

	local[0] = 0;
	look();
	return local[0];
}

__attribute__((noinline)) static int aligned(void)
{
	volatile char local[64] __attribute__((aligned(128)));

	local[0] = 0;
	look();
	return local[0];
}

static void handler(int number)
{
	(void)number;
	look();
}

static void stack_find(void)
{
	pthread_attr_t attributes;
	void *low = NULL;
	size_t size = 0;

	expect(!pthread_getattr_np(pthread_self(), &attributes) &&
		       !pthread_attr_getstack(&attributes, &low, &size),
	       "the stack has bounds");
	pthread_attr_destroy(&attributes);
	stack_end = (uintptr_t)low + size;
}

static void *plain(void *unused)
{
	int round;

	(void)unused;
	stack_find();
	for (round = 0; round < 3; round++, modules++) {
		int sum = from_libc() + deep(0) + deep(10) + variable(10) + variable(5000) +
			  branches(1) + branches(2) + branches(3);

		expect(sum > 0, "they were called");
	}
	return NULL;
}

int main(void)
{
	pthread_t thread;

	plain(NULL);
	expect(!pthread_create(&thread, NULL, plain, NULL) && !pthread_join(thread, NULL),
	       "there was a thread");
	printf("plain: %s\n", passed_on ? "some passed on" : "none passed on");
	stack_find();
	large();
	aligned();
	signal(SIGUSR1, handler);
	raise(SIGUSR1);
	stack_end = (uintptr_t)&thread;
	deep(3);
	printf("others: %s\n", passed_on ? "some passed on" : "none passed on");
	expect(walked > 0 && !differ, "both find the same");
	return victim_faults != 0;
}

#include "shim/cfi.c"
#include "shim/walk.c"
