// SPDX-License-Identifier: MIT
/*
 * Stacks of another process, by libdwfl.
 *
 * A thread is stopped with PTRACE_SEIZE and PTRACE_INTERRUPT, its registers and the top of its stack are copied, and
 * it goes on; only then is the copy unwound. That sends no signal, so nothing is left behind in a thread, whenever
 * spork is killed: the kernel lets go of what a tracer held when it ends. A thread that cannot be stopped (one in
 * vfork() sleeps deeper than that) is unwound from what /proc tells of its system call.
 *
 * Files are opened below the process's own root, and only if they are what it has mapped.
 */
#include <elf.h>
#include <elfutils/libdwfl.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/procfs.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#include "inspect.h"

#define SNAPSHOT (64U << 10)
#define STOP_TRIES 400 /* of a quarter of a millisecond */

#if defined(__x86_64__)
#define REGISTERS 17
#elif defined(__aarch64__)
#define REGISTERS 32
#else
#error "the order of this machine's registers in DWARF"
#endif

enum {
	LOCK_NONE,
#define LOCK(id, ...) LOCK_##id,
#define HIDDEN(...)
#define HIDDEN_ELSEWHERE(...)
#include "hidden.def"
	LOCK_COUNT
};

static const char *const classes[LOCK_COUNT] = {
#define LOCK(id, class, ...) [LOCK_##id] = #class,
#define HIDDEN(...)
#define HIDDEN_ELSEWHERE(...)
#include "hidden.def"
};

/* clang-format off */
static const struct known_call calls[] = {
#define LOCK(...)
#define HIDDEN(trial, condition, type, id, parameters, arguments, ...) \
	HIDDEN_ELSEWHERE(trial, id, __VA_ARGS__)
#define HIDDEN_ELSEWHERE(trial, id, ...) ROW(id, __VA_ARGS__)
#define ROW(id, ...) { #id, WAIT_HIDDEN, __VA_ARGS__ },
#include "hidden.def"
#undef ROW
#define ROW(id, wait) { #id, WAIT_##wait, { 0 }, { 0 } },
	ROW(pthread_mutex_lock, MUTEX)
	ROW(pthread_mutex_timedlock, MUTEX)
	ROW(pthread_mutex_clocklock, MUTEX)
	ROW(mtx_lock, MUTEX)
	ROW(mtx_timedlock, MUTEX)
	ROW(pthread_rwlock_rdlock, RWLOCK)
	ROW(pthread_rwlock_wrlock, RWLOCK)
	ROW(pthread_rwlock_timedrdlock, RWLOCK)
	ROW(pthread_rwlock_timedwrlock, RWLOCK)
	ROW(pthread_rwlock_clockrdlock, RWLOCK)
	ROW(pthread_rwlock_clockwrlock, RWLOCK)
	ROW(pthread_spin_lock, SPIN)
	ROW(sem_wait, SEM)
	ROW(sem_timedwait, SEM)
	ROW(sem_clockwait, SEM)
	ROW(pthread_cond_wait, CONDITION)
	ROW(pthread_cond_timedwait, CONDITION)
	ROW(pthread_cond_clockwait, CONDITION)
	ROW(cnd_wait, CONDITION)
	ROW(cnd_timedwait, CONDITION)
	ROW(pthread_join, JOIN)
	ROW(pthread_timedjoin_np, JOIN)
	ROW(pthread_clockjoin_np, JOIN)
	ROW(thrd_join, JOIN)
	ROW(pthread_barrier_wait, BARRIER)
	ROW(pthread_once, ONCE)
	ROW(call_once, ONCE)
};
/* clang-format on */

#define CALLS (sizeof(calls) / sizeof(*calls))

const char *known_class(uint8_t lock)
{
	return lock < LOCK_COUNT ? classes[lock] : NULL;
}

/* Code of such a function in the process. */
struct known_range {
	uint64_t start, end;
	const struct known_call *call;
	bool jumped; /* not the function itself, but one that it ends in */
};

#define RANGES 1024

struct stacks {
	pid_t pid, thread;
	const struct proc_maps *maps;
	Dwfl *dwfl;
	bool attached, glibc, same_mount;
	struct known_range range[RANGES];
	size_t ranges;
	/* of the thread that is looked at */
	Dwarf_Word registers[REGISTERS];
	bool known[REGISTERS];
	Dwarf_Word pc;
	uint64_t top;
	size_t copied;
	char copy[SNAPSHOT];
	struct inspect_stack *stack;
};

