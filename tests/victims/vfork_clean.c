/* SPDX-License-Identifier: MIT */
/*
 * vfork_clean SHAPE: vfork children that do nothing wrong, in the shapes that programs give them. The shapes stand in
 * the table at the end; of each, what the parent sees is printed.
 */
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <ucontext.h>

#include "vfork.h"

static char path[PATH_MAX]; /* of the quick program, as a name with slashes or without */
static int output[2];
static char *const echo_args[] = { (char *)"echo", (char *)"from the child", NULL };
static char *const new_environment[] = { (char *)"OWN=1", NULL };
static char *const stop_args[] = { (char *)"sh", (char *)"-c", (char *)"kill -STOP $$; exit 6",
				   NULL };

static void list(void)
{
	execl(program, "quick", "1", "2", NULL);
	_exit(127);
}

/* More arguments than registers, in the function that calls vfork(). */
static void many_arguments(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execl(program, "quick", "1", "2", "3", "4", "5", "6", "7", "8", "9", NULL);
		_exit(127);
	}
	KEEP();
	finish(pid);
}

static void child_closes(void)
{
	int file;

	for (file = 3; file < 1024; file++)
		close(file);
	execute();
}

static void closes(void)
{
	finish(start(child_closes));
}

pid_t __vfork(void) __attribute__((returns_twice));

static void other_name(void)
{
	pid_t pid = __vfork();

	if (pid == 0)
		execute();
	KEEP();
	finish(pid);
}

static void listed(void)
{
	finish(start(list));
}

/* All in the function that calls vfork(). */
static void inlined(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execv(program, program_args);
		_exit(127);
	}
	KEEP();
	finish(pid);
}

/* What a careful program does. */
static void child_setup(void)
{
	sigset_t none;
	int signal_number, null;

	for (signal_number = 1; signal_number < 32; signal_number++)
		if (signal_number != SIGKILL && signal_number != SIGSTOP)
			signal(signal_number, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(null, 0) != 0 || dup2(output[1], 1) != 1)
		_exit(126);
	close(null);
	close(output[0]);
	setpgid(0, 0);
	umask(022);
	if (chdir("/"))
		_exit(126);
	execve("/bin/echo", echo_args, new_environment);
	_exit(127);
}

static void on_signal(int number)
{
	(void)number;
}

static void careful(void)
{
	char text[64];
	sigset_t all, old;
	ssize_t size;
	pid_t pid;

	signal(SIGINT, on_signal);
	signal(SIGUSR2, on_signal);
	if (pipe2(output, O_CLOEXEC))
		exit(97);
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &old);
	pid = start(child_setup);
	sigprocmask(SIG_SETMASK, &old, NULL);
	close(output[1]);
	size = read(output[0], text, sizeof(text));
	printf("parent read: %.*s", (int)size, text);
	finish(pid);
	expect(signal(SIGUSR2, SIG_DFL) == on_signal, "the parent's handler");
	expect(getcwd(text, 2) == NULL, "the parent's folder");
}

static void child_environment(void)
{
	if (!getenv("PARENT"))
		_exit(1);
	execle("/bin/sh", "sh", "-c", "echo OWN $OWN PARENT $PARENT", NULL, new_environment);
	_exit(127);
}

static void environment(void)
{
	finish(start(child_environment));
	printf("parent sees PARENT %s\n", getenv("PARENT"));
}

static void child_failed(void)
{
	static const char message[] = "child: no such program\n";

	execve("/nonexistent/program", program_args, new_environment);
	if (errno != ENOENT || write(1, message, sizeof(message) - 1) < 0)
		_exit(1);
	_exit(127);
}

static void failed(void)
{
	finish(start(child_failed));
}

/* The child tells its parent why. */
static void failed_local(void)
{
	volatile int why = 0;
	pid_t pid = vfork();

	if (pid == 0) {
		execv("/nonexistent/program", program_args);
		why = errno;
		_exit(111);
	}
	KEEP();
	finish(pid);
	printf("parent sees %s\n", strerror(why));
}

static volatile int why_static;

static void child_failed_static(void)
{
	execv("/nonexistent/program", program_args);
	why_static = errno;
	_exit(111);
}

static void failed_static(void)
{
	finish(start(child_failed_static));
	printf("parent sees %s\n", strerror(why_static));
}

