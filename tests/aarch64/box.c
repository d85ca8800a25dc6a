/* SPDX-License-Identifier: MIT */
/*
 * box FILE: what a box holds, in one line for the guest's console: each site that forks (state, reason,
 * real forks + windows, the latter's upgrades), then the violations. The tool itself is not built for aarch64.
 */
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "box.h"

#define X(id, name, ...) name,
static const char *const states[] = { SPORK_SITE_STATES(X) };
static const char *const reasons[] = { SPORK_REASONS(X) };
static const char *const calls[] = { SPORK_CALLS(X) };
#undef X
#define VIOLATION(id, name, severity, when) name,
static const char *const violations[] = {
#include "violation.def"
};

static const char *name(const char *const *names, uint32_t count, uint32_t index)
{
	return index < count ? names[index] : "?";
}
#define NAME(names, index) name(names, sizeof(names) / sizeof(*(names)), index)

static void print_site(const struct box_site *site)
{
	printf("%s %s %s %llu+%llu", NAME(calls, site->call), NAME(states, site->state),
	       NAME(reasons, site->reason), (unsigned long long)site->by_tier[BOX_TIER_FORK],
	       (unsigned long long)site->by_tier[BOX_TIER_VFORK]);
	if (site->upgrades)
		printf(" upgrades %llu", (unsigned long long)site->upgrades);
	if (site->fallbacks)
		printf(" fallbacks %llu (%s)", (unsigned long long)site->fallbacks,
		       NAME(reasons, site->fallback_reason));
	printf("; ");
}

int main(int argc, char **argv)
{
	int fd = argc > 1 ? open(argv[1], O_RDONLY) : -1;
	const struct box_header *box;
	struct stat status;
	uint32_t i;

	if (fd < 0 || fstat(fd, &status) || (size_t)status.st_size < sizeof(*box))
		return 1;
	box = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (box == MAP_FAILED || box->magic != SPORK_BOX_MAGIC || box->version != SPORK_BOX_VERSION)
		return 1;
	for (i = 0; i < box->table[BOX_TABLE_SITE].used && i < BOX_CAPACITY_SITE; i++)
		print_site((const struct box_site *)((const char *)box +
						     box->table[BOX_TABLE_SITE].offset) +
			   i);
	for (i = 0; i < BOX_VIOLATION_COUNT; i++)
		if (box->violations[i])
			printf("%s x%llu; ", violations[i], (unsigned long long)box->violations[i]);
	printf("\n");
	return 0;
}