static struct stacks *opening; /* callbacks of libdwfl that find files are given nothing of ours */

static bool map_is_file(const struct proc_map *map, const struct stat *status)
{
	return S_ISREG(status->st_mode) && status->st_ino == map->inode;
}

/*
 * The file that is mapped, although its name may be gone or another file's: map_files has it for the privileged, exe has
 * the program for everybody. Some file systems number their devices otherwise in maps than in stat: the inode has to do.
 */
static int module_file(pid_t pid, const struct proc_map *map, char *path, size_t size)
{
	struct stat status;
	int fd;

	snprintf(path, size, "/proc/%d/root%s", (int)pid, map->path);
	if (stat(path, &status) || !map_is_file(map, &status))
		snprintf(path, size, "/proc/%d/map_files/%llx-%llx", (int)pid,
			 (unsigned long long)map->start, (unsigned long long)map->end);
	if (stat(path, &status) || !map_is_file(map, &status))
		snprintf(path, size, "/proc/%d/exe", (int)pid);
	if (stat(path, &status) || !map_is_file(map, &status))
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0 && (fstat(fd, &status) || !map_is_file(map, &status))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

static int find_elf(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
		    char **file, Elf **elf)
{
	const struct proc_map *map = opening ? proc_map_at(opening->maps, base) : NULL;
	char path[4200];
	int fd;

	if (*name != '/')
		return dwfl_linux_proc_find_elf(module, data, name, base, file, elf);
	if (!map || !map->path || *map->path != '/')
		return -1;
	fd = module_file(opening->pid, map, path, sizeof(path));
	if (fd >= 0)
		*file = strdup(path);
	return fd;
}

/* Names in a file of another mount namespace mean nothing here; a build-id does. */
static int find_debug(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
		      const char *file, const char *link, GElf_Word sum, char **found)
{
	if (opening && opening->same_mount)
		return dwfl_standard_find_debuginfo(module, data, name, base, file, link, sum,
						    found);
	return dwfl_build_id_find_debuginfo(module, data, name, base, file, link, sum, found);
}

static const Dwfl_Callbacks callbacks = {
	.find_elf = find_elf,
	.find_debuginfo = find_debug,
	.debuginfo_path = &symbol_folders,
};

static int by_name(const void *one, const void *other)
{
	return strcmp((*(const struct known_call *const *)one)->name,
		      (*(const struct known_call *const *)other)->name);
}

static int name_against(const void *name, const void *row)
{
	return strcmp(name, (*(const struct known_call *const *)row)->name);
}

static int by_start(const void *one, const void *other)
{
	uint64_t a = ((const struct known_range *)one)->start,
		 b = ((const struct known_range *)other)->start;

	return a < b ? -1 : a > b;
}

/* Where functions start and end, public or not: a stripped library has that for unwinding. */
struct function {
	uint64_t start, end;
};

struct functions {
	struct function *function;
	size_t count;
};

#define FUNCTIONS 65536

static int by_function(const void *one, const void *other)
{
	uint64_t a = ((const struct function *)one)->start,
		 b = ((const struct function *)other)->start;

	return a < b ? -1 : a > b;
}

/*
 * Entries of .eh_frame; `address` is where it is in the process. Their addresses are taken to be relative, of four
 * bytes, as compilers write them: others lead to no function that anything jumps to.
 */
static void functions_parse(struct functions *functions, Elf *elf, Elf_Data *data, uint64_t address)
{
	const unsigned char *ident = (const unsigned char *)elf_getident(elf, NULL);
	Dwarf_Off at = 0, next;
	Dwarf_CFI_Entry entry;
	struct function *function;
	const uint8_t *where;
	uint32_t size;
	int32_t start;
	int got;

	while (functions->count < FUNCTIONS &&
	       (got = dwarf_next_cfi(ident, data, true, at, &next, &entry)) <= 0 && next > at) {
		at = next;
		if (got < 0 || dwarf_cfi_cie_p(&entry) || entry.fde.end - entry.fde.start < 8)
			continue;
		where = entry.fde.start;
		memcpy(&start, where, sizeof(start));
		memcpy(&size, where + 4, sizeof(size));
		function = &functions->function[functions->count++];
		function->start = address + (uint64_t)(where - (const uint8_t *)data->d_buf) +
				  (uint64_t)(int64_t)start;
		function->end = function->start + size;
	}
}

static void functions_read(struct functions *functions, Dwfl_Module *module)
{
	GElf_Addr bias;
	Elf *elf = dwfl_module_getelf(module, &bias);
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	Elf_Data *data;
	const char *name;
	size_t names;

	functions->count = 0;
	functions->function = calloc(FUNCTIONS, sizeof(*functions->function));
	if (!elf || !functions->function || elf_getshdrstrndx(elf, &names))
		return;
	while ((section = elf_nextscn(elf, section))) {
		if (!gelf_getshdr(section, &header) || header.sh_type == SHT_NOBITS)
			continue;
		name = elf_strptr(elf, names, header.sh_name);
		if (!name || strcmp(name, ".eh_frame"))
			continue;
		data = elf_rawdata(section, NULL);
		if (data && data->d_buf)
			functions_parse(functions, elf, data, header.sh_addr + bias);
	}
	qsort(functions->function, functions->count, sizeof(*functions->function), by_function);
}

/* Zero: no function starts there. */
static uint64_t function_end(const struct functions *functions, uint64_t start)
{
	const struct function key = { start, 0 };
	const struct function *function = NULL;

	if (functions->count)
		function = bsearch(&key, functions->function, functions->count, sizeof(key),
				   by_function);
	return function ? function->end : 0;
}

/* A function in which another ends by a jump, and is on no stack from then on. */
static void jump_add(struct stacks *stacks, Dwfl_Module *module, const struct functions *functions,
		     const struct known_call *call, GElf_Addr target)
{
	struct known_range *range;
	GElf_Sym symbol;
	GElf_Off into;
	uint64_t end;
	size_t i;

	for (i = 0; i < stacks->ranges; i++) {
		range = &stacks->range[i];
		if (target < range->start || target >= range->end)
			continue;
		/* Where functions of two kinds come, nothing is known. */
		if (range->jumped && range->call &&
		    (range->call->wait != call->wait || range->call->takes[0] != call->takes[0]))
			range->call = NULL;
		return;
	}
	end = function_end(functions, target);
	/* Public ones are called for other purposes as well. */
	if (!end || stacks->ranges == RANGES ||
	    (dwfl_module_addrinfo(module, target, &into, &symbol, NULL, NULL, NULL) && !into &&
	     GELF_ST_BIND(symbol.st_info) != STB_LOCAL))
		return;
	stacks->range[stacks->ranges++] = (struct known_range){ target, end, call, true };
}

#define CODE (16U << 10)

/* What looks like a jump and is none does not lead to where a function starts. */
static void jumps_add(struct stacks *stacks, Dwfl_Module *module, const struct functions *functions,
		      const struct known_range *range)
{
	static uint8_t code[CODE];
	const struct known_call *call = range->call;
	uint64_t start = range->start, end = range->end;
	size_t size = end - start < CODE ? end - start : CODE, i;
	int32_t word;

	size = proc_memory_some(stacks->pid, start, code, size);
#if defined(__x86_64__)
	for (i = 0; i + 5 <= size; i++) {
		if (code[i] != 0xe9)
			continue;
		memcpy(&word, code + i + 1, sizeof(word));
		if (start + i + 5 + (int64_t)word - start >= end - start)
			jump_add(stacks, module, functions, call, start + i + 5 + (int64_t)word);
	}
#else
	for (i = 0; i + 4 <= size; i += 4) {
		memcpy(&word, code + i, sizeof(word));
		if (((uint32_t)word & 0xfc000000) != 0x14000000)
			continue;
		word = (int32_t)((uint32_t)word << 6) >> 4;
		if (i + (int64_t)word >= end - start)
			jump_add(stacks, module, functions, call, start + i + (int64_t)word);
	}
#endif
}

/* By the addresses of the public symbols: what a frame is called depends on which of its names is found. */
static void ranges_add(struct stacks *stacks, Dwfl_Module *module)
{
	static const struct known_call *sorted[CALLS];
	int symbols = dwfl_module_getsymtab(module), i;
	const struct known_call **row;
	GElf_Addr address;
	const char *name;
	char base[64];
	GElf_Sym symbol;
	size_t at, first = stacks->ranges, last;
	struct functions functions;

	for (at = 0; at < CALLS; at++)
		sorted[at] = &calls[at];
	qsort(sorted, CALLS, sizeof(*sorted), by_name);
	for (i = 1; i < symbols && stacks->ranges < RANGES; i++) {
		name = dwfl_module_getsym_info(module, i, &symbol, &address, NULL, NULL, NULL);
		if (!name || GELF_ST_TYPE(symbol.st_info) != STT_FUNC || !symbol.st_size)
			continue;
		/* A symbol table has versions in the names. */
		snprintf(base, sizeof(base), "%.*s", (int)strcspn(name, "@"), name);
		row = bsearch(base, sorted, CALLS, sizeof(*sorted), name_against);
		if (row)
			stacks->range[stacks->ranges++] =
				(struct known_range){ address, address + symbol.st_size, *row,
						      false };
	}
	last = stacks->ranges;
	functions_read(&functions, module);
	for (at = first; at < last; at++)
		jumps_add(stacks, module, &functions, &stacks->range[at]);
	free(functions.function);
}

static bool base_starts(const char *path, const char *prefix)
{
	return !strncmp(path_base(path), prefix, strlen(prefix));
}

static int module_look(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
		       void *argument)
{
	struct stacks *stacks = argument;
	bool libc = base_starts(name, "libc.so.6") || base_starts(name, "libc-2.");

	(void)data, (void)base;
	if (libc || base_starts(name, "libpthread.so.0") || base_starts(name, "libpthread-2."))
		ranges_add(stacks, module);
	if (libc)
		stacks->glibc = true;
	return DWARF_CB_OK;
}

/* A statically linked one has glibc in itself. */
static int module_look_static(Dwfl_Module *module, void **data, const char *name, Dwarf_Addr base,
			      void *argument)
{
	struct stacks *stacks = argument;
	int symbols, i;
	const char *symbol;
	GElf_Sym row;

	(void)data, (void)base;
	if (*name != '/')
		return DWARF_CB_OK;
	symbols = dwfl_module_getsymtab(module);
	for (i = 1; i < symbols; i++) {
		symbol = dwfl_module_getsym(module, i, &row, NULL);
		if (symbol && !strcmp(symbol, "__libc_start_call_main"))
			stacks->glibc = true;
	}
	if (stacks->glibc)
		ranges_add(stacks, module);
	return DWARF_CB_ABORT;
}

static bool same_mount(pid_t pid)
{
	struct stat here, there;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/root", (int)pid);
	if (stat("/", &here) || stat(path, &there) || here.st_ino != there.st_ino ||
	    here.st_dev != there.st_dev)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	return !stat("/proc/self/ns/mnt", &here) && !stat(path, &there) &&
	       here.st_ino == there.st_ino;
}

/*
 * libdwfl's view of the process.
 */
static pid_t next_thread(Dwfl *dwfl, void *data, void **thread)
{
	(void)dwfl, (void)data, (void)thread;
	return 0;
}

static bool get_thread(Dwfl *dwfl, pid_t tid, void *data, void **thread)
{
	struct stacks *stacks = data;

	(void)dwfl;
	*thread = stacks;
	return tid == stacks->thread;
}

static bool memory_read(Dwfl *dwfl, Dwarf_Addr address, Dwarf_Word *word, void *data)
{
	struct stacks *stacks = data;
	uint64_t into = address - stacks->top;

	(void)dwfl;
	if (address >= stacks->top && into < stacks->copied &&
	    stacks->copied - into >= sizeof(*word)) {
		memcpy(word, stacks->copy + into, sizeof(*word));
		return true;
	}
	return proc_memory(stacks->pid, address, word, sizeof(*word));
}

static bool set_registers(Dwfl_Thread *thread, void *data)
{
	const struct stacks *stacks = data;
	int i;

	for (i = 0; i < REGISTERS; i++)
		if (stacks->known[i] &&
		    !dwfl_thread_state_registers(thread, i, 1, &stacks->registers[i]))
			return false;
#if defined(__aarch64__)
	dwfl_thread_state_register_pc(thread, stacks->pc);
#endif
	return true;
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
	.next_thread = next_thread,
	.get_thread = get_thread,
	.memory_read = memory_read,
	.set_initial_registers = set_registers,
};

struct stacks *stacks_open(pid_t pid, const struct proc_maps *maps)
{
	struct stacks *stacks = calloc(1, sizeof(*stacks));

	if (!stacks)
		return NULL;
	stacks->pid = pid;
	stacks->maps = maps;
	stacks->same_mount = same_mount(pid);
	stacks->dwfl = dwfl_begin(&callbacks);
	if (!stacks->dwfl) {
		free(stacks);
		return NULL;
	}
	opening = stacks;
	dwfl_linux_proc_report(stacks->dwfl, pid);
	dwfl_report_end(stacks->dwfl, NULL, NULL);
	dwfl_getmodules(stacks->dwfl, module_look, stacks, 0);
	if (!stacks->glibc)
		dwfl_getmodules(stacks->dwfl, module_look_static, stacks, 0);
	qsort(stacks->range, stacks->ranges, sizeof(*stacks->range), by_start);
	stacks->attached = dwfl_attach_state(stacks->dwfl, NULL, pid, &thread_callbacks, stacks);
	return stacks;
}

void stacks_close(struct stacks *stacks)
{
	if (!stacks)
		return;
	opening = stacks;
	symbol_end(stacks->dwfl);
	opening = NULL;
	free(stacks);
}

bool stacks_have_glibc(const struct stacks *stacks)
{
	return stacks->glibc;
}

static const struct known_call *range_find(const struct stacks *stacks, uint64_t address,
					   bool *public)
{
	size_t low = 0, high = stacks->ranges, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (address < stacks->range[middle].start)
			high = middle;
		else if (address >= stacks->range[middle].end)
			low = middle + 1;
		else {
			*public = !stacks->range[middle].jumped;
			return stacks->range[middle].call;
		}
	}
	return NULL;
}

