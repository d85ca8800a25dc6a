// SPDX-License-Identifier: MIT
/*
 * The command that `spork run` runs: finding it and the shim, starting it as if spork were not there, forwarding
 * signals, and ending as it ended.
 *
 * Signals that a terminal sends go to the whole process group, the command included, so spork
 * ignores SIGINT and SIGQUIT. The others it passes on, unless it was started with them ignored.
 * Stop and continue keep their defaults.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tool.h"

enum treatment { TREAT_IGNORE, TREAT_FORWARD, TREAT_DEFAULT };

static struct {
	int signal;
	enum treatment treatment;
	struct sigaction before;
} signals[] = {
	{ .signal = SIGINT, .treatment = TREAT_IGNORE },
	{ .signal = SIGQUIT, .treatment = TREAT_IGNORE },
	{ .signal = SIGPIPE, .treatment = TREAT_IGNORE }, /* the summary's reader may be gone */
	{ .signal = SIGTERM, .treatment = TREAT_FORWARD },
	{ .signal = SIGHUP, .treatment = TREAT_FORWARD },
	{ .signal = SIGUSR1, .treatment = TREAT_FORWARD },
	{ .signal = SIGUSR2, .treatment = TREAT_FORWARD },
	{ .signal = SIGCHLD, .treatment = TREAT_DEFAULT }, /* ignored, it would lose the status */
};

#define SHIM "libspork.so"
#define SIGNALS (sizeof(signals) / sizeof(*signals))

static volatile pid_t forward_to;

static void forward(int signal, siginfo_t *info, void *context)
{
	int error = errno;

	(void)context;
	/* What the kernel sent, as when a terminal hangs up, the command got too. */
	if (forward_to > 0 && info->si_code <= 0)
		kill(forward_to, signal);
	errno = error;
}

static void signals_take(void)
{
	struct sigaction action;
	size_t i;

	for (i = 0; i < SIGNALS; i++) {
		sigaction(signals[i].signal, NULL, &signals[i].before);
		memset(&action, 0, sizeof(action));
		action.sa_flags = SA_RESTART;
		switch (signals[i].treatment) {
		case TREAT_IGNORE:
			action.sa_handler = SIG_IGN;
			break;
		case TREAT_DEFAULT:
			action.sa_handler = SIG_DFL;
			break;
		case TREAT_FORWARD:
			if (signals[i].before.sa_handler == SIG_IGN)
				continue;
			action.sa_sigaction = forward;
			action.sa_flags |= SA_SIGINFO;
			break;
		}
		sigaction(signals[i].signal, &action, NULL);
	}
}

static void signals_give_back(void)
{
	size_t i;

	for (i = 0; i < SIGNALS; i++)
		sigaction(signals[i].signal, &signals[i].before, NULL);
}

int launch_shim(char *shim)
{
	static const char *const places[] = {
		"%s/" SHIM,
		"%s/../lib/spork/" SHIM,
#if defined(__x86_64__)
		"%s/../lib/x86_64-linux-gnu/spork/" SHIM,
#elif defined(__aarch64__)
		"%s/../lib/aarch64-linux-gnu/spork/" SHIM,
#endif
#ifdef SPORK_LIBDIR
		SPORK_LIBDIR "/spork/" SHIM,
#endif
	};
	const char *chosen = getenv("SPORK_SHIM");
	char self[PATH_MAX], path[PATH_MAX + 64];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
	bool found = false;
	const char *folder;
	size_t i;

	self[length > 0 ? length : 0] = '\0';
	folder = dirname(self);
	if (chosen && *chosen) {
		found = realpath(chosen, shim) && !access(shim, R_OK);
		if (!found) {
			complain("%s: %s; SPORK_SHIM must name the shim", chosen, strerror(errno));
			return STATUS_FAILED;
		}
	}
	for (i = 0; !found && i < sizeof(places) / sizeof(*places); i++) {
		snprintf(path, sizeof(path), places[i], folder);
		found = realpath(path, shim) && !access(shim, R_OK);
	}
	if (!found) {
		complain(SHIM ": is not beside spork, nor where it is installed; set SPORK_SHIM");
		return STATUS_FAILED;
	}
	if (strpbrk(shim, ": \t\n")) {
		complain("%s: LD_PRELOAD takes no path with a space or ':'; move the shim", shim);
		return STATUS_FAILED;
	}
	return 0;
}

/* 0 when the file could be executed, as far as its mode tells. */
static int file_check(const char *path)
{
	struct stat status;

	if (stat(path, &status))
		return -errno;
	if (S_ISDIR(status.st_mode))
		return -EISDIR;
	if (!S_ISREG(status.st_mode))
		return -EACCES;
	return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) ? -errno : 0;
}

int launch_find(const char *name, char *path)
{
	const char *folders = getenv("PATH");
	int error = -ENOENT;

	if (strchr(name, '/')) {
		if (strlen(name) >= PATH_MAX)
			return -ENAMETOOLONG;
		strcpy(path, name);
		return file_check(path);
	}
	if (!*name)
		return -ENOENT;
	if (!folders)
		folders = "/bin:/usr/bin";
	for (;;) {
		int length = (int)strcspn(folders, ":"), found;

		/* An empty folder is the current one. */
		if (snprintf(path, PATH_MAX, "%.*s%s%s", length, folders, length ? "/" : "./",
			     name) < PATH_MAX) {
			found = file_check(path);
			if (!found)
				return 0;
			if (found == -EACCES)
				error = found;
		}
		if (!folders[length])
			return error;
		folders += length + 1;
	}
}

int launch_start(const char *path, char *const argv[], char *const environment[], pid_t *pid)
{
	int report[2], error = 0;
	sigset_t all, mask;

	if (pipe2(report, O_CLOEXEC))
		return -errno;
	/* Until the child has its dispositions back, and we know its pid, nothing may arrive. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &mask);
	signals_take();
	*pid = fork();
	if (!*pid) {
		signals_give_back();
		sigprocmask(SIG_SETMASK, &mask, NULL);
		execve(path, argv, environment);
		error = errno;
		while (write(report[1], &error, sizeof(error)) < 0 && errno == EINTR)
			;
		_exit(STATUS_FAILED);
	}
	if (*pid < 0)
		error = errno;
	forward_to = *pid;
	sigprocmask(SIG_SETMASK, &mask, NULL);
	close(report[1]);
	while (!error && read(report[0], &error, sizeof(error)) < 0 && errno == EINTR)
		;
	close(report[0]);
	if (error && *pid > 0)
		launch_wait(*pid);
	return -error;
}

int launch_wait(pid_t pid)
{
	sigset_t all, mask;
	siginfo_t info;
	int status = 0;

	while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) && errno == EINTR)
		;
	/* Once reaped, the pid may be somebody else's: no forwarding after that. */
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &mask);
	forward_to = 0;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	signals_give_back();
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	return status;
}

int launch_die(int signal_number)
{
	struct rlimit none = { 0, 0 };
	sigset_t set;

	/* The command dumped its core if it was to. A core piped to a helper knows no limit. */
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
	signal(signal_number, SIG_DFL);
	sigemptyset(&set);
	sigaddset(&set, signal_number);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	raise(signal_number);
	return 128 + signal_number;
}
