// SPDX-License-Identifier: MIT
/*
 * `spork inspect PID`: who waits for whom in a process, and what will never end.
 *
 * Every thread waits for one thing at most, so the graph of who must act first is followed, not searched. Nothing is
 * called a deadlock unless its threads slept through a second look, in the same call: what comes and goes while it is
 * looked at is no deadlock.
 */
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "inspect.h"

#define STATUS_DEADLOCK 2
#define SETTLE_US 20000 /* until threads that were stopped for a moment sleep again */
#define LOOK_US 30000
#define ANCESTORS 8

enum { OPTION_NO_STOP = OPTION_OWN };

static const struct option_row options[] = {
	{ 'f', "format", "text|json|dot",
	  "print text (the default), json (one object a line) or dot" },
	{ 'O', "output", "FILE", "print to FILE instead of standard output" },
	{ OPTION_COLOR, "color", "auto|always|never",
	  "use colour; auto, the default: on a terminal without NO_COLOR" },
	{ OPTION_NO_STOP, "no-stop", NULL,
	  "stop no thread, not even for a moment; stacks may then be short" },
	SYMBOL_OPTIONS,
	{ 0 },
};

static const char *const description[] = {
	"Looks at a process that hangs: which threads it has, what each waits for, who holds that, and "
	"where in the program. It needs no preparation: without the shim, what a thread waits for is "
	"known from its system call, the lock's memory and its stack. Where the shim is loaded, what "
	"it found in that process is printed, too.",
	"What was found comes first: deadlock, threads that wait for each other in a cycle; "
	"self-deadlock, a thread that waits for what it holds; orphan, a lock that was held when the "
	"process was forked, by a thread that it does not have; all-wait, every thread waits for "
	"something that only another could do; condition, the only thread waits for a condition; and, "
	"which may yet end well, vfork-stall, a thread that stands still until its vfork() child "
	"executes a program or ends, and join, one that waits for the end of another.",
	"Threads are stopped for a moment each, one after the other, as a debugger does; a call such "
	"as epoll_wait() may return EINTR in them. Nothing else in the process is changed. Semaphores "
	"and locks held by readers keep no owner, so a cycle through one is seen only if all threads "
	"of the process wait.",
	NULL,
};

static const struct note environment[] = {
	{ "NO_COLOR", "If set and not empty, no colour is used unless asked for." },
	{ "DEBUGINFOD_URLS", "Servers to ask, with --debuginfod only." },
	{ 0 },
};

static const struct note exits[] = {
	{ "0", "No deadlock was found." },
	{ "2", "A deadlock was found: deadlock, self-deadlock, orphan, all-wait or condition." },
	{ "125", "The process could not be looked at, or the command line is wrong." },
	{ 0 },
};

static const struct note examples[] = {
	{ "spork inspect $(pgrep -n worker)", "See why the newest worker hangs." },
	{ "spork inspect -f dot 4711 | dot -Tsvg > graph.svg", "Draw who waits for whom." },
	{ 0 },
};

static const struct {
	const char *name;
	bool deadly;
} verdicts[VERDICT_COUNT] = {
	[VERDICT_DEADLOCK] = { "deadlock", true },   [VERDICT_SELF] = { "self-deadlock", true },
	[VERDICT_ORPHAN] = { "orphan", true },	     [VERDICT_ALL] = { "all-wait", true },
	[VERDICT_CONDITION] = { "condition", true }, [VERDICT_VFORK] = { "vfork-stall", false },
	[VERDICT_JOIN] = { "join", false },
};

const char *verdict_name(enum verdict_kind kind)
{
	return verdicts[kind].name;
}

bool verdict_deadly(enum verdict_kind kind)
{
	return verdicts[kind].deadly;
}

/*
 * Verdicts.
 */
static struct verdict *verdict_add(struct inspection *inspection, enum verdict_kind kind,
				   struct inspect_thread **threads, size_t count)
{
	struct verdict *verdict;

	verdict = realloc(inspection->verdict, (inspection->verdicts + 1) * sizeof(*verdict));
	if (!verdict)
		abort();
	inspection->verdict = verdict;
	verdict += inspection->verdicts++;
	*verdict = (struct verdict){ .kind = kind, .threads = count };
	verdict->thread = calloc(count, sizeof(*threads));
	if (!verdict->thread)
		abort();
	memcpy(verdict->thread, threads, count * sizeof(*threads));
	return verdict;
}

