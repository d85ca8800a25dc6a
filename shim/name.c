// SPDX-License-Identifier: MIT
/*
 * See name.h. Linked into the shim and into the tools, as text.c.
 */
#include "name.h"

#include <signal.h>

/* Arrays, not pointers: see rows in real.c. */
struct name {
	char name[24], text[96];
};

static const char call_names[][16] = {
#define X(id, name) name,
	SPORK_CALLS(X)
#undef X
};

static const char tier_names[][16] = {
#define X(id, name) name,
	SPORK_TIERS(X)
#undef X
};

static const char site_state_names[][16] = {
#define X(id, name) name,
	SPORK_SITE_STATES(X)
#undef X
};

static const struct name reason_names[] = {
#define X(id, name, text) { name, text },
	SPORK_REASONS(X)
#undef X
};

#define NOTE BOX_SEVERITY_NOTE
#define WARNING BOX_SEVERITY_WARNING
#define ERROR BOX_SEVERITY_ERROR
static const struct {
	char name[24], when[128];
	uint32_t severity;
} violation_names[] = {
#define VIOLATION(id, name, severity, when) { name, when, severity },
#include "violation.def"
#undef VIOLATION
};
#undef NOTE
#undef WARNING
#undef ERROR

static const char severity_names[][8] = { "note", "warning", "error" };
static const char severity_titles[][8] = { "NOTE", "WARNING", "ERROR" };
static const char lock_type_names[][8] = { "none", "mutex", "rwlock", "spin", "sem", "hidden" };

static const char phase_names[][8] = { "none", "prepare", "parent", "child" };

static const char signal_names[][12] = {
#define NAMED(name) [name] = #name
	NAMED(SIGHUP),	  NAMED(SIGINT),  NAMED(SIGQUIT),  NAMED(SIGILL),  NAMED(SIGTRAP),
	NAMED(SIGABRT),	  NAMED(SIGBUS),  NAMED(SIGFPE),   NAMED(SIGKILL), NAMED(SIGUSR1),
	NAMED(SIGSEGV),	  NAMED(SIGUSR2), NAMED(SIGPIPE),  NAMED(SIGALRM), NAMED(SIGTERM),
	NAMED(SIGSTKFLT), NAMED(SIGCHLD), NAMED(SIGCONT),  NAMED(SIGSTOP), NAMED(SIGTSTP),
	NAMED(SIGTTIN),	  NAMED(SIGTTOU), NAMED(SIGURG),   NAMED(SIGXCPU), NAMED(SIGXFSZ),
	NAMED(SIGVTALRM), NAMED(SIGPROF), NAMED(SIGWINCH), NAMED(SIGIO),   NAMED(SIGPWR),
	NAMED(SIGSYS),
#undef NAMED
};

#define PICK(table, index, member)                                                                 \
	((index) < sizeof(table) / sizeof(*(table)) ? (table)[index] member : "?")

const char *box_call_name(uint32_t call)
{
	return PICK(call_names, call, );
}

const char *box_tier_name(uint32_t tier)
{
	return PICK(tier_names, tier, );
}

const char *box_site_state_name(uint32_t state)
{
	return PICK(site_state_names, state, );
}

const char *box_reason_name(uint32_t reason)
{
	return PICK(reason_names, reason, .name);
}

const char *box_reason_text(uint32_t reason)
{
	return PICK(reason_names, reason, .text);
}

const char *box_violation_name(uint32_t kind)
{
	return PICK(violation_names, kind, .name);
}

const char *box_violation_when(uint32_t kind)
{
	return PICK(violation_names, kind, .when);
}

uint32_t box_violation_severity(uint32_t kind)
{
	return kind < BOX_VIOLATION_COUNT ? violation_names[kind].severity : BOX_SEVERITY_NOTE;
}

const char *box_severity_name(uint32_t severity)
{
	return PICK(severity_names, severity, );
}

const char *box_severity_title(uint32_t severity)
{
	return PICK(severity_titles, severity, );
}

const char *box_lock_type_name(uint32_t type)
{
	return PICK(lock_type_names, type, );
}

const char *box_phase_name(uint32_t phase)
{
	return PICK(phase_names, phase, );
}

const char *box_signal_name(uint32_t signal)
{
	const char *name = PICK(signal_names, signal, );

	return name[0] != '?' ? name : "";
}
