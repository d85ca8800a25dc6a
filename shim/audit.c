// SPDX-License-Identifier: MIT
/*
 * The audit of one child. Runs in the child of a real fork, on its own memory; the window's undo buffers,
 * which such a child has no other use for, are its scratch space.
 *
 * The child first clones a twin, which never touches memory: what differs from it before exec is what the child wrote.
 */
#include "audit.h"

#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "audit_compare.h"
#include "automaton.h"
#include "entry.h"
#include "lean_site.h"
#include "memory.h"
#include "module.h"
#include "proc.h"
#include "record.h"
#include "report.h"
#include "site.h"
#include "thread.h"

#include "poison.h"

/* A child that takes longer to reach exec is waiting for something. */
#define AUDIT_DEADLINE_NS 500000000ULL

_Static_assert(sizeof(struct audit) <= UNDO_STACK, "the audit outgrew its scratch space");

static void twin_end(struct window *window)
{
	if (window->twin_pid) {
		/* It goes by itself, later: a sandbox that forbids this costs that time once. */
		if (sys_kill(window->twin_pid, SIGKILL))
			site_refuse_for(window->site, BOX_REASON_NO_TWIN, NULL, 0);
		while (SYS(wait4, window->twin_pid, NULL, __WALL, NULL) == -EINTR)
			;
	}
	window->twin_pid = 0;
}

/* For this reason, or none. */
static void audit_close(struct window *window, enum spork_reason reason)
{
	twin_end(window);
	if (reason && lean_site_goes_on(window, reason))
		return;
	window_drop(window);
}

enum spork_reason audit_refuses(enum spork_reason why)
{
	int adopts = 0;

	if (proc_status("TracerPid") > 0)
		return BOX_REASON_TRACED;
	/* The twin of a child that dies would become the parent's. */
	SYS(prctl, PR_GET_CHILD_SUBREAPER, &adopts);
	return adopts || sys_pid() == 1 ? BOX_REASON_SUBREAPER : why;
}

void audit_begin(struct window *window)
{
	sys_sigset mask = sys_sigmask(SYS_SIGNALS_ALL);
	uint64_t before = sys_now();
	long pid = entry_twin(sys_pid());

	sys_sigmask(mask);
	if (pid < 0) {
		audit_refuse(window, BOX_REASON_NO_TWIN, NULL, 0);
		return;
	}
	window->twin_pid = (int32_t)pid;
	site_audit_child(window->site);
	window->audit_ns = sys_now();
	RECORD_ADD(audit_ns, window->audit_ns - before);
}

/*
 * What a child of a promoted site does off the paths that were learned tells nothing of those: in a window it
 * would have given way before. Nor does a machine that is busy.
 */
static bool tells(const struct window *window, enum spork_reason finding)
{
	return __atomic_load_n(&window->site->state, __ATOMIC_ACQUIRE) != BOX_SITE_PROMOTED ||
	       (finding != BOX_REASON_DEADLINE && !automaton_is_new(window));
}

void audit_refuse(struct window *window, enum spork_reason reason, const char *function,
		  uintptr_t where)
{
	if (tells(window, reason))
		site_refuse_for(window->site, reason, function, where);
	else
		site_audit_cancel(window->site);
	audit_close(window, reason);
}

/* A site that had been promoted, and whose child nevertheless wrote something new, `place`. */
static void report_leak(struct audit *audit, const struct box_write *write, uintptr_t where,
			const char *place)
{
	struct box_violation violation;

	memset(&violation, 0, sizeof(violation));
	strcpy(violation.text, place);
	violation.kind = BOX_VIOLATION_REROUTE_LEAK;
	violation.call = audit->window->call + 1;
	violation.site = record_site_index(audit->window->site);
	violation.leak = *write;
	module_frame(where, &violation.lock);
	violation.stack_frames = unwind_box(0, violation.stack);
	violation.fork_frames = audit->window->site->frames;
	if (violation.fork_frames > BOX_SITE_FRAMES)
		violation.fork_frames = BOX_SITE_FRAMES;
	memcpy(violation.fork, audit->window->site->frame, sizeof(audit->window->site->frame));
	report_violation(&violation);
}

