/* SPDX-License-Identifier: MIT */
/*
 * vfork_wrote_locals FAULT PLACE: the vfork child changes a local variable `status` of the function that called
 * vfork(): there, or through a pointer in a callee.
 *
 *   byte     one char of an array
 *   number   an int
 *   wide     eight bytes
 *   member   of a struct
 *   plain    an int, in functions compiled without optimisation
 *   other    an int, in functions that call __vfork()
 *   failed   before an exec that fails; what it stores afterwards is errno, handed to the parent, and stays
 *   block    none: arguments for exec in the child's own block, which are no variables of the caller's
 *   outer    a local of the caller of the function that called vfork()
 *   twin     the child reads them, and writes to its own frames
 *
 * Bare, the parent finds the child's value and would act on it: it prints a status that is not 0.
 */
#include "vfork.h"

pid_t __vfork(void) __attribute__((returns_twice));

struct outcome {
	long before;
	int status;
	long after;
};

/* CHANGE is an assignment to `at`, a pointer to the variable; SHOW prints it. */
#define LOCAL(id, attribute, spawn, declaration, type, change, show)                               \
	attribute HELPER void child_##id(volatile type *at)                                        \
	{                                                                                          \
		change;                                                                            \
		KEEP();                                                                            \
		execute();                                                                         \
		KEEP();                                                                            \
	}                                                                                          \
	attribute HELPER pid_t same_##id(void)                                                     \
	{                                                                                          \
		volatile declaration;                                                              \
		pid_t pid;                                                                         \
                                                                                                   \
		KEEP();                                                                            \
		pid = spawn();                                                                     \
		if (pid == 0) {                                                                    \
			change##_here;                                                             \
			KEEP();                                                                    \
			execute();                                                                 \
		}                                                                                  \
		KEEP();                                                                            \
		finish(pid);                                                                       \
		show;                                                                              \
		return pid;                                                                        \
	}                                                                                          \
	attribute HELPER pid_t callee_##id(void)                                                   \
	{                                                                                          \
		volatile declaration;                                                              \
		pid_t pid;                                                                         \
                                                                                                   \
		KEEP();                                                                            \
		pid = spawn();                                                                     \
		if (pid == 0)                                                                      \
			child_##id(&status);                                                       \
		KEEP();                                                                            \
		finish(pid);                                                                       \
		show;                                                                              \
		return pid;                                                                        \
	}

#define NONE
#define BYTE (*at)[5] = 'd'
#define BYTE_here status[5] = 'd'
#define NUMBER *at = 1
#define NUMBER_here status = 1
#define WIDE *at = 0x0123456789abcdef
#define WIDE_here status = 0x0123456789abcdef
#define MEMBER at->status = 1
#define MEMBER_here status.status = 1

typedef char bytes[16];

/* clang-format off */
LOCAL(byte, NONE, vfork, bytes status = "status is", bytes, BYTE, printf("parent sees %.9s 0\n", (const char *)status))
LOCAL(number, NONE, vfork, int status = 0, int, NUMBER, printf("parent sees status %d\n", status))
LOCAL(wide, NONE, vfork, long status = 0, long, WIDE, printf("parent sees status %ld\n", status))
LOCAL(member, NONE, vfork, struct outcome status = { 0 }, struct outcome, MEMBER, printf("parent sees status %d\n", status.status))
LOCAL(plain, UNOPTIMIZED, vfork, int status = 0, int, NUMBER, printf("parent sees status %d\n", status))
LOCAL(other, NONE, __vfork, int status = 0, int, NUMBER, printf("parent sees status %d\n", status))
/* clang-format on */

HELPER void child_failed(volatile int *status, volatile int *failed)
{
	*status = 1;
	execv("/nonexistent/program", program_args);
	*failed = errno;
	_exit(111);
}

