/* SPDX-License-Identifier: MIT */
/*
 * fork_drop HOW: children at one site only execute. Then a worker is forked that gives rights up, as HOW says (user: to
 * nobody; filter: by a seccomp filter that allows all; none: it keeps them), and whose children at the same site do
 * what no window allows. Then the parent makes some more.
 */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include "victim.h"

#define ROUNDS 12

static char *const args[] = { "/bin/true", NULL };
static void *volatile block;

static void give_up(const char *how)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { 1, &allow };

	if (!strcmp(how, "user") && setresuid(65534, 65534, 65534))
		exit(77);
	if (!strcmp(how, "filter") && (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
				       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program)))
		exit(77);
}

int main(int argc, char **argv)
{
	const char *how = string_argument(argc, argv, 1, "none");
	pid_t worker = 0, pid;
	int i;

	setvbuf(stdout, NULL, _IONBF, 0);
	for (i = 0; i < 3 * ROUNDS; i++) {
		if (i == ROUNDS) {
			worker = xfork();
			if (!worker)
				give_up(how);
		}
		/* The second third is the worker's. */
		if (worker && i < 2 * ROUNDS)
			continue;
		if (worker && i == 2 * ROUNDS)
			print_status("worker", 0, wait_for(worker));
		if (!worker && i == 2 * ROUNDS)
			_exit(0);
		pid = xfork();
		if (!pid) {
			if (!worker && i >= ROUNDS)
				block = malloc(100);
			execv(args[0], args);
			_exit(127);
		}
		expect(!wait_for(pid), "a child failed");
	}
	return victim_faults != 0;
}
