/* SPDX-License-Identifier: MIT */
/*
 * popen_world [THREADS ROUNDS]: what popen(), pclose() and fclose() answer, what the command inherits, and what the
 * caller may do at once after popen() without the command's noticing. With THREADS: that many open and close
 * ROUNDS streams each, while others fork, change the environment and use the heap.
 */
#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <wchar.h>

#include "victim.h"

static pid_t parent;
static volatile sig_atomic_t strangers;

/* Of the parent's: it must not run in a child. */
static void on_user(int signal)
{
	(void)signal;
	if (getpid() != parent)
		strangers++;
}

static void show(const char *what, FILE *stream, int (*end)(FILE *))
{
	char line[256];

	printf("%s\n", what);
	if (!stream) {
		printf("  none: %s\n", strerror(errno));
		return;
	}
	while (fgets(line, sizeof(line), stream))
		printf("  %s", line);
	print_status("  closed", 0, end(stream));
}

static void descriptors(void)
{
	FILE *first = popen("cat", "w"), *second = popen("cat", "we"), *third;

	third = popen(
		"for f in /proc/self/fd/*; do case $(readlink $f) in pipe*) echo pipe;; esac; done",
		"r");
	show("pipes that the third inherits", third, pclose);
	fputs("  to the first\n", first);
	fputs("  to the second\n", second);
	printf("close on exec %d %d\n", fcntl(fileno(first), F_GETFD),
	       fcntl(fileno(second), F_GETFD));
	print_status("second", 0, pclose(second));
	print_status("first", 0, pclose(first));
}

static void standard_closed(void)
{
	int in = dup(0), out = dup(1);
	FILE *stream;
	char line[64] = "";

	close(0);
	stream = popen("cat", "w");
	close(1);
	if (stream) {
		fputs("", stream);
		pclose(stream);
	}
	stream = popen("echo through", "r");
	if (stream && fgets(line, sizeof(line), stream))
		pclose(stream);
	dup2(in, 0);
	dup2(out, 1);
	close(in);
	close(out);
	printf("without stdin and stdout: %s", line);
}

static void at_once(void)
{
	char command[64], variable[32] = "NOW=before";
	FILE *stream;
	int i, wrong = 0;

	for (i = 0; i < 60; i++) {
		char line[64] = "", folder[64] = "";

		strcpy(variable, "NOW=before");
		putenv(variable);
		chdir("/");
		strcpy(command, "echo $NOW; pwd");
		stream = popen(command, "r");
		strcpy(command, "exit 9; exit 9");
		strcpy(variable, "NOW=behind");
		unsetenv("NOW");
		setenv("OTHER", command, 1);
		chdir("/tmp");
		if (!stream || !fgets(line, sizeof(line), stream) ||
		    !fgets(folder, sizeof(folder), stream))
			wrong++;
		if (strcmp(line, "before\n") || strcmp(folder, "/\n") || pclose(stream))
			wrong++;
	}
	printf("wrong, changed at once: %d\n", wrong);
}

static void errors(void)
{
	static char huge[300000];
	struct rlimit limit, low;
	FILE *stream;
	const char *const mode[] = { "", "x", "rw", "r+", "rr", "er", "rb" };
	unsigned i;

	for (i = 0; i < sizeof(mode) / sizeof(*mode); i++) {
		errno = 0;
		show(mode[i], popen("echo mode", mode[i]), pclose);
	}
	memset(huge, ' ', sizeof(huge) - 1);
	show("a command of 300,000 characters", popen(huge, "r"), pclose);
	huge[100000] = 0;
	show("a command of 100,000 characters", popen(huge, "r"), pclose);
	getrlimit(RLIMIT_NOFILE, &limit);
	low = limit;
	low.rlim_cur = 4;
	setrlimit(RLIMIT_NOFILE, &low);
	show("no descriptors", popen("echo", "r"), pclose);
	setrlimit(RLIMIT_NOFILE, &limit);
	stream = popen("exit 6", "r");
	while (waitpid(-1, NULL, 0) < 0)
		;
	errno = 0;
	printf("waited for before: %d", pclose(stream));
	printf(" %s\n", strerror(errno));
}

