// SPDX-License-Identifier: MIT
/*
 * The processes that `spork bench` measures, seen from both sides: a line "CASE TIMES" goes in; an error number, a
 * count and so many rows of measures come out, as the machine has numbers. The first answer, unasked, is the size
 * of the process once it is what it has to be. One that ends, or answers nothing for a minute, ends the benchmark.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

#define LIMIT_MS 60000
#define LINE_SIZE 64
#define ROWS_MAX 65536

struct answer {
	int32_t error;
	uint32_t count;
};

/* Ours, but for the two variables that make the difference. */
static char **environment_make(const char *options, const char *shim, char **made)
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
	if (!options)
		return result;
	if (asprintf(&made[0], "LD_PRELOAD=%s", shim) < 0 ||
	    asprintf(&made[1], "SPORK_OPTIONS=%s", options) < 0)
		abort();
	result[count++] = made[0];
	result[count] = made[1];
	return result;
}

static int spawn(pid_t *pid, const char *path, const char *const argv[], char *const environment[],
		 const int *ask, const int *answer)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t reset;
	int error;

	/* As a shell would start it: that the signal is ignored is our own affair. */
	sigemptyset(&reset);
	sigaddset(&reset, SIGPIPE);
	if (posix_spawn_file_actions_init(&actions) ||
	    posix_spawn_file_actions_adddup2(&actions, ask[0], STDIN_FILENO) ||
	    posix_spawn_file_actions_adddup2(&actions, answer[1], STDOUT_FILENO) ||
	    posix_spawnattr_init(&attributes) ||
	    posix_spawnattr_setsigdefault(&attributes, &reset) ||
	    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF))
		abort();
	error = posix_spawn(pid, path, &actions, &attributes, (char **)(uintptr_t)argv,
			    environment);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return error;
}

/* The words of a payload, or of a peer's script, after what names it. */
static int command_spawn(struct bench_process *process, const struct bench *bench,
			 const struct bench_peer *peer, const struct bench_setup *setup,
			 char *const environment[], const int *ask, const int *answer)
{
	const struct bench_point *point = &setup->point;
	char rss[24], mappings[12], threads[12], path[PATH_MAX] = "/proc/self/exe";
	const char *const payload[] = {
		"spork",
		"bench",
		"--payload",
		bench->name,
		rss,
		mappings,
		threads,
		point->thp ? "1" : "0",
		setup->child,
		setup->shim,
		setup->options ? setup->options : "",
		NULL,
	};
	int error = peer ? -launch_find(peer->program, path) : 0;

	snprintf(rss, sizeof(rss), "%llu", (unsigned long long)point->rss);
	snprintf(mappings, sizeof(mappings), "%u", point->mappings);
	snprintf(threads, sizeof(threads), "%u", point->threads);
	if (!error && peer) {
		const char *const script[] = { peer->program, peer->flag,   peer->script,
					       rss,	      setup->child, NULL };

		return spawn(&process->pid, path, script, environment, ask, answer);
	}
	return error ? error : spawn(&process->pid, path, payload, environment, ask, answer);
}

int bench_process_start(struct bench_process *process, const struct bench *bench,
			const struct bench_peer *peer, const struct bench_setup *setup)
{
	int ask[2], answer[2], error;
	char *made[2], **environment;

	if (pipe2(ask, O_CLOEXEC) || pipe2(answer, O_CLOEXEC)) {
		complain("no pipe: %s", strerror(errno));
		return STATUS_FAILED;
	}
	/* A process that has died is told by its answer that is missing. */
	signal(SIGPIPE, SIG_IGN);
	environment = environment_make(bench->children ? NULL : setup->options, setup->shim, made);
	error = command_spawn(process, bench, peer, setup, environment, ask, answer);
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

static bool bytes_read(int fd, void *bytes, size_t size)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	size_t have = 0;
	ssize_t got;

	while (have < size) {
		if (poll(&ready, 1, LIMIT_MS) != 1)
			return false;
		got = read(fd, (char *)bytes + have, size - have);
		if (got <= 0)
			return false;
		have += (size_t)got;
	}
	return true;
}

/* As bench_process_sample(). */
static int answer_read(const struct bench_process *process, unsigned measures, const char *what,
		       double **rows, unsigned *count)
{
	struct answer answer;
	bool failed = !bytes_read(process->answer, &answer, sizeof(answer)) ||
		      answer.count > ROWS_MAX;
	size_t size = failed ? 0 : (size_t)answer.count * measures * sizeof(**rows);

	*rows = malloc(size ? size : 1);
	if (!*rows)
		abort();
	*count = failed ? 0 : answer.count;
	if (!failed && !answer.error && bytes_read(process->answer, *rows, size))
		return 0;
	free(*rows);
	*rows = NULL;
	if (!failed && answer.error == ENOSYS)
		return ENOSYS;
	if (!failed && answer.error)
		complain("%s could not be measured: %s", what, strerror(answer.error));
	else
		complain("%s: the process that was measured ended, or came to a stop", what);
	return STATUS_FAILED;
}