HELPER pid_t callee_failed(void)
{
	volatile int status = 0, failed = 0;
	pid_t pid;

	KEEP();
	pid = vfork();
	if (pid == 0)
		child_failed(&status, &failed);
	KEEP();
	finish(pid);
	printf("parent sees status %d\n%s\n", status, strerror(failed));
	return pid;
}

HELPER pid_t same_failed(void)
{
	volatile int status = 0, failed = 0;
	pid_t pid;

	KEEP();
	pid = vfork();
	if (pid == 0) {
		status = 1;
		execv("/nonexistent/program", program_args);
		failed = errno;
		_exit(111);
	}
	KEEP();
	finish(pid);
	printf("parent sees status %d\n%s\n", status, strerror(failed));
	return pid;
}

/* The parent has no such variable; by its bytes alone that cannot be told. */
HELPER pid_t same_block(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		char *volatile argv[] = { (char *)"quick", NULL };

		execv(program, (char **)(uintptr_t)argv);
		_exit(127);
	}
	KEEP();
	finish(pid);
	return pid;
}

HELPER void child_block(char *volatile *argv)
{
	argv[0] = (char *)"quick";
	argv[1] = NULL;
	execv(program, (char **)(uintptr_t)argv);
	_exit(127);
}

HELPER pid_t callee_block(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		char *volatile argv[2];

		child_block(argv);
	}
	KEEP();
	finish(pid);
	return pid;
}

/* The variable is that of outer_X(). */
HELPER pid_t same_outer(volatile int *status)
{
	pid_t pid = vfork();

	if (pid == 0) {
		*status = 1;
		KEEP();
		execute();
	}
	KEEP();
	return pid;
}

HELPER void child_outer(volatile int *status)
{
	*status = 1;
	KEEP();
	execute();
	KEEP();
}

HELPER pid_t callee_outer(volatile int *status)
{
	pid_t pid = vfork();

	if (pid == 0)
		child_outer(status);
	KEEP();
	return pid;
}

HELPER pid_t outer_same(void)
{
	volatile int status = 0;
	pid_t pid = same_outer(&status);

	finish(pid);
	printf("parent sees status %d\n", status);
	return pid;
}

HELPER pid_t outer_callee(void)
{
	volatile int status = 0;
	pid_t pid = callee_outer(&status);

	finish(pid);
	printf("parent sees status %d\n", status);
	return pid;
}

HELPER int read_status(const volatile int *status)
{
	volatile int own[64];
	unsigned i;

	for (i = 0; i < 64; i++)
		own[i] = *status;
	return own[63];
}

HELPER pid_t run_twin(void)
{
	volatile int status = 0;
	pid_t pid;

	KEEP();
	pid = vfork();
	if (pid == 0) {
		if (read_status(&status) == 0)
			execute();
		_exit(1);
	}
	KEEP();
	finish(pid);
	printf("parent sees status %d\n", status);
	return pid;
}

/* Each prints for itself what its function sees. */
static const struct {
	const char *name;
	pid_t (*same)(void), (*callee)(void);
} faults[] = {
	{ "byte", same_byte, callee_byte },	  { "number", same_number, callee_number },
	{ "wide", same_wide, callee_wide },	  { "member", same_member, callee_member },
	{ "plain", same_plain, callee_plain },	  { "other", same_other, callee_other },
	{ "failed", same_failed, callee_failed }, { "outer", outer_same, outer_callee },
	{ "twin", run_twin, run_twin },		  { "block", same_block, callee_block },
};

int main(int argc, char **argv)
{
	const char *name = string_argument(argc, argv, 1, "twin");
	int same = !strcmp(string_argument(argc, argv, 2, "same"), "same"), i;
	pid_t (*function)(void);

	setup();
	for (i = 0; i < COUNT(faults); i++) {
		if (strcmp(faults[i].name, name))
			continue;
		function = same ? faults[i].same : faults[i].callee;
		function();
		return 0;
	}
	return 99;
}