/* The first write that its parents' windows would not have put back; false: there is none. */
static bool find_leak(struct audit *audit)
{
	const struct site_writes *writes = &audit->writes;
	const struct box_site *site = audit->window->site;
	uint32_t i;

	/* A page that was written without a change, by lazy binding say, gave its parents nothing to see. */
	for (i = 0; i < writes->count; i++)
		if (writes->write[i].size && !site_knows(site, &writes->write[i]) &&
		    (audit->others || !undo_saves_always(&writes->write[i]))) {
			report_leak(audit, &writes->write[i], undo_address(&writes->write[i]),
				    writes->write[i].module ? "" : " in thread-local storage");
			return true;
		}
	/* With one thread the stack and environ come back whole. */
	if (audit->others && writes->stack_count && writes->shape == site->shape) {
		report_leak(audit, &(struct box_write){ .size = writes->stack[0].size },
			    audit->stack + writes->stack[0].offset, " on the stack");
		return true;
	}
	if (audit->others && writes->environment && !site->environment) {
		report_leak(audit, &(struct box_write){ .size = sizeof(environ) },
			    (uintptr_t)&environ, " (environ)");
		return true;
	}
	return false;
}

/* A finding on a site that had been promoted is a leak: its parents may have seen such a write. */
static void check_leak(struct audit *audit)
{
	if (audit->finding == BOX_REASON_WRITES_HEAP)
		report_leak(audit, &(struct box_write){ .size = 1 }, audit->found_at,
			    " in the heap");
	else if (!audit->finding && find_leak(audit))
		audit->finding = BOX_REASON_LEAK;
}

/* A word of the stack as it was at the fork: the twin has it. */
static bool twin_word(void *data, uintptr_t address, uintptr_t *word)
{
	const struct audit *audit = data;
	struct iovec local = { word, sizeof(*word) }, remote = { (void *)address, sizeof(*word) };

	return address >= audit->stack && SYS(process_vm_readv, audit->window->twin_pid, &local, 1,
					      &remote, 1, 0) == sizeof(*word);
}

/* A signal handler's own stack may lie anywhere, in a frame of the program's too. */
static bool on_signal_stack(void)
{
	stack_t stack;

	return !SYS(sigaltstack, NULL, &stack) && stack.ss_flags & SS_ONSTACK;
}

/* Which frames have returned, and whether the stack is the thread's own. */
static enum spork_reason look_at_stack(struct audit *audit)
{
	audit->returned = unwind_returned(twin_word, audit);
	if (audit->returned == UINTPTR_MAX && audit->others)
		return BOX_REASON_UNREADABLE;
	if (audit->returned != UINTPTR_MAX && audit->returned > audit->stack)
		audit->writes.returned = (uint32_t)(audit->returned - audit->stack);
	return audit->self && thread_stack(audit->self, audit->stack) && !on_signal_stack() ?
		       BOX_REASON_NONE :
		       BOX_REASON_UNKNOWN_STACK;
}

/* Does it write, or may it, what cannot be put back while other threads run? See undo_save(). */
static bool writes_static(const struct site_writes *writes)
{
	uint32_t i;

	for (i = 0; i < writes->count; i++)
		if (writes->write[i].module && (writes->write[i].size || writes->silent))
			return true;
	return false;
}

void audit_end(struct window *window)
{
	struct audit *audit = (struct audit *)window->undo.stack_words;
	uint64_t began = sys_now();
	int error = errno;

	memset(audit, 0, offsetof(struct audit, entry));
	audit->window = window;
	audit->page = sys_page();
	audit->self = thread_self();
	audit->stack = window->registers.stack;
	window->busy = true;
	audit->others = window->others;
	audit->writes.shape = window->shape;
	audit->writes.others = window->others;
	audit->finding = look_at_stack(audit);
	if (!audit->finding && began - window->audit_ns > AUDIT_DEADLINE_NS)
		audit->finding = BOX_REASON_DEADLINE;
	if (!audit->finding)
		audit_compare(audit);
	audit->writes.path = automaton_is_new(window);
	if (!audit->writes.path &&
	    __atomic_load_n(&window->site->state, __ATOMIC_ACQUIRE) == BOX_SITE_PROMOTED)
		check_leak(audit);
	/* With other threads alive it would close the fast tier to the paths that do not write. */
	if (!audit->finding && audit->others && !tells(window, BOX_REASON_NONE) &&
	    writes_static(&audit->writes))
		audit->finding = BOX_REASON_WRITES_STATIC;
	if (!audit->finding && !automaton_fits(window))
		audit->finding = BOX_REASON_CALLS_MANY;
	RECORD_ADD(audit_ns, sys_now() - began);
	if (audit->finding) {
		audit_refuse(window, audit->finding, NULL, audit->found_at);
	} else {
		if (site_audit_writes(window->site, &audit->writes)) {
			automaton_learn(window);
			site_audit_clean(window->site, &audit->writes);
		}
		audit_close(window, BOX_REASON_NONE);
	}
	errno = error;
}
