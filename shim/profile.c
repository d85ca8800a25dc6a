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
#include "seccomp.h"
#include "sys.h"
#include "thread.h"

#include "poison.h"

#define SAVE_INTERVAL_NS 5000000000ULL

/* header->profile: what became of it. From PROFILE_LEFT_ALONE on: the reason. */
enum profile_state {
	PROFILE_NEW,
	PROFILE_USED,
	PROFILE_LEFT_ALONE,
	PROFILE_CLOSED = PROFILE_LEFT_ALONE, /* to us */
	PROFILE_FAILED,
	PROFILE_SPECIAL,
	PROFILE_FOREIGN,
	PROFILE_OPEN,
	PROFILE_UNKNOWN,
	PROFILE_LARGE,
	PROFILE_UNREAD,
	PROFILE_DAMAGED,
	PROFILE_UNWRITTEN,
};

static const char problems[][48] = {
	[PROFILE_CLOSED] = "cannot be opened",
	[PROFILE_FAILED] = "cannot be opened",
	[PROFILE_SPECIAL] = "is not a regular file",
	[PROFILE_FOREIGN] = "belongs to another user",
	[PROFILE_OPEN] = "can be written by others",
	[PROFILE_UNKNOWN] = "is not a profile of this version of spork",
	[PROFILE_LARGE] = "is larger than memory allows",
	[PROFILE_UNREAD] = "cannot be read",
	[PROFILE_DAMAGED] = "is damaged",
};

static char path[CONFIG_PATH_SIZE];	  /* absolute; empty: none */
static char temporary[sizeof(path) + 16]; /* the file that takes its place; also the lock */
static int busy CHILD_STATE;
static long started; /* the process that this program was started as */

static enum profile_state read_all(long fd, struct image *image)
{
	struct stat status;
	uint64_t done = 0;
	long got;

	if (!sys_stat((int)fd, "", AT_EMPTY_PATH, &status) || !S_ISREG(status.st_mode))
		return PROFILE_SPECIAL;
	if (status.st_uid != (uid_t)SYS(geteuid))
		return PROFILE_FOREIGN;
	if (status.st_mode & (S_IWGRP | S_IWOTH))
		return PROFILE_OPEN;
	if (!record_header()->size)
		return PROFILE_LARGE; /* not even a box had room */
	if (status.st_size < BOX_HEADER_SIZE || (uint64_t)status.st_size > record_header()->size)
		return PROFILE_UNKNOWN;
	if (!image_open(image, (uint64_t)status.st_size))
		return PROFILE_LARGE;
	while (done < image->size) {
		got = SYS(read, fd, (char *)image->header + done, image->size - done);
		if (got <= 0)
			return PROFILE_UNREAD;
		done += (uint64_t)got;
	}
	return image_valid(image) ? PROFILE_USED : PROFILE_UNKNOWN;
}

static enum profile_state open_failed(long error)
{
	switch (error) {
	case -ENOENT:
		return PROFILE_USED;
	case -EACCES:
	case -EPERM:
		return PROFILE_CLOSED;
	default:
		return PROFILE_FAILED;
	}
}

/* Takes the file in, or tells why it must be left alone. A file that does not exist is an empty one. */
static enum profile_state load(bool *foreign)
{
	long fd = SYS(openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0);
	struct image image = { 0 };
	enum profile_state state;

	*foreign = false;
	if (fd < 0)
		return open_failed(fd);
	state = read_all(fd, &image);
	SYS(close, fd);
	if (state == PROFILE_USED) {
		*foreign = !image_is_ours(&image);
		if (!*foreign && !image_unpack(&image))
			state = PROFILE_DAMAGED;
	}
	image_close(&image);
	return state;
}

/*
 * Whoever has made the new file may save; one that is this old was left by somebody who was killed, and so was
 * one from the future, by a clock that was set back since. One that is not as we make it is somebody's own.
 */
#define LOCK_STALE_SECONDS 10
#define LOCK_TRIES 50
#define LOCK_WAIT_NS 1000000
#define LOCK_MODE 0600U

static bool lock_stale(void)
{
	struct stat status;
	int64_t age;

	if (!sys_stat(AT_FDCWD, temporary, AT_SYMLINK_NOFOLLOW, &status) ||
	    (status.st_mode & ~LOCK_MODE) != S_IFREG || status.st_uid != (uid_t)SYS(geteuid))
		return false;
	age = (int64_t)(sys_clock(CLOCK_REALTIME) / 1000000000) - status.st_mtime;
	return age > LOCK_STALE_SECONDS || age < -LOCK_STALE_SECONDS;
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
		fd = SYS(openat, AT_FDCWD, temporary, flags, LOCK_MODE);
		if (fd == -EEXIST && lock_stale())
			SYS(unlinkat, AT_FDCWD, temporary, 0);
	}
	if (fd >= 0)
		SYS(fchmod, fd, LOCK_MODE);
	return fd;
}