/*
 * Registers.
 */
static void register_put(struct stacks *stacks, int number, uint64_t value)
{
	stacks->registers[number] = value;
	stacks->known[number] = true;
}

static bool registers_read(struct stacks *stacks, pid_t tid, struct inspect_stack *stack)
{
	struct user_regs_struct user;
	struct iovec part = { &user, sizeof(user) };

	if (ptrace(PTRACE_GETREGSET, tid, NT_PRSTATUS, &part) || part.iov_len < sizeof(user))
		return false;
#if defined(__x86_64__)
	const uint64_t values[REGISTERS] = {
		user.rax, user.rdx, user.rcx, user.rbx, user.rsi, user.rdi,
		user.rbp, user.rsp, user.r8,  user.r9,	user.r10, user.r11,
		user.r12, user.r13, user.r14, user.r15, user.rip,
	};
	int i;

	for (i = 0; i < REGISTERS; i++)
		register_put(stacks, i, values[i]);
	stacks->pc = user.rip;
	stacks->top = user.rsp;
	stack->argument = user.rdi;
#else
	int i;

	for (i = 0; i < 31; i++)
		register_put(stacks, i, user.regs[i]);
	register_put(stacks, 31, user.sp);
	stacks->pc = user.pc;
	stacks->top = user.sp;
	stack->argument = user.regs[0];
#endif
	stack->stopped = true;
	return true;
}

