// SPDX-License-Identifier: MIT
/*
 * Violations as they happen: a thread of `spork run` that sleeps on the box's doorbell and prints
 * what is new. A child may hang for ever right after its report, so this cannot wait for the
 * command's end.
 *
 * The doorbell is read with pread and waited on by the kernel; the mapping itself is never touched,
 * since a truncated file would kill its reader.
 */
#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

#define NAP_NS 200000000 /* a lost wake-up costs no more than that */
#define STOP_NS 2000000

struct live {
	pthread_t thread;
	atomic_bool stop;
	const struct view *view;
	struct box *box;
	int fd;
	bool *printed;
	struct box_header *mapped;
	uint32_t used; /* of the violation table, when it was last read */
	bool pending;  /* a slot below `used` was not ready then */
};

static void live_print(struct live *live)
{
	struct box_header header;
	uint32_t used, i;

	if (pread(live->fd, &header, sizeof(header), 0) != sizeof(header))
		return;
	used = header.table[BOX_TABLE_VIOLATION].used;
	if (used == live->used && !live->pending)
		return;
	if (box_load(live->box, live->fd))
		return;
	live->used = used;
	live->pending = false;
	for (i = 0; i < live->box->slots[BOX_TABLE_VIOLATION]; i++) {
		if (!live->box->violation[i].ready)
			live->pending = true;
		if (live->printed[i] || !view_violation(live->view, i))
			continue;
		view_print_violation(live->view, &live->box->violation[i]);
		fflush(live->view->output->file);
		live->printed[i] = true;
	}
	if (live->box->slots[BOX_TABLE_VIOLATION] < used &&
	    live->box->slots[BOX_TABLE_VIOLATION] < BOX_CAPACITY_VIOLATION)
		live->pending = true;
}

static void *live_main(void *argument)
{
	struct timespec nap = { .tv_nsec = NAP_NS };
	struct live *live = argument;

	for (;;) {
		uint32_t bell = 0;
		bool stop;

		/* In this order: a ring after the look at the bell ends the sleep at once. */
		stop = atomic_load(&live->stop);
		if (pread(live->fd, &bell, sizeof(bell), offsetof(struct box_header, doorbell)) < 0)
			bell = 0;
		live_print(live);
		if (stop)
			break;
		/* EFAULT: the file was cut off under the mapping. The nap is kept all the same. */
		if (syscall(SYS_futex, &live->mapped->doorbell, FUTEX_WAIT, bell, &nap, NULL, 0) &&
		    errno == EFAULT)
			nanosleep(&nap, NULL);
	}
	return NULL;
}

struct live *live_start(const struct view *view, struct box *box, int fd, bool *printed)
{
	struct live *live = calloc(1, sizeof(*live));
	sigset_t all, old;
	int error;

	if (!live)
		return NULL;
	live->view = view;
	live->box = box;
	live->fd = fd;
	live->printed = printed;
	live->mapped = mmap(NULL, BOX_HEADER_SIZE, PROT_READ, MAP_SHARED, fd, 0);
	if (live->mapped == MAP_FAILED) {
		free(live);
		return NULL;
	}
	/* Signals are for the thread that waits for the command. */
	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	error = pthread_create(&live->thread, NULL, live_main, live);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!error)
		return live;
	munmap(live->mapped, BOX_HEADER_SIZE);
	free(live);
	return NULL;
}

void live_stop(struct live *live)
{
	struct timespec until;

	if (!live)
		return;
	atomic_store(&live->stop, true);
	/* The thread may be just about to sleep, so one wake-up is not enough. */
	do {
		syscall(SYS_futex, &live->mapped->doorbell, FUTEX_WAKE, 1, NULL, NULL, 0);
		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_nsec += STOP_NS;
		until.tv_sec += until.tv_nsec / 1000000000;
		until.tv_nsec %= 1000000000;
	} while (pthread_timedjoin_np(live->thread, NULL, &until));
	munmap(live->mapped, BOX_HEADER_SIZE);
	free(live);
}
