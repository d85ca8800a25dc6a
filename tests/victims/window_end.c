/* SPDX-License-Identifier: MIT */
/*
 * window_end THEME [THREADS [GOOD]]: how a child may end. For each row of the table of that theme, GOOD children at
 * one site execute a program and the next ends as the row says. Of each the parent prints the wait status,
 * what SIGCHLD told, and that there was one SIGCHLD and one pid. THREADS others use the heap meanwhile. Makes files in the current folder.
 *
 * Themes: exit, exec (one that fails), fault, kill (by another process, while the child is in its window).
 */
#include <elf.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "window.h"

static char *const args[] = { "true", NULL };
static char *program;
static char long_argument[300000];
static char long_path[PATH_MAX + 10];
static volatile int *volatile nowhere;
static volatile int *beyond; /* of a file that is too short */
static volatile int zero;
static volatile int row; /* read anew by each child, so that there is one call of fork() */

static struct {
	volatile pid_t child;
	volatile int signal, sent, quit;
} * shared;

static volatile sig_atomic_t signals;
static siginfo_t last;

static void on_child(int signal, siginfo_t *info, void *context)
{
	(void)signal;
	(void)context;
	signals++;
	last = *info;
}

static int fails(const char *path)
{
	execv(path, args);
	_exit(errno);
}

#define EXIT_ROWS(X)                                                                               \
	X(_exit, _exit(3))                                                                         \
	X(_Exit, _Exit(4))                                                                         \
	X(exit, exit(5))                                                                           \
	X(quick_exit, quick_exit(6))                                                               \
	X(return, return 10)                                                                       \
	X(abort, abort())                                                                          \
	X(raw, raw_call(SYS_exit_group, 7, 0, 0, 0, 0))                                            \
	X(raw_thread, raw_call(SYS_exit, 8, 0, 0, 0, 0))                                           \
	X(raise_kill, raise(SIGKILL))                                                              \
	X(raise_term, raise(SIGTERM))                                                              \
	X(raise_stop, raise(SIGWINCH); _exit(9))                                                   \
	X(raw_kill, raw_call(SYS_kill, raw_call(SYS_getpid, 0, 0, 0, 0, 0), SIGKILL, 0, 0, 0))     \
	X(raw_abort, raw_call(SYS_kill, raw_call(SYS_getpid, 0, 0, 0, 0, 0), SIGABRT, 0, 0, 0);    \
	  fails(program))                                                                          \
	X(raw_quit, raw_call(SYS_kill, raw_call(SYS_getpid, 0, 0, 0, 0, 0), SIGQUIT, 0, 0, 0);     \
	  fails(program))                                                                          \
	X(raw_usr1, raw_call(SYS_kill, raw_call(SYS_getpid, 0, 0, 0, 0, 0), SIGUSR1, 0, 0, 0);     \
	  fails(program))                                                                          \
	X(raw_real,                                                                                \
	  raw_call(SYS_kill, raw_call(SYS_getpid, 0, 0, 0, 0, 0), SIGRTMIN + 3, 0, 0, 0);          \
	  fails(program))

#define EXEC_ROWS(X)                                                                               \
	X(enoent, fails("/nonexistent/program"))                                                   \
	X(enoent_path, execvp("no-such-program-anywhere", args); _exit(errno))                     \
	X(enoent_list, execlp("no-such-program-anywhere", "x", NULL); _exit(errno))                \
	X(eacces, fails("./noexec"))                                                               \
	X(eacces_path, execvp("noexec", args); _exit(errno))                                       \
	X(eacces_folder, fails("."))                                                               \
	X(enotdir, fails("./noexec/x"))                                                            \
	X(eloop, fails("./loop"))                                                                  \
	X(enametoolong, fails(long_path))                                                          \
	X(efault, fails((char *)1))                                                                \
	X(e2big, char *big[] = { "true", long_argument, NULL }; execv(program, big); _exit(errno)) \
	X(etxtbsy, fails("./busy"))                                                                \
	X(enoexec, fails("./text"))                                                                \
	X(enoexec_path, execvp("./text", args); _exit(errno))                                      \
	X(empty, fails("./empty"))                                                                 \
	X(script, fails("./script"))                                                               \
	X(interpreter, fails("./interpreter"))                                                     \
	X(too_late, fails("./too_late"))                                                           \
	X(bad_fd, fexecve(-1, args, environ); _exit(errno))                                        \
	X(bad_at, execveat(-1, "x", args, environ, 0); _exit(errno))                               \
	X(no_memory, small_limit(RLIMIT_AS, 4096); fails(program))                                 \
	X(second, execv("/nonexistent", args); fails(program))                                     \
	X(third, execvp("noexec", args); execv("./script", args); fails(program))

