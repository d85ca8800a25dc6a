// SPDX-License-Identifier: MIT
/*
 * `spork run COMMAND`: runs a command with the shim, prints violations as they happen and a summary
 * at the end, and ends as the command did.
 *
 * spork makes the box and keeps it open: without --box it is a memfd that the command's processes
 * open through /proc, so that nothing is left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "tool.h"
#include "trust.h"

enum { OPTION_NO_FOLLOW = OPTION_OWN, OPTION_SUPPRESSIONS };

static const struct option_row options[] = {
	{ 'o', "box", "FILE",
	  "keep the box in FILE, to be read with 'spork report' and 'spork sites'" },
	{ 's', "set", "KEY=VALUE",
	  "set an option of the shim, see spork-options(5); may be repeated" },
	{ 'p', "profile", "FILE",
	  "start from the call sites that earlier runs learned, and keep those of this one, in FILE" },
	{ OPTION_SUPPRESSIONS, "suppressions", "FILE",
	  "leave out violations that a line of FILE matches, see spork-report(1); may be repeated" },
	{ OPTION_NO_FOLLOW, "no-follow", NULL,
	  "leave out programs that the command executes in turn" },
	{ 'e', "error-exitcode", "N",
	  "exit with N when there was a violation that is no mere note" },
	OUTPUT_OPTIONS("standard error"),
	SYMBOL_OPTIONS,
	{ 'q', "quiet", NULL, "print neither violations nor the summary" },
	{ 0 },
};

static const char *const description[] = {
	"Runs COMMAND with the shim preloaded, and so the programs that it executes in turn. "
	"Violations are printed as they happen, with functions, files and lines. When the "
	"command ends a summary follows: the processes seen, the spawns by call and by tier with "
	"the time that they held their callers, the sites that were promoted or why they were "
	"not, and the violations by kind. Standard output belongs to the command.",
	"A COMMAND that cannot be traced (statically linked, set-user-ID, of another machine or "
	"libc, built with a sanitizer) is said so on one line, and runs all the same.",
	"An existing FILE of --box is replaced when it is a box of the same user, and nothing is "
	"run otherwise.",
	"When the option log is set, with --set or in SPORK_OPTIONS, the shim writes its own "
	"text there, and the violations with names and lines are printed at the end. With "
	"--format json everything is printed at the end.",
	NULL,
};

static const struct note environment[] = {
	{ "SPORK_OPTIONS",
	  "Options of the shim, KEY=VALUE separated by colons; those of --set come after." },
	{ "SPORK_SHIM", "The shim to preload, instead of the one that belongs to spork." },
	{ "LD_PRELOAD", "Is kept; the shim goes before it." },
	{ "NO_COLOR", "If set and not empty, there is no colour unless --color asks for it." },
	{ "DEBUGINFOD_URLS", "Servers to ask, with --debuginfod only." },
	{ 0 },
};

static const struct note exits[] = {
	{ "N",
	  "The value of --error-exitcode: there was a violation of severity warning or error." },
	{ "125", "spork itself failed." },
	{ "126", "COMMAND cannot be executed." },
	{ "127", "COMMAND was not found." },
	{ "else",
	  "The command's own. If it was killed by a signal, spork dies by the same signal." },
	{ 0 },
};

static const struct note examples[] = {
	{ "spork run ./app --serve", "See what an application does around fork()." },
	{ "spork run -e 9 -q -s reroute=off -- make test",
	  "Fail a test run when there are violations." },
	{ "spork run -o app.box ./app; spork sites app.box",
	  "Keep the box, and look at the call sites." },
	{ "spork run -p git.profile git gc",
	  "Let a program that is too short-lived to learn profit from its earlier runs." },
	{ 0 },
};

struct run {
	struct output output;
	const char *box_path; /* NULL: memfd */
	int box_fd;
	char box_name[PATH_MAX]; /* for the command */
	char settings[8192];	 /* of --set, colons between */
	int error_exit;		 /* zero: none */
	bool quiet, own_log;
	char shim[PATH_MAX];
	char program[PATH_MAX];
	bool preload;
	char **environment; /* of the command */
	struct suppressions *suppressions;
};

