/* SPDX-License-Identifier: MIT */
/* avfork_popen(), one case a run: avfork_popen CASE [NUMBER]. */
#include <fcntl.h>

#include "avfork.h"
#include "window.h"

static __typeof__(&avfork_popen) popen_call;
static __typeof__(&avfork_error) error_call;

static FILE *open_stream(const char *const argv[], const char *mode, pid_t *pid)
{
	FILE *stream = popen_call(argv, mode, pid);

	if (!stream) {
		printf("avfork_popen: %s\n", strerror(errno));
		exit(96);
	}
	return stream;
}

#define OPEN(mode, pid, ...) open_stream((const char *const[]){ __VA_ARGS__, NULL }, mode, pid)

static void expect_status(pid_t pid, int code)
{
	int status = wait_for(pid);

	expect(WIFEXITED(status) && WEXITSTATUS(status) == code, "the exit status is another");
}

static void expect_text(FILE *stream, const char *text)
{
	char got[256] = "";
	size_t size = fread(got, 1, sizeof(got) - 1, stream);

	got[size] = 0;
	if (strcmp(got, text))
		printf("FAULT: read '%s'\n", got);
	victim_faults += strcmp(got, text) != 0;
	fclose(stream);
}

/* The argument is changed as soon as the call is back, and so is the variable. */
static void case_read(int number)
{
	char word[32];
	int i;

	for (i = 0; i < number; i++) {
		char *argument = strdup("given");
		FILE *stream;
		pid_t pid;

		snprintf(word, sizeof(word), "WORD=value");
		putenv(word);
		stream = OPEN("re", &pid, "sh", "-c", "echo $1 $WORD", "sh", argument);
		memset(argument, 'x', strlen(argument));
		free(argument);
		memset(word + 5, 'x', 5);
		expect((fcntl(fileno(stream), F_GETFD) & FD_CLOEXEC) != 0,
		       "the stream is not close-on-exec");
		expect_text(stream, "given value\n");
		expect_status(pid, 0);
	}
}

static void case_write(int number)
{
	FILE *stream;
	pid_t pid;

	(void)number;
	stream = OPEN("w", &pid, "sh", "-c", "read a b; test \"$a\" = 12 && exit \"$b\"");
	fprintf(stream, "12 34\n");
	fclose(stream);
	expect_status(pid, 34);
}

static void case_error(int number)
{
	int i, error;
	FILE *stream;
	pid_t pid;

	for (i = 0; i < number; i++) {
		stream = OPEN("rx", &pid, "/nowhere/at/all");
		error = error_call(stream);
		expect(error == ENOENT && error_call(stream) == ENOENT, "not ENOENT");
		expect_text(stream, "");
		expect_status(pid, 127);
		stream = OPEN("rx", &pid, "no-such-program-anywhere");
		expect(error_call(stream) == ENOENT, "not ENOENT, of PATH");
		expect_text(stream, "");
		expect_status(pid, 127);
		stream = OPEN("wx", &pid, "/etc/passwd");
		expect(error_call(stream) == EACCES, "not EACCES");
		fclose(stream);
		expect_status(pid, 127);
		stream = OPEN("rx", &pid, "sh", "-c", "echo here; exit 5");
		expect(error_call(stream) == 0, "not executed");
		expect_text(stream, "here\n");
		expect_status(pid, 5);
		/* Not asked for: nothing is known, and of the one before, whose descriptor it was, neither. */
		stream = OPEN("r", &pid, "/nowhere/at/all");
		errno = 0;
		expect(error_call(stream) == -1 && errno == EINVAL, "an error of another stream");
		expect_text(stream, "");
		expect_status(pid, 127);
	}
	/* Another file has the descriptor by now. */
	stream = OPEN("rx", &pid, "/nowhere/at/all");
	expect(error_call(stream) == ENOENT, "not ENOENT");
	fclose(stream);
	expect_status(pid, 127);
	stream = fopen("/dev/null", "re");
	errno = 0;
	expect(error_call(stream) == -1 && errno == EINVAL, "an error of a stream that was closed");
	fclose(stream);
	errno = 0;
	expect(error_call(NULL) == -1 && errno == EINVAL, "no stream is not EINVAL");
}

static void case_mode(int number)
{
	static const char *const bad[] = { "", "q", "rw", "r+", "xr", "rq" };
	static const char *const argv[] = { "true", NULL }, *const none[] = { NULL };
	int i;

	(void)number;
	for (i = 0; i < COUNT(bad); i++) {
		errno = 0;
		expect(!popen_call(argv, bad[i], NULL) && errno == EINVAL, "a mode is not EINVAL");
	}
	errno = 0;
	expect(!popen_call(none, "r", NULL) && errno == EINVAL, "no arguments is not EINVAL");
	errno = 0;
	expect(!popen_call(NULL, "r", NULL) && errno == EINVAL, "no vector is not EINVAL");
}

