/* SPDX-License-Identifier: MIT */
/*
 * avfork(): children that share memory with their caller, as those of vfork(), while the caller runs on.
 *
 * The functions are libspork.so's. A program links with it (-lspork), or asks dlsym(RTLD_DEFAULT, "avfork") and does
 * without where it was not preloaded, or loads it by dlopen(). Where libc comes first in the order of search, as in that
 * case and where only a library of the program's links with it, all calls of the program's pass the shim by: then
 * nobody may change environ or its strings during avfork_popen() and avfork_pool_submit(), and submitting asks the
 * kernel each time whether folder, umask, limits or identity are others, which takes 50 system calls.
 * Linux on x86-64 and aarch64 with glibc. See avfork(3).
 */
#ifndef AVFORK_H
#define AVFORK_H

#include <stddef.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/* So much stack, in bytes, start_routine() may count on. */
#define AVFORK_STACK 32768

/*
 * Starts `start_routine(argument)` in a child process and returns its process id at once. The child shares the
 * caller's memory, and runs on a stack and with thread-local storage of its own: a copy of the calling thread's, so
 * that errno and the like are not shared. What start_routine() returns is the child's exit status, as of _exit(). The
 * child is waited for as any other; its end sends SIGCHLD.
 *
 * Everything else is as after fork(): descriptors, folder, umask, limits, ids. The child has the caller's signal mask.
 * Signals that the process ignores are ignored, for all others the action is the default one: no handler of the
 * parent's ever runs in the child. It is not cancelled.
 *
 * What `argument` points to, and all that start_routine() reads, must stay as it is until the child has executed or
 * ended; the caller's frame may have gone by then.
 *
 * start_routine() may change descriptors, folder, umask, limits, session and process group, priority and its signal
 * mask and actions, read and write files and memory that it is given, and execute a program or _exit(). It may call
 * what is async-signal-safe (signal-safety(7)), but for fork() and abort(); setuid() and its kin, which in glibc
 * concern the parent's threads, as raw system calls. It must not use the heap, stdio, locks or anything else of
 * pthread_*, mmap(), brk() or their kin, dlopen() or thread-local storage of libraries that were loaded by it, must
 * not call exit(), and not leave by longjmp() to a frame of the caller's. It may rely on AVFORK_STACK bytes of stack;
 * below lies a page that faults.
 *
 * A child that faults ends alone; before Linux 5.16 one that dumps core ends all who share the memory. What the kernel
 * keeps with the memory is shared: oom_score_adj, "dumpable". Valgrind knows no such children, and ends the program.
 *
 * When the parent executes, ends or forks meanwhile, the child runs on; it keeps the
 * old memory. A debugger sees a process that shares memory. The memory of the stack is used again when the child has
 * executed or ended; nobody has to tell.
 *
 * May be called by any thread, at any time, in signal handlers, too; not in a child that shares memory. Where a seccomp
 * filter answers one of its system calls with an error, it does without or fails; one that kills ends the caller.
 *
 * Returns -1 with errno: EAGAIN, ENOMEM as clone(2); ENOMEM also with 8192 children at once that have not executed;
 * EINVAL start_routine is NULL; ENOTSUP this libc does not tell how it lays out thread-local storage, or there is more
 * of it than fits (24 KB).
 */
pid_t avfork(int (*start_routine)(void *argument), void *argument);

/*
 * Starts the program argv[0] with the arguments argv, by no shell, at the other end of a pipe, and returns without
 * waiting for it to execute. argv[0] is looked for in PATH unless it has a slash. The program gets environ as it is at
 * the call. `mode` is "r" to read its standard output or "w" to write to its standard input, and then any of
 *
 *   e  accepted as by popen(); the stream's descriptor is close-on-exec in any case
 *   x  keeps for avfork_error() why the program could not be executed
 *
 * argv and environ are copied, and may change after the call; where they take more than 40 KB the call lasts until the
 * program has executed. Not in signal handlers, nor in a child that shares memory: streams are made on the heap.
 *
 * Returns a stream that is closed by fclose(), which does not wait, and stores the process id at `pid` unless that is
 * NULL: the caller waits for it by waitpid(). pclose() knows nothing of it. A program that cannot be executed ends
 * with status 127, and the stream is at its end, or writing to it gives EPIPE.
 *
 * Returns NULL with errno: EINVAL the mode, or no arguments; EAGAIN, ENOMEM as avfork(); EMFILE, ENFILE as pipe(2).
 */