struct job {
	pid_t pid;
	int why;
};

static struct job *job; /* on the heap */

static void child_failed_heap(void)
{
	execv("/nonexistent/program", program_args);
	job->why = errno;
	_exit(111);
}

static void failed_heap(void)
{
	finish(start(child_failed_heap));
	printf("parent sees %s\n", strerror(job->why));
}

/* One exec fails and the next does not. */
static void child_retry(void)
{
	execv("/nonexistent/program", program_args);
	execute();
}

static void retry(void)
{
	finish(start(child_retry));
}

static void child_search(void)
{
	execvp("exit_static", program_args);
	_exit(127);
}

static void search(void)
{
	char list_of_folders[PATH_MAX + 100];

	strcpy(path, program);
	*strrchr(path, '/') = 0;
	sprintf(list_of_folders, "/nonexistent:/also/not:/etc/passwd:%s:/bin", path);
	setenv("PATH", list_of_folders, 1);
	finish(start(child_search));
}

static void search_nothing(void)
{
	setenv("PATH", "/nonexistent:/also/not", 1);
	finish(start(child_search));
}

/* Threads that use everything that is theirs, while another spawns. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static volatile unsigned long works[2][512];

static void *work(void *number)
{
	volatile unsigned long *own = works[(uintptr_t)number];
	unsigned long i;

	for (i = 1;; i++) {
		own[i % 512] = i;
		if (i % 1024)
			continue;
		pthread_mutex_lock(&mutex);
		works[0][0]++;
		pthread_mutex_unlock(&mutex);
		free(malloc(i % 4096));
	}
	return number;
}

static void *spawn_some(void *unused)
{
	int i;

	for (i = 0; i < 20; i++)
		expect(wait_for(start(i % 2 ? execute : child_retry)) == 0, "a child");
	return unused;
}

static void threads(void)
{
	pthread_t thread;
	uintptr_t i;

	for (i = 0; i < 2; i++)
		if (pthread_create(&thread, NULL, work, (void *)i))
			abort();
	if (pthread_create(&thread, NULL, spawn_some, NULL))
		abort();
	spawn_some(NULL);
	pthread_join(thread, NULL);
	printf("parent has spawned\n");
}

static void twice(void)
{
	pid_t first = start(execute), second = start(execute);

	finish(first);
	finish(second);
}

static void child_nested(void)
{
	int status = wait_for(start(execute));

	_exit(WIFEXITED(status) ? 20 + WEXITSTATUS(status) : 1);
}

static void nested(void)
{
	finish(start(child_nested));
}

static void child_unwaited(void)
{
	start(execute);
	execute();
}

static void nested_unwaited(void)
{
	finish(start(child_unwaited));
}

HELPER int deeper(int levels)
{
	volatile char frame[1024];

	frame[levels % 1024] = (char)levels;
	if (levels == 0)
		finish(start(execute));
	else
		deeper(levels - 1);
	return frame[levels % 1024];
}

static void deep(void)
{
	deeper(1000);
	printf("parent came back\n");
}

static int how_to_end;

static void child_signalled(void)
{
	kill(getpid(), how_to_end);
	_exit(1);
}

static void killed(void)
{
	static const int signals[] = { SIGKILL, SIGTERM, SIGUSR1, SIGALRM };
	int i;

	for (i = 0; i < COUNT(signals); i++) {
		how_to_end = signals[i];
		finish(start(child_signalled));
	}
}

static void child_crash(void)
{
	*(volatile int *)(uintptr_t)how_to_end = 1;
	_exit(1);
}

static void crash(void)
{
	struct rlimit none = { 0, 0 };

	setrlimit(RLIMIT_CORE, &none);
	how_to_end = 0;
	finish(start(child_crash));
}

static void child_end(void)
{
	_exit(how_to_end);
}

static void ends(void)
{
	static const int statuses[] = { 0, 1, 2, 42, 127, 128, 255 };
	int i;

	for (i = 0; i < COUNT(statuses); i++) {
		how_to_end = statuses[i];
		finish(start(child_end));
	}
}

static void child_meet(void)
{
	_exit(meet());
}

static void *release_late(void *unused)
{
	met();
	usleep(200000);
	release(5);
	return unused;
}

static void *terminate(void *unused)
{
	kill_one(met(), SIGTERM);
	return unused;
}

/* Sees the child stop and go on, while the one that called vfork() cannot. */
static void *continue_it(void *unused)
{
	pid_t pid = met();
	char name[64], line[256];
	int tries, file;
	ssize_t size;

	sprintf(name, "/proc/%d/stat", pid);
	for (tries = 0; tries < 2000; tries++) {
		file = open(name, O_RDONLY);
		size = read(file, line, sizeof(line) - 1);
		close(file);
		line[size > 0 ? size : 0] = 0;
		if (strstr(line, ") T "))
			break;
		usleep(1000);
	}
	printf("another thread sees it stopped: %d\n", tries < 2000);
	kill_one(pid, SIGCONT);
	return unused;
}