#define FAULT_ROWS(X)                                                                              \
	X(segv, *nowhere = 1)                                                                      \
	X(segv_code, ((void (*volatile)(void))8)())                                                \
	X(bus, *beyond = 1)                                                                        \
	X(ill, __builtin_trap())                                                                   \
	X(fpe, divide())                                                                           \
	X(overflow, overflow(0))

/* clang-format off */
#define KILL_ROWS(X)                                                                               \
	X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16)     \
	X(17) X(18) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31) X(34) X(64)
/* clang-format on */

static void small_limit(int resource, rlim_t size)
{
	struct rlimit limit = { size, size };

	setrlimit(resource, &limit);
}

HELPER void divide(void)
{
#if defined(__x86_64__)
	zero = 7 / zero;
#else
	raw_call(SYS_kill, raw_call(SYS_getpid, 0, 0, 0, 0, 0), SIGFPE, 0, 0, 0);
#endif
}

HELPER int overflow(int level)
{
	volatile char page[4096];

	page[0] = (char)level;
	return (zero ? 0 : overflow(level + 1)) + page[0];
}

/* Lets another process signal this one while it is here; is killed by it, now or in exec. */
static void meet(void)
{
	shared->child = (pid_t)raw_call(SYS_getpid, 0, 0, 0, 0, 0);
	while (!shared->sent)
		cpu_relax();
	fails(program);
}

static const struct {
	const char *theme, *name;
	int number;
} rows[] = {
#define X(id, ...) { "exit", #id, 0 },
	EXIT_ROWS(X)
#undef X
#define X(id, ...) { "exec", #id, 0 },
		EXEC_ROWS(X)
#undef X
#define X(id, ...) { "fault", #id, 0 },
			FAULT_ROWS(X)
#undef X
#define X(signal) { "kill", #signal, signal },
				KILL_ROWS(X)
#undef X
};

enum {
#define X(id, ...) ROW_EXIT_##id,
	EXIT_ROWS(X)
#undef X
#define X(id, ...) ROW_EXEC_##id,
		EXEC_ROWS(X)
#undef X
#define X(id, ...) ROW_FAULT_##id,
			FAULT_ROWS(X)
#undef X
};

/* Returns to have main return: with that status. */
static int end_as(int how)
{
	switch (how) {
#define X(id, ...)                                                                                 \
	case ROW_EXIT_##id: {                                                                      \
		__VA_ARGS__;                                                                       \
		return 0;                                                                          \
	}
		EXIT_ROWS(X)
#undef X
#define X(id, ...)                                                                                 \
	case ROW_EXEC_##id: {                                                                      \
		__VA_ARGS__;                                                                       \
		return 0;                                                                          \
	}
		EXEC_ROWS(X)
#undef X
#define X(id, ...)                                                                                 \
	case ROW_FAULT_##id: {                                                                     \
		__VA_ARGS__;                                                                       \
		return 0;                                                                          \
	}
		FAULT_ROWS(X)
#undef X
	default:
		meet();
	}
	return 0;
}

static int make_file(const char *name, mode_t mode, const void *bytes, size_t size)
{
	int fd = open(name, O_CREAT | O_TRUNC | O_RDWR | O_CLOEXEC, 0700);

	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size || fchmod(fd, mode))
		exit(96);
	return fd;
}