static bool in_verdict(const struct inspection *inspection, const struct inspect_thread *thread)
{
	size_t i, j;

	for (i = 0; i < inspection->verdicts; i++)
		for (j = 0; j < inspection->verdict[i].threads; j++)
			if (inspection->verdict[i].thread[j] == thread)
				return true;
	return false;
}

static bool any_deadly(const struct inspection *inspection)
{
	size_t i;

	for (i = 0; i < inspection->verdicts; i++)
		if (verdict_deadly(inspection->verdict[i].kind))
			return true;
	return false;
}

static struct inspect_thread *thread_find(const struct inspection *inspection, uint32_t inner)
{
	size_t i;

	for (i = 0; inner && i < inspection->threads; i++)
		if ((uint32_t)inspection->thread[i].status.inner == inner)
			return &inspection->thread[i];
	return NULL;
}

/* Will it wait until somebody does something? */
static bool stuck(const struct inspect_thread *thread)
{
	return thread->wait.type != WAIT_NONE && thread->wait.type != WAIT_FUTEX &&
	       !thread->wait.timed && thread->steady;
}

static void words_thread(FILE *file, const struct inspect_thread *thread)
{
	fprintf(file, "thread %d '%s'", (int)thread->tid, thread->status.name);
	if (thread->tid != thread->status.inner)
		fprintf(file, " (%d inside)", (int)thread->status.inner);
}

static void words_lock(FILE *file, const struct wait *wait)
{
	const struct place *place = &wait->place;

	if (wait->type == WAIT_VFORK || wait->type == WAIT_JOIN)
		return;
	if (wait->type == WAIT_HIDDEN)
		fprintf(file, "libc's %s lock", wait->class ? wait->class : "own");
	else
		fprintf(file, "%s%s%s %#llx", wait->trait, *wait->trait ? " " : "",
			wait_name(wait->type), (unsigned long long)wait->lock);
	if (place->symbol && place->into)
		fprintf(file, " (%s+%llu in %s)", place->symbol, (unsigned long long)place->into,
			path_base(place->module));
	else if (place->symbol)
		fprintf(file, " (%s in %s)", place->symbol, path_base(place->module));
	else if (place->module)
		fprintf(file, " (in %s)", path_base(place->module));
}

static void words_wait(FILE *file, const struct inspect_thread *thread)
{
	words_thread(file, thread);
	if (thread->wait.type == WAIT_VFORK) {
		fputs(" stands still in vfork()", file);
	} else if (thread->wait.type == WAIT_JOIN) {
		fputs(" waits for the end of", file);
	} else {
		fputs(" waits for ", file);
		words_lock(file, &thread->wait);
	}
}

static void words_frame(FILE *file, const struct inspect_stack *stack)
{
	unsigned i;

	for (i = 0; i < stack->frames; i++) {
		const char *symbol = stack->frame[i].place.symbol;

		if (symbol) {
			fprintf(file, "%s%s", symbol, strchr(symbol, '(') ? "" : "()");
			return;
		}
	}
	fputs("code that has no name", file);
}

/* A message, built as text; the caller ends it with words_end(). */
static FILE *words_begin(char **text, size_t *size)
{
	FILE *file = open_memstream(text, size);

	if (!file)
		abort();
	return file;
}

static char *words_end(FILE *file, char **text)
{
	if (fclose(file))
		abort();
	clean(*text);
	return *text;
}

static void cycle_found(struct inspection *inspection, struct inspect_thread *start)
{
	struct inspect_thread **list, *thread = start;
	enum verdict_kind kind;
	struct verdict *verdict;
	size_t count = 0, size, i;
	char *text;
	FILE *file;

	list = calloc(inspection->threads, sizeof(*list));
	if (!list)
		abort();
	do {
		if (!stuck(thread)) {
			free(list);
			return;
		}
		list[count++] = thread;
		thread = thread->on;
	} while (thread != start);
	kind = count == 1 ? VERDICT_SELF : VERDICT_DEADLOCK;
	verdict = verdict_add(inspection, kind, list, count);
	file = words_begin(&text, &size);
	for (i = 0; i < count; i++) {
		fputs(i ? "; " : "", file);
		words_wait(file, list[i]);
		if (kind == VERDICT_SELF) {
			fputs(", which it holds itself", file);
		} else {
			fputs(list[i]->wait.type == WAIT_JOIN  ? " " :
			      list[i]->wait.type == WAIT_VFORK ? " until something is done by " :
								 ", held by ",
			      file);
			words_thread(file, list[i]->on);
		}
	}
	verdict->message = words_end(file, &text);
	free(list);
}

