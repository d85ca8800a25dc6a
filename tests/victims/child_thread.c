/* SPDX-License-Identifier: MIT */
/*
 * The child of a process with another thread starts a thread, in one of several ways. Clean: the parent has no other
 * thread, the child's child does it, the child executes a program that does, an atfork child handler does.
 *
 * child_thread WAY
 */
#include <aio.h>
#include <threads.h>
#include <time.h>

#include "orphan.h"
#include "victim.h"

static char *self;

static void *run(void *unused)
{
	return unused;
}

static int run_c11(void *unused)
{
	return unused != NULL;
}

static void notified(union sigval unused)
{
	(void)unused;
}

HELPER void start(void)
{
	pthread_t thread;

	expect(!pthread_create(&thread, NULL, run, NULL) && !pthread_join(thread, NULL), "thread");
}

HELPER void start_c11(void)
{
	thrd_t thread;

	expect(thrd_create(&thread, run_c11, NULL) == thrd_success &&
		       thrd_join(thread, NULL) == thrd_success,
	       "C11 thread");
}

HELPER void start_timer(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD, .sigev_notify_function = notified };
	timer_t timer;

	expect(!timer_create(CLOCK_MONOTONIC, &event, &timer), "timer");
}

/* Of the kernel's alone. */
HELPER void start_timer_signal(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_NONE };
	timer_t timer;

	expect(!timer_create(CLOCK_MONOTONIC, &event, &timer), "timer");
}

HELPER void start_aio(void)
{
	static char byte;
	struct aiocb block = { .aio_buf = &byte, .aio_nbytes = 1 };
	const struct aiocb *list[] = { &block };
	int end[2];

	expect(!pipe(end) && write(end[1], "x", 1) == 1, "pipe");
	block.aio_fildes = end[0];
	expect(!aio_read(&block) && !aio_suspend(list, 1, NULL), "aio");
}

/* So that the functions that do it stay on the stack. */
HELPER void deeper(void (*body)(void))
{
	body();
	__asm__ volatile("" ::: "memory");
}

static void grandchild(void)
{
	pid_t pid = fork();

	if (!pid) {
		start();
		_exit(victim_faults);
	}
	expect(!wait_for(pid), "grandchild");
}

/* The handler starts one, in the child and in its child. */
static void grandchild_handler(void)
{
	pid_t pid = fork();

	if (!pid)
		_exit(victim_faults);
	expect(!wait_for(pid), "grandchild");
}

static void execute(void)
{
	execl(self, self, "here", (char *)NULL);
	expect(0, "exec");
}

static void stay(void)
{
	worker_stay(10000);
}

static void nothing(void)
{
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*body)(void);
		int threads; /* of the parent: 0 or 1; 2: one that has ended */
	} ways[] = {
		{ "create", start, 1 },
		{ "thrd", start_c11, 1 },
		{ "timer", start_timer, 1 },
		{ "aio", start_aio, 1 },
		{ "alone", start, 0 },
		{ "joined", start, 2 },
		{ "grandchild", grandchild, 1 },
		{ "exec", execute, 1 },
		{ "handler", nothing, 1 },
		{ "grandchild_handler", grandchild_handler, 1 },
		{ "timer_signal", start_timer_signal, 1 },
	};
	const char *way = string_argument(argc, argv, 1, "create");
	int deep = number_argument(argc, argv, 2, 0), status;
	unsigned i;
	pid_t pid;

	setvbuf(stdout, NULL, _IONBF, 0);
	self = argv[0];
	if (!strcmp(way, "here")) {
		start();
		return victim_faults;
	}
	for (i = 0; i < sizeof(ways) / sizeof(*ways) - 1 && strcmp(ways[i].name, way); i++)
		;
	if (strstr(way, "handler"))
		pthread_atfork(NULL, NULL, start);
	if (ways[i].threads)
		worker_run(stay);
	if (ways[i].threads == 2)
		worker_end();
	pid = xfork();
	if (!pid) {
		if (deep)
			deeper(ways[i].body);
		else
			ways[i].body();
		_exit(victim_faults);
	}
	status = wait_for(pid);
	if (ways[i].threads == 1)
		worker_end();
	print_status(way, 0, status);
	return victim_faults;
}
