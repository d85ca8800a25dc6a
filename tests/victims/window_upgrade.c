/* flags: -Wno-deprecated-declarations -Wno-unused-result */
/* SPDX-License-Identifier: MIT */
/*
 * window_upgrade THEME [THREADS [GOOD]]: for each call of that theme, GOOD children at one site execute a
 * program and the next makes the call first. After it the child must have memory of its own, the pid that
 * fork() returned and the right parent, and the parent must find all of its own as it was.
 *
 * Themes: heap, stdio, lock, thread, loader, spawn, blocks, maps, privilege, libc, signal, effect.
 */
#include <aio.h>
#include <arpa/inet.h>
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <langinfo.h>
#include <locale.h>
#include <malloc.h>
#include <mqueue.h>
#include <netdb.h>
#include <poll.h>
#include <pty.h>
#include <pwd.h>
#include <sched.h>
#include <semaphore.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <syslog.h>
#include <threads.h>
#include <time.h>
#include <wchar.h>
#include <wordexp.h>

#include "window.h"

#define REGION ((size_t)16 << 12)

static char *const args[] = { "true", NULL };
static char *program;
static volatile int row = -1; /* read anew by each child, so that there is one call of fork() */
static struct {
	volatile pid_t child, child_parent;
	volatile int
		stayed; /* the child was in its parent's memory still when the call had returned */
	volatile int ready;
} * shared;

/* What the calls act on, and what the parent looks at afterwards. */
static char *block, *region;
static FILE *stream, *input;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static pthread_spinlock_t spin;
static pthread_barrier_t barrier;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static once_flag flag = ONCE_FLAG_INIT;
static pthread_key_t key;
static mtx_t plain;
static sem_t semaphore;
static int pipe_ends[2], pair[2], folder, file;
static char text[64], *token, *rest;
static void *math;
static cpu_set_t own_processors;
static void *(*operator_new)(size_t);
static void (*operator_delete)(void *);

static void nothing(void)
{
}

static void *thread(void *unused)
{
	return unused;
}

static int started(void *unused)
{
	(void)unused;
	return 0;
}

static void run_thread(void)
{
	pthread_t id;

	pthread_create(&id, NULL, thread, NULL);
	pthread_join(id, NULL);
}

static void run_c11_thread(void)
{
	thrd_t id;

	thrd_create(&id, started, NULL);
	thrd_join(id, NULL);
}

static void reap(pid_t pid)
{
	if (pid == 0)
		_exit(0);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* As glib: the child of the child is the one that lives. */
static void fork_twice(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		pid = fork();
		if (pid == 0)
			_exit(0);
		_exit(pid < 0);
	}
	reap(pid);
}

static void spawn_one(void)
{
	pid_t pid;

	if (!posix_spawn(&pid, program, NULL, NULL, args, environ))
		reap(pid);
}

static void vfork_one(void)
{
	volatile pid_t pid = vfork();

	if (pid == 0)
		_exit(0);
	reap(pid);
}

static void clone_one(void)
{
	static char stack[16384] __attribute__((aligned(16)));

	reap(clone(started, stack + sizeof(stack), SIGCHLD, NULL));
}

static void forkpty_one(void)
{
	int fd;

	reap(forkpty(&fd, NULL, NULL, NULL));
}

static void wordexp_one(void)
{
	wordexp_t words;

	if (!wordexp("$(echo a b)", &words, 0))
		wordfree(&words);
}

static void all_pages(int protection)
{
	mprotect(region, REGION, protection);
}

static void give_up(int which)
{
	struct timespec soon = { 0, 1 };
	struct pollfd fd = { .fd = pipe_ends[0], .events = POLLIN };
	struct iovec vector = { text, 1 };
	fd_set set;
	int epoll;

	FD_ZERO(&set);
	switch (which) {
	case 0:
		readv(pipe_ends[0], &vector, 1);
		break;
	case 1:
		poll(&fd, 1, 0);
		break;
	case 2:
		ppoll(&fd, 1, &soon, NULL);
		break;
	case 3:
		select(0, &set, NULL, NULL, &(struct timeval){ 0, 1 });
		break;
	case 4:
		pselect(0, &set, NULL, NULL, &soon, NULL);
		break;
	case 5:
		epoll = epoll_create1(EPOLL_CLOEXEC);
		epoll_wait(epoll, &(struct epoll_event){ 0 }, 1, 0);
		break;
	case 6:
		nanosleep(&soon, NULL);
		break;
	case 7:
		clock_nanosleep(CLOCK_MONOTONIC, 0, &soon, NULL);
		break;
	default:
		thrd_sleep(&soon, NULL);
	}
}

