// SPDX-License-Identifier: MIT
/*
 * Owns the file that `profile` names: when it is read and written, and whether it may be. Its form is
 * image.c's.
 *
 * A profile decides which memory of the process is put back, so it is trusted only if it belongs to the
 * same user and nobody else may write it. A site in it is found by build-ids alone. The file is replaced by
 * rename(), after what other processes have added to it meanwhile was read; whatever is not a profile is
 * left alone.
 */
#include "profile.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include "config.h"
#include "image.h"
#include "record.h"
#include "report.h"
#include "sys.h"
#include "thread.h"

#include "poison.h"

#define SAVE_INTERVAL_NS 5000000000ULL

enum { PROFILE_NEW, PROFILE_USED, PROFILE_LEFT_ALONE };

static char path[CONFIG_PATH_SIZE * 2];	 /* absolute; empty: none */
static char temporary[sizeof(path) + 8]; /* the file that takes its place; also the lock */
static int busy;
static long started; /* the process that this program was started as */

static const char *read_all(long fd, struct image *image)
{
	struct stat status;
	uint64_t done = 0;
	long got;

	if (fstat((int)fd, &status) || !S_ISREG(status.st_mode))
		return "is not a regular file";
	if (status.st_uid != (uid_t)SYS(geteuid))
		return "belongs to another user";
	if (status.st_mode & (S_IWGRP | S_IWOTH))
		return "can be written by others";
	if (status.st_size < BOX_HEADER_SIZE || (uint64_t)status.st_size > record_header()->size)
		return "is not a profile of this version of spork";
	if (!image_open(image, (uint64_t)status.st_size))
		return "is larger than memory allows";
	while (done < image->size) {
		got = SYS(read, fd, (char *)image->header + done, image->size - done);
		if (got <= 0)
			return "cannot be read";
		done += (uint64_t)got;
	}
	return image_valid(image) ? NULL : "is not a profile of this version of spork";
}

/* Takes the file in. NULL, or why it must be left alone. A file that does not exist is an empty one. */
static const char *load(bool *foreign)
{
	long fd = SYS(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
	struct image image = { 0 };
	const char *problem;

	*foreign = false;
	if (fd < 0)
		return fd == -ENOENT ? NULL : "cannot be opened";
	problem = read_all(fd, &image);
	SYS(close, fd);
	if (!problem) {
		*foreign = !image_is_ours(&image);
		if (!*foreign && !image_unpack(&image))
			problem = "is damaged";
	}
	image_close(&image);
	return problem;
}

/* Whoever has made the new file may save; one that is this old was left by somebody who was killed. */
#define LOCK_STALE_SECONDS 10
#define LOCK_TRIES 50
#define LOCK_WAIT_NS 1000000

static bool lock_stale(void)
{
	struct stat status;
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return !fstatat(AT_FDCWD, temporary, &status, AT_SYMLINK_NOFOLLOW) &&
	       now.tv_sec - status.st_mtime > LOCK_STALE_SECONDS;
}

/* A descriptor of the new file, or -errno. */
static long lock_take(bool wait)
{
	const int flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW;
	struct timespec pause = { 0, LOCK_WAIT_NS };
	long fd = -EEXIST;
	int i;

	for (i = 0; i < (wait ? LOCK_TRIES : 1) && fd == -EEXIST; i++) {
		if (i)
			SYS(nanosleep, &pause, NULL);
		fd = SYS(openat, AT_FDCWD, temporary, flags, 0600);
		if (fd == -EEXIST && lock_stale())
			SYS(unlinkat, AT_FDCWD, temporary, 0);
	}
	return fd;
}

/* Writes the new file and puts it in the old one's place. */
static const char *store(long fd, const struct image *image)
{
	const char *bytes = (const char *)image->header;
	uint64_t size = image->header->size, done = 0;
	struct rlimit limit;
	long put = 1;

	/* A write past RLIMIT_FSIZE raises SIGXFSZ. */
	if (getrlimit(RLIMIT_FSIZE, &limit) || limit.rlim_cur < size)
		return "would be larger than the limit of file sizes";
	while (done < size && put > 0) {
		put = SYS(write, fd, bytes + done, size - done);
		done += put > 0 ? (uint64_t)put : 0;
	}
	if (done < size || SYS(renameat2, AT_FDCWD, temporary, AT_FDCWD, path, 0))
		return "cannot be written";
	return NULL;
}

static void leave_alone(const char *problem)
{
	record_header()->profile = PROFILE_LEFT_ALONE;
	report_problem("profile", path, problem, "it is left as it is");
}

static const char *save(long fd)
{
	struct image image = { 0 };
	const char *problem;
	bool foreign;

	problem = load(&foreign);
	if (!problem && image_pack(&image))
		problem = store(fd, &image);
	image_close(&image);
	return problem;
}

/*
 * `wait`: for others who save, for a short while. A process that cannot make a file there has changed its
 * root or its user: it leaves saving to those that have not.
 */
static void save_if_changed(bool wait)
{
	struct box_header *header = record_header();
	uint64_t changes = __atomic_load_n(&header->changes, __ATOMIC_ACQUIRE);
	int error = errno;
	const char *problem;
	long fd;

	if (!path[0] || thread_words.window || header->profile != PROFILE_USED ||
	    changes == header->saved || __atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE))
		return;
	header->saved_ns = sys_now();
	fd = lock_take(wait);
	if (fd >= 0) {
		problem = save(fd);
		SYS(close, fd);
		if (problem) {
			SYS(unlinkat, AT_FDCWD, temporary, 0);
			leave_alone(problem);
		}
		__atomic_store_n(&header->saved, changes, __ATOMIC_RELEASE);
	}
	__atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
	errno = error;
}