static bool has_log(const char *settings)
{
	return settings && (!strncmp(settings, "log=", 4) || strstr(settings, ":log="));
}

static int settings_add(struct run *run, const char *assignment)
{
	size_t used = strlen(run->settings);

	if (used + strlen(assignment) + 2 > sizeof(run->settings)) {
		complain("--set %s: is too long", assignment);
		return STATUS_FAILED;
	}
	snprintf(run->settings + used, sizeof(run->settings) - used, "%s%s", used ? ":" : "",
		 assignment);
	return 0;
}

/* The name of a file that holds wherever the command's processes go; PATH_MAX bytes. */
static int absolute(const char *path, char *name)
{
	char here[PATH_MAX] = "";

	if (*path != '/' && !getcwd(here, sizeof(here))) {
		complain("%s: the current folder is gone; give an absolute path", path);
		return STATUS_FAILED;
	}
	if (snprintf(name, PATH_MAX, "%s%s%s", here, *here ? "/" : "", path) >= PATH_MAX) {
		complain("%s: the path is too long", path);
		return STATUS_FAILED;
	}
	if (strchr(name, ':')) {
		complain("%s: the path must not have a ':'; choose another", name);
		return STATUS_FAILED;
	}
	return 0;
}

/* What the shim would not use is refused at once. */
static int option_profile(struct run *run, const char *path)
{
	char setting[PATH_MAX + 16] = "profile=";
	char *name = setting + strlen(setting);

	if (!strcmp(path, "none"))
		return settings_add(run, "profile=none");
	if (absolute(path, name) || profile_check(name))
		return STATUS_FAILED;
	return settings_add(run, setting);
}

/* The shim would not use it: it reads no other user's file but root's. */
static int suppressions_check(const char *path)
{
	const char *problem;
	struct stat status;

	problem = stat(path, &status) ? strerror(errno) : trust_problem(&status, geteuid(), true);
	if (!problem)
		return 0;
	complain("%s: %s; give a file of your own", path, problem);
	return STATUS_FAILED;
}

/* Names and lines are for spork to match; what the shim prints itself, with an own log, is the shim's affair. */
static int option_suppressions(struct run *run, const char *path)
{
	char setting[PATH_MAX + 16] = "suppressions=";

	if (suppressions_read(&run->suppressions, path) || suppressions_check(path) ||
	    absolute(path, setting + strlen(setting)))
		return STATUS_FAILED;
	return settings_add(run, setting);
}

static int option_set(struct run *run, const char *assignment)
{
	if (config_check(assignment))
		return STATUS_FAILED;
	if (!strncmp(assignment, "suppressions=", 13) && strcmp(assignment, "suppressions=none"))
		return option_suppressions(run, assignment + 13);
	if (!strncmp(assignment, "profile=", 8))
		return option_profile(run, assignment + 8);
	if (strncmp(assignment, "box=", 4))
		return settings_add(run, assignment);
	/* The box is spork's affair: it is what the summary is read from. */
	if (!strcmp(assignment, "box=none")) {
		complain("--set box=none: the summary needs a box; leave the option out");
		return STATUS_FAILED;
	}
	run->box_path = strcmp(assignment, "box=memory") ? assignment + 4 : NULL;
	return 0;
}

static int option_error_exit(struct run *run, const char *text)
{
	char *end;
	long value = strtol(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || value < 1 || value > 255) {
		complain("--error-exitcode %s: is not an exit status; give a number from 1 to 255",
			 text);
		return STATUS_FAILED;
	}
	run->error_exit = (int)value;
	return 0;
}

