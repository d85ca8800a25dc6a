/* SPDX-License-Identifier: MIT */
/*
 * atfork_order WHAT: which handlers run, and in what order, each process says by letters:
 *
 *   plain      three sets, some of whose handlers are NULL
 *   register   handlers that register others while they run, then a second fork
 *   remove     handlers that unload the plugin, whose handlers are registered between others
 *   removed    the plugin is unloaded before the fork
 *   late       a thread's prepare handler waits, while main registers more and forks
 *   nested     a prepare, a parent and a child handler that fork themselves, once
 *   jump       handlers that jump out, of prepare and of parent; main goes on to misuse a lock
 *   threads    two threads that fork at the same time, each with an order of its own
 *   full       registers until there is no memory, then forks
 *   daemon, forkpty, system, popen, posix_spawn, wordexp
 */
#include <pty.h>
#include <setjmp.h>
#include <spawn.h>
#include <sys/resource.h>
#include <wordexp.h>

#include "atfork.h"

HANDLERS(a, 'A', 'a', '1')
HANDLERS(b, 'B', 'b', '2')
HANDLERS(c, 'C', 'c', '3')

static void *plugin;

static void register_prepare(void)
{
	note('R');
	REGISTER(b);
}

static void register_parent(void)
{
	note('r');
	REGISTER(c);
}

static void register_child(void)
{
	note('0');
	REGISTER(c);
}

static void unload(void)
{
	note('U');
	if (plugin)
		dlclose(plugin);
	plugin = NULL;
}

static int depth, later;

static void nest(void)
{
	pid_t pid;

	note('(');
	if (!depth++) {
		if (!later++)
			REGISTER(c);
		pid = fork();
		if (pid == 0) {
			note('N');
			print_noted("nested");
			_exit(0);
		}
		print_status("nested", 0, wait_for(pid));
	}
	depth--;
	note(')');
}

static int at_hold[2], go_on[2];
static __thread int holds;

static void hold(void)
{
	char byte;

	note('H');
	if (holds && (write(at_hold[1], "x", 1) != 1 || read(go_on[0], &byte, 1) != 1))
		exit(93);
}

static void *late_fork(void *unused)
{
	holds = 1;
	fork_once();
	return unused;
}

static void run_late(void)
{
	pthread_t thread;
	char byte;

	pthread_atfork(hold, NULL, NULL);
	REGISTER(b);
	if (pipe(at_hold) || pipe(go_on) || pthread_create(&thread, NULL, late_fork, NULL) ||
	    read(at_hold[0], &byte, 1) != 1)
		exit(92);
	REGISTER(c);
	fork_once();
	if (write(go_on[1], "x", 1) != 1)
		exit(91);
	pthread_join(thread, NULL);
}

static jmp_buf before;
static int jumps;

static void jump(void)
{
	note('J');
	if (++jumps == 1 || jumps == 3)
		longjmp(before, 1);
}

static void stay(void)
{
	note('j');
}

static void run_jump(void)
{
	pthread_mutex_t mutex = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;
	pid_t volatile pid = -1;

	pthread_atfork(jump, jump, stay);
	REGISTER(b);
	while (setjmp(before))
		;
	expect(pthread_mutex_unlock(&mutex) == EPERM, "EPERM");
	if (jumps < 3)
		pid = fork();
	if (pid == 0)
		_exit(0);
	print_noted("jumped");
	fork_once();
}

/* A process of its own, so that what it prints comes in order. */
static void *forks(void *data)
{
	int i;

	for (i = 0; i < 100; i++) {
		pid_t pid = fork();

		if (pid == 0)
			_exit(0);
		if (wait_for(pid))
			*(int *)data = 1;
	}
	return NULL;
}

/* Of each thread: prepare b, prepare a, parent a, parent b, again and again. */
static __thread unsigned step;
static int out_of_order;

static void step_expect(unsigned which)
{
	if (step++ % 4 != which)
		out_of_order = 1;
}

static void step_0(void)
{
	step_expect(0);
}

static void step_1(void)
{
	step_expect(1);
}

static void step_2(void)
{
	step_expect(2);
}

static void step_3(void)
{
	step_expect(3);
}

