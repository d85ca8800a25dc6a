// SPDX-License-Identifier: MIT
/*
 * The processes that `spork bench` measures, seen from both sides: a line "CASE TIMES" goes in, a line with
 * nanoseconds comes out. One that ends, or answers nothing for a minute, ends the benchmark.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <fcntl.h>

#include "bench.h"

#define LIMIT_MS 60000
#define LINE_SIZE 64

/* Ours, but for the two variables that make the difference. */
static char **environment_make(const struct bench_config *config, const char *shim, char **made)
{
	size_t count = 0, i;
	char **result;

	while (environ[count])
		count++;
	result = calloc(count + 3, sizeof(*result));
	if (!result)
		abort();
	for (i = count = 0; environ[i]; i++)
		if (strncmp(environ[i], "LD_PRELOAD=", 11) &&
		    strncmp(environ[i], "SPORK_OPTIONS=", 14))
			result[count++] = environ[i];
	made[0] = made[1] = NULL;
	if (!config->options)
		return result;
	if (asprintf(&made[0], "LD_PRELOAD=%s", shim) < 0 ||
	    asprintf(&made[1], "SPORK_OPTIONS=%s", config->options) < 0)
		abort();
	result[count++] = made[0];
	result[count] = made[1];
	return result;
}

static int spawn(struct bench_process *process, const char *name, char *const environment[],
		 const int *ask, const int *answer)
{
	char *const argv[] = { "spork", "bench", "--payload", (char *)(uintptr_t)name, NULL };
	posix_spawn_file_actions_t actions;
	int error;

	if (posix_spawn_file_actions_init(&actions) ||
	    posix_spawn_file_actions_adddup2(&actions, ask[0], STDIN_FILENO) ||
	    posix_spawn_file_actions_adddup2(&actions, answer[1], STDOUT_FILENO))
		abort();
	error = posix_spawn(&process->pid, "/proc/self/exe", &actions, NULL, argv, environment);
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

int bench_process_start(struct bench_process *process, const struct bench *bench,
			const struct bench_config *config, const char *shim)
{
	int ask[2], answer[2], error;
	char *made[2], **environment;

	if (pipe2(ask, O_CLOEXEC) || pipe2(answer, O_CLOEXEC)) {
		complain("no pipe: %s", strerror(errno));
		return STATUS_FAILED;
	}
	/* A process that has died is told by its answer that is missing. */
	signal(SIGPIPE, SIG_IGN);
	environment = environment_make(config, shim, made);
	error = spawn(process, bench->name, environment, ask, answer);
	free(made[0]);
	free(made[1]);
	free(environment);
	close(ask[0]);
	close(answer[1]);
	process->ask = ask[1];
	process->answer = answer[0];
	if (!error)
		return 0;
	close(ask[1]);
	close(answer[0]);
	complain("the process to measure cannot be started: %s", strerror(error));
	return STATUS_FAILED;
}

/* An answer is one line, and shorter than what a pipe takes at once. */
static bool line_read(int fd, char *line)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	size_t size = 0;
	ssize_t got;

	while (size < LINE_SIZE - 1) {
		if (poll(&ready, 1, LIMIT_MS) != 1)
			return false;
		got = read(fd, line + size, LINE_SIZE - 1 - size);
		if (got <= 0)
			return false;
		size += (size_t)got;
		line[size] = '\0';
		if (line[size - 1] == '\n')
			return true;
	}
	return false;
}

double bench_process_sample(const struct bench_process *process, unsigned which, uint64_t times)
{
	char line[LINE_SIZE];
	int length = snprintf(line, sizeof(line), "%u %llu\n", which, (unsigned long long)times);
	double ns;

	if (write(process->ask, line, (size_t)length) != length ||
	    !line_read(process->answer, line)) {
		complain("a process that was measured ended, or came to a stop");
		return -1;
	}
	ns = strtod(line, NULL);
	if (ns < 0)
		complain("a process could not measure itself: %s", strerror((int)-ns));
	return ns;
}

void bench_process_end(struct bench_process *process)
{
	close(process->ask);
	close(process->answer);
	kill(process->pid, SIGKILL);
	while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

int bench_payload(const struct bench *bench)
{
	unsigned long long times;
	unsigned which, cases = 0;
	char line[LINE_SIZE];
	double ns;

	while (bench->cases[cases].name)
		cases++;
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "%u %llu", &which, &times) != 2 || which >= cases)
			return STATUS_FAILED;
		ns = bench->cases[which].sample(times);
		printf("%.4f\n", ns < 0 ? (double)-errno : ns);
		if (fflush(stdout))
			return STATUS_FAILED;
	}
	/* Other threads may hold locks that exit handlers ask for. */
	_exit(EXIT_SUCCESS);
}
