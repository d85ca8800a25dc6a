/* SPDX-License-Identifier: MIT */
/*
 * The wait of a parent whose vfork() child starts over as a real fork.
 */
#ifndef SPORK_VFORK_HOLD_H
#define SPORK_VFORK_HOLD_H

/*
 * Around the real fork that starts over: its parent waits as vfork() does, until the child executes or ends.
 * vfork_hold() before the fork; vfork_held_child() in the child; vfork_held_wait() in the parent.
 */
struct vfork_hold {
	int end[2];
};
void vfork_hold(struct vfork_hold *hold);
void vfork_held_child(const struct vfork_hold *hold);
void vfork_held_wait(const struct vfork_hold *hold, long pid);

/* In a child of any fork: it is not the one that is waited for. */
void vfork_hold_after_fork(void);

#endif
