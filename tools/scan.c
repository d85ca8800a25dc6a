// SPDX-License-Identifier: MIT
/*
 * `spork scan PATH...`: which programs and libraries the shim can be preloaded into, and what they would show it.
 * Here are the command, the walk over folders and over a process's mappings, and the progress line.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "scan.h"

enum { OPTION_FOLLOW_NEEDED = OPTION_OWN, OPTION_PID };

static const struct option_row options[] = {
	{ OPTION_FOLLOW_NEEDED, "follow-needed", NULL,
	  "look at the libraries that each file needs, too, and at theirs; each once" },
	{ OPTION_PID, "pid", "PID",
	  "scan the executable of that process and the libraries mapped in it" },
	OUTPUT_OPTIONS("standard output"),
	{ 0 },
};

static const char *const description[] = {
	"Reads ELF files, and those in folders and the folders below, and tells of each whether the shim can be "
	"preloaded into it and why not; how many functions it imports that make processes (spawn), execute "
	"programs (exec), start threads (thread), take locks (lock) and register atfork handlers (atfork); and "
	"the system calls in its own code that make or replace a process, which the shim does not see (inline). "
	"Of a file that is named itself the functions are listed, with versions and the library that is "
	"to have them.",
	"A file that forks and starts threads and registers no atfork handler is said to. With --follow-needed that "
	"is decided for a program and all its libraries together. They are looked for in DT_RPATH, DT_RUNPATH, the "
	"loader's cache and the default folders; not in LD_LIBRARY_PATH.",
	"In folders, symbolic links are not followed, and files that are no ELF files are only counted. FIFOs, "
	"devices and sockets are never opened. A file that is damaged or cannot be read gets one "
	"line of error, and the scan goes on.",
	NULL,
};

static const struct note exits[] = {
	{ "0", "Files were read. There may have been errors with others." },
	{ "125",
	  "A PATH or the process does not exist, nothing could be read, or the command line is wrong." },
	{ 0 },
};

static const struct note examples[] = {
	{ "spork scan /usr/bin", "A table of all programs there." },
	{ "spork scan --follow-needed ./app",
	  "What it and its libraries import, and through which of them." },
	{ "spork scan -f json --pid 4711",
	  "The same for what a process has mapped, for a script." },
	{ 0 },
};

static struct {
	struct output *output;
	struct output rows; /* held back while there is a progress line */
	char *text;
	size_t size;
	bool follow, progress, shown, failed;
	struct timespec next;
	struct scan_totals totals;
} scan;

static void progress_clear(void)
{
	if (scan.shown)
		fputs("\r\033[K", stderr);
	scan.shown = false;
}

/* What was held back goes out; it is held in memory, and not without end. */
static void rows_flush(void)
{
	if (!scan.progress)
		return;
	fclose(scan.rows.file);
	progress_clear();
	fwrite(scan.text, 1, scan.size, scan.output->file);
	free(scan.text);
	scan.text = NULL;
	scan.rows.file = open_memstream(&scan.text, &scan.size);
	if (!scan.rows.file)
		abort();
}

static void progress_show(const char *path)
{
	struct timespec now;

	if (!scan.progress)
		return;
	if (ftell(scan.rows.file) > 1 << 20)
		rows_flush();
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (now.tv_sec < scan.next.tv_sec ||
	    (now.tv_sec == scan.next.tv_sec && now.tv_nsec < scan.next.tv_nsec))
		return;
	scan.next = now;
	scan.next.tv_nsec += 100000000;
	if (scan.next.tv_nsec >= 1000000000) {
		scan.next.tv_nsec -= 1000000000;
		scan.next.tv_sec++;
	}
	fprintf(stderr, "\r\033[K%llu files  ", (unsigned long long)scan.totals.files);
	if (strlen(path) > 50)
		fputs("...", stderr);
	print_clean(stderr, path + (strlen(path) > 50 ? strlen(path) - 50 : 0));
	fflush(stderr);
	scan.shown = true;
}

/* One line. Of a path that is too long the end tells more. */
static void scan_error(const char *path, const char *message)
{
	size_t length = strlen(path);

	progress_clear();
	scan.totals.errors++;
	if (length > 700)
		complain("...%s: %s", path + length - 700, message);
	else
		complain("%s: %s", path, message);
	scan_print_error(&scan.rows, path, message);
}

static void totals_add(const struct scan_file *file, const struct scan_closure *closure)
{
	scan.totals.elf++;
	scan.totals.preloadable += !file->reasons;
	scan.totals.hazards += scan_closure_hazard(file, closure);
	scan.totals.bypasses += scan_file_bypasses(file);
}

