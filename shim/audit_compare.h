/* SPDX-License-Identifier: MIT */
/*
 * What has an audited child written? Its memory, compared with its twin's.
 */
#ifndef SPORK_AUDIT_COMPARE_H
#define SPORK_AUDIT_COMPARE_H

#include "site.h"
#include "window.h"

struct audit {
	struct window *window;
	struct thread *self;
	struct site_writes writes;
	enum spork_reason finding;
	uintptr_t found_at; /* what `finding` is about */
	uintptr_t stack;    /* the caller's stack pointer */
	uintptr_t returned; /* see undo.h */
	bool others;	    /* the parent has other threads */
	long pagemap;
	uintptr_t page; /* bytes a page */
	uint64_t entry[512];
	uint8_t theirs[ARCH_PAGE_MAX];
};

/* Fills in `writes`, or `finding` with why the site cannot share memory. In the child, on its scratch space. */
void audit_compare(struct audit *audit);

#endif
