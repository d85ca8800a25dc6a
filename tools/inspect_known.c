// SPDX-License-Identifier: MIT
/*
 * Owns the table of public functions of glibc in which threads wait or that take hidden locks, and where their code is
 * in a process: by the public symbols, and, as a libc without debug information has no others, by the jumps that they
 * end in.
 */
#include <elfutils/libdwfl.h>
#include <stdlib.h>
#include <string.h>

#include "inspect.h"

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

enum {
#define LOCK(...)
#define HIDDEN(trial, condition, type, id, ...) HIDDEN_##id,
#define HIDDEN_ELSEWHERE(trial, id, ...) HIDDEN_##id,
#include "hidden.def"
	HIDDEN_COUNT
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

const struct known_call *known_hidden(size_t id)
{
	return id < HIDDEN_COUNT ? &calls[id] : NULL;
}

/* Code of such a function in the process. */
struct known_range {
	uint64_t start, end;
	const struct known_call *call;
	bool jumped; /* not the function itself, but one that it ends in */
};

#define RANGES 1024
#define DESCRIPTOR_SIZE 65536 /* at most */
#define ID_FIELD "_thread_db_pthread_tid"

struct known_ranges {
	pid_t pid;
	uint64_t id_field; /* where libc tells debuggers (nptl_db) about a descriptor's thread id */
	size_t count;
	struct known_range range[RANGES];
};

struct known_ranges *known_open(pid_t pid)
{
	struct known_ranges *ranges = calloc(1, sizeof(*ranges));