static void set_waits(int which)
{
	struct timespec soon = { 0, 1 };
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	sigprocmask(SIG_BLOCK, &set, NULL);
	if (which == 0) {
		sigtimedwait(&set, NULL, &soon);
	} else {
		raise(SIGUSR2);
		sigwait(&set, &(int){ 0 });
	}
}

static void try_locks(int which)
{
	struct timespec past = { 0, 0 };

	switch (which) {
	case 0:
		pthread_mutex_timedlock(&mutex, &past);
		break;
	case 1:
		pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &past);
		break;
	case 2:
		pthread_rwlock_timedrdlock(&rwlock, &past);
		break;
	case 3:
		sem_timedwait(&semaphore, &past);
		break;
	case 4:
		pthread_rwlock_clockwrlock(&rwlock, CLOCK_MONOTONIC, &past);
		break;
	default:
		pthread_cond_timedwait(&cond, &mutex, &past);
	}
}

static void record_lock(int command)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

	fcntl(file, command, &lock);
}

/* To the first processor only. */
static void set_affinity(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	pthread_setaffinity_np(pthread_self(), sizeof(set), &set);
}

/* Pushed until exec, which drops it. */
static void cleanup_push(void)
{
	pthread_cleanup_push(free, NULL);
	nothing();
	execv(program, args);
	pthread_cleanup_pop(0);
}