static void libraries_print(void)
{
	struct scan_library *next;

	while ((next = scan_library_next())) {
		scan.totals.files++;
		if (next->file.problem[0]) {
			scan_error(next->file.path, next->file.problem);
			continue;
		}
		totals_add(&next->file, NULL);
		scan_print_file(&scan.rows, &next->file, NULL, next->needed_by, false);
	}
}

/* `path` is shown, `open_path` opened: for a process they differ. */
static void file_scan(const char *path, const char *open_path, bool named, bool follow_link)
{
	struct scan_file file = { 0 };
	struct scan_closure closure = { 0 };
	enum scan_result result;
	struct stat status = { 0 };
	int fd = scan_open(open_path, follow_link);

	progress_show(path);
	if (fd < 0) {
		scan_error(path, fd == -EINVAL ? "it is no regular file, and was not opened" :
						 strerror(-fd));
		return;
	}
	file.path = scan_copy(path);
	if (!fstat(fd, &status) && !named && scan_library_printed(status.st_dev, status.st_ino)) {
		close(fd);
		free(file.path);
		return;
	}
	result = scan_file_read(&file, fd);
	close(fd);
	scan.totals.files++;
	if (result == SCAN_FAILED) {
		scan_error(path, file.problem);
	} else if (result == SCAN_NO_ELF) {
		scan.totals.no_elf++;
		file.kind = KIND_OTHER;
		if (named)
			scan_print_file(&scan.rows, &file, NULL, NULL, true);
	} else {
		if (scan.follow) {
			scan_library_seen(status.st_dev, status.st_ino);
			scan_closure_read(&closure, &file);
		}
		totals_add(&file, scan.follow ? &closure : NULL);
		scan_print_file(&scan.rows, &file, scan.follow ? &closure : NULL, NULL, named);
		scan_closure_free(&closure);
		libraries_print();
	}
	scan_file_free(&file);
}

static int entry_order(const FTSENT **left, const FTSENT **right)
{
	return strcmp((*left)->fts_name, (*right)->fts_name);
}

static bool is_kernel_made(const char *path)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	bool made = fd >= 0 && file_kernel_made(fd);

	if (fd >= 0)
		close(fd);
	return made;
}

static void entry_scan(FTS *walk, FTSENT *entry)
{
	struct stat status;

	progress_show(entry->fts_path);
	switch (entry->fts_info) {
	case FTS_F:
		file_scan(entry->fts_path, entry->fts_accpath, entry->fts_level == 0,
			  entry->fts_level == 0);
		break;
	case FTS_D:
		if (entry->fts_level && entry->fts_dev != entry->fts_parent->fts_dev &&
		    is_kernel_made(entry->fts_path))
			fts_set(walk, entry, FTS_SKIP);
		break;
	case FTS_DP:
		break;
	case FTS_SL:
		if (stat(entry->fts_path, &status))
			scan_error(entry->fts_path,
				   errno == ENOENT ? "it is a link to nothing" : strerror(errno));
		break;
	case FTS_SLNONE:
		scan_error(entry->fts_path, "it is a link to nothing");
		break;
	case FTS_DC:
		scan_error(entry->fts_path, "it is a folder that lies within itself");
		break;
	case FTS_DEFAULT:
		scan_error(entry->fts_path, "it is no regular file, and was not opened");
		break;
	default: /* FTS_DNR, FTS_NS, FTS_ERR */
		scan_error(entry->fts_path, strerror(entry->fts_errno));
		if (!entry->fts_level &&
		    (entry->fts_errno == ENOENT || entry->fts_errno == ENOTDIR))
			scan.failed = true;
	}
}

static void path_scan(char *path)
{
	char *const paths[] = { path, NULL };
	FTS *walk;
	FTSENT *entry;

	errno = 0;
	walk = *path ? fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, entry_order) :
		       NULL;
	if (!walk) {
		scan_error(path, strerror(*path ? errno : ENOENT));
		scan.failed = true;
		return;
	}
	while ((entry = fts_read(walk)))
		entry_scan(walk, entry);
	if (errno)
		scan_error(path, strerror(errno));
	fts_close(walk);
}

static bool has_inode(const char *path, unsigned long inode)
{
	struct stat status;

	return !stat(path, &status) && status.st_ino == inode;
}

/* A mapped file: as mapped where we may, or by its name as the process sees it. */
static void mapping_scan(pid_t pid, const char *range, unsigned long inode, const char *path)
{
	char mapped[64], through[PATH_MAX + 32];

	snprintf(mapped, sizeof(mapped), "/proc/%d/map_files/%.40s", pid, range);
	if (!access(mapped, R_OK)) {
		file_scan(path, mapped, false, true);
		return;
	}
	if (strlen(path) > 10 && !strcmp(path + strlen(path) - 10, " (deleted)")) {
		scan_error(path, "it was deleted or replaced since");
		return;
	}
	/* The kernel names it from our root if it lies there: the inode tells which of the two it is. */
	snprintf(through, sizeof(through), "/proc/%d/root%s", pid, path);
	if (access(through, R_OK) || (has_inode(path, inode) && !has_inode(through, inode)))
		snprintf(through, sizeof(through), "%s", path);
	file_scan(path, through, false, true);
}