FILE *avfork_popen(const char *const argv[], const char *mode, pid_t *pid);

/*
 * Has the program of a stream been executed? Waits until that is known. For streams that avfork_popen() has returned
 * with "x" in the mode, and whose descriptor is still the same; may be asked again.
 *
 * Returns 0: it has, or the child was killed before, which waitpid() tells; the errno of the exec that failed, as
 * execvp() has it; or -1 with errno EINVAL: the stream is no such one.
 */
int avfork_error(FILE *stream);

/*
 * A pool of children that were started ahead: to start a program costs its caller one message to one of them.
 *
 * The children share the caller's memory and wait in the kernel; a child that takes a job first starts its successor.
 * They hold no descriptor but their own, and end when the process ends, executes, or destroys the pool; after it has
 * executed, not before a forked child has ended or executed that holds the pool's descriptors. While they wait they are
 * in process groups of their own: of the signals for the caller's a job has those that come after its submission. One
 * that is killed is replaced.
 *
 * A pool is its process's: a forked child, and one that shares memory, has none of its parent's. Of its process any
 * thread may use it, also in signal handlers.
 *
 * They are children of the process like any other: while there is a pool, wait() and waitpid(-1) wait where they would
 * have failed with ECHILD, and tell of a child that was killed while it waited, or, as SIGCHLD, that a pool is
 * destroyed.
 */
struct avfork_pool;

/* So many descriptors may be handed over with a job. */
#define AVFORK_POOL_FDS 64

/* A program to start. Fill it with zeros first: what is added later will be there. */
struct avfork_job {
	/* The program, looked for in PATH unless it has a slash, and its arguments. */
	const char *const *argv;
	/* Its environment; NULL: environ. */
	const char *const *envp;
	/*
	 * Its descriptors: fds[i] becomes i; -1: i is closed. It has no others, whether they are close-on-exec or not.
	 * fd_count zero: 0, 1 and 2 as they are.
	 */
	const int *fds;
	unsigned fd_count;
	/* Must be zero. */
	unsigned flags;
	/*
	 * Unless NULL: is set to zero, and to an errno when the program cannot be executed, by the time that waitpid()
	 * tells of its end. It must stay where it is until the program has executed or the child has ended.
	 */
	int *error;
};

/*
 * Starts a pool of `children`, 1 to 1024. Each keeps one descriptor of the caller's, and the pool one more. Where the
 * program closes them all, as daemons do, children are started anew.
 *
 * Returns NULL with errno: EINVAL the number, or the caller is a child that shares memory; EAGAIN, ENOMEM as avfork();
 * EMFILE, ENFILE as socketpair(2); ENOTSUP the kernel is older than Linux 5.9, /proc is not mounted, or children would
 * be in another pid namespace than the caller.
 */
struct avfork_pool *avfork_pool_create(unsigned children);

/*
 * Has a child execute the program of `job`, and returns its process id without waiting. It is a child of the caller,
 * which waits for it by waitpid(). One whose program could not be executed ends with status 127.
 *
 * The program has the caller's folder, umask, limits, environment, signal mask and ignored signals of the time of the
 * call. Strings are copied; where argv and environment take more than 40 KB the call lasts until the program has
 * executed. Niceness, scheduling, affinity, control groups and the like are as they were when the pool was made.
 *
 * Threads that have a folder, umask or credentials of their own, by unshare(2) or raw system calls, have their own. From
 * then on the call asks the kernel each time, which takes 50 system calls.
 *
 * Changes that the library cannot see are not taken into account: by system calls that do not pass through libc's
 * functions, syscall() included; by other processes, as prlimit(2) makes them; by what libc calls by itself, in
 * ulimit(3), and in nftw(3) and fts(3) while they are under way.
 *
 * Where no child waits, and where one that waits cannot be given the job (no descriptor is free to look at the state),
 * the call starts one of its own, and takes as long as avfork().
 *
 * Returns -1 with errno: EINVAL the job, or a pool of another process; EBADF a descriptor; ESTALE credentials,
 * capabilities, restrictions (no_new_privs, filters, Landlock), root folder, session, process group or namespaces are
 * no longer those that the pool was made with: make a new one; EAGAIN, ENOMEM as avfork().
 */
pid_t avfork_pool_submit(struct avfork_pool *pool, const struct avfork_job *job);

/*
 * Ends the children that wait, and waits until the others have executed. No other thread uses the pool any more.
 * Returns 0, or -1 with errno EINVAL: a pool of another process.
 */
int avfork_pool_destroy(struct avfork_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