static void child_stop(void)
{
	pid_t self = getpid();

	if (write(told[1], &self, sizeof(self)) != sizeof(self))
		_exit(96);
	kill(self, SIGSTOP);
	_exit(6);
}

static void with_thread(void *(*other)(void *), void (*child)(void))
{
	pthread_t thread;

	meet_setup();
	if (pthread_create(&thread, NULL, other, NULL))
		abort();
	finish(start(child));
	pthread_join(thread, NULL);
}

static void blocks(void)
{
	with_thread(release_late, child_meet);
}

static void terminated(void)
{
	with_thread(terminate, child_meet);
}

static void stopped(void)
{
	with_thread(continue_it, child_stop);
}

static void child_stop_later(void)
{
	execv("/bin/sh", stop_args);
	_exit(127);
}

static void stopped_later(void)
{
	pid_t pid = start(child_stop_later);
	int status = 0;

	if (waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status))
		printf("FAULT: not stopped\n");
	printf("parent sees it stopped by %d\n", WSTOPSIG(status));
	kill_one(pid, SIGCONT);
	if (waitpid(pid, &status, WCONTINUED) == pid && WIFCONTINUED(status))
		finish(pid);
	else
		print_child(status); /* it has ended meanwhile */
}

/* Where the pid goes: written by both, each its own. */
static pid_t static_pid;
static struct job static_job;

static void pid_volatile(void)
{
	volatile pid_t pid;

	pid = vfork();
	if (pid == 0)
		execute();
	finish(pid);
}

UNOPTIMIZED HELPER void pid_plain(void)
{
	pid_t pid;

	if ((pid = vfork()) == 0) {
		execv(program, program_args);
		_exit(127);
	}
	finish(pid);
}

UNOPTIMIZED HELPER void pid_wide(void)
{
	long pid = vfork();

	if (pid == 0) {
		execv(program, program_args);
		_exit(127);
	}
	finish((pid_t)pid);
}

UNOPTIMIZED HELPER void pid_switch(void)
{
	pid_t child;

	switch (child = vfork()) {
	case -1:
		exit(98);
	case 0:
		execv(program, program_args);
		_exit(127);
	default:
		finish(child);
	}
}

static void pid_static(void)
{
	static_pid = 4711;
	static_pid = vfork();
	if (static_pid == 0)
		execute();
	KEEP();
	finish(static_pid);
}

static void pid_member(void)
{
	static_job.pid = 4711;
	static_job.pid = vfork();
	if (static_job.pid == 0)
		execute();
	KEEP();
	finish(static_job.pid);
}

static void pid_heap(void)
{
	job->pid = 4711;
	job->pid = vfork();
	if (job->pid == 0)
		execute();
	KEEP();
	finish(job->pid);
}

HELPER void spawn_into(pid_t *pid)
{
	*pid = vfork();
	if (*pid == 0)
		execute();
	KEEP();
}

static void pid_pointer(void)
{
	pid_t pid = 4711;

	spawn_into(&pid);
	finish(pid);
}

static int *shared;

static void child_shared(void)
{
	*shared = 9;
	execute();
}

static void shares(void)
{
	shared = shared_memory(sizeof(*shared));
	finish(start(child_shared));
	printf("parent sees %d\n", *shared);
}

/* A stack that is no thread's own. */
/* What the kernel joins to the program's zeroed pages is not the program's static data. */
static int *adjacent;

static void child_adjacent(void)
{
	*adjacent = 9;
	execute();
}