/* This program with another interpreter, and one that the kernel can only refuse when it is too late. */
static void make_programs(void)
{
	static char bytes[1 << 20];
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), i;
	ssize_t size = read(fd, bytes, sizeof(bytes));
	Elf64_Ehdr *header = (Elf64_Ehdr *)bytes;
	Elf64_Phdr *segment = (Elf64_Phdr *)(bytes + header->e_phoff);

	close(fd);
	if (size <= 0)
		exit(96);
	for (i = 0; i < header->e_phnum; i++)
		if (segment[i].p_type == PT_INTERP)
			bytes[segment[i].p_offset + 1] = '!';
	close(make_file("interpreter", 0755, bytes, (size_t)size));
	for (i = 0; i < header->e_phnum; i++)
		if (segment[i].p_type == PT_INTERP)
			segment[i].p_type = PT_NULL;
		else if (segment[i].p_type == PT_LOAD)
			segment[i].p_vaddr = 0x7ffffffff000;
	header->e_type = ET_EXEC;
	close(make_file("too_late", 0755, bytes, (size_t)size));
}

static void make_files(void)
{
	int fd;

	memset(long_argument, 'x', sizeof(long_argument) - 1);
	memset(long_path, 'x', sizeof(long_path) - 1);
	close(make_file("noexec", 0644, "x\n", 2));
	close(make_file("text", 0755, "exit 11\n", 8));
	close(make_file("script", 0755, "#!/nonexistent/interpreter\n", 27));
	fd = make_file("empty", 0755, "", 0);
	beyond = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	/* stays open for writing */
	make_file("busy", 0755, "#!/bin/sh\nexit 12\n", 18);
	unlink("loop");
	if (symlink("loop", "loop"))
		exit(96);
	make_programs();
	setenv("PATH", ".:/usr/bin:/bin", 1);
}

/* A process that is nobody's child sends one signal to each child that shows up. */
static void start_killer(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (fork())
			_exit(0);
		alarm(60);
		while (!shared->quit) {
			pid_t child = shared->child;

			if (child && !shared->sent) {
				kill_one(child, shared->signal);
				shared->sent = 1;
			}
			usleep(20);
		}
		_exit(0);
	}
	wait_for(pid);
}

static void print_end(const char *name, pid_t pid, int status, int seen)
{
	printf("%s: %s %d, SIGCHLD %d times, code %d status %d, %s\n", name,
	       WIFSIGNALED(status) ? "signal" : "exit",
	       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), seen, last.si_code,
	       last.si_status, last.si_pid == pid ? "its pid" : "ANOTHER PID");
}

int main(int argc, char **argv)
{
	const char *theme = string_argument(argc, argv, 1, "exit");
	int good = number_argument(argc, argv, 3, 6), i;
	int threads = number_argument(argc, argv, 2, 0);
	volatile int n; /* not known to the compiler, which else makes two calls of one */
	struct sigaction action = { .sa_sigaction = on_child, .sa_flags = SA_RESTART | SA_SIGINFO };
	volatile long guard[4] = { 11, 22, 33, 44 };

	setvbuf(stdout, NULL, _IONBF, 0);
	small_limit(RLIMIT_CORE, 0);
	program = quick_program();
	shared = shared_memory(sizeof(*shared));
	make_files();
	if (!strcmp(theme, "kill"))
		start_killer();
	start_churning(threads);
	sigaction(SIGCHLD, &action, NULL);
	for (i = 0; i < COUNT(rows); i++) {
		if (strcmp(rows[i].theme, theme))
			continue;
		for (n = 0; n <= good; n++) {
			int before, status;
			pid_t pid;

			row = n == good ? i : -1;
			shared->signal = rows[i].number;
			shared->child = shared->sent = 0;
			before = signals;
			pid = xfork();
			if (pid == 0) {
				guard[1] = guard[3] = -1;
				if (row >= 0)
					return end_as(row);
				fails(program);
			}
			status = wait_for(pid);
			while (shared->child && !shared->sent)
				usleep(20);
			if (n == good)
				print_end(rows[i].name, pid, status, signals - before);
			else
				expect(status == 0 && signals == before + 1,
				       "a child that executes ends well");
			expect(guard[1] == 22 && guard[3] == 44, "a local changed");
			errno = 0;
			expect(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD,
			       "a child is left");
		}
	}
	shared->quit = 1;
	return victim_faults != 0;
}
