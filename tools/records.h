/* SPDX-License-Identifier: MIT */
/*
 * What records of all types have in common, as JSON; how they look is told in records.c.
 */
#ifndef SPORK_RECORDS_H
#define SPORK_RECORDS_H

#include "tool.h"

/* Around the keys of one record, which is a line. */
void records_open(struct json *json, const char *type);
void records_close(struct json *json);

/* Nanoseconds since the session's start. */
uint64_t records_time(const struct box *box, uint64_t mono_ns);

/* The path of a module of the box, which owns it, or NULL. */
const char *records_module(const struct view *view, uint32_t index);

/* Members of an object that is open. */
void records_by_tier(struct json *json, const uint64_t *by_tier);
void records_place(struct json *json, const struct place *place);

/* The frames as an array, under this key; functions that are inlined have one each. */
void records_frames(const struct view *view, struct json *json, const char *key,
		    const struct box_frame *frame, uint32_t frames);
void records_stack(const struct view *view, struct json *json, const struct box_frame *frame,
		   uint32_t frames);

/* Values. A site goes by "module+0xoffset" of its innermost frame. */
void records_frame(const struct view *view, struct json *json, const struct box_frame *frame);
void records_site_id(const struct view *view, struct json *json, const struct box_site *site);

#endif
