/* SPDX-License-Identifier: MIT */
/*
 * Pools of children started ahead, one case a run: avfork_pool CASE [NUMBER]. "avfork_pool show" is the program that
 * is started: it prints what it was given.
 */
#include <fcntl.h>
#include <dirent.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "avfork_pool.h"
#include "window.h"

static char self[PATH_MAX];

static int ignored_signals(void)
{
	struct sigaction action;
	int i, signals = 0;

	for (i = 1; i < 32; i++)
		if (!sigaction(i, NULL, &action) && action.sa_handler == SIG_IGN)
			signals |= 1 << i;
	return signals;
}

/* What a program was given, on one line. */
static int show(void)
{
	char folder[PATH_MAX] = "?";
	struct rlimit files, core;
	mode_t mask = umask(0);
	sigset_t blocked;
	int i, signals = 0;

	sigprocmask(SIG_BLOCK, NULL, &blocked);
	for (i = 1; i < 32; i++)
		signals |= sigismember(&blocked, i) << i;
	getrlimit(RLIMIT_NOFILE, &files);
	getrlimit(RLIMIT_CORE, &core);
	if (!getcwd(folder, sizeof(folder)))
		strcpy(folder, "gone");
	printf("%s %03o %s %#x %#x %lu %lu\n", folder, mask, getenv("WORD") ? getenv("WORD") : "-",
	       signals, ignored_signals(), (unsigned long)files.rlim_cur,
	       (unsigned long)core.rlim_cur);
	return 0;
}

/* The open descriptors, but for that of the listing. */
static int show_descriptors(void)
{
	DIR *folder = opendir("/proc/self/fd");
	struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(folder))
			printf("%s ", entry->d_name);
	return 0;
}

static void case_status(int number)
{
	struct avfork_pool *pool = create(3);
	struct avfork_job good = JOB(quick_program()), seven = JOB("sh", "-c", "exit 7");
	int i;

	for (i = 0; i < number; i++) {
		errno = i;
		expect_exit(submit(pool, i % 16 ? &good : &seven), i % 16 ? 0 : 7);
		expect(errno == i, "errno has changed");
	}
	expect(!destroy_call(pool), "destroy failed");
}

static int lines_of(const char *path)
{
	DIR *folder = opendir(path);
	int count = 0;

	while (folder && readdir(folder))
		count++;
	if (folder)
		closedir(folder);
	return count;
}

/* Pools come and go: no descriptor, mapping or child is left. */
static void case_destroy(int number)
{
	struct avfork_job job = JOB(quick_program());
	int i, maps = 0, fds = 0;

	for (i = 0; i < number; i++) {
		struct avfork_pool *pool = create(1 + i % 5);

		expect_exit(submit(pool, &job), 0);
		expect(!destroy_call(pool), "destroy failed");
		expect(waitpid(-1, NULL, 0) < 0 && errno == ECHILD, "a child is left");
		if (!i)
			maps = mappings(), fds = lines_of("/proc/self/fd");
	}
	expect(maps == mappings() && fds == lines_of("/proc/self/fd"), "something is left");
}

static void expect_shown(struct avfork_pool *pool, const char *what, const char *const envp[])
{
	struct avfork_job job = { .argv = (const char *const[]){ self, "show", NULL },
				  .envp = envp };
	char *text = output_of(pool, &job), wanted[PATH_MAX + 128], folder[PATH_MAX];
	struct rlimit files, core;
	const char *word = envp ? "given" : getenv("WORD");
	sigset_t blocked;
	mode_t mask = umask(0);
	int i, signals = 0;

	umask(mask);
	sigprocmask(SIG_BLOCK, NULL, &blocked);
	for (i = 1; i < 32; i++)
		signals |= sigismember(&blocked, i) << i;
	getrlimit(RLIMIT_NOFILE, &files);
	getrlimit(RLIMIT_CORE, &core);
	if (!getcwd(folder, sizeof(folder)))
		strcpy(folder, "gone");
	snprintf(wanted, sizeof(wanted), "%s %03o %s %#x %#x %lu %lu\n", folder, mask,
		 word ? word : "-", signals, ignored_signals(), (unsigned long)files.rlim_cur,
		 (unsigned long)core.rlim_cur);
	if (strcmp(text, wanted)) {
		victim_faults++;
		printf("FAULT: %s: %swanted %s", what, text, wanted);
	}
}

