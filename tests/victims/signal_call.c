/* SPDX-License-Identifier: MIT */
/*
 * A signal handler that calls what is not async-signal-safe: signal_call WAY. Clean: `safe`; `jump`, whose handler jumps
 * out, after which the program may call what it likes, as deep as it likes; `fork`, whose child returns from it.
 */
#include <pthread.h>
#include <setjmp.h>
#include <sys/mman.h>
#include <time.h>

#include "victim.h"

static void *volatile block;
static volatile sig_atomic_t came;
static sigjmp_buf out;

HELPER void call_malloc(void)
{
	block = malloc(100);
	__asm__ volatile("" ::: "memory");
}

static void on_printf(int signal)
{
	printf("%d\n", signal);
	came++;
}

static void on_callee(int signal)
{
	(void)signal;
	call_malloc();
	came++;
}

static void on_info(int signal, siginfo_t *info, void *context)
{
	expect(signal == SIGALRM && info->si_signo == SIGALRM && context, "arguments");
	block = localtime(&(time_t){ 0 });
	came++;
}

static void on_safe(int signal)
{
	sigset_t set;

	sigemptyset(&set);
	expect(!sigprocmask(SIG_BLOCK, &set, NULL) && write(1, "", 0) == 0 && signal &&
		       getpid() > 0 && !kill(getpid(), 0),
	       "safe");
	came++;
}

static void on_jump(int signal)
{
	(void)signal;
	came++;
	siglongjmp(out, 1);
}

/* By no function that anybody could see. */
static void *plain_out[5];

static void on_plain_jump(int signal)
{
	(void)signal;
	came++;
	__builtin_longjmp(plain_out, 1);
}

static void on_fork(int signal)
{
	(void)signal;
	/* fork() is not in the list any more */
	came = _Fork() ? 1 : 2;
}

static void on_end(int signal)
{
	(void)signal;
	came++;
	for (;;)
		pause();
}

HELPER void set(int signal, void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags };

	expect(!sigaction(signal, &action, NULL), "sigaction");
}

/* Before and after another handler interrupts it. */
static void on_nested(int signal)
{
	volatile int i;

	for (i = 0; i < 2; i++) {
		block = calloc(1, 100);
		if (!i)
			raise(SIGUSR2);
	}
	came = signal;
}

#define STACK 65536

HELPER void alternate(size_t size)
{
	/* What grows out of it faults. */
	char *room = mmap(NULL, 2 * STACK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	stack_t given = { .ss_sp = room + STACK, .ss_size = size };

	expect(!mprotect(room + STACK, STACK, PROT_READ | PROT_WRITE), "memory");
	/* The first call needs more stack than those after it. */
	block = malloc(100);
	expect(!sigaltstack(&given, NULL), "sigaltstack");
}

HELPER void send(int signal)
{
	raise(signal);
	__asm__ volatile("" ::: "memory");
}

/* Far below where a handler's frame was, without a call in between; nothing here is on the stack but once. */
HELPER void use(void)
{
	char room[100000];

	__asm__ volatile("" : : "r"(room) : "memory");
	block = malloc(100);
	free(block);
	printf("used\n");
}

HELPER void jump(int flags)
{
	alternate(STACK);
	set(SIGALRM, on_jump, flags);
	if (!sigsetjmp(out, 1))
		send(SIGALRM);
	use();
}

HELPER void plain_jump(void)
{
	sigset_t set_of;

	set(SIGALRM, on_plain_jump, SA_NODEFER);
	if (!__builtin_setjmp(plain_out))
		send(SIGALRM);
	sigemptyset(&set_of);
	use();
}

static void *waits(void *unused)
{
	set(SIGUSR1, on_end, 0);
	raise(SIGUSR1);
	return unused;
}

static void cleanup_key(void *unused)
{
	(void)unused;
	use();
}

static pthread_key_t key;

static void *with_key(void *unused)
{
	pthread_setspecific(key, &key);
	return waits(unused);
}

HELPER void cancelled(void)
{
	pthread_t thread;

	pthread_key_create(&key, cleanup_key);
	expect(!pthread_create(&thread, NULL, with_key, NULL), "thread");
	while (!came)
		usleep(1000);
	pthread_cancel(thread);
	pthread_join(thread, NULL);
	use();
}

HELPER void forks(void)
{
	set(SIGALRM, on_fork, 0);
	send(SIGALRM);
	while (came == 1 && wait(NULL) < 0 && errno == EINTR)
		;
	use();
	if (came == 2)
		_exit(victim_faults);
}

int main(int argc, char **argv)
{
	const char *way = string_argument(argc, argv, 1, "safe");
	sigset_t mask, before;

	setvbuf(stdout, NULL, _IONBF, 0);
	if (!strcmp(way, "printf")) {
		set(SIGALRM, on_printf, 0);
		alarm(1);
		while (!came)
			pause();
		send(SIGALRM);
	} else if (!strcmp(way, "callee")) {
		expect(signal(SIGUSR1, on_callee) == SIG_DFL, "signal");
		send(SIGUSR1);
		expect(signal(SIGUSR1, SIG_DFL) == on_callee, "the handler that was set");
	} else if (!strcmp(way, "info")) {
		set(SIGALRM, (void (*)(int))(void (*)(void))on_info, SA_SIGINFO);
		send(SIGALRM);
	} else if (!strcmp(way, "alternate")) {
		alternate((size_t)number_argument(argc, argv, 2, STACK));
		set(SIGRTMIN + 3, on_callee, SA_ONSTACK);
		send(SIGRTMIN + 3);
	} else if (!strcmp(way, "nested")) {
		set(SIGUSR2, on_printf, 0);
		set(SIGALRM, on_nested, 0);
		send(SIGALRM);
	} else if (!strcmp(way, "safe")) {
		set(SIGALRM, on_safe, SA_ONSTACK);
		send(SIGALRM);
		use();
	} else if (!strcmp(way, "jump")) {
		jump(0);
	} else if (!strcmp(way, "jump_alternate")) {
		jump(SA_ONSTACK);
	} else if (!strcmp(way, "plain_jump")) {
		plain_jump();
	} else if (!strcmp(way, "cancelled")) {
		cancelled();
	} else if (!strcmp(way, "fork")) {
		forks();
	}
	expect(came, "the handler ran");
	sigprocmask(SIG_SETMASK, NULL, &before);
	sigemptyset(&mask);
	expect(!memcmp(&mask, &before, sizeof(long)) || !strcmp(way, "plain_jump"), "mask");
	return victim_faults;
}
