/* flags: -fno-builtin */
/* SPDX-License-Identifier: MIT */
/*
 * orphan_hidden CLASS FORKS MS [TWIN]: two threads run functions of a class of libc's hidden locks without end, and main
 * forks children that call one of it, until one has not ended after MS milliseconds, and is killed. Prints how many
 * came through, and the pid of the one that did not. Classes that glibc resets are the clean twins: reset, heap. And of
 * each class, by TWIN:
 *
 * left    the threads have called what they call, and come back, before main forks
 * resets  children call only functions whose locks fork() opens
 */
#include <aio.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <grp.h>
#include <iconv.h>
#include <libintl.h>
#include <link.h>
#include <locale.h>
#include <netdb.h>
#include <poll.h>
#include <pthread.h>
#include <pwd.h>
#include <semaphore.h>
#include <string.h>
#include <sys/syscall.h>
#include <syslog.h>
#include <time.h>
#include <utmp.h>

#include "victim.h"

static void timezone_use(void)
{
	struct tm fields;
	time_t now = 0;

	localtime_r(&now, &fields);
}

static void timezone_ask(void)
{
	struct tm fields = { .tm_year = 100, .tm_mday = 1 };

	mktime(&fields);
}

static void environment_use(void)
{
	setenv("VICTIM", "value", 1);
}

static void random_use(void)
{
	random();
}

static void syslog_use(void)
{
	openlog("victim", 0, LOG_USER);
	closelog();
}

static void nothing(void *argument)
{
	(void)argument;
}

int __cxa_atexit(void (*)(void *), void *, void *);
void __cxa_finalize(void *);

static void exit_use(void)
{
	static __thread char object;

	__cxa_atexit(nothing, NULL, &object);
	__cxa_finalize(&object);
}

static void exit_ask(void)
{
	exit(0);
}

static void addrinfo_use(void)
{
	struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_ADDRCONFIG }, *list;

	if (!getaddrinfo("127.0.0.1", NULL, &hints, &list))
		freeaddrinfo(list);
}

static void nss_use(void)
{
	getpwnam("root");
}

static void entries_use(void)
{
	setgrent();
	getgrent();
	endgrent();
}

static void locale_use(void)
{
	locale_t one = newlocale(LC_ALL_MASK, "C.UTF-8", NULL);

	if (one)
		freelocale(one);
}

static void message_use(void)
{
	dgettext("victim", "words");
}

static void message_ask(void)
{
	bindtextdomain("victim", "/nowhere");
}

static void gconv_use(void)
{
	iconv_t one = iconv_open("UTF-8", "UTF-16");

	if (one != (iconv_t)-1)
		iconv_close(one);
}

static int each_object(struct dl_phdr_info *info, size_t size, void *data)
{
	(void)info, (void)size, (void)data;
	return 0;
}

static void loader_use(void)
{
	dl_iterate_phdr(each_object, NULL);
}

static void dlopen_use(void)
{
	void *one = dlopen("libm.so.6", RTLD_NOW);

	if (one)
		dlclose(one);
}

static void popen_use(void)
{
	FILE *one = popen(":", "r");

	if (one)
		pclose(one);
}

static char sem_name[32];

static void sem_use(void)
{
	sem_t *one = sem_open(sem_name, O_CREAT, 0600, 1);

	if (one != SEM_FAILED)
		sem_close(one);
}

static void timer_notify(union sigval value)
{
	(void)value;
}

static void timer_use(void)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD,
				  .sigev_notify_function = timer_notify };
	timer_t one;

	if (!timer_create(CLOCK_MONOTONIC, &event, &one))
		timer_delete(one);
}

static void aio_use(void)
{
	aio_cancel(0, NULL);
}

static void utmp_use(void)
{
	setutent();
	getutent();
	endutent();
}

/* Functions whose locks fork() opens in the child. */
static void reset_use(void)
{
	char bytes[1024];
	struct passwd one, *found;
	FILE *stream = fopen("/dev/null", "w");

	getpwnam_r("root", &one, bytes, sizeof(bytes), &found);
	fputs("words", stream);
	fclose(stream);
	gettext("words");
	getenv("HOME");
	dlsym(RTLD_DEFAULT, "malloc");
}

