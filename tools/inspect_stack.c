// SPDX-License-Identifier: MIT
/*
 * Stacks of another process, by libdwfl.
 *
 * Files are opened below the process's own root, and only if they are what it has mapped.
 */
#include <elfutils/libdwfl.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "inspect.h"

struct stacks {
	pid_t pid, thread;
	const struct proc_maps *maps;
	Dwfl *dwfl;
	bool attached, glibc, same_mount;
	struct known_ranges *ranges;
	/* of the thread that is looked at */
	struct snapshot snapshot;
	bool returned; /* its pc is a return address */
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
		known_add(stacks->ranges, module);
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
		known_add(stacks->ranges, module);
	return DWARF_CB_ABORT;
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
	uint64_t into = address - stacks->snapshot.top;

	(void)dwfl;
	if (address >= stacks->snapshot.top && into < stacks->snapshot.copied &&
	    stacks->snapshot.copied - into >= sizeof(*word)) {
		memcpy(word, stacks->snapshot.copy + into, sizeof(*word));
		return true;
	}
	return proc_memory(stacks->pid, address, word, sizeof(*word));
}

static bool set_registers(Dwfl_Thread *thread, void *data)
{
	const struct stacks *stacks = data;
	int i;

	for (i = 0; i < SNAPSHOT_REGISTERS; i++)
		if (stacks->snapshot.known[i] &&
		    !dwfl_thread_state_registers(thread, i, 1, &stacks->snapshot.registers[i]))
			return false;
#if defined(__aarch64__)
	dwfl_thread_state_register_pc(thread, stacks->snapshot.pc);
#endif
	return true;
}

static const Dwfl_Thread_Callbacks thread_callbacks = {
	.next_thread = next_thread,
	.get_thread = get_thread,
	.memory_read = memory_read,
	.set_initial_registers = set_registers,
};

void stacks_close(struct stacks *stacks)
{
	if (!stacks)
		return;
	opening = stacks;
	if (stacks->dwfl)
		symbol_end(stacks->dwfl);
	opening = NULL;
	free(stacks->ranges);
	free(stacks);
}

struct stacks *stacks_open(pid_t process, const struct proc_maps *maps)
{
	struct stacks *stacks = calloc(1, sizeof(*stacks));
	pid_t pid = proc_living(process);

	if (!stacks)
		return NULL;
	stacks->pid = pid;
	stacks->maps = maps;
	stacks->same_mount = path_root_shared(pid);
	stacks->dwfl = dwfl_begin(&callbacks);
	stacks->ranges = known_open(pid);
	if (!stacks->dwfl || !stacks->ranges) {
		stacks_close(stacks);
		return NULL;
	}
	opening = stacks;
	dwfl_linux_proc_report(stacks->dwfl, pid);
	dwfl_report_end(stacks->dwfl, NULL, NULL);
	dwfl_getmodules(stacks->dwfl, module_look, stacks, 0);
	if (!stacks->glibc)
		dwfl_getmodules(stacks->dwfl, module_look_static, stacks, 0);
	known_sort(stacks->ranges);
	stacks->attached = dwfl_attach_state(stacks->dwfl, NULL, pid, &thread_callbacks, stacks);
	return stacks;
}

bool stacks_have_glibc(const struct stacks *stacks)
{
	return stacks->glibc;
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
	if (stacks->returned && !stack->frames)
		activation = false;
	frame = &stack->frame[stack->frames++];
	address = activation ? pc : pc - 1;
	*frame = (struct inspect_frame){
		.pc = pc,
		.offset = pc,
		.interrupted = activation && stack->frames > 1,
	};
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
	frame->known = known_at(stacks->ranges, address, &public);
	if (!frame->known || !public)
		return DWARF_CB_OK;
	for (place = &frame->place; place->outer;)
		place = place->outer;
	place->symbol = frame->known->name;
	return DWARF_CB_OK;
}

static void stack_unwind(struct stacks *stacks, struct inspect_stack *stack)
{
	struct inspect_frame frames[INSPECT_FRAMES];

	if (!stacks->attached)
		return;
	stacks->stack = stack;
	stack->frame = frames;
	dwfl_getthread_frames(stacks->dwfl, stacks->thread, frame_add, stacks);
	stack->frame = NULL;
	if (!stack->frames)
		return;
	stack->frame = malloc(stack->frames * sizeof(*stack->frame));
	if (!stack->frame)
		abort();
	memcpy(stack->frame, frames, stack->frames * sizeof(*stack->frame));
}

int stacks_take(struct stacks *stacks, pid_t tid, const struct proc_call *call, bool stop,
		struct inspect_stack *stack)
{
	struct snapshot *snapshot = &stacks->snapshot;
	int error = 0;

	opening = stacks;
	stacks->thread = tid;
	stacks->returned = false;
	memset(stack, 0, sizeof(*stack));
	snapshot_clear(snapshot);
	if (stop)
		error = snapshot_stop(snapshot, tid);
	stack->stopped = snapshot->stopped;
	stack->argument = snapshot->argument;
	memcpy(stack->registers, snapshot->registers, sizeof(stack->registers));
	if (snapshot->stopped || snapshot_call(snapshot, call))
		stack_unwind(stacks, stack);
	return error;
}

void stacks_from(struct stacks *stacks, uint64_t pc, uint64_t stack_pointer, uint64_t frame_pointer,
		 struct inspect_stack *stack)
{
	opening = stacks;
	stacks->thread = stacks->pid;
	stacks->returned = true;
	memset(stack, 0, sizeof(*stack));
	snapshot_clear(&stacks->snapshot);
	snapshot_frame(&stacks->snapshot, pc, stack_pointer, frame_pointer);
	stack_unwind(stacks, stack);
}

uint32_t stacks_thread_id(const struct stacks *stacks, uint64_t descriptor)
{
	return known_thread_id(stacks->ranges, descriptor);
}

struct inspect_frame stacks_code(struct stacks *stacks, uint64_t pc)
{
	struct inspect_frame frame = { .pc = pc, .offset = pc };
	Dwfl_Module *module = dwfl_addrmodule(stacks->dwfl, pc - 1);
	GElf_Addr bias;

	opening = stacks;
	if (!module)
		return frame;
	frame.place.module = dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
	if (dwfl_module_getelf(module, &bias))
		frame.offset = pc - bias;
	symbol_look_up(module, pc - 1, &frame.place);
	return frame;
}

struct place stacks_data(struct stacks *stacks, uint64_t address)
{
	Dwfl_Module *module = dwfl_addrmodule(stacks->dwfl, address);
	const struct proc_map *map = proc_map_at(stacks->maps, address);
	struct place place = { 0 };

	opening = stacks;
	/* [stack], [heap]; libdwfl takes what lies behind the last module for a part of that. */
	if (map && map->path && *map->path == '[')
		module = NULL;
	/* What a module has of zeroed data is behind what it has of its file. */
	else if (!module && map && !map->path && map > stacks->maps->map &&
		 map[-1].end == map->start && map[-1].path)
		module = dwfl_addrmodule(stacks->dwfl, map[-1].start);
	if (!module) {
		place.module = map ? map->path : NULL;
		return place;
	}
	place.module = dwfl_module_info(module, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
	symbol_data_look_up(module, address, &place);
	return place;
}