	if (ranges)
		ranges->pid = pid;
	return ranges;
}

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

/* Where code goes on after a jump out of a function. */
struct jump {
	uint64_t target;
	const struct known_call *call; /* from */
};

#define CODE (16U << 10)
#define JUMPS 1024 /* of a function; glibc's have fewer than a hundred */

/* What of a module is needed to tell which jumps count; each list sorted. */
struct jumps {
	struct jump *jump;
	size_t count;
	uint64_t *public; /* addresses of symbols that are not local */
	size_t publics;
	struct functions functions;
};

static int by_target(const void *one, const void *other)
{
	const struct jump *a = one, *b = other;

	if (a->target != b->target)
		return a->target < b->target ? -1 : 1;
	return a->call < b->call ? -1 : a->call > b->call;
}

static int by_address(const void *one, const void *other)
{
	uint64_t a = *(const uint64_t *)one, b = *(const uint64_t *)other;

	return a < b ? -1 : a > b;
}

/* What looks like a jump and is none does not lead to where a function starts. */
static void jumps_collect(struct jumps *jumps, pid_t pid, const struct known_range *range)
{
	static uint8_t code[CODE];
	uint64_t start = range->start, length = range->end - start, into;
	size_t size = length < CODE ? length : CODE, last = jumps->count + JUMPS, i;
	int32_t word;

	size = proc_memory_some(pid, start, code, size);
#if defined(__x86_64__)
	for (i = 0; i + 5 <= size && jumps->count < last; i++) {
		if (code[i] != 0xe9)
			continue;
		memcpy(&word, code + i + 1, sizeof(word));
		into = i + 5 + (uint64_t)(int64_t)word;
#else
	for (i = 0; i + 4 <= size && jumps->count < last; i += 4) {
		memcpy(&word, code + i, sizeof(word));
		if (((uint32_t)word & 0xfc000000) != 0x14000000)
			continue;
		word = (int32_t)((uint32_t)word << 6) >> 4;
		into = i + (uint64_t)(int64_t)word;
#endif
		if (into >= length)
			jumps->jump[jumps->count++] = (struct jump){ start + into, range->call };
	}
}

/* The one of `count` sorted ranges, none in another, that has the address; NULL: none. */
static struct known_range *range_at(struct known_range *range, size_t count, uint64_t address)
{
	size_t low = 0, high = count, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (address < range[middle].start)
			high = middle;
		else if (address >= range[middle].end)
			low = middle + 1;
		else
			return &range[middle];
	}
	return NULL;
}

static bool same_kind(const struct known_call *one, const struct known_call *other)
{
	return one->wait == other->wait && one->takes[0] == other->takes[0];
}

/* Where functions of two kinds come, nothing is known. */
static void jump_meet(struct known_range *range, const struct known_call *call)
{
	if (range && range->call && !same_kind(range->call, call))
		range->call = NULL;
}

/*
 * Functions in which those of the ranges from `first` on end by a jump, and are on no stack from then on. Public ones are
 * called for other purposes as well.
 */
static void jumps_add(struct known_ranges *ranges, const struct jumps *jumps, size_t first)
{
	struct known_range *own = ranges->range + first, *jumped = ranges->range + ranges->count;
	size_t owns = ranges->count - first, added = 0, i;
	const struct jump *jump;
	uint64_t end;

	for (i = 0; i < jumps->count; i++) {
		jump = &jumps->jump[i];
		if ((added && jumped[added - 1].start == jump->target) ||
		    range_at(own, owns, jump->target) || ranges->count == RANGES)
			continue;
		end = function_end(&jumps->functions, jump->target);
		if (!end || (jumps->publics && bsearch(&jump->target, jumps->public, jumps->publics,
						       sizeof(*jumps->public), by_address)))
			continue;
		jumped[added++] = (struct known_range){ jump->target, end, jump->call, true };
		ranges->count++;
	}
	for (i = 0; i < jumps->count; i++)
		if (!range_at(own, owns, jumps->jump[i].target))
			jump_meet(range_at(jumped, added, jumps->jump[i].target),
				  jumps->jump[i].call);
}

static void module_jumps_add(struct known_ranges *ranges, Dwfl_Module *module, struct jumps *jumps,
			     size_t first)
{
	size_t count = ranges->count - first, i;

	qsort(jumps->public, jumps->publics, sizeof(*jumps->public), by_address);
	qsort(ranges->range + first, count, sizeof(*ranges->range), by_start);
	jumps->jump = calloc(count * JUMPS, sizeof(*jumps->jump));
	if (!jumps->jump)
		abort();
	for (i = first; i < first + count; i++)
		jumps_collect(jumps, ranges->pid, &ranges->range[i]);
	qsort(jumps->jump, jumps->count, sizeof(*jumps->jump), by_target);
	functions_read(&jumps->functions, module);
	jumps_add(ranges, jumps, first);
	free(jumps->functions.function);
	free(jumps->jump);
}

/* By the addresses of the public symbols: what a frame is called depends on which of its names is found. */
void known_add(struct known_ranges *ranges, struct Dwfl_Module *module)
{
	static const struct known_call *sorted[CALLS];
	int symbols = dwfl_module_getsymtab(module), i;
	const struct known_call **row;
	struct jumps jumps = { 0 };
	GElf_Addr address;
	const char *name;
	char base[64];
	GElf_Sym symbol;
	size_t at, first = ranges->count;

	for (at = 0; at < CALLS; at++)
		sorted[at] = &calls[at];
	qsort(sorted, CALLS, sizeof(*sorted), by_name);
	if (symbols > 0)
		jumps.public = calloc((size_t)symbols, sizeof(*jumps.public));
	for (i = 1; jumps.public && i < symbols && ranges->count < RANGES; i++) {
		name = dwfl_module_getsym_info(module, i, &symbol, &address, NULL, NULL, NULL);
		if (!name || symbol.st_shndx == SHN_UNDEF)
			continue;
		if (GELF_ST_BIND(symbol.st_info) != STB_LOCAL)
			jumps.public[jumps.publics++] = address;
		if (!strncmp(name, ID_FIELD, sizeof(ID_FIELD) - 1))
			ranges->id_field = address;
		if (GELF_ST_TYPE(symbol.st_info) != STT_FUNC || !symbol.st_size)
			continue;
		/* A symbol table has versions in the names. */
		snprintf(base, sizeof(base), "%.*s", (int)strcspn(name, "@"), name);
		row = bsearch(base, sorted, CALLS, sizeof(*sorted), name_against);
		if (row)
			ranges->range[ranges->count++] =
				(struct known_range){ address, address + symbol.st_size, *row,
						      false };
	}
	if (ranges->count > first)
		module_jumps_add(ranges, module, &jumps, first);
	free(jumps.public);
}

const struct known_call *known_at(struct known_ranges *ranges, uint64_t address, bool *public)
{
	const struct known_range *range = range_at(ranges->range, ranges->count, address);

	*public = range && !range->jumped;
	return range ? range->call : NULL;
}

void known_sort(struct known_ranges *ranges)
{
	qsort(ranges->range, ranges->count, sizeof(*ranges->range), by_start);
}

uint32_t known_thread_id(const struct known_ranges *ranges, uint64_t descriptor)
{
	struct {
		uint32_t bits, elements, offset;
	} field;
	uint32_t id;

	if (!ranges->id_field ||
	    !proc_memory(ranges->pid, ranges->id_field, &field, sizeof(field)) ||
	    field.bits != 8 * sizeof(id) || field.offset > DESCRIPTOR_SIZE ||
	    !proc_memory(ranges->pid, descriptor + field.offset, &id, sizeof(id)))
		return 0;
	return id;
}
