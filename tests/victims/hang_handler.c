/* SPDX-License-Identifier: MIT */
/*
 * hang_handler [clean]: a signal handler calls localtime(), and sooner or later interrupts it. clean: it calls what takes
 * no lock.
 */
#include <sys/time.h>
#include <time.h>

#include "victim.h"

static volatile sig_atomic_t calls;
static int clean;

static void on_alarm(int signal)
{
	time_t now = 1;

	(void)signal;
	calls++;
	if (!clean)
		localtime(&now);
}

int main(int argc, char **argv)
{
	struct itimerval often = { { 0, 2000 }, { 0, 2000 } };
	time_t now = 1;

	clean = !strcmp(string_argument(argc, argv, 1, ""), "clean");
	signal(SIGALRM, on_alarm);
	printf("%d\n", (int)getpid());
	fflush(stdout);
	setitimer(ITIMER_REAL, &often, NULL);
	for (;;)
		localtime(&now);
}