/* X(theme, call): names are the statements themselves. */
#define CALLS(X)                                                                                   \
	X(heap, block = malloc(100))                                                               \
	X(heap, block = calloc(3, 100))                                                            \
	X(heap, block = realloc(block, 100000))                                                    \
	X(heap, block = reallocarray(block, 3, 1000))                                              \
	X(heap, free(block))                                                                       \
	X(heap, if (posix_memalign((void **)&block, 64, 64)) block = NULL)                         \
	X(heap, block = aligned_alloc(64, 64))                                                     \
	X(heap, block = memalign(64, 64))                                                          \
	X(heap, block = valloc(64))                                                                \
	X(heap, block = pvalloc(64))                                                               \
	X(heap, block = strdup("x"))                                                               \
	X(heap, block = strndup("x", 1))                                                           \
	X(heap, if (asprintf(&block, "%d", 1) < 0) block = NULL)                                   \
	X(heap, block = getcwd(NULL, 0))                                                           \
	X(heap, block = realpath("/bin", NULL))                                                    \
	X(heap, block = (char *)opendir("/"))                                                      \
	X(heap, block = (char *)wcsdup(L"x"))                                                      \
	X(heap, malloc_trim(0))                                                                    \
	X(heap, mallopt(M_PERTURB, 7))                                                             \
	X(heap, mallinfo2())                                                                       \
	X(heap, if (operator_new) block = operator_new(10); else free(block))                      \
	X(heap, if (operator_delete) operator_delete(NULL); else free(block))                      \
	X(stdio, printf("child\n"))                                                                \
	X(stdio, printf("%s", "child"))                                                            \
	X(stdio, puts("child"))                                                                    \
	X(stdio, putchar('c'))                                                                     \
	X(stdio, putc('c', stream))                                                                \
	X(stdio, fputc('c', stream))                                                               \
	X(stdio, fputs("child", stream))                                                           \
	X(stdio, fprintf(stream, "child"))                                                         \
	X(stdio, fwrite("child", 1, 5, stream))                                                    \
	X(stdio, fflush(NULL))                                                                     \
	X(stdio, fclose(stream))                                                                   \
	X(stdio, fopen("/dev/null", "r"))                                                          \
	X(stdio, fdopen(file, "r"))                                                                \
	X(stdio, fread(text, 1, 1, input))                                                         \
	X(stdio, fgetc(input))                                                                     \
	X(stdio, getc(input))                                                                      \
	X(stdio, fgets(text, 2, input))                                                            \
	X(stdio, ungetc('c', input))                                                               \
	X(stdio, fscanf(input, "%1s", text))                                                       \
	X(stdio, fseek(input, 2, SEEK_SET))                                                        \
	X(stdio, ftell(input))                                                                     \
	X(stdio, rewind(input))                                                                    \
	X(stdio, clearerr(input))                                                                  \
	X(stdio, setvbuf(stream, NULL, _IONBF, 0))                                                 \
	X(stdio, setlinebuf(stream))                                                               \
	X(stdio, flockfile(stream))                                                                \
	X(stdio, dprintf(file, "child"))                                                           \
	X(stdio, perror("child"))                                                                  \
	X(stdio, fputwc(L'c', stream))                                                             \
	X(stdio, fputs_unlocked("child", stream))                                                  \
	X(stdio, putw(7, stream))                                                                  \
	X(stdio, open_memstream(&block, &(size_t){ 0 }))                                           \
	X(lock, pthread_mutex_lock(&mutex))                                                        \
	X(lock, pthread_mutex_trylock(&mutex))                                                     \
	X(lock, try_locks(0))                                                                      \
	X(lock, try_locks(1))                                                                      \
	X(lock, try_locks(2))                                                                      \
	X(lock, try_locks(3))                                                                      \
	X(lock, try_locks(4))                                                                      \
	X(lock, pthread_mutex_lock(&mutex); try_locks(5))                                          \
	X(lock, pthread_rwlock_rdlock(&rwlock))                                                    \
	X(lock, pthread_rwlock_wrlock(&rwlock))                                                    \
	X(lock, pthread_rwlock_tryrdlock(&rwlock))                                                 \
	X(lock, pthread_rwlock_trywrlock(&rwlock))                                                 \
	X(lock, pthread_spin_lock(&spin))                                                          \
	X(lock, pthread_spin_trylock(&spin))                                                       \
	X(lock, pthread_barrier_wait(&barrier))                                                    \
	X(lock, pthread_once(&once, nothing))                                                      \
	X(lock, call_once(&flag, nothing))                                                         \
	X(lock, mtx_lock(&plain))                                                                  \
	X(lock, mtx_trylock(&plain))                                                               \
	X(lock, sem_wait(&semaphore))                                                              \
	X(lock, sem_trywait(&semaphore))                                                           \
	X(lock, sem_post(&semaphore))                                                              \
	X(thread, run_thread())                                                                    \
	X(thread, run_c11_thread())                                                                \
	X(thread, pthread_exit(NULL))                                                              \
	X(thread, thrd_exit(0))                                                                    \
	X(thread, pthread_setspecific(key, text))                                                  \
	X(thread, tss_set(key, text))                                                              \
	X(thread, pthread_key_create(&(pthread_key_t){ 0 }, NULL))                                 \
	X(thread, pthread_key_delete(key))                                                         \
	X(thread, pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL))                        \
	X(thread, pthread_setschedparam(pthread_self(), SCHED_BATCH, &(struct sched_param){ 0 }))  \
	X(thread, set_affinity())                                                                  \
	X(thread, cleanup_push())                                                                  \
	X(loader, dlopen("libm.so.6", RTLD_NOW))                                                   \
	X(loader, dlclose(math))                                                                   \
	X(loader, dlsym(math, "no_such_symbol"))                                                   \
	X(loader, dlvsym(math, "cos", "NO_SUCH_VERSION"))                                          \
	X(loader, dlerror())                                                                       \
	X(spawn, reap(fork()))                                                                     \
	X(spawn, fork_twice())                                                                     \
	X(spawn, vfork_one())                                                                      \
	X(spawn, spawn_one())                                                                      \
	X(spawn, clone_one())                                                                      \
	X(spawn, forkpty_one())                                                                    \
	X(spawn, wordexp_one())                                                                    \
	X(spawn, if (system("exit 3")) errno = 0)                                                  \
	X(spawn, pclose(popen("exit 3", "r")))                                                     \
	X(spawn, reap(_Fork()))                                                                    \
	X(blocks, if (read(pipe_ends[0], text, 1)) errno = 0)                                      \
	X(blocks, give_up(0))                                                                      \
	X(blocks, give_up(1))                                                                      \
	X(blocks, give_up(2))                                                                      \
	X(blocks, give_up(3))                                                                      \
	X(blocks, give_up(4))                                                                      \
	X(blocks, give_up(5))                                                                      \
	X(blocks, give_up(6))                                                                      \
	X(blocks, give_up(7))                                                                      \
	X(blocks, give_up(8))                                                                      \
	X(blocks, recv(pair[0], text, 1, MSG_DONTWAIT))                                            \
	X(blocks, recvfrom(pair[0], text, 1, MSG_DONTWAIT, NULL, NULL))                            \
	X(blocks, recvmsg(pair[0], &(struct msghdr){ 0 }, MSG_DONTWAIT))                           \
	X(blocks, accept(pair[0], NULL, NULL))                                                     \
	X(blocks, connect(pair[0], &(struct sockaddr){ 0 }, 0))                                    \
	X(blocks, wait(NULL))                                                                      \
	X(blocks, waitpid(-1, NULL, 0))                                                            \
	X(blocks, wait3(NULL, 0, NULL))                                                            \
	X(blocks, wait4(-1, NULL, 0, NULL))                                                        \
	X(blocks, waitid(P_ALL, 0, &(siginfo_t){ 0 }, WEXITED))                                    \
	X(blocks, sleep(0))                                                                        \
	X(blocks, usleep(1))                                                                       \
	X(blocks, sched_yield())                                                                   \
	X(blocks, flock(folder, LOCK_EX | LOCK_NB))                                                \
	X(blocks, if (lockf(file, F_TEST, 0)) errno = 0)                                           \
	X(blocks, record_lock(F_SETLKW))                                                           \
	X(blocks, record_lock(F_SETLK))                                                            \
	X(blocks, open("fifo", O_RDONLY | O_NONBLOCK))                                             \
	X(blocks, set_waits(0))                                                                    \
	X(blocks, set_waits(1))                                                                    \
	X(blocks, eventfd_read(-1, &(eventfd_t){ 0 }))                                             \
	X(blocks, syscall(SYS_read, pipe_ends[0], text, 1))                                        \
	X(maps, mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))                   \
	X(maps, mmap(region, REGION, PROT_READ, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0))   \
	X(maps, munmap(region, REGION))                                                            \
	X(maps, mremap(region, REGION, REGION / 2, 0))                                             \
	X(maps, all_pages(PROT_NONE))                                                              \
	X(maps, madvise(region, REGION, MADV_DONTNEED))                                            \
	X(maps, mlock(region, 4096))                                                               \
	X(maps, munlockall())                                                                      \
	X(maps, brk((char *)sbrk(0) + 4096))                                                       \
	X(maps, sbrk(4096))                                                                        \
	X(maps, remap_file_pages(region, 4096, 0, 0, 0))                                           \
	X(maps, syscall(SYS_munmap, region, REGION))                                               \
	X(privilege, if (setuid(getuid())) errno = 0)                                              \
	X(privilege, if (seteuid(geteuid())) errno = 0)                                            \
	X(privilege, if (setreuid(-1, -1)) errno = 0)                                              \
	X(privilege, if (setresuid(-1, -1, -1)) errno = 0)                                         \
	X(privilege, if (setgid(getgid())) errno = 0)                                              \
	X(privilege, if (setegid(getegid())) errno = 0)                                            \
	X(privilege, if (setregid(-1, -1)) errno = 0)                                              \
	X(privilege, if (setresgid(-1, -1, -1)) errno = 0)                                         \
	X(privilege, if (setgroups(0, NULL)) errno = 0)                                            \
	X(privilege, if (initgroups("root", 0)) errno = 0)                                         \
	X(privilege, setfsuid(getuid()))                                                           \
	X(privilege, setfsgid(getgid()))                                                           \
	X(privilege, if (unshare(CLONE_FS)) errno = 0)                                             \
	X(privilege, setns(-1, 0))                                                                 \
	X(libc, localtime(&(time_t){ 0 }))                                                         \
	X(libc, localtime_r(&(time_t){ 0 }, &(struct tm){ 0 }))                                    \
	X(libc, gmtime(&(time_t){ 0 }))                                                            \
	X(libc, mktime(&(struct tm){ .tm_mday = 1 }))                                              \
	X(libc, strftime(text, sizeof(text), "%c", &(struct tm){ 0 }))                             \
	X(libc, tzset())                                                                           \
	X(libc, ctime(&(time_t){ 0 }))                                                             \
	X(libc, asctime(&(struct tm){ .tm_mday = 1 }))                                             \
	X(libc, srandom(9))                                                                        \
	X(libc, random())                                                                          \
	X(libc, rand())                                                                            \
	X(libc, srand48(9))                                                                        \
	X(libc, drand48())                                                                         \
	X(libc, lrand48())                                                                         \
	X(libc, getpwnam("root"))                                                                  \
	X(libc, getgrnam("root"))                                                                  \
	X(libc, getpwent())                                                                        \
	X(libc, getservbyname("http", "tcp"))                                                      \
	X(libc, setlocale(LC_ALL, "C.UTF-8"))                                                      \
	X(libc, newlocale(LC_ALL_MASK, "C.UTF-8", NULL))                                           \
	X(libc, setenv("CHILD", "1", 1))                                                           \
	X(libc, putenv((char *)"CHILD=1"))                                                         \
	X(libc, unsetenv("PARENT"))                                                                \
	X(libc, clearenv())                                                                        \
	X(libc, atexit(nothing))                                                                   \
	X(libc, at_quick_exit(nothing))                                                            \
	X(libc, pthread_atfork(nothing, NULL, NULL))                                               \
	X(libc, openlog("child", 0, 0))                                                            \
	X(libc, setlogmask(0))                                                                     \
	X(libc, strtok(NULL, ","))                                                                 \
	X(libc, getopt(2, (char *[]){ "x", "-a", NULL }, "a"))                                     \
	X(libc, strerror(12345))                                                                   \
	X(signal, raise(SIGWINCH))                                                                 \
	X(signal, kill(getpid(), 0))                                                               \
	X(signal, pthread_kill(pthread_self(), 0))                                                 \
	X(signal, sigqueue(getpid(), 0, (union sigval){ 0 }))                                      \
	X(signal, sigset(SIGUSR1, SIG_IGN))                                                        \
	X(signal, sigignore(SIGUSR1))                                                              \
	X(signal, sighold(SIGUSR1))                                                                \
	X(signal, sigblock(1))                                                                     \
	X(signal, siginterrupt(SIGUSR1, 1))                                                        \
	X(signal, alarm(100))                                                                      \
	X(effect, if (write(pipe_ends[1], "x", 1) < 0) errno = 0)                                  \
	X(effect, if (pwrite(file, "x", 1, 0) < 0) errno = 0)                                      \
	X(effect, send(pair[0], "x", 1, MSG_DONTWAIT))                                             \
	X(effect, lseek(file, 1, SEEK_CUR))                                                        \
	X(effect, if (ftruncate(file, 0)) errno = 0)                                               \
	X(effect, mkdir("made", 0700))                                                             \
	X(effect, rename("made", "moved"))                                                         \
	X(effect, rmdir("moved"))                                                                  \
	X(effect, open("created", O_CREAT | O_EXCL | O_RDWR, 0600))                                \
	X(effect, link("created", "linked"))                                                       \
	X(effect, unlink("linked"))                                                                \
	X(effect, unlink("created"))                                                               \
	X(effect, syscall(SYS_write, pipe_ends[1], "x", 1))