static void cycles_find(struct inspection *inspection)
{
	uint32_t *seen = calloc(inspection->threads, sizeof(*seen)), round;
	struct inspect_thread *thread;
	size_t i;

	if (!seen)
		abort();
	for (i = 0; i < inspection->threads; i++) {
		round = (uint32_t)i + 1;
		for (thread = &inspection->thread[i]; thread && !seen[thread - inspection->thread];
		     thread = thread->on)
			seen[thread - inspection->thread] = round;
		if (thread && seen[thread - inspection->thread] == round)
			cycle_found(inspection, thread);
	}
	free(seen);
}

static bool same_program(pid_t one, pid_t other)
{
	struct stat first, second;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/exe", (int)one);
	if (stat(path, &first))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)other);
	return !stat(path, &second) && first.st_ino == second.st_ino &&
	       first.st_dev == second.st_dev;
}

/* What was opened of other processes, for as long as their stacks are printed. */
struct relative {
	struct proc_maps maps;
	struct stacks *stacks;
	struct inspect_thread thread;
};

/* The thread in a process, by what it is called inside; NULL: there is none. */
static struct relative *relative_thread(pid_t pid, uint32_t inner, bool stop)
{
	struct relative *relative = NULL;
	struct inspect_thread *thread;
	struct proc_status status;
	pid_t *tids;
	size_t count, i;

	tids = proc_threads(pid, &count);
	for (i = 0; i < count && !relative; i++) {
		if (!proc_status(pid, tids[i], &status) || (uint32_t)status.inner != inner)
			continue;
		relative = calloc(1, sizeof(*relative));
		if (!relative)
			abort();
		thread = &relative->thread;
		thread->process = pid;
		thread->tid = tids[i];
		thread->status = status;
		thread->wait.trait = "";
		proc_call(pid, tids[i], &thread->call);
		if (proc_maps_read(&relative->maps, pid))
			continue;
		relative->stacks = stacks_open(pid, &relative->maps);
		if (relative->stacks)
			stacks_take(relative->stacks, thread->tid, &thread->call,
				    stop && status.state != 'D', &thread->stack);
	}
	free(tids);
	return relative;
}

static bool stop_threads = true;

/* Who held it: the nearest ancestor of the same program that has a thread of this id. */
static void words_holder(FILE *file, const struct inspection *inspection, struct verdict *verdict,
			 uint32_t owner)
{
	struct proc_status status = inspection->status;
	struct relative *relative;
	int level;
	pid_t pid;

	for (level = 0; level < ANCESTORS && status.parent > 1; level++) {
		pid = status.parent;
		if (!same_program(pid, inspection->pid) || !proc_status(pid, pid, &status))
			break;
		if (!verdict->holder_process)
			verdict->holder_process = pid;
		if (!owner)
			break;
		relative = relative_thread(pid, owner, stop_threads);
		if (!relative)
			continue;
		verdict->holder_process = pid;
		verdict->holder = &relative->thread;
		fputs("; it is ", file);
		words_thread(file, &relative->thread);
		fprintf(file, " of process %d '%s', from which this one was forked", (int)pid,
			status.name);
		return;
	}
	if (owner > (uint32_t)inspection->status.inner)
		/* Ids go up: those of threads that were there at the fork are below the child's. */
		fputs("; it seems to have ended without giving it back", file);
	else if (verdict->holder_process && owner)
		fprintf(file,
			"; process %d, from which this one was forked, has no such thread any more",
			(int)verdict->holder_process);
	else if (verdict->holder_process)
		fprintf(file, "; this process was forked from process %d",
			(int)verdict->holder_process);
	else
		fputs("; the process from which this one was forked has ended", file);
}