/* Is the new file still the one that we made? One that was stopped for too long has lost it to another. */
static bool lock_held(long fd)
{
	struct stat ours, there;

	return sys_stat((int)fd, "", AT_EMPTY_PATH, &ours) &&
	       sys_stat(AT_FDCWD, temporary, AT_SYMLINK_NOFOLLOW, &there) &&
	       ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

/* False: the new file could not be written whole. */
static bool write_all(long fd, const struct image *image)
{
	const char *bytes = (const char *)image->header;
	uint64_t size = image->header->size, done = 0;
	struct rlimit limit;
	long put = 1;

	/* A write past RLIMIT_FSIZE raises SIGXFSZ. */
	if (getrlimit(RLIMIT_FSIZE, &limit) || limit.rlim_cur < size)
		return false;
	while (done < size && put > 0) {
		put = SYS(write, fd, bytes + done, size - done);
		done += put > 0 ? (uint64_t)put : 0;
	}
	return done == size;
}

/* Puts the new file in the old one's place. PROFILE_NEW: another process is about to. */
static enum profile_state store(long fd, const struct image *image)
{
	if (!write_all(fd, image))
		return PROFILE_UNWRITTEN;
	if (!lock_held(fd))
		return PROFILE_NEW;
	if (!SYS(renameat2, AT_FDCWD, temporary, AT_FDCWD, path, 0))
		return PROFILE_USED;
	return lock_held(fd) ? PROFILE_UNWRITTEN : PROFILE_NEW;
}

/* The new file has what the old one knows as well. PROFILE_NEW: it must be tried again. */
static enum profile_state save(long fd)
{
	struct image image = { 0 };
	enum profile_state state;
	bool foreign;

	state = load(&foreign);
	if (state == PROFILE_USED)
		state = image_pack(&image) ? store(fd, &image) : PROFILE_NEW;
	image_close(&image);
	return state;
}

/* Saves once; false: it is yet to be done. */
static bool save_locked(long fd)
{
	enum profile_state state = save(fd);

	if (state != PROFILE_USED && lock_held(fd))
		SYS(unlinkat, AT_FDCWD, temporary, 0);
	/* Nobody is told: by now descriptor 2 is the program's, whatever it may be. */
	if (state >= PROFILE_LEFT_ALONE)
		record_header()->profile = state;
	return state != PROFILE_NEW;
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
	long fd;

	if (!path[0] || thread_window_open() || header->profile != PROFILE_USED ||
	    changes == header->saved || seccomp_forbids_extras() ||
	    __atomic_exchange_n(&busy, 1, __ATOMIC_ACQUIRE))
		return;
	header->saved_ns = sys_now();
	fd = lock_take(wait);
	if (fd >= 0) {
		if (save_locked(fd))
			__atomic_store_n(&header->saved, changes, __ATOMIC_RELEASE);
		SYS(close, fd);
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
	if (path[0] && record_header()->changes != record_header()->saved && !seccomp_confined() &&
	    sys_pid() == started)
		profile_save();
}

void profile_save_soon(void)
{
	const struct box_header *header = record_header();

	if (path[0] && header->changes != header->saved &&
	    sys_now() - header->saved_ns > SAVE_INTERVAL_NS)
		save_if_changed(false);
}

void profile_after_fork(void)
{
	RESET(busy, 0);
}

/* Of the file's folder: may a file be made there? 0 or -errno. */
static long folder_look(struct stat *status)
{
	char *end = strrchr(path, '/');
	const char *folder = end == path ? "/" : path;
	long failed;

	*end = 0;
	failed = SYS(newfstatat, AT_FDCWD, folder, status, 0);
	if (!failed)
		failed = SYS(faccessat, AT_FDCWD, folder, W_OK | X_OK);
	*end = '/';
	return failed;
}

/*
 * Has this user no access because the folder is another's? Then the option was meant for the processes that
 * this one comes from, which have changed their user since, and nothing is said: it would land in the output
 * of programs that nobody asked about. A file or folder of our own that does not serve is a mistake, and told.
 */
static bool is_others(enum profile_state state)
{
	struct stat folder = { 0 };
	long failed = folder_look(&folder);
	bool closed = failed == -EACCES || failed == -EPERM;

	if (state != PROFILE_CLOSED && state != PROFILE_FOREIGN &&
	    (state != PROFILE_USED || !closed))
		return false;
	/* No links: even the folder cannot be looked at. */
	return !folder.st_nlink || folder.st_uid != (uid_t)SYS(geteuid);
}

START_TEXT bool profile_is_named(void)
{
	return strcmp(config.profile, "none");
}

/* A relative one would mean another file to each program that is executed elsewhere. */
static bool path_find(void)
{
	if (!profile_is_named())
		return false;
	if (config.profile[0] != '/') {
		report_problem("profile", config.profile, "is not an absolute path",
			       "no profile is used");
		config_drop("profile");
		return false;
	}
	strcpy(path, config.profile);
	strcpy(temporary, path);
	strcat(temporary, ".spork-new");
	return true;
}

/* False: it serves, and there is nothing to say. */
static bool complain(enum profile_state state, bool foreign)
{
	struct stat folder;

	if (is_others(state))
		return true;
	if (state != PROFILE_USED)
		report_problem("profile", path, problems[state], "it is left as it is");
	else if (foreign)
		report_problem("profile", path, "was learned with another build of spork or libc",
			       "learning anew");
	else if (folder_look(&folder))
		report_problem("profile", path, "its folder does not exist or cannot be written",
			       "what is learned is not kept");
	else
		return false;
	return true;
}

void profile_init(void)
{
	uint32_t fresh = PROFILE_NEW;
	enum profile_state state;
	bool foreign;

	if (!path_find())
		return;
	started = sys_pid();
	/* One process of a session reads it, for all. */
	if (!__atomic_compare_exchange_n(&record_header()->profile, &fresh, PROFILE_USED, false,
					 __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		return;
	state = load(&foreign);
	if (state != PROFILE_USED)
		record_header()->profile = state;
	/* A tree of programs says it once. */
	if (complain(state, foreign))
		config_drop("profile");
}
