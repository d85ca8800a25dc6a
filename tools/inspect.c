// SPDX-License-Identifier: MIT
/*
 * `spork inspect PID`: the command, and how a process is looked at. Who waits for whom inspect_graph.c knows, what is
 * wrong inspect_verdict.c says.
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
#define SETTLE_US 1000 /* between looks at whether threads that were stopped sleep again */
#define SETTLE_TRIES 1000
#define SPIN_LOOKS 8
#define LOOK_US 30000

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
	"known from its system call, the lock's memory and its stack. Where the shim is loaded, "
	"the locks that each thread holds are told as well, with where it took them, the locks that "
	"a fork left behind, and what the shim has found in that process.",
	"What was found comes first: deadlock, threads that wait for each other in a cycle; "
	"self-deadlock, a thread that waits for what it holds; orphan, a lock that a thread holds which "
	"the process does not have, for it was forked or the thread has ended; all-wait, every thread waits for "
	"something that only another could do; condition, the only thread waits for a condition; and, "
	"which may yet end well, vfork-stall, a thread that stands still until its vfork() child "
	"executes a program or ends, and join, one that waits for the end of another.",
	"Threads are stopped for a moment each, one after the other, as a debugger does; a call such "
	"as epoll_wait() may return EINTR in them. Where an ancestor runs the same program, its thread "
	"that held an orphaned lock is stopped like that, too. Nothing else in any process is changed. Semaphores, "
	"spin locks and locks held by readers keep no owner, so a cycle through one is seen only with "
	"the shim, or if all threads of the process wait.",
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
				thread->child = pids[j];
		}
		free(pids);
	}
}

static bool is_looked_at(const struct inspection *inspection, pid_t pid)
{
	size_t i;

	for (i = 0; i < inspection->threads; i++)
		if (inspection->thread[i].process == pid)
			return true;
	return false;
}

/*
 * A parent or child in the same memory, as vfork() and clone(CLONE_VM) make them: it may give back what is waited for
 * here, and have what nobody here has.
 */
static void sharing_find(struct inspection *inspection)
{
	pid_t *pids, pid = inspection->pid, parent = inspection->status.parent;
	size_t i, j, count;

	if (parent > 0 && proc_same_memory(parent, pid))
		inspection->sharing = parent;
	for (i = 0; i < inspection->threads && !inspection->sharing; i++) {
		if (inspection->thread[i].process != pid)
			continue;
		pids = proc_children(pid, inspection->thread[i].tid, &count);
		for (j = 0; j < count && !inspection->sharing; j++)
			if (proc_same_memory(pids[j], pid) && !is_looked_at(inspection, pids[j]))
				inspection->sharing = pids[j];
		free(pids);
	}
	if (!inspection->sharing)
		return;
	snprintf(inspection->sharing_note, sizeof(inspection->sharing_note),
		 "it shares its memory with process %d, %s: what is waited for here may be there",
		 (int)inspection->sharing,
		 inspection->sharing == parent ? "its parent" : "its child");
	inspection->note = inspection->sharing_note;
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
		stop = inspection->stop && thread->status.state != 'D' && !thread->status.tracer;
		traced |= thread->status.tracer != 0;
		error = stacks_take(inspection->stacks, thread->tid, &thread->call, stop,
				    &thread->stack);
		if (error == -EPERM || error == -EACCES)
			refused++;
	}
	if (refused)
		inspection->note =
			"threads could not be stopped (permission denied): stacks may be short";
	else if (inspection->status.state == 'T')
		inspection->note = "the process is stopped by a signal; SIGCONT lets it go on";
	else if (traced)
		inspection->note = "a debugger has the process: stacks may be short";
}