/* A thread that was made since the list was read has a name there. */
static bool thread_exists(const struct inspection *inspection, uint32_t inner)
{
	struct proc_status status;
	bool exists = false;
	size_t count, i;
	pid_t *tids;

	if (thread_find(inspection, inner))
		return true;
	tids = proc_threads(inspection->pid, &count);
	for (i = 0; i < count && !exists; i++)
		exists = proc_status(inspection->pid, tids[i], &status) &&
			 (uint32_t)status.inner == inner;
	free(tids);
	return exists;
}

/* Is another thread inside a function that may hold one of these locks, or may be, for all that is known? */
static bool hidden_perhaps_held(const struct inspection *inspection,
				const struct inspect_thread *waiter)
{
	const struct inspect_thread *thread;
	size_t i;
	unsigned frame, held, taken;

	for (i = 0; i < inspection->threads; i++) {
		thread = &inspection->thread[i];
		if (thread == waiter)
			continue;
		if (!thread->stack.frames || thread->stack.frames == INSPECT_FRAMES)
			return true;
		for (frame = 0; frame < thread->stack.frames; frame++) {
			const struct known_call *known = thread->stack.frame[frame].known;

			/* It waits for the same. */
			if (!known || (thread->wait.type == WAIT_HIDDEN &&
				       thread->wait.lock == waiter->wait.lock))
				continue;
			for (held = 0; held < CALL_LOCKS; held++)
				for (taken = 0; taken < CALL_LOCKS; taken++)
					if (known->holds[held] &&
					    known->holds[held] == waiter->wait.hidden[taken])
						return true;
		}
	}
	return false;
}

static void orphan_look(struct inspection *inspection, struct inspect_thread *thread)
{
	struct wait *wait = &thread->wait;
	bool alone = inspection->threads == 1;
	struct verdict *verdict;
	char *text;
	size_t size;
	FILE *file;

	if (!stuck(thread) || wait->shared || !wait->word)
		return;
	switch (wait->type) {
	case WAIT_MUTEX:
	case WAIT_RWLOCK:
		if (wait->owner ? thread_exists(inspection, wait->owner) : !alone)
			return;
		break;
	case WAIT_HIDDEN:
		if (wait->owner && wait->known && thread_exists(inspection, wait->owner))
			return;
		if (!wait->owner && !alone && hidden_perhaps_held(inspection, thread))
			return;
		break;
	case WAIT_SPIN:
		if (!alone)
			return;
		break;
	default:
		return;
	}
	verdict = verdict_add(inspection, VERDICT_ORPHAN, &thread, 1);
	file = words_begin(&text, &size);
	words_wait(file, thread);
	if (wait->owner) {
		fprintf(file, ", held by a thread %u that this process does not have", wait->owner);
	} else if (wait->type == WAIT_RWLOCK) {
		fprintf(file, ", which is held for reading, and this is the only thread");
		/* Readers are not noted: it may be itself. */
		if (!same_program(inspection->status.parent, inspection->pid)) {
			verdict->kind = VERDICT_SELF;
			verdict->message = words_end(file, &text);
			return;
		}
	} else {
		fputs(", held by no thread that this process has", file);
	}
	/* verdict may move when others are added, not before */
	words_holder(file, inspection, verdict, wait->owner);
	verdict->message = words_end(file, &text);
}

/* What the shim has seen: it knows the holders of locks that keep no owner. */
static void shim_look(struct inspection *inspection)
{
	const struct view *view = inspection->view;
	const struct box_violation *violation;
	struct inspect_thread *thread;
	struct verdict *verdict;
	char *text;
	size_t size;
	FILE *file;
	uint32_t i;

	for (i = 0; view && i < view->box->slots[BOX_TABLE_VIOLATION]; i++) {
		violation = &view->box->violation[i];
		if (!view_violation(view, i) || violation->kind != BOX_VIOLATION_ORPHAN_DEADLOCK ||
		    violation->remedy != BOX_REMEDY_NONE)
			continue;
		thread = thread_find(inspection, violation->tid);
		if (!thread || !thread->steady || thread->wait.timed ||
		    in_verdict(inspection, thread) ||
		    (thread->wait.type != WAIT_HIDDEN && thread->wait.lock != violation->lock.addr))
			continue;
		verdict = verdict_add(inspection, VERDICT_ORPHAN, &thread, 1);
		file = words_begin(&text, &size);
		words_wait(file, thread);
		fprintf(file,
			", held when the process was forked by thread %u '%.15s' (the shim saw it)",
			violation->holder_tid, violation->holder_name);
		words_holder(file, inspection, verdict, violation->holder_tid);
		verdict->message = words_end(file, &text);
	}
}