void profile_save(void)
{
	save_if_changed(true);
}

void profile_save_leaving(void)
{
	if (path[0] && record_header()->changes != record_header()->saved && sys_pid() == started)
		profile_save();
}

void profile_save_soon(void)
{
	const struct box_header *header = record_header();

	if (path[0] && header->changes != header->saved &&
	    sys_now() - header->saved_ns > SAVE_INTERVAL_NS)
		save_if_changed(false);
}

/* May a file be made beside it? */
static bool folder_serves(void)
{
	char *end = strrchr(path, '/');
	long failed;

	*end = 0;
	failed = SYS(faccessat, AT_FDCWD, path[0] ? path : "/", W_OK | X_OK);
	*end = '/';
	return !failed;
}

/* The file's name must hold when the program goes elsewhere. */
static bool path_find(void)
{
	size_t size = 0;
	long got;

	if (!strcmp(config.profile, "none"))
		return false;
	if (config.profile[0] != '/') {
		got = SYS(getcwd, path, sizeof(path) - CONFIG_PATH_SIZE);
		if (got <= 0 || path[0] != '/') {
			path[0] = 0;
			return false;
		}
		size = (size_t)got - 1;
		path[size++] = '/';
	}
	strcpy(path + size, config.profile);
	strcpy(temporary, path);
	strcat(temporary, ".tmp");
	return true;
}

void profile_init(void)
{
	uint32_t fresh = PROFILE_NEW;
	const char *problem;
	bool foreign;

	started = sys_pid();
	/* One process of a session reads it, for all. */
	if (!path_find() ||
	    !__atomic_compare_exchange_n(&record_header()->profile, &fresh, PROFILE_USED, false,
					 __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return;
	problem = load(&foreign);
	if (problem)
		leave_alone(problem);
	else if (foreign)
		report_problem("profile", path, "was learned with another build of spork or libc",
			       "learning anew");
	else if (!folder_serves())
		report_problem("profile", path, "its folder does not exist or cannot be written",
			       "what is learned is not kept");
	else
		return;
	/* A tree of programs says it once. */
	config_drop("profile");
}