/* Libraries are looked up where the process does it, which may be a container. */
static void root_take(pid_t pid)
{
	char root[40];

	snprintf(root, sizeof(root), "/proc/%d/root", pid);
	if (!path_root_shared(pid))
		scan_needed_root(open(root, O_PATH | O_CLOEXEC | O_DIRECTORY));
}

static void pid_failed(pid_t pid, const char *why)
{
	char name[32];

	snprintf(name, sizeof(name), "process %d", pid);
	scan_error(name, why);
	scan.failed = true;
}

static void pid_scan(pid_t pid)
{
	char name[64], exe[PATH_MAX] = "", **seen = NULL, *line = NULL;
	size_t size = 0, count = 0, i;
	ssize_t length;
	FILE *maps;

	snprintf(name, sizeof(name), "/proc/%d/exe", pid);
	length = readlink(name, exe, sizeof(exe) - 1);
	if (length < 0) {
		bool there;

		i = (size_t)errno;
		snprintf(name, sizeof(name), "/proc/%d", pid);
		there = !access(name, F_OK);
		pid_failed(pid, !there ? "there is no such process" :
				i == ENOENT ?
					 "it has no executable: it has ended, or is the kernel's" :
					 strerror((int)i));
		return;
	}
	exe[length] = '\0';
	file_scan(exe, name, true, true);
	snprintf(name, sizeof(name), "/proc/%d/maps", pid);
	maps = fopen(name, "re");
	if (!maps) {
		pid_failed(pid, strerror(errno));
		return;
	}
	while (getline(&line, &size, maps) > 0) {
		char range[48], rights[8], *path = strchr(line, '/');
		unsigned long inode;

		if (!path || sscanf(line, "%47s %7s %*s %*s %lu", range, rights, &inode) != 3 ||
		    !strchr(rights, 'x'))
			continue;
		path[strcspn(path, "\n")] = '\0';
		for (i = 0; i < count && strcmp(seen[i], path); i++)
			;
		if (i < count || !strcmp(path, exe))
			continue;
		seen = realloc(seen, (count + 1) * sizeof(*seen));
		if (!seen)
			abort();
		seen[count++] = scan_copy(path);
		mapping_scan(pid, range, inode, path);
	}
	fclose(maps);
	free(line);
	for (i = 0; i < count; i++)
		free(seen[i]);
	free(seen);
}

static int pid_option(const char *argument, pid_t *pid)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(argument, &end, 10);
	if (!isdigit((unsigned char)*argument) || *end || errno || value < 1 || value > INT_MAX) {
		complain("--pid %s: not a process id", argument);
		return STATUS_FAILED;
	}
	*pid = (pid_t)value;
	return 0;
}

static int scan_main(int argc, char **argv)
{
	struct output output = { 0 };
	int option, status = 0;
	pid_t pid = 0;

	while (!status && (option = option_next(&scan_command, argc, argv)) != OPTION_END) {
		if (option == OPTION_BAD)
			status = STATUS_FAILED;
		else if (option == OPTION_FOLLOW_NEEDED)
			scan.follow = true;
		else if (option == OPTION_PID)
			status = pid_option(optarg, &pid);
		else
			status = output_option(&output, option, optarg);
	}
	if (status)
		return status;
	if (optind == argc && !pid) {
		complain("no path; write PATH..., or --pid PID");
		return STATUS_FAILED;
	}
	if (output_open(&output, stdout))
		return STATUS_FAILED;
	scan.output = &output;
	scan.rows = output;
	scan.progress = isatty(STDERR_FILENO);
	if (scan.progress)
		scan.rows.file = open_memstream(&scan.text, &scan.size);
	if (!scan.rows.file)
		abort();
	if (pid) {
		root_take(pid);
		pid_scan(pid);
		scan_needed_root(-1);
	}
	for (; optind < argc; optind++)
		path_scan(argv[optind]);
	scan_print_totals(&scan.rows, &scan.totals);
	rows_flush();
	if (scan.progress) {
		fclose(scan.rows.file);
		free(scan.text);
	}
	scan_libraries_free();
	if (scan.failed || (scan.totals.errors && !scan.totals.elf && !scan.totals.no_elf))
		status = STATUS_FAILED;
	return output_close(&output) ? STATUS_FAILED : status;
}

const struct command scan_command = {
	.name = "scan",
	.summary = "tell what can be preloaded, and how programs and libraries fork",
	.operands = "[PATH]...",
	.options = options,
	.description = description,
	.exits = exits,
	.examples = examples,
	.run = scan_main,
};
