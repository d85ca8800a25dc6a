/* SPDX-License-Identifier: MIT */
/*
 * system_world: what system() answers, and what of signals, masks, handlers and cancellation the caller, its
 * threads and the command see.
 */
#include <pthread.h>

#include "victim.h"

static volatile sig_atomic_t children, interrupts;

static void count_child(int signal)
{
	(void)signal;
	children++;
}

static void count_interrupt(int signal)
{
	(void)signal;
	interrupts++;
}

static void run(const char *command)
{
	int status;

	errno = 0;
	status = system(command);
	printf("'%s'", command);
	if (status < 0)
		printf(" %s\n", strerror(errno));
	else
		print_status("", 0, status);
}

static void show_signals(const char *when)
{
	struct sigaction action;
	sigset_t mask;

	sigprocmask(SIG_BLOCK, NULL, &mask);
	printf("%s: SIGCHLD %s", when, sigismember(&mask, SIGCHLD) ? "blocked" : "open");
	sigaction(SIGINT, NULL, &action);
	printf(", SIGINT %s", action.sa_handler == SIG_IGN ? "ignored" :
			      action.sa_handler == SIG_DFL ? "default" :
							     "handled");
	sigaction(SIGQUIT, NULL, &action);
	printf(", SIGQUIT %s\n", action.sa_handler == SIG_IGN ? "ignored" : "default");
}

static void *repeat(void *data)
{
	long i, wrong = 0;
	char command[32];

	for (i = 0; i < 40; i++) {
		snprintf(command, sizeof(command), "exit %ld", i);
		wrong += system(command) != i << 8;
	}
	(void)data;
	return (void *)wrong;
}

static void *sleep_long(void *data)
{
	(void)data;
	system("echo $$ >pid; exec sleep 30");
	return NULL;
}

static void cancelled(void)
{
	pthread_t thread;
	void *result;
	FILE *file;
	int pid = 0;

	pthread_create(&thread, NULL, sleep_long, NULL);
	while (!pid) {
		usleep(2000);
		file = fopen("pid", "re");
		if (!file)
			continue;
		if (fscanf(file, "%d\n", &pid) != 1)
			pid = 0;
		fclose(file);
	}
	show_signals("while a thread is in system()");
	unlink("pid");
	pthread_cancel(thread);
	pthread_join(thread, &result);
	printf("cancelled %d, command gone %d\n", result == PTHREAD_CANCELED, kill_one(pid, 0));
	show_signals("after that");
}

int main(void)
{
	pthread_t thread[4];
	sigset_t usr, old;
	void *wrong;
	pid_t other;
	int i, faults = 0;

	setvbuf(stdout, NULL, _IONBF, 0);
	printf("a shell %d\n", system(NULL));
	run("exit 3");
	run("kill -TERM $$");
	run("");
	run("no-such-program-anywhere 2>/dev/null");
	run("exec 2>/dev/null; -x");
	signal(SIGCHLD, count_child);
	signal(SIGINT, count_interrupt);
	run("grep ^Sig[BI] /proc/self/status");
	printf("signals for commands %d\n", (int)children);
	run("kill -INT $PPID; kill -QUIT $PPID");
	printf("interrupts %d\n", (int)interrupts);
	show_signals("with a handler");
	other = xfork();
	if (!other)
		_exit(7);
	while (waitid(P_PID, other, &(siginfo_t){ 0 }, WEXITED | WNOWAIT))
		;
	children = 0;
	run("kill -CHLD $PPID; sleep 0.05");
	printf("after another child ended: %d\n", (int)children > 0);
	print_status("it", 0, wait_for(other));
	signal(SIGINT, SIG_IGN);
	run("grep ^SigI /proc/self/status");
	show_signals("ignored before");
	signal(SIGINT, SIG_DFL);
	sigemptyset(&usr);
	sigaddset(&usr, SIGUSR1);
	sigaddset(&usr, SIGCHLD);
	sigprocmask(SIG_BLOCK, &usr, &old);
	run("grep ^SigB /proc/self/status");
	show_signals("blocked before");
	sigprocmask(SIG_SETMASK, &old, NULL);
	signal(SIGCHLD, SIG_IGN);
	run("exit 4");
	signal(SIGCHLD, SIG_DFL);
	setenv("WORD", "from the environment", 1);
	run("echo $WORD");
	cancelled();
	chdir("/");
	run("pwd");
	for (i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, repeat, NULL);
	for (i = 0; i < 4; i++) {
		pthread_join(thread[i], &wrong);
		faults += (int)(long)wrong;
	}
	printf("wrong in threads %d\n", faults);
	show_signals("after threads");
	return 0;
}
