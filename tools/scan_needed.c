// SPDX-License-Identifier: MIT
/*
 * The libraries that a file needs: found as the loader finds them (DT_RPATH, DT_RUNPATH, the loader's cache, the
 * default folders), each read once. What LD_LIBRARY_PATH or a program's own dlopen() would add is not known here.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "scan.h"

#define MAX_LIBRARIES 16384
#define MAX_CLOSURE 4096
#define MAX_FOLDERS 64 /* of a search path */
#define MAX_CACHE ((size_t)64 << 20)

#if defined(__x86_64__)
#define MULTIARCH "x86_64-linux-gnu"
#elif defined(__aarch64__)
#define MULTIARCH "aarch64-linux-gnu"
#endif

static struct scan_library **library;
static int libraries;

/* Files that were printed before they were found to be needed. */
static struct seen {
	dev_t device;
	ino_t inode;
} * seen;
static size_t seen_count;

/* Below which paths of libraries are looked up; -1: our own root. */
static int below = -1;

static int open_path(const char *path, int flags)
{
	struct open_how how = { .flags = (unsigned)flags, .resolve = RESOLVE_IN_ROOT };

	return below < 0 ? open(path, flags) :
			   (int)syscall(SYS_openat2, below, path, &how, sizeof(how));
}

int scan_open(const char *path, bool follow)
{
	int fd = open(path, O_PATH | O_CLOEXEC | (follow ? 0 : O_NOFOLLOW));

	return fd < 0 ? -errno : file_reopen(fd, true);
}

static int library_open(const char *path)
{
	int fd = open_path(path, O_PATH | O_CLOEXEC);

	return fd < 0 ? -errno : file_reopen(fd, false);
}

/* /etc/ld.so.cache in the layout that glibc has written since 2.2. */
struct cache_header {
	char magic[20];
	uint32_t count, strings;
	uint32_t unused[5];
};

struct cache_entry {
	int32_t flags;
	uint32_t name, path, os;
	uint64_t hardware;
};

static struct {
	char *bytes;
	size_t size, start; /* of the header in it */
	const struct cache_header *header;
	bool read;
} cache;

static void cache_read(void)
{
	static const char magic[] = "glibc-ld.so.cache1.1";
	int fd = library_open("/etc/ld.so.cache");
	struct stat status;

	cache.read = true;
	if (fd < 0)
		return;
	if (!fstat(fd, &status) && (size_t)status.st_size < MAX_CACHE)
		cache.bytes = malloc((size_t)status.st_size + 1);
	if (cache.bytes && read(fd, cache.bytes, (size_t)status.st_size) == status.st_size) {
		char *at = memmem(cache.bytes, (size_t)status.st_size, magic, sizeof(magic) - 1);
		size_t left = at ? (size_t)status.st_size - (size_t)(at - cache.bytes) : 0;

		cache.bytes[status.st_size] = '\0';
		/* After a part in the old layout it is aligned. */
		if (left >= sizeof(*cache.header) && !((uintptr_t)at & 7)) {
			cache.header = (const struct cache_header *)at;
			cache.size = left;
			if (cache.header->count >
			    (left - sizeof(*cache.header)) / sizeof(struct cache_entry))
				cache.header = NULL;
		}
	}
	close(fd);
}

/* The next path for that name from entry `*at` on; NULL: no more. */
static const char *cache_next(const char *name, uint32_t *at)
{
	const char *base;

	if (!cache.read)
		cache_read();
	base = (const char *)cache.header;
	while (cache.header && *at < cache.header->count) {
		const struct cache_entry *entry =
			(const struct cache_entry *)(cache.header + 1) + (*at)++;

		/* Those with a hardware of their own are variants of one without. */
		if (entry->hardware || entry->name >= cache.size || entry->path >= cache.size)
			continue;
		if (!strcmp(base + entry->name, name))
			return base + entry->path;
	}
	return NULL;
}