double bench_process_ready(const struct bench_process *process, unsigned measures)
{
	double *rows, resident = -1;
	unsigned count;
	int status = answer_read(process, measures, "a process", &rows, &count);

	if (status == ENOSYS)
		complain("a process could not be made as large as it has to be");
	if (!status && count)
		resident = rows[0];
	free(rows);
	return resident;
}

int bench_process_sample(const struct bench_process *process, unsigned which, uint64_t times,
			 unsigned measures, const char *what, double **rows, unsigned *count)
{
	char line[LINE_SIZE];
	int length = snprintf(line, sizeof(line), "%u %llu\n", which, (unsigned long long)times);

	if (write(process->ask, line, (size_t)length) == length)
		return answer_read(process, measures, what, rows, count);
	complain("%s: the process that was measured ended", what);
	return STATUS_FAILED;
}

void bench_process_end(struct bench_process *process)
{
	close(process->ask);
	close(process->answer);
	kill(process->pid, SIGKILL);
	while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* ---- in the process that is measured ---- */

static bool answer_write(int error, const double *rows, unsigned measures, uint32_t count)
{
	struct answer answer = { .error = error, .count = error ? 0 : count };

	fwrite(&answer, sizeof(answer), 1, stdout);
	fwrite(rows, measures * sizeof(*rows), answer.count, stdout);
	return !fflush(stdout);
}

static double resident_bytes(void)
{
	unsigned long long all, resident = 0;
	FILE *file = fopen("/proc/self/statm", "re");

	if (file && fscanf(file, "%llu %llu", &all, &resident) != 2)
		resident = 0;
	if (file)
		fclose(file);
	return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

/* How many rows, or minus an error number. */
static long case_run(const struct bench_case *row, uint64_t times, double *rows, unsigned measures)
{
	uint64_t done;
	unsigned i;
	int error;

	for (i = 0; i < measures; i++)
		rows[i] = NAN;
	if (row->sample) {
		rows[0] = row->sample(times);
		return rows[0] < 0 ? -errno : 1;
	}
	if (!row->each)
		return -ENOSYS;
	for (done = 0; done < times && done < ROWS_MAX; done++, rows += measures) {
		for (i = 0; i < measures; i++)
			rows[i] = NAN;
		error = row->each(rows);
		if (error)
			return -error;
	}
	return (long)done;
}

static void setup_read(struct bench_setup *setup, char **words)
{
	setup->point.rss = strtoull(words[0], NULL, 10);
	setup->point.mappings = (unsigned)strtoul(words[1], NULL, 10);
	setup->point.threads = (unsigned)strtoul(words[2], NULL, 10);
	setup->point.thp = *words[3] == '1';
	setup->child = words[4];
	setup->shim = words[5];
	setup->options = *words[6] ? words[6] : NULL;
}

int bench_payload(const struct bench *bench, int argc, char **argv)
{
	unsigned measures = bench_count_measures(bench), which, cases = 0;
	double first[BENCH_MEASURES] = { 0 }, *rows;
	struct bench_setup setup = { 0 };
	unsigned long long times;
	char line[LINE_SIZE];
	int error = 0;
	long count;

	if (argc != BENCH_PAYLOAD_WORDS)
		return STATUS_FAILED;
	setup_read(&setup, argv);
	if (bench->prepare)
		error = bench->prepare(&setup);
	first[0] = resident_bytes();
	if (!answer_write(error, first, measures, 1) || error)
		return STATUS_FAILED;
	while (bench->cases[cases].name)
		cases++;
	rows = calloc((size_t)ROWS_MAX * measures, sizeof(*rows));
	if (!rows)
		return STATUS_FAILED;
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "%u %llu", &which, &times) != 2 || which >= cases)
			return STATUS_FAILED;
		count = case_run(&bench->cases[which], times, rows, measures);
		if (!answer_write(count < 0 ? (int)-count : 0, rows, measures,
				  (uint32_t)(count < 0 ? 0 : count)))
			return STATUS_FAILED;
	}
	/* Other threads may hold locks that exit handlers ask for. */
	_exit(EXIT_SUCCESS);
}
