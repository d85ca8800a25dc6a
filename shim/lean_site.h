/* SPDX-License-Identifier: MIT */
/*
 * Which sites take the lean tier: those whose children were seen to execute a program soon, whatever else they do.
 */
#ifndef SPORK_LEAN_SITE_H
#define SPORK_LEAN_SITE_H

#include "box.h"
#include "hook.h"
#include "lean.h"
#include "window.h"

/* Why its children are not lean; BOX_REASON_NONE: they may be. */
enum spork_reason lean_site_refuses(const struct box_site *site);

/* Are more of its children to be watched, up to exec? */
bool lean_site_learns(const struct box_site *site);

/* A watched child calls something, executes, or could not. The window may be closed. */
void lean_site_call(struct window *window, enum hook hook, enum spork_reason reason);
void lean_site_executes(struct window *window);
void lean_site_exec_failed(struct window *window);

/*
 * An audited child did something that rules out shared memory for its site, for this reason: is it to be watched further?
 * Its window is one of WINDOW_TRIAL then.
 */
bool lean_site_goes_on(struct window *window, enum spork_reason reason);

/* In the parent: a lean child of the site has come to this. `resident`: pages that its parent had. */
void lean_site_count(struct box_site *site, const struct lean_outcome *outcome, uint64_t resident);

#endif
