/* SPDX-License-Identifier: MIT */
/*
 * spawn_world: posix_spawn() and posix_spawnp() with every attribute and file action, and every error that can be
 * had; prints what came of it and what the child found. "spawn_world show FIELDS" is the child: it prints the fields.
 */
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "victim.h"

static char self[4096];
static volatile sig_atomic_t children;

static void on_child(int signal)
{
	(void)signal;
	children++;
}

static void show_line(const char *name)
{
	char line[256];
	FILE *status = fopen("/proc/self/status", "re");

	while (fgets(line, sizeof(line), status))
		if (!strncmp(line, name, strlen(name)))
			printf("  %s", line);
	fclose(status);
}

static void show_descriptors(void)
{
	struct stat status;
	int fd;

	printf("  fds");
	for (fd = 0; fd < 1024; fd++)
		if (!fstat(fd, &status))
			printf(" %d:%s", fd,
			       S_ISREG(status.st_mode)	? "file" :
			       S_ISDIR(status.st_mode)	? "folder" :
			       S_ISFIFO(status.st_mode) ? "pipe" :
							  "other");
	printf("\n");
}

static int show(int argc, char **argv)
{
	struct sched_param parameter;
	char folder[4096];
	mode_t mask;
	int i;

	for (i = 2; i < argc; i++) {
		if (!strcmp(argv[i], "signals")) {
			show_line("SigBlk");
			show_line("SigIgn");
		} else if (!strcmp(argv[i], "fds")) {
			show_descriptors();
		} else if (!strcmp(argv[i], "cwd")) {
			printf("  cwd %s\n", strrchr(getcwd(folder, sizeof(folder)), '/'));
		} else if (!strcmp(argv[i], "ids")) {
			printf("  uid %d %d gid %d %d\n", getuid(), geteuid(), getgid(), getegid());
		} else if (!strcmp(argv[i], "groups")) {
			printf("  session %d group %d\n", getsid(0) == getpid(),
			       getpgrp() == getpid());
		} else if (!strcmp(argv[i], "sched")) {
			sched_getparam(0, &parameter);
			printf("  policy %d priority %d\n", sched_getscheduler(0),
			       parameter.sched_priority);
		} else {
			printf("  %s=%s\n", argv[i], getenv(argv[i]) ? getenv(argv[i]) : "(none)");
		}
	}
	mask = umask(0);
	printf("  umask %o, argc %d\n", mask, argc);
	return 5;
}

struct request {
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	const char *file;
	int search, bare;
	char *argv[8];
	char **envp;
	int without_pid;
};

static struct request request(const char *what, const char *field)
{
	struct request made = { .file = self,
				.argv = { self, (char *)"show", (char *)field },
				.envp = environ };

	printf("%s\n", what);
	posix_spawn_file_actions_init(&made.actions);
	posix_spawnattr_init(&made.attributes);
	return made;
}

static void spawn(struct request *of)
{
	pid_t pid = -77;
	int error, status;

	children = 0;
	error = (of->search ? posix_spawnp : posix_spawn)(of->without_pid ? NULL : &pid, of->file,
							  &of->actions, &of->attributes, of->argv,
							  of->envp);
	if (error) {
		printf("  error %s, pid %d, signals %d", strerror(error), pid, (int)children);
		printf(", wait %d", waitpid(-1, &status, 0));
		printf(" %s\n", strerror(errno));
	} else {
		error = waitpid(of->without_pid ? -1 : pid, &status, 0);
		printf("  %s", (of->without_pid || error == pid) ? "" : "FAULT ");
		print_status("child", 0, status);
	}
	posix_spawn_file_actions_destroy(&of->actions);
	posix_spawnattr_destroy(&of->attributes);
}