static void wait_fill(struct inspection *inspection, struct inspect_thread *thread)
{
	struct proc_status status;

	wait_read(thread, inspection->stacks, &inspection->maps);
	if (thread->wait.type == WAIT_VFORK && thread->child &&
	    proc_status(thread->child, thread->child, &status))
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

/* Is it where it was before it was stopped for a moment: asleep? On a machine that is busy it takes its time. */
static bool settled(const struct inspect_thread *thread)
{
	struct proc_call call;

	return !thread->stack.stopped || !thread->call.known || thread->call.running ||
	       proc_call(thread->process, thread->tid, &call) || (call.known && !call.running);
}

static void settle(const struct inspection *inspection)
{
	unsigned tries;
	size_t i = 0;

	for (tries = 0; tries < SETTLE_TRIES; tries++) {
		while (i < inspection->threads && settled(&inspection->thread[i]))
			i++;
		if (i == inspection->threads)
			return;
		usleep(SETTLE_US);
	}
}

/* One that takes a spin lock and gives it back without end is not inside each time. */
static bool spins_on(struct inspection *inspection, const struct inspect_thread *thread)
{
	struct inspect_stack stack = { 0 };
	bool spins = true;
	int i;

	for (i = 0; i < SPIN_LOOKS && spins; i++) {
		stacks_take(inspection->stacks, thread->tid, &thread->call, true, &stack);
		spins = wait_spins(thread, &stack);
		free(stack.frame);
		usleep(SETTLE_US);
	}
	return spins;
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

	snapshot_settle();
	settle(inspection);
	for (i = 0; i < inspection->threads; i++) {
		thread = &inspection->thread[i];
		if (proc_status(thread->process, thread->tid, &status))
			thread->status.switches = status.switches;
	}
	for (i = 0; i < inspection->threads; i++)
		wait_fill(inspection, &inspection->thread[i]);
	shim_read(inspection);
	usleep(LOOK_US);
	for (i = 0; i < inspection->threads; i++)
		inspection->thread[i].steady = wait_unchanged(inspection, &inspection->thread[i]) &&
					       (inspection->thread[i].wait.type != WAIT_SPIN ||
						spins_on(inspection, &inspection->thread[i]));
	shim_describe(inspection);
	graph_make(inspection);
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

	if (!proc_is_ours()) {
		complain(
			"/proc belongs to another pid namespace: its ids are not those of this one; mount one of this one's");
		return STATUS_FAILED;
	}
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
	snprintf(path, sizeof(path), "/proc/%d/exe", (int)proc_living(pid));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	error = fd < 0 ? errno : 0;
	if (fd >= 0 && read(fd, ident, sizeof(ident)) < 0)
		error = errno;
	if (fd >= 0)
		close(fd);
	if (!error)
		error = -proc_call(pid, proc_living(pid), &call);
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
		if (!proc_status(pid, pid, &status) || status.state == 'Z' || status.state == 'X')
			return process_ended(pid);
		complain("process %d does not use glibc, or is linked statically and stripped",
			 (int)pid);
		return STATUS_FAILED;
	}
	threads_add(inspection, pid);
	children_add(inspection);
	sharing_find(inspection);
	threads_number(inspection);
	stacks_read(inspection);
	waits_read(inspection);
	/* The first thread may have ended alone. */
	if (!inspection->threads || !proc_status(pid, pid, &status) ||
	    (status.state == 'Z' &&
	     (!proc_status(pid, inspection->thread[inspection->threads - 1].tid, &status) ||
	      status.state == 'Z')))
		return process_ended(pid);
	return 0;
}

static void inspection_free(struct inspection *inspection)
{
	size_t i;

	verdicts_free(inspection);
	relatives_close(inspection);
	threads_forget(inspection);
	shim_free(inspection);
	for (i = 0; i < inspection->threads; i++) {
		free(inspection->thread[i].stack.frame);
		free(inspection->thread[i].holder);
	}
	free(inspection->thread);
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
	verdicts_find(inspection);
	snapshot_settle();
	print(inspection, output);
	status = output_close(output);
	if (!status && verdicts_deadly(inspection))
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
	struct inspection inspection = { .stop = true };
	struct output output = { 0 };
	bool dot = false;
	int option, status = 0;

	while (!status && (option = option_next(&inspect_command, argc, argv)) != OPTION_END) {
		if (option == OPTION_BAD)
			status = STATUS_FAILED;
		else if (option == OPTION_NO_STOP)
			inspection.stop = false;
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