static void registers_guess(struct stacks *stacks, const struct proc_call *call)
{
#if defined(__x86_64__)
	static const uint8_t arguments[6] = { 5, 4, 1, 10, 8, 9 };
	int i;

	/* glibc's vfork() has its return address in the first. */
	for (i = 0; i < 6 && call->number >= 0; i++)
		register_put(stacks, arguments[i], call->argument[i]);
	register_put(stacks, 7, call->stack);
	register_put(stacks, 16, call->pc);
#else
	int i;

	for (i = 0; i < 6 && call->number >= 0; i++)
		register_put(stacks, i, call->argument[i]);
	register_put(stacks, 31, call->stack);
#endif
	stacks->pc = call->pc;
	stacks->top = call->stack;
}

/* Waits for the stop that was asked for, not for ever. The signal to hand on when it is let go, or -1. */
static int stop_wait(pid_t tid)
{
	int tries, status;
	pid_t got;

	for (tries = 0; tries < STOP_TRIES; tries++) {
		got = waitpid(tid, &status, __WALL | WNOHANG);
		if (got == tid)
			break;
		if (got < 0 && errno != EINTR)
			return -1;
		if (tries > 2)
			usleep(250);
		else
			sched_yield();
	}
	if (tries == STOP_TRIES || !WIFSTOPPED(status))
		return -1;
	return status >> 16 == PTRACE_EVENT_STOP ? 0 : WSTOPSIG(status);
}