static void files(void)
{
	struct request r;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC), folder;

	r = request("as it is", "fds");
	r.argv[3] = (char *)"signals";
	r.argv[4] = (char *)"ids";
	spawn(&r);
	r = request("without a pid", "cwd");
	r.without_pid = 1;
	spawn(&r);
	r = request("dup2, close, open", "fds");
	posix_spawn_file_actions_adddup2(&r.actions, fd, 7);
	posix_spawn_file_actions_adddup2(&r.actions, fd, fd);
	posix_spawn_file_actions_addclose(&r.actions, 0);
	posix_spawn_file_actions_addclose(&r.actions, 99);
	posix_spawn_file_actions_addopen(&r.actions, 9, "made", O_CREAT | O_WRONLY, 0666);
	spawn(&r);
	r = request("open over an open one", "fds");
	posix_spawn_file_actions_addopen(&r.actions, 0, "made", O_RDONLY, 0);
	spawn(&r);
	r = request("dup2 of what is not open", "fds");
	posix_spawn_file_actions_adddup2(&r.actions, 88, 7);
	spawn(&r);
	r = request("onto itself, not open", "fds");
	posix_spawn_file_actions_adddup2(&r.actions, 88, 88);
	spawn(&r);
	r = request("open of nothing", "fds");
	posix_spawn_file_actions_addopen(&r.actions, 3, "no/such", O_RDONLY, 0);
	spawn(&r);
	mkdir("folder", 0755);
	folder = open("folder", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = request("chdir", "cwd");
	posix_spawn_file_actions_addchdir_np(&r.actions, "folder");
	spawn(&r);
	r = request("fchdir", "cwd");
	posix_spawn_file_actions_addfchdir_np(&r.actions, folder);
	spawn(&r);
	r = request("chdir to nothing", "cwd");
	posix_spawn_file_actions_addchdir_np(&r.actions, "nowhere");
	spawn(&r);
	r = request("closefrom", "fds");
	posix_spawn_file_actions_adddup2(&r.actions, fd, 40);
	posix_spawn_file_actions_addclosefrom_np(&r.actions, 2);
	spawn(&r);
	r = request("terminal that is none", "fds");
	posix_spawn_file_actions_addtcsetpgrp_np(&r.actions, fd);
	spawn(&r);
	close(fd);
	close(folder);
}

static void limits(void)
{
	struct rlimit limit, low;
	struct request r = request("close beyond the limit", "fds");

	getrlimit(RLIMIT_NOFILE, &limit);
	low = limit;
	low.rlim_cur = 64;
	posix_spawn_file_actions_addclose(&r.actions, 100);
	setrlimit(RLIMIT_NOFILE, &low);
	spawn(&r);
	r = request("open at the limit", "fds");
	posix_spawn_file_actions_addopen(&r.actions, 63, "/dev/null", O_RDONLY, 0);
	spawn(&r);
	setrlimit(RLIMIT_NOFILE, &limit);
}

static void attributes(void)
{
	struct sched_param parameter = { 0 };
	struct request r;
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR1);
	sigaddset(&set, SIGTERM);
	r = request("mask", "signals");
	posix_spawnattr_setsigmask(&r.attributes, &set);
	posix_spawnattr_setflags(&r.attributes, POSIX_SPAWN_SETSIGMASK);
	spawn(&r);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	sigprocmask(SIG_BLOCK, &set, NULL);
	r = request("defaults", "signals");
	posix_spawnattr_setsigdefault(&r.attributes, &set);
	posix_spawnattr_setflags(&r.attributes, POSIX_SPAWN_SETSIGDEF);
	spawn(&r);
	sigfillset(&set);
	r = request("all defaults", "signals");
	posix_spawnattr_setsigdefault(&r.attributes, &set);
	posix_spawnattr_setflags(&r.attributes, POSIX_SPAWN_SETSIGDEF);
	spawn(&r);
	sigprocmask(SIG_UNBLOCK, &set, NULL);
	r = request("session", "groups");
	posix_spawnattr_setflags(&r.attributes, POSIX_SPAWN_SETSID);
	spawn(&r);
	r = request("group", "groups");
	posix_spawnattr_setpgroup(&r.attributes, 0);
	posix_spawnattr_setflags(&r.attributes, POSIX_SPAWN_SETPGROUP);
	spawn(&r);
	r = request("no such group", "groups");
	posix_spawnattr_setpgroup(&r.attributes, 1);
	posix_spawnattr_setflags(&r.attributes, POSIX_SPAWN_SETPGROUP);
	spawn(&r);
	r = request("ids", "ids");
	posix_spawnattr_setflags(&r.attributes, POSIX_SPAWN_RESETIDS);
	spawn(&r);
	r = request("scheduler", "sched");
	posix_spawnattr_setschedpolicy(&r.attributes, SCHED_BATCH);
	posix_spawnattr_setschedparam(&r.attributes, &parameter);
	posix_spawnattr_setflags(&r.attributes, POSIX_SPAWN_SETSCHEDULER);
	spawn(&r);
	r = request("parameter", "sched");
	posix_spawnattr_setflags(&r.attributes, POSIX_SPAWN_SETSCHEDPARAM);
	spawn(&r);
	parameter.sched_priority = 500;
	r = request("no such priority", "sched");
	posix_spawnattr_setschedparam(&r.attributes, &parameter);
	posix_spawnattr_setflags(&r.attributes, POSIX_SPAWN_SETSCHEDPARAM);
	spawn(&r);
}