static bool caught_signals(pid_t pid)
{
	char path[64], line[256];
	unsigned long long mask = 0;
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	file = fopen(path, "re");
	while (file && !found && fgets(line, sizeof(line), file))
		found = sscanf(line, "SigCgt: %llx", &mask) == 1;
	if (file)
		fclose(file);
	/* libc's own, for cancellation and set*id() */
	return !found || mask & ~(3ULL << 31);
}

/* Everybody waits, and what they wait for only a thread of this process could do. */
static void all_look(struct inspection *inspection)
{
	bool only = inspection->threads == 1, condition = false;
	struct inspect_thread **list, *thread;
	struct verdict *verdict;
	size_t i, size;
	char *text;
	FILE *file;

	for (i = 0; i < inspection->threads; i++) {
		thread = &inspection->thread[i];
		if (!stuck(thread) || thread->wait.shared || thread->process != inspection->pid ||
		    thread->wait.type == WAIT_SPIN || thread->wait.type == WAIT_VFORK)
			return;
		condition = thread->wait.type == WAIT_CONDITION;
	}
	/* A handler may post a semaphore; it may not signal a condition. */
	condition = condition && only;
	if (any_deadly(inspection) || (!condition && caught_signals(inspection->pid)))
		return;
	list = calloc(inspection->threads, sizeof(*list));
	if (!list)
		abort();
	for (i = 0; i < inspection->threads; i++)
		list[i] = &inspection->thread[i];
	verdict = verdict_add(inspection, condition ? VERDICT_CONDITION : VERDICT_ALL, list, i);
	free(list);
	file = words_begin(&text, &size);
	if (only) {
		words_wait(file, &inspection->thread[0]);
		fprintf(file, ", and there is no other thread that could %s",
			condition				    ? "signal it" :
			inspection->thread[0].wait.type == WAIT_SEM ? "post it" :
								      "let it go on");
	} else {
		fprintf(file,
			"all %zu threads wait for what only one of them could do, and no signal is handled",
			inspection->threads);
		for (i = 0; i < inspection->threads && i < 8; i++) {
			fputs("; ", file);
			words_wait(file, &inspection->thread[i]);
			if (inspection->thread[i].on) {
				fputs(inspection->thread[i].wait.type == WAIT_JOIN ? " " :
										     ", held by ",
				      file);
				words_thread(file, inspection->thread[i].on);
			}
		}
	}
	verdict->message = words_end(file, &text);
}

/* What holds things up, and may end. */
static void stall_look(struct inspection *inspection, struct inspect_thread *thread)
{
	enum wait_type type = thread->wait.type;
	struct verdict *verdict;
	char *text;
	size_t size;
	FILE *file;

	if (!stuck(thread) || (type != WAIT_VFORK && type != WAIT_JOIN) ||
	    in_verdict(inspection, thread))
		return;
	verdict = verdict_add(inspection, type == WAIT_VFORK ? VERDICT_VFORK : VERDICT_JOIN,
			      &thread, 1);
	file = words_begin(&text, &size);
	words_wait(file, thread);
	if (type == WAIT_VFORK && thread->on) {
		fprintf(file, " until its child %d executes a program or ends",
			(int)thread->on->tid);
		if (thread->on->wait.type) {
			fputs("; ", file);
			words_wait(file, thread->on);
		} else {
			fputs("; the child is in ", file);
			words_frame(file, &thread->on->stack);
		}
	} else if (type == WAIT_VFORK) {
		fputs(" until a child that was not found executes a program or ends", file);
	} else if (thread->on) {
		fputc(' ', file);
		words_thread(file, thread->on);
		if (thread->on->wait.type && thread->on->wait.type != WAIT_JOIN) {
			fputs("; ", file);
			words_wait(file, thread->on);
		}
	} else {
		fprintf(file, " thread %u, which this process does not have", thread->wait.word);
	}
	verdict->message = words_end(file, &text);
}