static void many(void)
{
	FILE *stream[20];
	int i, wrong = 0, status;
	char command[32];

	for (i = 0; i < 20; i++) {
		snprintf(command, sizeof(command), "cat >/dev/null; exit %d", i);
		stream[i] = popen(command, "w");
	}
	for (i = 0; i < 20; i++) {
		status = pclose(stream[i * 7 % 20]);
		wrong += status != (i * 7 % 20) << 8;
	}
	printf("wrong of 20 at once: %d\n", wrong);
}

static void odd(void)
{
	FILE *stream = popen("sleep 5", "r");
	int result;

	close(fileno(stream));
	errno = 0;
	result = pclose(stream);
	printf("its descriptor was closed: %d", result);
	printf(" %s, and nobody waits: %d\n", strerror(errno), waitpid(-1, NULL, WNOHANG));
	for (result = 0; result < 2; result++) {
		stream = popen(NULL, "r");
		printf("no command: %d\n", stream ? pclose(stream) : -2);
	}
}

static volatile sig_atomic_t inner;

static void on_alarm(int signal)
{
	FILE *stream = popen("exit 1", "r");

	(void)signal;
	if (stream && pclose(stream) == 1 << 8)
		inner++;
}

static void in_handler(void)
{
	struct sigaction action = { .sa_handler = on_alarm, .sa_flags = SA_RESTART };
	int i, wrong = 0;
	FILE *stream;

	/* The command sends it, when popen() has done with malloc(), which no handler may use in the middle of itself. */
	sigaction(SIGALRM, &action, NULL);
	for (i = 0; i < 60; i++) {
		stream = popen("kill -ALRM $PPID; exit 2", "r");
		wrong += !stream || pclose(stream) != 2 << 8;
	}
	printf("wrong around handlers: %d, handlers %d\n", wrong, inner);
}

#define STREAMS 300

static volatile int swapped;

/* Both are whole at any time: whoever reads environ once is right. */
static void *swap_environ(void *unused)
{
	static char *few[] = { (char *)"PATH=/bin:/usr/bin", NULL }, *many[4001];
	char **volatile *current = (char **volatile *)&environ;
	unsigned i;

	for (i = 0; i < 4000; i++)
		many[i] = few[0];
	while (!swapped) {
		*current = few;
		*current = many;
	}
	return unused;
}

static void environments(void)
{
	char **kept = environ;
	int i, wrong = 0;
	pthread_t thread;
	FILE *stream;

	environ = NULL;
	for (i = 0; i < 3; i++) {
		stream = popen("exit 3", "r");
		wrong += !stream || pclose(stream) != 3 << 8;
	}
	printf("wrong without an environment: %d\n", wrong);
	pthread_create(&thread, NULL, swap_environ, NULL);
	for (i = 0; i < 100; i++) {
		stream = popen("exit 3", "r");
		wrong += !stream || pclose(stream) != 3 << 8 || system("exit 4") != 4 << 8;
	}
	swapped = 1;
	pthread_join(thread, NULL);
	environ = kept;
	printf("wrong while it is replaced: %d\n", wrong);
}

static void *in_small_stack(void *data)
{
	FILE *stream[STREAMS];
	long i, wrong = 0;

	(void)data;
	for (i = 0; i < STREAMS; i++)
		stream[i] = popen("cat", "w");
	for (i = 0; i < STREAMS; i++)
		wrong += !stream[i] || pclose(stream[i]);
	return (void *)wrong;
}

static void small_stack(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	void *wrong;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 24 << 10);
	pthread_create(&thread, &attributes, in_small_stack, NULL);
	pthread_join(thread, &wrong);
	printf("wrong on a small stack: %ld\n", (long)wrong);
}

static void *close_stream(void *stream)
{
	return (void *)(long)pclose(stream);
}