static void heap_use(void)
{
	free(malloc(100));
}

/* Inside the function, but on its way to or from the lock, if it is there at all. */
static void outside_use(void)
{
	char bytes[64];
	struct tm fields = { .tm_zone = "UTC" };

	strftime(bytes, sizeof(bytes), "%Y %Z", &fields);
}

static const struct {
	const char *name;
	void (*use)(void), (*ask)(void);
} classes[] = {
	{ "timezone", timezone_use, timezone_ask },
	{ "environment", environment_use, environment_use },
	{ "random", random_use, random_use },
	{ "syslog", syslog_use, syslog_use },
	{ "exit", exit_use, exit_ask },
	{ "addrinfo", addrinfo_use, addrinfo_use },
	{ "nss", nss_use, nss_use },
	{ "nss-entries", entries_use, entries_use },
	{ "locale", locale_use, locale_use },
	{ "locale-read", message_use, message_ask },
	{ "gconv", gconv_use, gconv_use },
	{ "loader", loader_use, loader_use },
	{ "loader-dlopen", dlopen_use, dlopen_use },
	{ "popen", popen_use, popen_use },
	{ "sem", sem_use, sem_use },
	{ "timer", timer_use, timer_use },
	{ "aio", aio_use, aio_use },
	{ "utmp", utmp_use, utmp_use },
	{ "reset", reset_use, reset_use },
	{ "heap", heap_use, heap_use },
	{ "outside", outside_use, timezone_use },
};

/* The same but for what reads the locale. */
static void resets_ask(void)
{
	char bytes[1024];
	struct passwd one, *found;
	FILE *stream = fopen("/dev/null", "w");

	getpwnam_r("root", &one, bytes, sizeof(bytes), &found);
	fputs("words", stream);
	fclose(stream);
	free(malloc(100));
}

static void (*use)(void);
static volatile int left; /* how many threads have */

static void *hammer(void *argument)
{
	pthread_setname_np(pthread_self(), "worker");
	for (;;)
		use();
	return argument;
}

static void *leave(void *argument)
{
	int i;

	for (i = 0; i < 10; i++)
		use();
	__atomic_add_fetch(&left, 1, __ATOMIC_SEQ_CST);
	for (;;)
		pause();
	return argument;
}

int main(int argc, char **argv)
{
	const char *twin = argc > 4 ? argv[4] : "";
	int forks = argc > 2 ? atoi(argv[2]) : 300, ms = argc > 3 ? atoi(argv[3]) : 500, done;
	struct pollfd pidfd = { .events = POLLIN };
	pthread_t thread;
	unsigned at = 0;
	int verdict = 0;
	pid_t child;

	while (argc > 1 && at < sizeof(classes) / sizeof(*classes) &&
	       strcmp(classes[at].name, argv[1]))
		at++;
	if (argc < 2 || at == sizeof(classes) / sizeof(*classes))
		return 2;
	snprintf(sem_name, sizeof(sem_name), "/victim-%d", (int)getpid());
	use = classes[at].use;
	for (done = 0; done < 2; done++)
		if (pthread_create(&thread, NULL, strcmp(twin, "left") ? hammer : leave, NULL))
			return 2;
	while (!strcmp(twin, "left") && left < 2)
		usleep(1000);
	/* What it loads, it has loaded then. */
	resets_ask();
	for (done = 0; done < forks && !verdict; done++) {
		child = fork();
		if (child == 0) {
			alarm(20);
			if (strcmp(twin, "resets"))
				classes[at].ask();
			else
				resets_ask();
			_exit(0);
		}
		pidfd.fd = (int)syscall(SYS_pidfd_open, child, 0);
		if (poll(&pidfd, 1, ms) != 1) {
			printf("child %d hung\n", (int)child);
			kill(child, SIGKILL);
			verdict = 3;
		}
		close(pidfd.fd);
		waitpid(child, NULL, 0);
	}
	if (!verdict)
		printf("%d children finished\n", done);
	fflush(stdout);
	sem_unlink(sem_name);
	_exit(verdict);
}