/* More than is copied: all of it arrives. */
static void case_large(int number)
{
	static char text[100000];
	FILE *stream;
	pid_t pid;

	(void)number;
	memset(text, 'y', sizeof(text) - 1);
	stream = OPEN("r", &pid, "sh", "-c", "echo ${#1}", "sh", text);
	memset(text, 0, sizeof(text));
	expect_text(stream, "99999\n");
	expect_status(pid, 0);
}

/* With standard descriptors closed the pipe's own ends take their places. */
static void case_closed(int number)
{
	int kept = dup(1), i;
	FILE *stream;
	pid_t pid;

	(void)number;
	for (i = 0; i < 4; i++) {
		int in = dup(0);

		if (i & 1)
			close(0);
		if (i & 2)
			close(1);
		stream = OPEN("r", &pid, "echo", "text");
		expect_text(stream, "text\n");
		expect_status(pid, 0);
		stream = OPEN("w", &pid, "sh", "-c", "read a; exit $a");
		fprintf(stream, "9\n");
		fclose(stream);
		expect_status(pid, 9);
		dup2(in, 0);
		dup2(kept, 1);
		close(in);
	}
}

static void nothing(int signal)
{
	(void)signal;
}

/* A handler is the parent's; what is ignored stays so; the mask is the caller's. */
static void case_signals(int number)
{
	char line[256], mask[64] = "", ignored[64] = "", caught[64] = "";
	FILE *stream;
	sigset_t one;
	pid_t pid;

	(void)number;
	signal(SIGUSR1, nothing);
	signal(SIGUSR2, SIG_IGN);
	sigemptyset(&one);
	sigaddset(&one, SIGWINCH);
	sigprocmask(SIG_BLOCK, &one, NULL);
	stream = OPEN("r", &pid, "cat", "/proc/self/status");
	while (fgets(line, sizeof(line), stream)) {
		sscanf(line, "SigBlk: %63s", mask);
		sscanf(line, "SigIgn: %63s", ignored);
		sscanf(line, "SigCgt: %63s", caught);
	}
	fclose(stream);
	expect(strtoull(mask, NULL, 16) == 1ULL << (SIGWINCH - 1), "the mask is another");
	expect((strtoull(ignored, NULL, 16) & 0xffff) == 1ULL << (SIGUSR2 - 1),
	       "other signals are ignored");
	expect(strtoull(caught, NULL, 16) == 0, "signals are caught");
	expect_status(pid, 0);
}

static const char *quick;

/* Many at once from several threads, and the memory map as before. */
static void *open_many(void *argument)
{
	int i, number = *(int *)argument;

	for (i = 0; i < number; i++) {
		FILE *stream;
		pid_t pid;

		errno = i;
		stream = OPEN("rx", &pid, i % 2 ? quick : "/nowhere");
		expect(errno == i, "errno has changed");
		expect(error_call(stream) == (i % 2 ? 0 : ENOENT), "another child's error");
		fclose(stream);
		expect_status(pid, i % 2 ? 0 : 127);
	}
	return NULL;
}

static void case_many(int number)
{
	pthread_t thread[4];
	int i;

	quick = quick_program();
	start_churning(1);
	for (i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, open_many, &number);
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
}

static void case_environment(int number)
{
	FILE *stream;
	pid_t pid;

	(void)number;
	clearenv();
	stream = OPEN("r", &pid, "sh", "-c", "echo ok");
	expect_text(stream, "ok\n");
	expect_status(pid, 0);
}

static const struct {
	const char *name;
	void (*run)(int);
} cases[] = {
	{ "read", case_read }, { "write", case_write },	    { "error", case_error },
	{ "mode", case_mode }, { "large", case_large },	    { "closed", case_closed },
	{ "many", case_many }, { "signals", case_signals }, { "environment", case_environment },
};

int main(int argc, char **argv)
{
	int i;

	setvbuf(stdout, NULL, _IONBF, 0);
	popen_call = AVFORK_FIND(avfork_popen);
	error_call = AVFORK_FIND(avfork_error);
	for (i = 0; argc > 1 && i < COUNT(cases); i++)
		if (!strcmp(argv[1], cases[i].name)) {
			cases[i].run(number_argument(argc, argv, 2, 1));
			puts("done");
			return victim_faults != 0;
		}
	return 95;
}