static void write_file(const char *path, const char *text, mode_t mode)
{
	int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0700);

	expect(write(fd, text, strlen(text)) == (ssize_t)strlen(text), "write");
	fchmod(fd, mode);
	close(fd);
}

static void programs(void)
{
	static char name[300], huge[200000], *many[40];
	char *envp[] = { (char *)"ONLY=this", NULL };
	struct request r;
	unsigned i;

	write_file("script", "#!/bin/sh\necho \"  script $#\"\n", 0755);
	write_file("plain", "echo '  no first line'\n", 0755);
	write_file("locked", "#!/bin/sh\n", 0644);
	mkdir("first", 0755);
	mkdir("second", 0755);
	write_file("first/tool", "#!/bin/sh\n", 0644);
	write_file("second/tool", "#!/bin/sh\necho '  the second'\n", 0755);
	memset(name, 'n', sizeof(name) - 1);
	memset(huge, 'h', sizeof(huge) - 1);
	r = request("environment", "ONLY");
	r.argv[3] = (char *)"PATH";
	r.envp = envp;
	spawn(&r);
	for (i = 0; i < 2; i++) {
		static const char *const file[] = { "./script", "./plain", "./locked", "./none",
						    "folder",	"",	   "script/x", "tool",
						    "none",	"plain",   "/bin/true" };
		unsigned j;

		for (j = 0; j < sizeof(file) / sizeof(*file); j++) {
			r = request(i ? "search" : "no search", NULL);
			printf("  '%s'\n", file[j]);
			r.file = file[j];
			r.search = (int)i;
			setenv("PATH", "/nowhere:first:second::/bin", 1);
			spawn(&r);
		}
		r = request("long name", NULL);
		r.file = name;
		r.search = (int)i;
		spawn(&r);
	}
	r = request("a long name, after a folder that cannot be searched", NULL);
	r.file = name;
	r.search = 1;
	unlink("loop");
	expect(!symlink("loop", "loop"), "symlink");
	setenv("PATH", "loop:second", 1);
	spawn(&r);
	r = request("only denied", NULL);
	r.file = "tool";
	r.search = 1;
	setenv("PATH", "first", 1);
	spawn(&r);
	r = request("no PATH", NULL);
	r.file = "true";
	r.search = 1;
	unsetenv("PATH");
	spawn(&r);
	r = request("PATH is empty", NULL);
	r.file = "script";
	r.search = 1;
	setenv("PATH", "", 1);
	spawn(&r);
	setenv("PATH", "/bin:/usr/bin", 1);
	r = request("huge argument", "cwd");
	r.argv[3] = huge;
	spawn(&r);
	for (i = 0; i < 39; i++)
		many[i] = huge + sizeof(huge) - 100000;
	r = request("too many of them", "cwd");
	r.envp = many;
	spawn(&r);
	signal(SIGCHLD, SIG_IGN);
	r = request("error with children ignored", NULL);
	r.file = "./none";
	spawn(&r);
	signal(SIGCHLD, SIG_DFL);
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IONBF, 0);
	if (argc > 1 && !strcmp(argv[1], "show"))
		return show(argc, argv);
	expect(realpath(argv[0], self) != NULL, "realpath");
	signal(SIGCHLD, on_child);
	umask(027);
	files();
	limits();
	attributes();
	programs();
	return victim_faults;
}