static const struct {
	const char *theme, *call;
} rows[] = {
#define X(theme, ...) { #theme, #__VA_ARGS__ },
	CALLS(X)
#undef X
};

/* One function a row, in the order of the table. */
static void make_call(int which)
{
	int at = 0;

#define X(theme, ...)                                                                              \
	if (which == at++) {                                                                       \
		__VA_ARGS__;                                                                       \
		return;                                                                            \
	}
	CALLS(X)
#undef X
}

static void child(void)
{
	if (row >= 0) {
		shared->ready |= in_window();
		make_call(row);
		shared->stayed = in_window();
		shared->child = (pid_t)raw_call(SYS_getpid, 0, 0, 0, 0, 0);
		shared->child_parent = (pid_t)raw_call(SYS_getppid, 0, 0, 0, 0, 0);
	}
	execv(program, args);
	_exit(127);
}

static int tasks(void)
{
	DIR *list = opendir("/proc/self/task");
	int count = 0;

	while (readdir(list))
		count++;
	closedir(list);
	return count - 2;
}

static void prepare(void)
{
	void *library = dlopen("libstdc++.so.6", RTLD_NOW);

	if (library) {
		*(void **)&operator_new = dlsym(library, "_Znwm");
		*(void **)&operator_delete = dlsym(library, "_ZdlPv");
	}
	math = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL);
	shared = shared_memory(sizeof(*shared));
	region = mmap(NULL, REGION, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stream = fopen("/dev/null", "w");
	file = open("file", O_CREAT | O_TRUNC | O_RDWR, 0600);
	folder = open(".", O_RDONLY | O_DIRECTORY);
	if (!stream || file < 0 || folder < 0 || write(file, "abcdefgh", 8) != 8 ||
	    pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK) || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		exit(96);
	input = fopen("file", "r");
	unlink("fifo");
	if (!input || fgetc(input) != 'a' || mkfifo("fifo", 0600))
		exit(96);
	pthread_spin_init(&spin, 0);
	pthread_barrier_init(&barrier, NULL, 1);
	pthread_key_create(&key, NULL);
	pthread_setspecific(key, &key);
	mtx_init(&plain, mtx_plain);
	sem_init(&semaphore, 0, 3);
	signal(SIGUSR1, SIG_DFL);
	srandom(5);
	srand48(5);
	setenv("PARENT", "1", 1);
	sched_getaffinity(0, sizeof(own_processors), &own_processors);
	strcpy(text, "one,two,three");
	token = strtok(text, ",");
}