static void maps_adjacent(void)
{
	extern char _end[];
	unsigned long page = (unsigned long)sysconf(_SC_PAGESIZE), low, high;
	unsigned long at = ((unsigned long)_end + page - 1) & ~(page - 1);
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[PATH_MAX];
	int joined = 0;

	adjacent = mmap((void *)at, page, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	while (maps && fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx", &low, &high) == 2 && low < at && at < high)
			joined = 1;
	if (adjacent != (int *)at || !joined) {
		printf("no mapping is joined to the program's\n");
		return;
	}
	fclose(maps);
	finish(start(child_adjacent));
	printf("parent sees %d\n", *adjacent);
}

static ucontext_t main_context, other_context;

static void coroutine_main(void)
{
	finish(start(execute));
}

static void coroutine(void)
{
	size_t size = 256 << 10;

	getcontext(&other_context);
	other_context.uc_stack.ss_sp = malloc(size);
	other_context.uc_stack.ss_size = size;
	other_context.uc_link = &main_context;
	makecontext(&other_context, coroutine_main, 0);
	swapcontext(&main_context, &other_context);
	printf("parent came back\n");
}

static void spawning_handler(int number)
{
	(void)number;
	finish(start(execute));
}

static void in_handler(void)
{
	signal(SIGUSR1, spawning_handler);
	raise(SIGUSR1);
	printf("parent came back\n");
}

static void prepare_handler(void)
{
	printf("FAULT: a handler of pthread_atfork()\n");
}

static void atfork(void)
{
	pthread_atfork(prepare_handler, prepare_handler, prepare_handler);
	finish(start(execute));
}

/* A handler of the parent waits for the child, as shells' do. */
static volatile sig_atomic_t reaped;

static void reap(int number)
{
	int status, saved = errno;

	(void)number;
	while (waitpid(-1, &status, WNOHANG) > 0)
		reaped = reaped + 1;
	errno = saved;
}

static void reaper(void)
{
	int i;

	signal(SIGCHLD, reap);
	for (i = 0; i < 10; i++) {
		start(i % 2 ? execute : child_failed_heap);
		while (reaped <= i)
			usleep(1000);
	}
	printf("parent's handler reaped %d\n", (int)reaped);
}

static const struct {
	const char *name;
	void (*run)(void);
} shapes[] = {
	{ "list", listed },
	{ "other_name", other_name },
	{ "inlined", inlined },
	{ "many_arguments", many_arguments },
	{ "closes", closes },
	{ "careful", careful },
	{ "environment", environment },
	{ "failed", failed },
	{ "failed_local", failed_local },
	{ "failed_static", failed_static },
	{ "failed_heap", failed_heap },
	{ "retry", retry },
	{ "search", search },
	{ "search_nothing", search_nothing },
	{ "threads", threads },
	{ "twice", twice },
	{ "nested", nested },
	{ "nested_unwaited", nested_unwaited },
	{ "deep", deep },
	{ "killed", killed },
	{ "crash", crash },
	{ "ends", ends },
	{ "blocks", blocks },
	{ "terminated", terminated },
	{ "stopped", stopped },
	{ "stopped_later", stopped_later },
	{ "pid_volatile", pid_volatile },
	{ "pid_plain", pid_plain },
	{ "pid_wide", pid_wide },
	{ "pid_switch", pid_switch },
	{ "pid_static", pid_static },
	{ "pid_member", pid_member },
	{ "pid_heap", pid_heap },
	{ "pid_pointer", pid_pointer },
	{ "shares", shares },
	{ "maps_adjacent", maps_adjacent },
	{ "coroutine", coroutine },
	{ "in_handler", in_handler },
	{ "atfork", atfork },
	{ "reaper", reaper },
};

int main(int argc, char **argv)
{
	const char *name = string_argument(argc, argv, 1, "");
	int i;

	setup();
	setenv("PARENT", "1", 1);
	job = calloc(1, sizeof(*job));
	for (i = 0; i < COUNT(shapes); i++) {
		if (strcmp(name, "names") == 0) {
			puts(shapes[i].name);
		} else if (strcmp(name, shapes[i].name) == 0) {
			shapes[i].run();
			expect(waitpid(-1, NULL, WNOHANG) == -1, "no child is left");
			return victim_faults != 0;
		}
	}
	return strcmp(name, "names") ? 99 : 0;
}