static int options_read(struct run *run, int argc, char **argv)
{
	int option, status = 0;

	while (!status && (option = option_next(&run_command, argc, argv)) != OPTION_END) {
		switch (option) {
		case OPTION_BAD:
			return STATUS_FAILED;
		case 'o':
			run->box_path = optarg;
			break;
		case 's':
			status = option_set(run, optarg);
			break;
		case 'p':
			status = option_profile(run, optarg);
			break;
		case OPTION_SUPPRESSIONS:
			status = option_suppressions(run, optarg);
			break;
		case OPTION_NO_FOLLOW:
			status = settings_add(run, "follow=0");
			break;
		case 'e':
			status = option_error_exit(run, optarg);
			break;
		case 'q':
			run->quiet = true;
			break;
		default:
			status = display_option(&run->output, option, optarg);
		}
	}
	if (!status && optind == argc) {
		complain("no command was given; see 'spork run --help'");
		status = STATUS_FAILED;
	}
	return status;
}

/* Makes room at `path`: a box of ours that is in the way goes, anything else stays. */
static int box_replace(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct stat status;
	bool ours;

	ours = fd >= 0 && !fstat(fd, &status) && S_ISREG(status.st_mode) &&
	       status.st_uid == geteuid() && box_is_one(fd);
	if (fd >= 0)
		close(fd);
	if (!ours) {
		complain("%s: exists and is not a spork box of yours; choose another file", path);
		return STATUS_FAILED;
	}
	if (!unlink(path))
		return 0;
	complain("%s: cannot be replaced: %s", path, strerror(errno));
	return STATUS_FAILED;
}

static int box_file(struct run *run)
{
	const int flags = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;

	if (absolute(run->box_path, run->box_name))
		return STATUS_FAILED;
	run->box_fd = open(run->box_name, flags, 0600);
	if (run->box_fd < 0 && errno == EEXIST) {
		if (box_replace(run->box_name))
			return STATUS_FAILED;
		run->box_fd = open(run->box_name, flags, 0600);
	}
	if (run->box_fd >= 0)
		return 0;
	complain("%s: cannot be made: %s", run->box_path, strerror(errno));
	return STATUS_FAILED;
}

static int box_make(struct run *run)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN }, before;
	int error;

	if (run->box_path) {
		if (box_file(run))
			return STATUS_FAILED;
	} else {
		run->box_fd = memfd_create("spork box", MFD_CLOEXEC);
		if (run->box_fd < 0) {
			complain("no memory for the box: %s", strerror(errno));
			return STATUS_FAILED;
		}
		snprintf(run->box_name, sizeof(run->box_name), "/proc/%d/fd/%d", (int)getpid(),
			 run->box_fd);
	}
	/* A limit on the size of files comes as a signal. */
	sigaction(SIGXFSZ, &ignore, &before);
	error = box_create(run->box_fd,
			   config_number("events", getenv("SPORK_OPTIONS"), run->settings),
			   run->box_path != NULL);
	sigaction(SIGXFSZ, &before, NULL);
	if (!error)
		return 0;
	complain("%s: cannot be written: %s", run->box_path ? run->box_path : "the box",
		 strerror(-error));
	if (run->box_path)
		unlink(run->box_name);
	return STATUS_FAILED;
}

static char *joined(const char *name, const char *first, const char *second, const char *third)
{
	const char *between = *first && *second ? ":" : "";
	char *text;

	if (asprintf(&text, "%s=%s%s%s%s", name, first, between, second, third) < 0)
		abort();
	return text;
}

/* The command's environment: ours, with the shim and its options. Lives until spork ends. */
static char **environment_make(const struct run *run)
{
	const char *preload = getenv("LD_PRELOAD"), *settings = getenv("SPORK_OPTIONS");
	char own[PATH_MAX + 64], **result;
	size_t count = 0, i;

	while (environ[count])
		count++;
	result = calloc(count + 3, sizeof(*result));
	if (!result)
		abort();
	if (!run->preload) {
		memcpy(result, environ, count * sizeof(*result));
		return result;
	}
	for (i = count = 0; environ[i]; i++)
		if (strncmp(environ[i], "LD_PRELOAD=", 11) &&
		    strncmp(environ[i], "SPORK_OPTIONS=", 14))
			result[count++] = environ[i];
	snprintf(own, sizeof(own), "%s%sbox=%s",
		 *run->settings || (settings && *settings) ? ":" : "",
		 run->own_log ? "" : "log=none:", run->box_name);
	result[count++] = joined("LD_PRELOAD", run->shim, preload ? preload : "", "");
	result[count] = joined("SPORK_OPTIONS", settings ? settings : "", run->settings, own);
	return result;
}

