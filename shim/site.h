/* SPDX-License-Identifier: MIT */
/*
 * Call sites of fork(): what learning knows of each, and whether it may take a fast tier.
 */
#ifndef SPORK_SITE_H
#define SPORK_SITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "box.h"
#include "unwind.h"

/* How the calling process got here, looked up at every spawn. */
struct site_visit {
	struct box_site *site; /* NULL: no room for it */
	uint64_t number;       /* how many spawns this site has seen, this one included */
	uint64_t shape;	       /* of the distances between the frames of its key */
	size_t extent;	       /* bytes from the caller's stack pointer to the last of them */
};

/* Looks up the site of the spawn call with these frames, innermost first, adding it if it is new. */
struct site_visit site_visit(uint32_t call, const struct unwind_frame *frame, unsigned frames);

/*
 * Shall the child of this fork be audited? At most one child of a site is at a time; one that takes
 * longer than its deadline refuses the site.
 */
bool site_audit_begin(struct box_site *site);

/* In the audited child. */
void site_audit_child(struct box_site *site);

/* The audit came to nothing, for a reason that tells nothing of the site. */
void site_audit_cancel(struct box_site *site);

/* What one audited child wrote, within what can be undone. */
struct site_writes {
	uint64_t shape; /* see struct site_visit */
	uint32_t returned;
	bool others;	  /* its parent had other threads */
	bool path;	  /* its calls came in an order that was not known */
	bool environment; /* replaced */
	bool got;    /* functions were bound for the first time: harmless wherever it happens */
	bool silent; /* a page of static data was written without being changed */
	uint32_t count;
	struct box_write write[BOX_SITE_WRITES];
	uint32_t stack_count;
	struct {
		uint32_t offset, size;
	} stack[BOX_SITE_STACK];
};

/*
 * An audit ended without a finding: adds its writes, for windows that open from now on. False: there is no
 * room for them, and the site is refused.
 */
bool site_audit_writes(struct box_site *site, const struct site_writes *writes);

/* Children of vfork() at this site write this, static data; windows save it from now on. */
void site_add_write(struct box_site *site, uintptr_t start, uintptr_t end);

/* And its transitions were added: the audit counts, and the site is promoted when there were enough. */
void site_audit_clean(struct box_site *site, const struct site_writes *writes);

/* Is the range within what was learned, rounded to WRITE_UNIT? */
bool site_knows(const struct box_site *site, const struct box_write *write);
/* The same for bytes of the stack from the caller's stack pointer on. */
bool site_knows_stack(const struct box_site *site, uint32_t offset, uint32_t size);

/*
 * Counts a window that had to start over as a real fork. A site where that is common is not worth its
 * windows, and is demoted; what an audit has learned from since does not count.
 */
void site_upgraded(struct box_site *site, enum spork_reason reason);

/* The same for a vfork() whose child broke its rules: nothing follows from it. */
void site_count_upgrade(struct box_site *site);

/* The exec after a clean audit failed: the audit does not count. */
void site_exec_failed(struct box_site *site);

/* A finding: the site stays on real forks. */
void site_refuse(struct box_site *site, enum spork_reason reason);

/* The same where it is known which function was called from where (NULL: none), or what was written. */
void site_refuse_for(struct box_site *site, enum spork_reason reason, const char *function,
		     uintptr_t where);

/*
 * The site is known already: what another process found against it, after this one had read the profile, holds
 * here too, whatever was learned here.
 */
void site_take_refusal(struct box_site *known, const struct box_site *told);

/* Counts a spawn at a promoted site that takes a real fork all the same. */
void site_fallback(struct box_site *site, enum spork_reason reason);

/* Counts a spawn that returned to its caller. */
void site_count(struct box_site *site, enum spork_tier tier, uint64_t duration_ns);

#endif