/* Each thing changed after the children were started, again and again. */
static void case_state(int number)
{
	static const char *const envp[] = { "WORD=given", NULL };
	struct avfork_pool *pool = create(2);
	char template[] = "state.XXXXXX";
	struct rlimit limit;
	sigset_t one;
	int i;

	if (!mkdtemp(template))
		exit(97);
	expect_shown(pool, "at first", NULL);
	for (i = 0; i < number; i++) {
		umask(i % 8 * 9);
		expect_shown(pool, "umask", NULL);
		expect(!chdir(i % 2 ? ".." : template), "chdir");
		expect_shown(pool, "folder", NULL);
		setenv("WORD", i % 2 ? "one" : "two", 1);
		expect_shown(pool, "environment", NULL);
		expect_shown(pool, "environment of its own", envp);
		sigemptyset(&one);
		sigaddset(&one, 1 + i % 15 + (i % 15 >= 8));
		sigprocmask(SIG_SETMASK, &one, NULL);
		expect_shown(pool, "signal mask", NULL);
		signal(1 + i % 3, i % 2 ? SIG_DFL : SIG_IGN);
		expect_shown(pool, "ignored signals", NULL);
		sigemptyset(&one);
		sigprocmask(SIG_SETMASK, &one, NULL);
		getrlimit(RLIMIT_NOFILE, &limit);
		limit.rlim_cur = 64 + i % 50;
		setrlimit(RLIMIT_NOFILE, &limit);
		limit.rlim_cur = i;
		limit.rlim_max = RLIM_INFINITY;
		getrlimit(RLIMIT_CORE, &limit);
		limit.rlim_cur = i % 2;
		syscall(SYS_prlimit64, 0, RLIMIT_CORE, &limit, NULL);
		expect_shown(pool, "limits", NULL);
	}
	if (number % 2)
		expect(!chdir(".."), "chdir");
	rmdir(template);
	destroy_call(pool);
}

/* What cannot be caught up with is refused. */
static void refused(const char *what, int (*change)(void))
{
	struct avfork_job job = JOB("true");
	int status;
	pid_t pid = fork();

	if (pid) {
		status = wait_for(pid);
		if (status)
			printf("FAULT: %s: status %#x\n", what, status);
		victim_faults += status != 0;
		return;
	}
	{
		struct avfork_pool *pool = create(1);

		expect_exit(submit(pool, &job), 0);
		if (change())
			_exit(0);
		errno = 0;
		expect(submit_call(pool, &job) == -1 && errno == ESTALE, what);
		expect(submit_call(pool, &job) == -1 && errno == ESTALE, what);
		destroy_call(pool);
		pool = create(1);
		expect_exit(submit(pool, &job), 0);
	}
	_exit(victim_faults);
}

static int new_session(void)
{
	return setsid() < 0;
}

static int new_group(void)
{
	return setpgid(0, 0) < 0;
}

static int other_user(void)
{
	return setresuid(-1, 65534, -1);
}

static int other_group(void)
{
	return syscall(SYS_setresgid, -1, 65534, -1);
}

static int other_groups(void)
{
	extern int setgroups(size_t, const gid_t *);

	return setgroups(1, (const gid_t[]){ 65533 });
}

static int other_space(void)
{
	return unshare(CLONE_NEWUTS);
}