/* The parent's own things, after each child. */
static void look(int threads, const char *pattern)
{
	struct sigaction action;
	cpu_set_t processors;
	Dl_info info;
	size_t i;
	int value;

	expect(!strcmp(block, pattern), "the heap");
	for (i = 0; i < REGION; i += 4096)
		expect(region[i] == 'r', "a mapping");
	region[0] = 'r';
	expect(!pthread_mutex_trylock(&mutex) && !pthread_mutex_unlock(&mutex), "a mutex");
	expect(!pthread_rwlock_trywrlock(&rwlock) && !pthread_rwlock_unlock(&rwlock), "a rwlock");
	expect(!pthread_spin_trylock(&spin) && !pthread_spin_unlock(&spin), "a spin lock");
	expect(mtx_trylock(&plain) == thrd_success && mtx_unlock(&plain) == thrd_success, "a mtx");
	expect(!sem_getvalue(&semaphore, &value) && value == 3, "a semaphore");
	expect(once == PTHREAD_ONCE_INIT, "a once");
	expect(!ftrylockfile(stream), "a stream's lock");
	funlockfile(stream);
	value = fgetc(input);
	expect(value == 'b' && ungetc('b', input) == 'b', "a stream's place");
	expect(pthread_getspecific(key) == &key, "a thread-specific value");
	expect(!pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &value) &&
		       value == PTHREAD_CANCEL_DEFERRED,
	       "the cancel type");
	expect(sched_getscheduler(0) == SCHED_OTHER, "the scheduling policy");
	sched_getaffinity(0, sizeof(processors), &processors);
	expect(CPU_EQUAL(&processors, &own_processors), "the processors");
	expect(tasks() == threads + 1, "threads");
	expect(dladdr(dlsym(math, "cos"), &info) != 0, "a library");
	expect(!strcmp(setlocale(LC_ALL, NULL), "C"), "the locale");
	expect(getenv("PARENT") && !getenv("CHILD"), "the environment");
	expect(optind == 1, "getopt's place");
	expect(setlogmask(0) == LOG_UPTO(LOG_DEBUG), "the log mask");
	expect(!sigaction(SIGUSR1, NULL, &action) && action.sa_handler == SIG_DFL, "a disposition");
	expect(alarm(0) == 0, "an alarm");
	errno = 0;
	expect(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD, "no child is left");
}