static void judge(struct inspection *inspection)
{
	size_t i;

	cycles_find(inspection);
	for (i = 0; i < inspection->threads; i++)
		if (!in_verdict(inspection, &inspection->thread[i]))
			orphan_look(inspection, &inspection->thread[i]);
	shim_look(inspection);
	all_look(inspection);
	for (i = 0; i < inspection->threads; i++)
		stall_look(inspection, &inspection->thread[i]);
}

/*
 * Looking.
 */
static struct inspect_thread *thread_add(struct inspection *inspection, pid_t pid, pid_t tid)
{
	struct inspect_thread *thread;

	/* Pointers into the array are made when it has all. */
	if (inspection->threads == inspection->room) {
		inspection->room = inspection->room ? 2 * inspection->room : 64;
		thread = realloc(inspection->thread, inspection->room * sizeof(*thread));
		if (!thread)
			abort();
		inspection->thread = thread;
	}
	thread = &inspection->thread[inspection->threads];
	memset(thread, 0, sizeof(*thread));
	thread->process = pid;
	thread->tid = tid;
	if (!proc_status(pid, tid, &thread->status) || thread->status.state == 'Z' ||
	    thread->status.state == 'X')
		return NULL;
	proc_call(pid, tid, &thread->call);
	inspection->threads++;
	return thread;
}

static void threads_add(struct inspection *inspection, pid_t pid)
{
	pid_t *tids;
	size_t count, i;

	tids = proc_threads(pid, &count);
	for (i = 0; i < count; i++)
		thread_add(inspection, pid, tids[i]);
	free(tids);
}

/* Its children in the same memory, which vfork() made: their threads stand in for those that wait for them. */
static void children_add(struct inspection *inspection)
{
	struct inspect_thread *thread;
	size_t i, j, count, before;
	pid_t *pids;

	for (i = 0; i < inspection->threads && inspection->threads < INSPECT_THREADS; i++) {
		wait_read(&inspection->thread[i], inspection->stacks, &inspection->maps);
		if (inspection->thread[i].wait.type != WAIT_VFORK)
			continue;
		pids = proc_children(inspection->thread[i].process, inspection->thread[i].tid,
				     &count);
		for (j = 0; j < count; j++) {
			if (!proc_same_memory(pids[j], inspection->pid))
				continue;
			before = inspection->threads;
			threads_add(inspection, pids[j]);
			thread = &inspection->thread[i];
			if (inspection->threads > before)
				thread->stack.argument = (uint64_t)pids[j];
		}
		free(pids);
	}
}

static void stacks_read(struct inspection *inspection)
{
	struct inspect_thread *thread;
	bool stop, traced = false;
	int error, refused = 0;
	size_t i;

	for (i = 0; i < inspection->threads; i++) {
		thread = &inspection->thread[i];
		/* One in an uninterruptible sleep would not stop. */
		stop = stop_threads && thread->status.state != 'D' && !thread->status.tracer;
		traced |= thread->status.tracer != 0;
		error = stacks_take(inspection->stacks, thread->tid, &thread->call, stop,
				    &thread->stack);
		if (error == -EPERM || error == -EACCES)
			refused++;
	}
	if (refused)
		inspection->note =
			"threads could not be stopped (permission denied): stacks may be short";
	else if (traced)
		inspection->note = "a debugger has the process: stacks may be short";
}

/* Its child is in no lock's memory: children_add() has left it. */
static void wait_fill(struct inspection *inspection, struct inspect_thread *thread)
{
	pid_t child = (pid_t)thread->stack.argument;
	struct proc_status status;

	wait_read(thread, inspection->stacks, &inspection->maps);
	if (thread->wait.type == WAIT_VFORK && !thread->stack.stopped && child > 0 &&
	    proc_status(child, child, &status))
		thread->wait.owner = (uint32_t)status.inner;
}

static bool wait_unchanged(struct inspection *inspection, const struct inspect_thread *thread)
{
	struct inspect_thread again = *thread;

	if (!thread->wait.type || !wait_same(thread))
		return false;
	wait_fill(inspection, &again);
	return again.wait.owner == thread->wait.owner && again.wait.word == thread->wait.word &&
	       again.wait.type == thread->wait.type;
}

