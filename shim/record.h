/* SPDX-License-Identifier: MIT */
/*
 * Writing to the flight recorder. Every function may run in any tier of child, in a signal handler, and
 * before record_init(): what has no place is dropped and counted.
 */
#ifndef SPORK_RECORD_H
#define SPORK_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "box.h"

/* Opens or makes the box, unless there is one, and records this process. While the process has one thread. */
void record_init(void);

/* For a process in which the shim does nothing: records it in the box that the options name, if it is there. */
void record_passive(void);

/*
 * The process gives rights up, which others that share its box keep: from now on it has sites of its own, and they learn
 * nothing from it. Whoever gets hold of it must not choose what is put back in their memory. Spawns and violations are
 * recorded as before. In memory of its own; twice does nothing.
 */
void record_part(void);

/* The same, if it has no way back to the user that it was. */
void record_part_from_user(void);

/* Index of this module in the box plus one, adding it if need be; 0: no room. */
uint32_t record_module(const struct box_module *module);

/* The site with this key, adding `fresh` if need be; NULL: no room. */
struct box_site *record_site(const struct box_site *fresh);
uint32_t record_site_index(const struct box_site *site); /* plus one; 0 for NULL */

/*
 * Counts a violation. True: the first of its hash in this box, and now recorded, so it is to be printed.
 */
bool record_violation(const struct box_violation *violation);

/* The record of one with this hash; NULL: there is none. */
const struct box_violation *record_violation_of(uint64_t hash);

/*
 * For who can tell more cheaply than by describing it that a violation occurs once more: `key` stands for it among
 * the processes that have their addresses from one program's start. After report_violation() it is remembered, with
 * the record of that hash, and from then on recalled, if it was not forgotten for others: true, with the record's
 * index plus one, or 0 where its table was full.
 */
bool record_recall(uint64_t key, uint32_t *index);
void record_remember(uint64_t key, uint64_t hash);

/* Counts it so often; `index` as above. */
void record_violation_again(enum spork_violation kind, uint32_t index, uint64_t times);

void record_event(const struct box_event *event);

/* Counts a place where a lock is taken that was held when the gate's limit was reached. */
void record_gate(const struct box_gate *gate);

/*
 * Record `index` (plus one) of a table; NULL where there can be none. Other processes write the box too:
 * what is in a record is not to be trusted, but where it is, is.
 */
void *record_at(enum spork_table table, uint32_t index);

/* Records of a table that were reserved so far. */
uint32_t record_used(enum spork_table table);

/* The header, for its counters. Never NULL: before record_init() it is a private one. */
struct box_header *record_header(void);

#define RECORD_ADD(counter, value)                                                                 \
	__atomic_add_fetch(&record_header()->counter, (value), __ATOMIC_RELAXED)

#endif