static int stop_and_copy(struct stacks *stacks, pid_t tid, struct inspect_stack *stack)
{
	int signal;

	if (ptrace(PTRACE_SEIZE, tid, NULL, NULL))
		return -errno;
	/* One that does not stop is let go when spork ends. */
	if (ptrace(PTRACE_INTERRUPT, tid, NULL, NULL))
		return -errno;
	signal = stop_wait(tid);
	if (signal < 0)
		return -ETIMEDOUT;
	if (registers_read(stacks, tid, stack))
		stacks->copied = proc_memory_some(stacks->pid, stacks->top, stacks->copy, SNAPSHOT);
	ptrace(PTRACE_DETACH, tid, NULL, (void *)(intptr_t)signal);
	return 0;
}

static int stop_for_copy(struct stacks *stacks, pid_t tid, struct inspect_stack *stack)
{
	sigset_t ends, before;
	int error;

	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	sigaddset(&ends, SIGHUP);
	sigaddset(&ends, SIGQUIT);
	sigprocmask(SIG_BLOCK, &ends, &before);
	error = stop_and_copy(stacks, tid, stack);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return error;
}

static int frame_add(Dwfl_Frame *dwfl_frame, void *data)
{
	struct stacks *stacks = data;
	struct inspect_stack *stack = stacks->stack;
	struct inspect_frame *frame;
	Dwfl_Module *module;
	struct place *place;
	Dwarf_Addr pc, start;
	bool activation, public = false;
	uint64_t address;
	const char *name;
	GElf_Addr bias;

	if (stack->frames == INSPECT_FRAMES || !dwfl_frame_pc(dwfl_frame, &pc, &activation))
		return DWARF_CB_ABORT;
	if (!pc)
		return DWARF_CB_ABORT;
	frame = &stack->frame[stack->frames++];
	address = activation ? pc : pc - 1;
	*frame = (struct inspect_frame){ .pc = pc, .offset = pc };
	module = dwfl_addrmodule(stacks->dwfl, address);
	if (!module)
		return DWARF_CB_OK;
	name = dwfl_module_info(module, NULL, &start, NULL, NULL, NULL, NULL, NULL);
	frame->place.module = name;
	if (dwfl_module_getelf(module, &bias))
		frame->offset = pc - bias;
	else
		frame->place.replaced = name && *name == '/';
	symbol_look_up(module, address, &frame->place);
	/* By the name that programs call it, not one that glibc has for it. */
	frame->known = range_find(stacks, address, &public);
	if (!frame->known || !public)
		return DWARF_CB_OK;
	for (place = &frame->place; place->outer;)
		place = place->outer;
	place->symbol = frame->known->name;
	return DWARF_CB_OK;
}