/*
 * What the locks say is read between two looks at the threads. Those that slept from the first to the second had what
 * was read then, and could not give it back.
 */
static void waits_read(struct inspection *inspection)
{
	struct inspect_thread *thread;
	struct proc_status status;
	size_t i;

	usleep(SETTLE_US);
	for (i = 0; i < inspection->threads; i++) {
		thread = &inspection->thread[i];
		if (proc_status(thread->process, thread->tid, &status))
			thread->status.switches = status.switches;
	}
	for (i = 0; i < inspection->threads; i++)
		wait_fill(inspection, &inspection->thread[i]);
	for (i = 0; i < inspection->threads; i++)
		inspection->thread[i].on =
			thread_find(inspection, inspection->thread[i].wait.owner);
	usleep(LOOK_US);
	for (i = 0; i < inspection->threads; i++)
		inspection->thread[i].steady = wait_unchanged(inspection, &inspection->thread[i]);
}

/* 0, or STATUS_FAILED after a line of error. */
static int process_check(struct inspection *inspection)
{
	pid_t pid = inspection->pid;
	struct proc_call call;
	unsigned char ident[EI_NIDENT] = { 0 };
	size_t count = 0;
	char path[64];
	int fd, error;

	if (!proc_status(pid, pid, &inspection->status)) {
		complain("process %d: %s", (int)pid,
			 kill(pid, 0) && errno == ESRCH ? "there is no such process" :
							  "/proc does not show it");
		return STATUS_FAILED;
	}
	if (inspection->status.process && inspection->status.process != pid) {
		complain("%d is a thread of process %d; give that", (int)pid,
			 (int)inspection->status.process);
		return STATUS_FAILED;
	}
	if (inspection->status.kernel) {
		complain("process %d is a thread of the kernel", (int)pid);
		return STATUS_FAILED;
	}
	free(proc_threads(pid, &count));
	if (inspection->status.state == 'Z' && count <= 1) {
		complain(
			"process %d is a zombie: it has ended, and process %d has not waited for it",
			(int)pid, (int)inspection->status.parent);
		return STATUS_FAILED;
	}
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	error = fd < 0 ? errno : 0;
	if (fd >= 0 && read(fd, ident, sizeof(ident)) < 0)
		error = errno;
	if (fd >= 0)
		close(fd);
	if (!error)
		error = -proc_call(pid, pid, &call);
	if (error == EPERM || error == EACCES) {
		complain(
			"process %d: permission denied: it belongs to user %u, or the system allows "
			"looking at descendants only (kernel.yama.ptrace_scope); try as root",
			(int)pid, (unsigned)inspection->status.user);
		return STATUS_FAILED;
	}
	if (!memcmp(ident, ELFMAG, SELFMAG) &&
	    ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)) {
		complain("process %d is a %d-bit program, and this spork is not", (int)pid,
			 ident[EI_CLASS] == ELFCLASS64 ? 64 : 32);
		return STATUS_FAILED;
	}
	return 0;
}

static int process_ended(pid_t pid)
{
	complain("process %d ended while it was looked at", (int)pid);
	return STATUS_FAILED;
}

static int look(struct inspection *inspection)
{
	struct proc_status status;
	pid_t pid = inspection->pid;
	int error = proc_maps_read(&inspection->maps, pid);
	size_t i;

	if (error == -EACCES || error == -EPERM) {
		complain("process %d: permission denied", (int)pid);
		return STATUS_FAILED;
	}
	if (error || !inspection->maps.count)
		return process_ended(pid);
	for (i = 0; i < inspection->maps.count; i++)
		if (inspection->maps.map[i].path &&
		    !strncmp(path_base(inspection->maps.map[i].path), "ld-musl-", 8)) {
			complain(
				"process %d uses musl, whose locks are not known; only glibc's are",
				(int)pid);
			return STATUS_FAILED;
		}
	inspection->stacks = stacks_open(pid, &inspection->maps);
	if (!inspection->stacks || !stacks_have_glibc(inspection->stacks)) {
		if (!proc_status(pid, pid, &status))
			return process_ended(pid);
		complain("process %d does not use glibc, or is linked statically and stripped",
			 (int)pid);
		return STATUS_FAILED;
	}
	threads_add(inspection, pid);
	children_add(inspection);
	stacks_read(inspection);
	waits_read(inspection);
	if (!inspection->threads || !proc_status(pid, pid, &status) ||
	    (status.state == 'Z' && inspection->threads == 1))
		return process_ended(pid);
	return 0;
}