int main(int argc, char **argv)
{
	const char *theme = string_argument(argc, argv, 1, "heap");
	int threads = number_argument(argc, argv, 2, 0);
	int good = number_argument(argc, argv, 3, 6), i, windows = 0, due = 0;
	volatile int n; /* not known to the compiler, which else makes two calls of one */
	char *own;

	setvbuf(stdout, NULL, _IOFBF, BUFSIZ);
	program = quick_program();
	prepare();
	start_churning(threads);
	own = strdup("the parent's own");
	memset(region, 'r', REGION);
	for (i = 0; i < COUNT(rows); i++) {
		if (strcmp(rows[i].theme, theme))
			continue;
		due++;
		for (n = 0; n <= good; n++) {
			pid_t pid;
			void *top;

			block = own;
			row = n == good ? i : -1;
			shared->ready = shared->stayed = 0;
			shared->child = shared->child_parent = 0;
			top = sbrk(0);
			pid = xfork();
			if (pid == 0)
				child();
			if (n == good)
				print_status(rows[i].call, i, wait_for(pid));
			else
				expect(wait_for(pid) == 0, "a child that executes ends well");
			expect(threads || sbrk(0) == top, "the break");
			windows += shared->ready;
			expect(!shared->stayed, "the call ran in the parent's memory");
			expect(!shared->child ||
				       (shared->child == pid && shared->child_parent == getpid()),
			       "one child with one pid and one parent");
			look(threads, "the parent's own");
		}
	}
	rest = strtok(NULL, ",");
	expect(rest && !strcmp(rest, "two"), "strtok's place");
	(void)token;
	printf("random %ld %ld\n", random(), lrand48());
	/* Told only where it is asked for: there are none in a bare run. */
	if (getenv("WINDOWS"))
		printf("%d of %d in a window\n", windows_can_be_told() ? windows : due, due);
	return victim_faults != 0;
}