/* Reads the library at that path, unless it was read: its index, or -1 where it is none for `user`. */
static int library_at(const char *path, const struct scan_file *user)
{
	struct scan_library *new;
	struct stat status;
	int fd = library_open(path), i;
	size_t at;

	if (fd < 0)
		return -1;
	if (fstat(fd, &status)) {
		close(fd);
		return -1;
	}
	for (i = 0; i < libraries; i++)
		if (library[i]->inode == status.st_ino && library[i]->device == status.st_dev)
			break;
	if (i == libraries && libraries < MAX_LIBRARIES) {
		/* In powers of two. */
		if (!(libraries & (libraries - 1)))
			library = realloc(library, (libraries ? 2 * (size_t)libraries : 1) *
							   sizeof(*library));
		new = calloc(1, sizeof(*new));
		if (!library || !new)
			abort();
		new->file.path = scan_copy(path);
		new->needed_by = scan_copy(user->path);
		new->device = status.st_dev;
		new->inode = status.st_ino;
		for (at = 0; at < seen_count && !new->printed; at++)
			new->printed = seen[at].inode == status.st_ino &&seen[at].device ==
				       status.st_dev;
		if (scan_file_read(&new->file, fd) == SCAN_NO_ELF)
			scan_problem(&new->file, "it is no ELF file");
		library[libraries++] = new;
	}
	close(fd);
	if (i == libraries || !library[i]->file.class || library[i]->file.class != user->class ||
	    library[i]->file.machine != user->machine)
		return -1;
	library[i]->used = true;
	return i;
}

/* One folder of a search path with its variables put in; false: it is too long. */
static bool folder_expand(char *to, size_t size, const char *from, size_t length,
			  const char *origin)
{
	static const char *const variables[] = { "$ORIGIN", "${ORIGIN}", "$LIB", "${LIB}" };
	size_t used = 0, i;

	while (length) {
		const char *value = NULL;
		size_t taken = 1;

		for (i = 0; *from == '$' && i < 4 && !value; i++) {
			if (strlen(variables[i]) > length ||
			    strncmp(from, variables[i], strlen(variables[i])))
				continue;
			value = i < 2 ? origin : "lib/" MULTIARCH;
			taken = strlen(variables[i]);
		}
		if (used + (value ? strlen(value) : 1) >= size)
			return false;
		if (value)
			memcpy(to + used, value, strlen(value));
		else
			to[used] = *from;
		used += value ? strlen(value) : 1;
		from += taken;
		length -= taken;
	}
	to[used] = '\0';
	return used;
}

/* The kernel names a file from our root, if it lies there; libraries are looked up from another. */
static void base_strip(char *path)
{
	char self[40], base[PATH_MAX];
	ssize_t length;

	if (below < 0)
		return;
	snprintf(self, sizeof(self), "/proc/self/fd/%d", below);
	length = readlink(self, base, sizeof(base));
	if (length > 1 && !strncmp(path, base, (size_t)length) && path[length] == '/')
		memmove(path, path + length, strlen(path + length) + 1);
}

/* The folder that a file lies in, as $ORIGIN has it: without links. */
static void origin_of(char *origin, const char *path)
{
	ssize_t length = -1;
	char self[40], *slash;
	int fd;

	snprintf(origin, PATH_MAX, "%s", path);
	base_strip(origin);
	fd = open_path(origin, O_PATH | O_CLOEXEC);
	if (fd >= 0) {
		snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
		length = readlink(self, origin, PATH_MAX - 1);
		close(fd);
	}
	if (length > 0) {
		origin[length] = '\0';
		base_strip(origin);
	}
	slash = strrchr(origin, '/');
	if (slash)
		slash[slash == origin] = '\0';
}

static int search(const char *paths, const struct scan_file *owner, const char *name,
		  const struct scan_file *user)
{
	char origin[PATH_MAX], folder[PATH_MAX], path[2 * PATH_MAX];
	int found = -1, folders;

	if (!paths)
		return -1;
	origin_of(origin, owner->path);
	for (folders = 0; found < 0 && folders < MAX_FOLDERS; folders++) {
		size_t length = strcspn(paths, ":");

		if (folder_expand(folder, sizeof(folder), paths, length, origin)) {
			snprintf(path, sizeof(path), "%s/%s", folder, name);
			found = library_at(path, user);
		}
		paths += length;
		if (!*paths++)
			break;
	}
	return found;
}

static int library_find(const char *name, const struct scan_file *user)
{
	static const char defaults[] = "/lib/" MULTIARCH ":/usr/lib/" MULTIARCH
				       ":/lib64:/usr/lib64:/lib:/usr/lib";
	const char *path;
	uint32_t at = 0;
	int found;

	if (strchr(name, '/')) {
		char origin[PATH_MAX], expanded[PATH_MAX];

		origin_of(origin, user->path);
		return folder_expand(expanded, sizeof(expanded), name, strlen(name), origin) ?
			       library_at(expanded, user) :
			       -1;
	}
	found = search(user->runpath ? NULL : user->rpath, user, name, user);
	if (found < 0)
		found = search(user->runpath, user, name, user);
	while (found < 0 && (path = cache_next(name, &at)))
		found = library_at(path, user);
	return found < 0 ? search(defaults, user, name, user) : found;
}