static void run_threads(void)
{
	int failed = 0, i;
	pthread_t thread[2];

	pthread_atfork(step_1, step_2, NULL);
	pthread_atfork(step_0, step_3, NULL);
	for (i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, forks, &failed);
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	printf("threads: %s, %s\n", failed ? "failed" : "forked",
	       out_of_order ? "out of order" : "in order");
}

static unsigned prepared;

static void count_prepared(void)
{
	prepared++;
}

static void run_full(void)
{
	struct rlimit limit, small;
	unsigned registered = 0;
	int result, error;
	pid_t pid;

	getrlimit(RLIMIT_AS, &limit);
	small = limit;
	small.rlim_cur = 1;
	setrlimit(RLIMIT_AS, &small);
	errno = 0;
	while (!(result = pthread_atfork(count_prepared, NULL, NULL)) && registered < 10000000)
		registered++;
	error = errno;
	setrlimit(RLIMIT_AS, &limit);
	printf("full: %s\n", strerror(result));
	(void)error; /* glibc's malloc sets it */
	pid = fork();
	if (pid == 0)
		_exit(0);
	print_status("child", 0, wait_for(pid));
	printf("prepared: %s\n", prepared == registered ? "all" : "not all");
}

static void run_daemon(void)
{
	int ends[2];
	char byte;
	pid_t pid;

	if (pipe(ends))
		exit(95);
	pid = fork();
	if (pid == 0) {
		noted_count = 0;
		daemon(1, 1);
		print_noted("daemon");
		_exit(0);
	}
	close(ends[1]);
	wait_for(pid);
	/* the daemon has the other end until it is gone */
	if (read(ends[0], &byte, 1))
		exit(94);
	print_noted("parent");
}

static void run_forkpty(void)
{
	int out = dup(1), terminal;
	pid_t pid = forkpty(&terminal, NULL, NULL, NULL);

	if (pid == 0) {
		dup2(out, 1);
		print_noted("child");
		_exit(0);
	}
	print_status("child", 0, wait_for(pid));
	print_noted("parent");
}

static void run_internal(const char *what)
{
	char *args[] = { "/bin/true", NULL };
	wordexp_t words;
	FILE *stream;
	pid_t pid;

	if (!strcmp(what, "system"))
		print_status("system", 0, system("exit 3"));
	if (!strcmp(what, "popen")) {
		stream = popen("exit 4", "r");
		print_status("popen", 0, pclose(stream));
	}
	if (!strcmp(what, "posix_spawn")) {
		expect(!posix_spawn(&pid, args[0], NULL, NULL, args, environ), "posix_spawn");
		print_status("posix_spawn", 0, wait_for(pid));
	}
	if (!strcmp(what, "wordexp")) {
		expect(!wordexp("$(echo word)", &words, 0), "wordexp");
		printf("%s\n", words.we_wordv[0]);
	}
	print_noted("parent");
}

int main(int argc, char **argv)
{
	const char *what = string_argument(argc, argv, 1, "plain");

	setvbuf(stdout, NULL, _IONBF, 0);
	if (!strcmp(what, "threads")) {
		run_threads();
		return victim_faults;
	}
	if (!strcmp(what, "full")) {
		run_full();
		return victim_faults;
	}
	REGISTER(a);
	if (!strcmp(what, "register")) {
		pthread_atfork(register_prepare, register_parent, register_child);
		fork_once();
	} else if (!strncmp(what, "remove", 6)) {
		plugin = plugin_open();
		plugin_register(plugin);
		REGISTER(b);
		if (!strcmp(what, "removed"))
			unload();
		else
			pthread_atfork(unload, NULL, NULL);
		fork_once();
		/* Its places are free now. */
		REGISTER(c);
	} else if (!strcmp(what, "jump")) {
		run_jump();
		return victim_faults;
	} else if (!strcmp(what, "late")) {
		run_late();
		return victim_faults;
	} else if (!strcmp(what, "nested")) {
		pthread_atfork(nest, nest, nest);
		REGISTER(b);
	} else {
		pthread_atfork(NULL, b_parent, NULL);
		pthread_atfork(c_prepare, NULL, c_child);
	}
	if (!strcmp(what, "daemon"))
		run_daemon();
	else if (!strcmp(what, "forkpty"))
		run_forkpty();
	else if (strchr("spw", *what) && strcmp(what, "plain"))
		run_internal(what);
	else
		fork_once();
	return victim_faults;
}
