/* SPDX-License-Identifier: MIT */
/*
 * A profile's file in memory: its form, and the way of sites from the box into it and back.
 */
#ifndef SPORK_IMAGE_H
#define SPORK_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "box.h"

/* The bytes of a file, or room for them: memory that is given back. Starts zeroed. */
struct image {
	struct box_header *header; /* NULL: none */
	uint64_t size;
};

/* Room for that many bytes, zeroed; false: there is no memory. */
bool image_open(struct image *image, uint64_t size);
void image_close(struct image *image);

/* Are these bytes a profile of this format, complete and unchanged? */
bool image_valid(const struct image *image);

/* Was a valid one written by this build of the shim, over this build of libc? */
bool image_is_ours(const struct image *image);

/* Puts the sites of a valid image into the box; false: one of them makes no sense, and none was. */
bool image_unpack(const struct image *image);

/* Opens an image of the box's sites that are worth keeping; false: there is no memory. */
bool image_pack(struct image *image);

#endif