static void traceable_say(struct run *run, const char *command)
{
	char why[600];
	enum traceable verdict = elf_traceable(run->program, why, sizeof(why));

	run->preload = verdict != TRACE_HARMFUL;
	if (verdict != TRACE_YES)
		complain("%s cannot be traced: %s", command, why);
}

static bool shim_was_loaded(const struct box *box)
{
	uint32_t i;

	for (i = 0; i < box->slots[BOX_TABLE_PROCESS]; i++)
		if (box->process[i].ready)
			return true;
	return false;
}

static void summary_print(const struct run *run, const struct view *view)
{
	if (run->output.json) {
		view_json(view);
		return;
	}
	view_print_violations(view);
	view_print_summary(view);
	if (!shim_was_loaded(view->box))
		fputs("  the command never loaded the shim: nothing was recorded\n",
		      run->output.file);
}

/* Runs the command to its end; returns spork's exit status, and its status in `status`. */
static int command_run(struct run *run, char **argv, int *status)
{
	bool printed[BOX_CAPACITY_VIOLATION] = { false };
	struct box box = { 0 };
	struct view view = { .output = &run->output,
			     .box = &box,
			     .printed = printed,
			     .suppressions = run->suppressions };
	struct live *live = NULL;
	int error, failed = 0;
	pid_t pid;

	run->environment = environment_make(run);
	error = launch_start(run->program, argv, run->environment, &pid);
	if (error) {
		complain("%s: cannot be executed: %s%s", argv[0], strerror(-error),
			 error == -ENOENT ? " (its interpreter, if the file is there)" : "");
		if (run->box_path)
			unlink(run->box_name);
		return error == -ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_EXECUTE;
	}
	view.symbols = symbols_open(&box);
	if (!run->quiet && !run->own_log && !run->output.json)
		live = live_start(&view, &box, run->box_fd, printed);
	*status = launch_wait(pid);
	live_stop(live);
	if (box_load(&box, run->box_fd)) {
		complain("the box %s", box.problem);
		failed = STATUS_FAILED;
	} else {
		if (!run->quiet)
			summary_print(run, &view);
		if (run->error_exit && view_alarms(&view))
			failed = run->error_exit;
	}
	symbols_close(view.symbols);
	box_free(&box);
	return failed;
}

static int run_main(int argc, char **argv)
{
	static struct run run;
	int failed, error, status = 0;

	failed = options_read(&run, argc, argv);
	if (failed)
		return failed;
	argv += optind;
	error = launch_find(argv[0], run.program);
	if (error) {
		complain("%s: %s", argv[0],
			 error == -ENOENT ? "there is no such command" : strerror(-error));
		return error == -ENOENT ? STATUS_NOT_FOUND : STATUS_CANNOT_EXECUTE;
	}
	run.own_log = has_log(run.settings) || has_log(getenv("SPORK_OPTIONS"));
	failed = launch_shim(run.shim);
	if (failed)
		return failed;
	traceable_say(&run, argv[0]);
	failed = box_make(&run);
	if (!failed)
		failed = output_open(&run.output, stderr);
	if (!failed)
		failed = command_run(&run, argv, &status);
	if (run.output.file && output_close(&run.output))
		failed = STATUS_FAILED;
	suppressions_free(run.suppressions);
	if (failed)
		return failed;
	if (WIFSIGNALED(status))
		return launch_die(WTERMSIG(status));
	return WEXITSTATUS(status);
}

const struct command run_command = {
	.name = "run",
	.summary = "run a command with the shim, and tell what it did",
	.operands = "[--] COMMAND [ARG]...",
	.operand_first = true,
	.options = options,
	.description = description,
	.environment = environment,
	.exits = exits,
	.examples = examples,
	.run = run_main,
};