static void case_refused(int number)
{
	(void)number;
	refused("session", new_session);
	refused("process group", new_group);
	refused("user", other_user);
	refused("group", other_group);
	refused("groups", other_groups);
	refused("namespace", other_space);
}

static void case_descriptors(int number)
{
	struct avfork_pool *pool;
	struct avfork_job job = JOB(self, "descriptors"), cat = JOB("sh", "-c", "cat <&9");
	int kept = open("/dev/null", O_RDONLY), end[2], fds[12], i;

	(void)number;
	expect(kept >= 3, "no descriptor");
	pool = create(2);
	for (i = 0; i < 3; i++) {
		expect(!strcmp(output_of(pool, &job), "0 1 2 "), "other descriptors");
	}
	/* In any order, over each other, and with holes. */
	if (pipe2(end, O_CLOEXEC))
		exit(97);
	expect(write(end[1], "sent", 4) == 4, "write");
	close(end[1]);
	for (i = 0; i < 12; i++)
		fds[i] = -1;
	fds[9] = end[0];
	fds[2] = 2;
	{
		int out[2];
		char text[64] = "";

		if (pipe2(out, O_CLOEXEC))
			exit(97);
		fds[1] = out[1];
		fds[0] = 0;
		fds[11] = fds[10] = 0;
		cat.fds = fds;
		cat.fd_count = 12;
		expect_exit(submit(pool, &cat), 0);
		close(out[1]);
		expect(read(out[0], text, sizeof(text) - 1) == 4 && !strcmp(text, "sent"),
		       "what was handed over is not 9");
		if (pipe2(out, O_CLOEXEC))
			exit(97);
		job.fds = fds;
		job.fd_count = 12;
		fds[1] = out[1];
		memset(text, 0, sizeof(text));
		expect_exit(submit(pool, &job), 0);
		expect(read(out[0], text, sizeof(text) - 1) > 0 && !strcmp(text, "0 1 2 9 10 11 "),
		       "not those that were given");
	}
	fds[0] = 999;
	errno = 0;
	expect(submit_call(pool, &job) == -1 && errno == EBADF, "no descriptor is not EBADF");
	destroy_call(pool);
}

/* Children that wait keep nothing open: a pipe comes to its end. */
static void case_open(int number)
{
	struct avfork_job job = JOB(quick_program());
	int i;

	for (i = 0; i < number; i++) {
		struct pollfd reader;
		struct avfork_pool *pool;
		int end[2];

		if (pipe(end))
			exit(97);
		pool = create(2);
		expect_exit(submit(pool, &job), 0);
		close(end[1]);
		reader = (struct pollfd){ end[0], POLLIN, 0 };
		expect(poll(&reader, 1, 5000) == 1 && reader.revents & POLLHUP,
		       "the pipe is held open");
		close(end[0]);
		destroy_call(pool);
	}
}

/* The children that there are, as the kernel lists them. */
static int children(pid_t *pid, int most)
{
	char path[64];
	FILE *list;
	int count = 0;

	snprintf(path, sizeof(path), "/proc/self/task/%d/children", getpid());
	list = fopen(path, "re");
	if (!list)
		exit(77);
	while (count < most && fscanf(list, "%d", &pid[count]) == 1)
		count++;
	fclose(list);
	return count;
}

/* Has it ended, or gone? */
static int has_ended(pid_t pid)
{
	char path[64], state = 'Z';
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return 1;
	if (fscanf(file, "%*d %*s %c", &state) != 1)
		state = 'Z';
	fclose(file);
	return state == 'Z';
}