static void inspection_free(struct inspection *inspection)
{
	size_t i;

	for (i = 0; i < inspection->threads; i++)
		free(inspection->thread[i].stack.frame);
	free(inspection->thread);
	for (i = 0; i < inspection->verdicts; i++) {
		struct verdict *verdict = &inspection->verdict[i];
		struct relative *relative;

		free(verdict->message);
		free(verdict->thread);
		if (!verdict->holder)
			continue;
		relative = (struct relative *)((char *)(uintptr_t)verdict->holder -
					       offsetof(struct relative, thread));
		free(relative->thread.stack.frame);
		stacks_close(relative->stacks);
		proc_maps_free(&relative->maps);
		free(relative);
	}
	free(inspection->verdict);
	stacks_close(inspection->stacks);
	proc_maps_free(&inspection->maps);
}

typedef void printer(const struct inspection *, struct output *);

static int show(struct inspection *inspection, struct output *output, printer *print)
{
	struct view view = { .output = output, .pid = (uint32_t)inspection->status.inner };
	struct box box = { 0 };
	int status, fd;

	status = output_open(output, stdout);
	if (status)
		return status;
	fd = proc_box(inspection->pid, &inspection->maps);
	if (fd >= 0 && !box_load(&box, fd)) {
		view.box = &box;
		view.symbols = symbols_open(&box);
		inspection->view = &view;
	}
	judge(inspection);
	print(inspection, output);
	status = output_close(output);
	if (!status && any_deadly(inspection))
		status = STATUS_DEADLOCK;
	if (view.symbols)
		symbols_close(view.symbols);
	box_free(&box);
	if (fd >= 0)
		close(fd);
	return status;
}

static int pid_parse(int argc, char **argv, pid_t *pid)
{
	char *end;
	long number;

	if (optind + 1 != argc) {
		complain("%s; see 'spork inspect --help'",
			 optind == argc ? "no process was given" : "give one process at a time");
		return STATUS_FAILED;
	}
	errno = 0;
	number = strtol(argv[optind], &end, 10);
	if (errno || *end || end == argv[optind] || number <= 0 || number > INT32_MAX) {
		complain("%s: is not the id of a process", argv[optind]);
		return STATUS_FAILED;
	}
	*pid = (pid_t)number;
	if (*pid != getpid())
		return 0;
	complain("process %d is this very spork", (int)*pid);
	return STATUS_FAILED;
}

static int inspect_main(int argc, char **argv)
{
	struct inspection inspection = { 0 };
	struct output output = { 0 };
	bool dot = false;
	int option, status = 0;

	stop_threads = true;
	while (!status && (option = option_next(&inspect_command, argc, argv)) != OPTION_END) {
		if (option == OPTION_BAD)
			status = STATUS_FAILED;
		else if (option == OPTION_NO_STOP)
			stop_threads = false;
		else if (option == 'f' && !strcmp(optarg, "dot"))
			dot = true;
		else if (option == 'f' && strcmp(optarg, "text") && strcmp(optarg, "json")) {
			complain("--format %s: there is no such format; use text, json or dot",
				 optarg);
			status = STATUS_FAILED;
		} else
			status = display_option(&output, option, optarg);
	}
	if (!status)
		status = pid_parse(argc, argv, &inspection.pid);
	if (status)
		return status;
	symbol_begin();
	status = process_check(&inspection);
	if (!status)
		status = look(&inspection);
	if (!status)
		status = show(&inspection, &output,
			      dot	  ? inspect_dot :
			      output.json ? inspect_json :
					    inspect_text);
	inspection_free(&inspection);
	return status;
}

const struct command inspect_command = {
	.name = "inspect",
	.summary = "show what the threads of a process wait for, and deadlocks",
	.operands = "PID",
	.options = options,
	.description = description,
	.environment = environment,
	.exits = exits,
	.examples = examples,
	.run = inspect_main,
};