/* While a thread's pclose() still writes another thread's command must not keep the pipe open. */
static void while_closing(void)
{
	FILE *first, *second;
	pthread_t thread;
	int fd, size, filled = 0;
	char *buffer;
	void *status;

	mkfifo("go", 0600);
	first = popen("read line <go; cat >/dev/null; exit 7", "w");
	fd = fileno(first);
	fcntl(fd, F_SETPIPE_SZ, 1);
	size = fcntl(fd, F_GETPIPE_SZ);
	buffer = calloc(2, (size_t)size);
	setvbuf(first, NULL, _IOFBF, (size_t)size * 2);
	expect(fwrite(buffer, 1, (size_t)size + 1, first) == (size_t)size + 1, "fwrite");
	pthread_create(&thread, NULL, close_stream, first);
	while (filled < size && !ioctl(fd, FIONREAD, &filled))
		usleep(1000);
	second = popen("cat; exit 8", "w");
	fd = open("go", O_WRONLY);
	close(fd);
	pthread_join(thread, &status);
	print_status("first, while the second runs", 0, (int)(long)status);
	print_status("second", 0, pclose(second));
	unlink("go");
	free(buffer);
}

static int rounds;
static volatile int done;

static void *open_and_close(void *data)
{
	long i, wrong = 0;
	char command[32], line[32];
	FILE *stream;

	(void)data;
	for (i = 0; i < rounds; i++) {
		snprintf(command, sizeof(command), "echo %ld; exit %ld", i, i % 100);
		stream = popen(command, "r");
		if (!stream || !fgets(line, sizeof(line), stream) || atol(line) != i ||
		    (i % 3 ? pclose : fclose)(stream) != i % 100 << 8)
			wrong++;
	}
	return (void *)wrong;
}

static void *disturb(void *data)
{
	unsigned i;
	char value[64];

	(void)data;
	for (i = 0; !done; i++) {
		snprintf(value, sizeof(value), "%*u", (int)(i % 50), i);
		setenv(i % 2 ? "ONE" : "TWO", value, 1);
		free(malloc(i % 5000));
		if (i % 64 == 0) {
			pid_t pid = fork();

			if (!pid)
				_exit(0);
			if (pid > 0)
				waitpid(pid, NULL, 0);
		}
		kill(parent, SIGUSR1);
	}
	return NULL;
}

static int storm(int threads)
{
	pthread_t thread[16], other;
	long wrong = 0;
	void *result;
	int i;

	/* A new variable moves environ, which bare popen() reads without a lock; another value of one does not. */
	setenv("ONE", "", 1);
	setenv("TWO", "", 1);
	pthread_create(&other, NULL, disturb, NULL);
	for (i = 0; i < threads; i++)
		pthread_create(&thread[i], NULL, open_and_close, NULL);
	for (i = 0; i < threads; i++) {
		pthread_join(thread[i], &result);
		wrong += (long)result;
	}
	done = 1;
	pthread_join(other, NULL);
	printf("wrong %ld, handlers in children %d\n", wrong, (int)strangers);
	return wrong || strangers;
}

int main(int argc, char **argv)
{
	FILE *stream;

	setvbuf(stdout, NULL, _IONBF, 0);
	parent = getpid();
	sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = on_user, .sa_flags = SA_RESTART },
		  NULL);
	if (argc > 2) {
		rounds = atoi(argv[2]);
		return storm(atoi(argv[1]));
	}
	show("first", popen("echo first; exit 3", "r"), pclose);
	show("second, by fclose", popen("echo second; exit 4", "r"), fclose);
	show("killed", popen("kill -9 $$", "r"), pclose);
	show("signals", popen("grep ^Sig[BI] /proc/self/status", "r"), pclose);
	stream = popen("cat; exit 5", "w");
	printf("orientation %d\n", fwide(stream, 1));
	fputs("  through cat\n", stream);
	print_status("  written", 0, pclose(stream));
	signal(SIGPIPE, SIG_IGN);
	stream = popen("exit 0", "w");
	while (!ferror(stream))
		fputs("nobody reads this\n", stream), fflush(stream);
	printf("  nobody reads: %d\n", pclose(stream));
	descriptors();
	standard_closed();
	at_once();
	errors();
	many();
	while_closing();
	odd();
	in_handler();
	small_stack();
	environments();
	return 0;
}