/* Children that wait are killed, and replaced. */
static void case_killed(int number)
{
	struct avfork_pool *pool = create(3);
	struct avfork_job job = JOB(quick_program());
	pid_t pid[16];
	int i, count;

	for (i = 0; i < number; i++) {
		count = children(pid, 16);
		expect(count >= 1, "there are no children");
		while (count--) {
			kill_one(pid[count], SIGKILL);
			while (!has_ended(pid[count]))
				usleep(1000);
		}
		expect_exit(submit(pool, &job), 0);
		expect_exit(submit(pool, &job), 0);
	}
	destroy_call(pool);
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

/* A child is killed somewhere on its way to the program, and the pool goes on. */
static void case_killed_job(int number)
{
	struct avfork_pool *pool = create(2);
	struct avfork_job job = JOB("sleep", "100"), quick = JOB(quick_program());
	int i, status;

	for (i = 0; i < number; i++) {
		pid_t pid = submit(pool, &job);
		volatile int spin = i % 200 * 100;

		while (spin)
			spin--;
		kill_one(pid, i % 2 ? SIGKILL : SIGTERM);
		status = wait_for(pid);
		expect(WIFSIGNALED(status) && WTERMSIG(status) == (i % 2 ? SIGKILL : SIGTERM),
		       "the job was not killed by its signal");
		if (i % 50 == 0)
			expect_exit(submit(pool, &quick), 0);
	}
	destroy_call(pool);
	expect(waitpid(-1, NULL, 0) < 0 && errno == ECHILD, "a child is left");
}

static void ignore(int signal)
{
	(void)signal;
}

/* What is sent to all before a job is submitted is not the job's; what is sent afterwards is. */
static void case_group(int number)
{
	struct avfork_pool *pool;
	struct avfork_job job = JOB(quick_program()), sleep = JOB("sleep", "100");
	int i, status;
	pid_t pid;

	setpgid(0, 0);
	signal(SIGINT, ignore);
	signal(SIGTERM, ignore);
	pool = create(2);
	for (i = 0; i < number; i++) {
		kill(0, SIGTERM);
		kill(0, SIGINT);
		expect_exit(submit(pool, &job), 0);
		pid = submit(pool, &sleep);
		kill(0, SIGTERM);
		status = wait_for(pid);
		expect(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM,
		       "the job has missed the group's signal");
	}
	destroy_call(pool);
}

static void case_error(int number)
{
	struct avfork_pool *pool = create(2);
	int error = -1, i;
	struct avfork_job missing = { .argv = (const char *const[]){ "/nowhere", NULL },
				      .error = &error };
	struct avfork_job denied = { .argv = (const char *const[]){ "/etc/passwd", NULL },
				     .error = &error };
	struct avfork_job bad = JOB("true"), none = { .argv = NULL };
	struct avfork_job fine = { .argv = (const char *const[]){ "true", NULL }, .error = &error };

	for (i = 0; i < number; i++) {
		expect_exit(submit(pool, &missing), 127);
		expect(error == ENOENT, "not ENOENT");
		expect_exit(submit(pool, &denied), 127);
		expect(error == EACCES, "not EACCES");
		expect_exit(submit(pool, &fine), 0);
		expect(error == 0, "an error where there is none");
	}
	errno = 0;
	expect(submit_call(pool, &none) == -1 && errno == EINVAL, "no program is not EINVAL");
	bad.flags = 1;
	errno = 0;
	expect(submit_call(pool, &bad) == -1 && errno == EINVAL, "a flag is not EINVAL");
	errno = 0;
	expect(submit_call(NULL, &fine) == -1 && errno == EINVAL, "no pool is not EINVAL");
	errno = 0;
	expect(!create_call(0) && errno == EINVAL, "no children is not EINVAL");
	if (!fork()) {
		errno = 0;
		expect(submit_call(pool, &fine) == -1 && errno == EINVAL,
		       "another process's pool is not EINVAL");
		expect(destroy_call(pool) == -1, "another process's pool was destroyed");
		_exit(victim_faults);
	}
	wait_for(-1);
	expect_exit(submit(pool, &fine), 0);
	destroy_call(pool);
}

static void case_large(int number)
{
	static char word[60000];
	struct avfork_pool *pool = create(1);
	struct avfork_job job = JOB("sh", "-c", "echo ${#1}", "sh", word);

	(void)number;
	memset(word, 'x', sizeof(word) - 1);
	expect(!strcmp(output_of(pool, &job), "59999\n"), "the argument did not arrive");
	destroy_call(pool);
}

static struct avfork_pool *shared;

static void *submit_many(void *argument)
{
	struct avfork_job job = JOB(quick_program());
	int i, number = *(int *)argument;

	for (i = 0; i < number; i++)
		expect_exit(submit(shared, &job), 0);
	return NULL;
}

static void case_threads(int number)
{
	pthread_t thread[4];
	int i, before;

	quick_program();
	shared = create(3);
	start_churning(1);
	before = mappings();
	for (i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, submit_many, &number);
	for (i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	expect(mappings() < before + 40, "the memory map grows");
	destroy_call(shared);
}

/* More jobs than children, all under way at once. */
static void case_burst(int number)
{
	struct avfork_pool *pool = create(2);
	struct avfork_job job = JOB("sleep", "0.2");
	pid_t pid[256];
	int i;

	for (i = 0; i < number && i < 256; i++)
		pid[i] = submit(pool, &job);
	for (i = 0; i < number && i < 256; i++)
		expect_exit(pid[i], 0);
	destroy_call(pool);
}

/* The process that made a pool ends, in one way or another, while another holds its sockets. */
static void case_parent_ends(int number)
{
	int way;

	for (way = 0; way < 3 * number; way++) {
		pid_t pid[16], parent, holder;
		int end[2], count, i;

		if (pipe(end))
			exit(97);
		parent = fork();
		if (!parent) {
			create(3);
			holder = fork();
			if (!holder) {
				close(end[1]);
				close(end[0]);
				for (;;)
					pause();
			}
			count = children(pid, 16);
			expect(write(end[1], &holder, sizeof(holder)) > 0, "write");
			for (i = 0; i < count; i++)
				if (pid[i] != holder && write(end[1], &pid[i], sizeof(pid[i])) < 0)
					_exit(1);
			close(end[1]);
			if (way % 3 == 1)
				raise(SIGKILL);
			if (way % 3 == 2) {
				kill_one(holder, SIGKILL);
				execlp("sleep", "sleep", "100", NULL);
			}
			_exit(0);
		}
		close(end[1]);
		if (read(end[0], &holder, sizeof(holder)) != sizeof(holder))
			exit(97);
		for (count = 0; read(end[0], &pid[count], sizeof(*pid)) == sizeof(*pid);)
			count++;
		expect(count == 3, "there were no children");
		for (i = 0; i < count; i++)
			while (!has_ended(pid[i]))
				usleep(1000);
		kill(holder, SIGKILL);
		kill(parent, SIGKILL);
		wait_for(parent);
		close(end[0]);
	}
}

static const struct {
	const char *name;
	void (*run)(int);
} cases[] = {
	{ "status", case_status },     { "destroy", case_destroy },
	{ "state", case_state },       { "refused", case_refused },
	{ "given", case_descriptors }, { "open", case_open },
	{ "killed", case_killed },     { "killed-job", case_killed_job },
	{ "group", case_group },       { "error", case_error },
	{ "large", case_large },       { "threads", case_threads },
	{ "burst", case_burst },       { "parent-ends", case_parent_ends },
};

int main(int argc, char **argv)
{
	ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int i;

	self[size > 0 ? size : 0] = 0;
	if (argc > 1 && !strcmp(argv[1], "show"))
		return show();
	if (argc > 1 && !strcmp(argv[1], "descriptors"))
		return show_descriptors();
	setvbuf(stdout, NULL, _IONBF, 0);
	find_pools();
	for (i = 0; argc > 1 && i < COUNT(cases); i++)
		if (!strcmp(argv[1], cases[i].name)) {
			cases[i].run(number_argument(argc, argv, 2, 1));
			puts("done");
			return victim_faults != 0;
		}
	return 95;
}
