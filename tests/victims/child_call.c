/* SPDX-License-Identifier: MIT */
/*
 * The child of a process with another thread calls a function that is not async-signal-safe. Clean: `safe` calls only
 * those that are; `execs` does nothing but execute a program.
 *
 * child_call WAY [deep] [alone]
 */
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "orphan.h"
#include "victim.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *volatile block;

HELPER void call_malloc(void)
{
	block = malloc(100);
}

HELPER void call_printf(void)
{
	printf("%d\n", getppid() > 0);
}

HELPER void call_mutex(void)
{
	pthread_mutex_lock(&lock);
}

HELPER void call_localtime(void)
{
	time_t when = 0;

	block = localtime(&when);
}

HELPER void call_safe(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	struct pollfd none = { .fd = -1 };
	struct stat status;
	struct timespec now;
	int end[2], fd;
	char byte[2];
	sigset_t set;

	expect(!pipe(end) && write(end[1], "xy", 2) == 2 && read(end[0], byte, 1) == 1, "pipe");
	fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	expect(fd >= 0 && dup2(fd, end[0]) == end[0] && !fstat(fd, &status), "open");
	expect(!stat("/", &status) && !lstat("/", &status) && !access("/", F_OK), "stat");
	expect(fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && !close(fd) && !close(end[1]), "close");
	sigemptyset(&set);
	expect(!sigprocmask(SIG_SETMASK, &set, NULL) && !pthread_sigmask(SIG_BLOCK, &set, NULL) &&
		       !sigaction(SIGUSR1, &action, NULL) && signal(SIGUSR2, SIG_IGN) != SIG_ERR,
	       "signals");
	expect(!chdir("/") && umask(022) != 07777 && setsid() > 0 && getpid() > 0 && getppid() > 0,
	       "identity");
	expect(!poll(&none, 1, 0) && !clock_gettime(CLOCK_MONOTONIC, &now) && !kill(getpid(), 0),
	       "rest");
	free(NULL);
	alarm(0);
}

static void call_exec(void)
{
	execl("/bin/true", "true", (char *)NULL);
}

HELPER void deeper(void (*body)(void))
{
	body();
	__asm__ volatile("" ::: "memory");
}

static void stay(void)
{
	worker_stay(10000);
}

int main(int argc, char **argv)
{
	static const struct {
		const char *name;
		void (*body)(void);
	} ways[] = {
		{ "malloc", call_malloc },	 { "printf", call_printf }, { "mutex", call_mutex },
		{ "localtime", call_localtime }, { "safe", call_safe },	    { "execs", call_exec },
	};
	const char *way = string_argument(argc, argv, 1, "safe");
	int deep = argc > 2 && !strcmp(argv[2], "deep");
	int alone = argc > 2 && !strcmp(argv[argc - 1], "alone"), status;
	unsigned i;
	pid_t pid;

	setvbuf(stdout, NULL, _IONBF, 0);
	for (i = 0; i < sizeof(ways) / sizeof(*ways) - 1 && strcmp(ways[i].name, way); i++)
		;
	if (!alone)
		worker_run(stay);
	pid = xfork();
	if (!pid) {
		if (deep)
			deeper(ways[i].body);
		else
			ways[i].body();
		_exit(victim_faults);
	}
	status = wait_for(pid);
	if (!alone)
		worker_end();
	print_status(way, 0, status);
	return victim_faults;
}
