/* SPDX-License-Identifier: MIT */
/*
 * fault_target WHAT PROGRAM: makes processes in all the ways that the shim has a part in, and says what became of each.
 * PROGRAM ends with 0. fork: forks that execute, more than it takes to learn them, and some that go other ways;
 * threads: the same while others lock and unlock; spawn: posix_spawn(), system() and popen(); vfork; avfork: needs the
 * shim.
 */
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/stat.h>

#include "avfork.h"

#define ROUNDS 7

static char *program;
static int written;
static int
	threads; /* with others alive nothing static comes back, and the site would stay on real forks */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static volatile int stop;

/* What programs do there: nothing that cannot be put back. */
HELPER void execute(const char *path)
{
	char *args[] = { (char *)path, NULL };
	sigset_t none;

	sigemptyset(&none);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
	setsid();
	dup2(0, 20);
	close(20);
	execv(path, args);
}

HELPER void spawn(int number, const char *path, int ends)
{
	volatile int here = number;
	pid_t pid = xfork();

	if (!pid) {
		if (!threads)
			written = 5;
		here = -1;
		if (!ends)
			execute(path);
		_exit(ends ? ends : 120);
	}
	expect(here == number && !written, "a child's write is seen");
	print_status("child", number, wait_for(pid));
}

static void forks(void)
{
	int number;

	for (number = 0; number < ROUNDS; number++)
		spawn(number, program, 0);
	spawn(number++, "/no/such/program", 0);
	spawn(number++, program, 7);
	spawn(number++, program, 0);
}

static void *work(void *unused)
{
	while (!stop) {
		pthread_mutex_lock(&lock);
		usleep(50);
		pthread_mutex_unlock(&lock);
		usleep(50);
	}
	return unused;
}

static void with_threads(void)
{
	pthread_t thread[2];
	int i;

	threads = 1;
	for (i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, work, NULL);
	forks();
	stop = 1;
	for (i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
}

static void by_posix_spawn(const char *path, int number)
{
	char *args[] = { (char *)path, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t set;
	pid_t pid = -1;
	int result;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, 0, 20);
	posix_spawn_file_actions_addopen(&actions, 21, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_addclose(&actions, 20);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF |
						      POSIX_SPAWN_SETSIGMASK);
	sigemptyset(&set);
	posix_spawnattr_setsigmask(&attributes, &set);
	sigaddset(&set, SIGINT);
	posix_spawnattr_setsigdefault(&attributes, &set);
	result = posix_spawn(&pid, path, number ? &actions : NULL, number ? &attributes : NULL,
			     args, environ);
	if (result)
		printf("posix_spawn: %s\n", strerror(result));
	else
		print_status("spawned", number, wait_for(pid));
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
}

static void by_popen(const char *mode, const char *command)
{
	char line[64] = "-";
	FILE *stream = popen(command, mode);

	if (!stream) {
		printf("popen: %s\n", strerror(errno));
		return;
	}
	if (*mode == 'r')
		expect(fgets(line, sizeof(line), stream) != NULL, "nothing was read");
	else
		fputs("text\n", stream);
	print_status(line, *mode, pclose(stream));
}

static void spawns(void)
{
	int i;

	for (i = 0; i < 3; i++)
		by_posix_spawn(program, i);
	by_posix_spawn("/no/such/program", 1);
	for (i = 0; i < 3; i++)
		by_popen("r", "echo read; exit 3");
	by_popen("w", "read line; [ \"$line\" = text ]");
	print_status("system", 0, system("exit 4"));
	print_status("system", 1, system("exit 0"));
}

static void vforks(void)
{
	char *args[] = { program, NULL };
	volatile int number;

	for (number = 0; number < 6; number++) {
		pid_t pid = vfork();

		if (!pid) {
			dup2(0, 20);
			close(20);
			if (number != 4)
				execv(number == 5 ? "/no/such/program" : program, args);
			_exit(9);
		}
		if (pid < 0)
			printf("vfork: %s\n", strerror(errno));
		else
			print_status("vforked", number, wait_for(pid));
	}
}

static int routine(void *data)
{
	char *args[] = { data, NULL };

	execv(args[0], args);
	return 11;
}

static void avforks(void)
{
	const char *argv[] = { program, NULL }, *echo[] = { "sh", "-c", "echo read", NULL };
	struct avfork_job job = { .argv = argv };
	struct avfork_pool *pool = AVFORK_FIND(avfork_pool_create)(2);
	char line[64] = "-";
	FILE *stream;
	pid_t pid;
	int i;

	print_status("avfork", 0, wait_for(start(routine, program)));
	print_status("avfork", 1, wait_for(start(routine, (void *)"/no/such/program")));
	for (i = 0; i < 2; i++) {
		stream = AVFORK_FIND(avfork_popen)(echo, "rx", &pid);
		if (!stream) {
			printf("avfork_popen: %s\n", strerror(errno));
			continue;
		}
		if (!fgets(line, sizeof(line), stream))
			printf("nothing was read\n");
		fclose(stream);
		print_status(line, i, wait_for(pid));
	}
	if (!pool)
		printf("pool: %s\n", strerror(errno));
	for (i = 0; pool && i < 3; i++) {
		pid = AVFORK_FIND(avfork_pool_submit)(pool, &job);
		if (pid < 0)
			printf("submit: %s\n", strerror(errno));
		else
			print_status("submitted", i, wait_for(pid));
	}
	if (pool)
		AVFORK_FIND(avfork_pool_destroy)(pool);
}

int main(int argc, char **argv)
{
	const char *what = string_argument(argc, argv, 1, "fork");

	setvbuf(stdout, NULL, _IONBF, 0);
	program = (char *)string_argument(argc, argv, 2, "/bin/true");
	if (!strcmp(what, "fork"))
		forks();
	else if (!strcmp(what, "threads"))
		with_threads();
	else if (!strcmp(what, "spawn"))
		spawns();
	else if (!strcmp(what, "vfork"))
		vforks();
	else
		avforks();
	return victim_faults != 0;
}