int stacks_take(struct stacks *stacks, pid_t tid, const struct proc_call *call, bool stop,
		struct inspect_stack *stack)
{
	struct inspect_frame frames[INSPECT_FRAMES];
	int error = 0;

	opening = stacks;
	memset(stacks->known, 0, sizeof(stacks->known));
	stacks->copied = 0;
	stack->frames = 0;
	stack->stopped = false;
	if (stop)
		error = stop_for_copy(stacks, tid, stack);
	if (!stack->stopped) {
		if (!call->known || call->running || !call->pc)
			return error;
		registers_guess(stacks, call);
	}
	if (!stacks->attached)
		return error;
	stacks->thread = tid;
	stacks->stack = stack;
	stack->frame = frames;
	dwfl_getthread_frames(stacks->dwfl, tid, frame_add, stacks);
	stack->frame = NULL;
	if (stack->frames) {
		stack->frame = malloc(stack->frames * sizeof(*stack->frame));
		if (!stack->frame)
			abort();
		memcpy(stack->frame, frames, stack->frames * sizeof(*stack->frame));
	}
	return error;
}

struct place stacks_data(struct stacks *stacks, uint64_t address)
{
	Dwfl_Module *module = dwfl_addrmodule(stacks->dwfl, address);
	const struct proc_map *map = proc_map_at(stacks->maps, address);
	struct place place = { 0 };

	opening = stacks;
	/* What a module has of zeroed data is behind what it has of its file. */
	if (!module && map && !map->path && map > stacks->maps->map && map[-1].end == map->start &&
	    map[-1].path)
		module = dwfl_addrmodule(stacks->dwfl, map[-1].start);
	if (!module) {
		place.module = map ? map->path : NULL;
		return place;
	}
	place.module = dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
	symbol_data_look_up(module, address, &place);
	return place;
}