static void edges_find(struct scan_library *from)
{
	unsigned i;

	for (i = 0; !from->resolved && i < from->file.needed_count; i++)
		from->edge[i] = library_find(from->file.needed[i], &from->file);
	from->resolved = true;
}

static void link_add(struct scan_closure *closure, const struct scan_file *root,
		     const struct scan_file *user, unsigned needed, int index)
{
	const char *name = user->needed[needed];
	const struct scan_file *file;
	unsigned i;

	if (index < 0 && !root->runpath)
		index = search(root->rpath, root, name, user);
	/* A name is loaded once, and so is a file; loops end here. */
	for (i = 0; i < closure->count; i++)
		if (!strcmp(closure->link[i].name, name) ||
		    (index >= 0 && closure->link[i].library == library[index]))
			return;
	if (closure->count == MAX_CLOSURE)
		return;
	if (!closure->link)
		closure->link = calloc(MAX_CLOSURE, sizeof(*closure->link));
	if (!closure->link)
		abort();
	closure->link[closure->count++] = (struct scan_link){
		name,
		index < 0 ? NULL : library[index],
		user->path,
	};
	if (index < 0)
		return;
	file = &library[index]->file;
	closure->forks |= file->forks;
	closure->threads |= file->threads;
	closure->handlers |= file->family[FAMILY_ATFORK] > 0;
}

void scan_closure_read(struct scan_closure *closure, const struct scan_file *file)
{
	unsigned i, at;

	*closure = (struct scan_closure){
		.forks = file->forks,
		.threads = file->threads,
		.handlers = file->family[FAMILY_ATFORK] > 0,
	};
	for (i = 0; i < file->needed_count; i++)
		link_add(closure, file, file, i, library_find(file->needed[i], file));
	/* Breadth first, as the loader does. */
	for (at = 0; at < closure->count; at++) {
		struct scan_library *from = (struct scan_library *)closure->link[at].library;

		if (!from)
			continue;
		edges_find(from);
		for (i = 0; i < from->file.needed_count; i++)
			link_add(closure, file, &from->file, i, from->edge[i]);
	}
}

bool scan_closure_hazard(const struct scan_file *file, const struct scan_closure *closure)
{
	return closure ? closure->forks && closure->threads && !closure->handlers :
			 scan_file_hazard(file);
}

void scan_closure_free(struct scan_closure *closure)
{
	free(closure->link);
	memset(closure, 0, sizeof(*closure));
}

struct scan_library *scan_library_next(void)
{
	int i;

	for (i = 0; i < libraries; i++)
		if (!library[i]->printed && (library[i]->used || library[i]->file.problem[0])) {
			library[i]->printed = true;
			return library[i];
		}
	return NULL;
}

static struct scan_library *library_of(dev_t device, ino_t inode)
{
	int i;

	for (i = 0; i < libraries; i++)
		if (library[i]->inode == inode && library[i]->device == device)
			return library[i];
	return NULL;
}

void scan_library_seen(dev_t device, ino_t inode)
{
	struct scan_library *known = library_of(device, inode);

	if (known) {
		known->printed = true;
		return;
	}
	/* In powers of two. */
	if (!(seen_count & (seen_count - 1))) {
		seen = realloc(seen, (seen_count ? 2 * seen_count : 1) * sizeof(*seen));
		if (!seen)
			abort();
	}
	seen[seen_count++] = (struct seen){ device, inode };
}

bool scan_library_printed(dev_t device, ino_t inode)
{
	const struct scan_library *known = library_of(device, inode);

	return known && known->printed;
}

static void cache_free(void)
{
	free(cache.bytes);
	memset(&cache, 0, sizeof(cache));
}

void scan_needed_root(int fd)
{
	cache_free();
	if (below >= 0)
		close(below);
	below = fd;
}

void scan_libraries_free(void)
{
	int i;

	for (i = 0; i < libraries; i++) {
		scan_file_free(&library[i]->file);
		free(library[i]->needed_by);
		free(library[i]);
	}
	free(library);
	free(seen);
	cache_free();
	library = NULL;
	seen = NULL;
	libraries = seen_count = 0;
}
