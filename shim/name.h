/* SPDX-License-Identifier: MIT */
/*
 * Names of what the box holds. Pure: no state, no libc; may run anywhere.
 */
#ifndef SPORK_NAME_H
#define SPORK_NAME_H

#include "box.h"

/* Names of the enumerations in box.h; "?" where the value is out of range. */
const char *box_call_name(uint32_t call);
const char *box_tier_name(uint32_t tier);
const char *box_site_state_name(uint32_t state);
const char *box_reason_name(uint32_t reason);
const char *box_reason_text(uint32_t reason);
const char *box_violation_name(uint32_t kind);
const char *box_violation_when(uint32_t kind);
uint32_t box_violation_severity(uint32_t kind);	   /* enum spork_severity */
const char *box_severity_name(uint32_t severity);  /* "note", "warning", "error" */
const char *box_severity_title(uint32_t severity); /* the same in capitals */
const char *box_lock_type_name(uint32_t type);
const char *box_phase_name(uint32_t phase);
const char *box_signal_name(uint32_t signal); /* "SIGINT"; "" where it has only a number */

#endif
