// SPDX-License-Identifier: MIT
/*
 * Owns real_table: for each row of hooks.def the definition that comes after the shim's in the search
 * order, so that other preloaded libraries stay in the chain. Where libc comes first in that order, no call of the
 * program's comes here, and what the shim itself calls is what the program would.
 *
 * dlsym would do it, but it takes the loader's lock, allocates when it finds nothing, and leaves its
 * error for the program's next dlerror(); and the first to ask may be malloc, called by ld.so before any
 * constructor, or a child in its window. So the tables of the loaded objects are read here: DT_GNU_HASH, else
 * DT_HASH.
 */
#include "real.h"

#include <link.h>
#include <sys/auxv.h>

#include "hook.h"
#include "module.h"
#include "record.h"
#include "sys.h"

void *real_table[HOOK_COUNT];

/* Arrays, not pointers: several hundred of them would be relocated at every start of a program. */
static const struct {
	char symbol[32], version[12];
} rows[] = {
#define HOOK(kind, id, symbol, version, trait) { #symbol, #version },
#include "hooks.def"
#undef HOOK
};

_Static_assert(HOOK_COUNT <= BOX_HOOKS, "box_header.wanted");

/* The rows of kind `hot` and `lock`, in their order. */
enum hot {
#define HOOK(kind, id, symbol, version, trait) HOOK_##kind(id)
#define HOOK_entry(id)
#define HOOK_body(id)
#define HOOK_stub(id)
#define HOOK_hot(id) HOT_##id,
#define HOOK_lock(id) HOT_##id,
#include "hooks.def"
#undef HOOK
	HOT_COUNT
};

intptr_t stub_hot_next[HOT_COUNT];

/* entry_ARCH.S makes it: what stands before the next definition is a body in lock.c or hidden.c, or nothing. */
extern const struct {
	int32_t body; /* from here */
	uint32_t hook;
} stub_hot_rows[HOT_COUNT] __attribute__((visibility("hidden")));

static bool bodies_off;

#include "poison.h"

/* The dynamic section of one object. */
struct object {
	uintptr_t bias;
	const ElfW(Sym) * symbols;
	const char *strings;
	const ElfW(Half) * versions;
	const ElfW(Verdef) * definitions;
	const uint32_t *gnu_hash, *hash;
};

/* ld.so relocates these addresses in place, but not in the vDSO, which is read-only. */
static START_TEXT const void *dynamic_address(const struct link_map *map, const ElfW(Dyn) * dynamic)
{
	uintptr_t address = dynamic->d_un.d_ptr;

	return (const void *)(address < map->l_addr ? address + map->l_addr : address);
}

static START_TEXT void object_read(const struct link_map *map, struct object *object)
{
	const ElfW(Dyn) * dynamic;

	*object = (struct object){ .bias = map->l_addr };
	for (dynamic = map->l_ld; dynamic->d_tag != DT_NULL; dynamic++) {
		const void *address = dynamic_address(map, dynamic);

		if (dynamic->d_tag == DT_SYMTAB)
			object->symbols = address;
		else if (dynamic->d_tag == DT_STRTAB)
			object->strings = address;
		else if (dynamic->d_tag == DT_VERSYM)
			object->versions = address;
		else if (dynamic->d_tag == DT_VERDEF)
			object->definitions = address;
		else if (dynamic->d_tag == DT_GNU_HASH)
			object->gnu_hash = address;
		else if (dynamic->d_tag == DT_HASH)
			object->hash = address;
	}
}

/* Is `index` of the object's version table the version of this name? */
static START_TEXT bool version_named(const struct object *object, ElfW(Half) index,
				     const char *version)
{
	const ElfW(Verdef) *definition = object->definitions;

	while (definition) {
		const ElfW(Verdaux) *name =
			(const void *)((const char *)definition + definition->vd_aux);

		if (definition->vd_ndx == index)
			return !strcmp(object->strings + name->vda_name, version);
		if (!definition->vd_next)
			return false;
		definition = (const void *)((const char *)definition + definition->vd_next);
	}
	return false;
}

/* As ld.so matches: the version asked for, or, where none is, the default one. */
static START_TEXT bool symbol_matches(const struct object *object, uint32_t index, const char *name,
				      const char *version)
{
	const ElfW(Sym) *symbol = &object->symbols[index];
	ElfW(Half) versym = object->versions ? object->versions[index] : 1;

	if (symbol->st_shndx == SHN_UNDEF || !symbol->st_value ||
	    strcmp(object->strings + symbol->st_name, name))
		return false;
	if ((versym & 0x7fff) <= 1) /* none: stands for all */
		return true;
	return version[0] ? version_named(object, versym & 0x7fff, version) : !(versym & 0x8000);
}

static START_TEXT uint32_t gnu_hash_of(const char *name)
{
	uint32_t hash = 5381;

	for (; *name; name++)
		hash = hash * 33 + (unsigned char)*name;
	return hash;
}

/* Index of the symbol, or 0. */
static START_TEXT uint32_t gnu_lookup(const struct object *object, const char *name,
				      const char *version)
{
	uint32_t hash = gnu_hash_of(name);
	const uint32_t *header = object->gnu_hash; /* buckets, first symbol, bloom words, shift */
	const ElfW(Addr) *bloom = (const void *)(header + 4);
	const uint32_t *buckets = (const void *)(bloom + header[2]);
	const uint32_t *chain = buckets + header[0];
	const unsigned bits = 8 * sizeof(*bloom);
	uint32_t index;

	if (!header[0])
		return 0;
	/* Says of most symbols that they are not there, and ld.so has looked at it, so that it costs no page fault. */
	if (header[2] && !(bloom[hash / bits & (header[2] - 1)] >> hash % bits &
			   bloom[hash / bits & (header[2] - 1)] >> (hash >> header[3]) % bits & 1))
		return 0;
	index = buckets[hash % header[0]];
	if (index < header[1])
		return 0;
	for (;; index++) {
		uint32_t entry = chain[index - header[1]];

		if ((entry | 1) == (hash | 1) && symbol_matches(object, index, name, version))
			return index;
		if (entry & 1)
			return 0;
	}
}

static uint32_t plain_lookup(const struct object *object, const char *name, const char *version)
{
	uint32_t index;

	for (index = 1; index < object->hash[1]; index++)
		if (symbol_matches(object, index, name, version))
			return index;
	return 0;
}

static START_TEXT void *object_lookup(const struct object *object, const char *name,
				      const char *version)
{
	const ElfW(Sym) * symbol;
	uint32_t index = 0;
	uintptr_t value;

	if (!object->symbols || !object->strings)
		return NULL;
	if (object->gnu_hash)
		index = gnu_lookup(object, name, version);
	else if (object->hash)
		index = plain_lookup(object, name, version);
	if (!index)
		return NULL;
	symbol = &object->symbols[index];
	value = object->bias + symbol->st_value;
	if (ELF64_ST_TYPE(symbol->st_info) == STT_GNU_IFUNC)
		value = arch_resolve(value);
	return (void *)value;
}

/*
 * The first definition of one of these from this object on, or NULL; not the shim's own, nor what the object at the
 * address `other_than` has.
 */
static START_TEXT void *lookup_any(const struct link_map *map, const char *const *names,
				   unsigned count, const char *version, uintptr_t other_than)
{
	const struct link_map *shim = module_shim();
	struct object object;
	void *found = NULL;
	unsigned i;

	for (; map && !found; map = map->l_next) {
		if (map == shim || map->l_addr == other_than)
			continue;
		object_read(map, &object);
		for (i = 0; i < count && !found; i++)
			found = object_lookup(&object, names[i], version);
	}
	return found;
}

static START_TEXT void *lookup(const struct link_map *map, const char *name, const char *version)
{
	return lookup_any(map, &name, 1, version, UINTPTR_MAX);
}

/* Does the program's search find libc before the shim? It is so where a library needs the shim, or loads it. */
static enum { ORDER_UNKNOWN, SHIM_FIRST, LIBC_FIRST } search_order START_STATE;

START_TEXT bool real_is_passed_by(void)
{
	if (search_order == ORDER_UNKNOWN)
		search_order = lookup(module_shim(), START_STRING("gnu_get_libc_version"),
				      START_STRING("")) ?
				       SHIM_FIRST :
				       LIBC_FIRST;
	return search_order == LIBC_FIRST;
}

/* The definition after the shim's, or, where the shim comes too late to be in a chain, the program's; or NULL. */
static START_TEXT void *next_lookup(const char *name, const char *version)
{
	return lookup(real_is_passed_by() ? module_first() : module_shim(), name, version);
}

START_TEXT const void *real_address(const char *symbol)
{
	return next_lookup(symbol, START_STRING(""));
}

START_TEXT bool real_any(const char *const *symbols, unsigned count)
{
	/* The kernel's own is left alone: to look at it costs every program two page faults. */
	return lookup_any(module_first(), symbols, count, START_STRING(""),
			  getauxval(AT_SYSINFO_EHDR));
}

const void *real_first(const char *symbol)
{
	return lookup(module_first(), symbol, "");
}

/* libc is where this function is: nobody wraps it. */
const void *real_libc(const char *symbol)
{
	static const struct link_map *libc;
	const struct link_map *map = __atomic_load_n(&libc, __ATOMIC_RELAXED);
	struct object object;

	if (!map)
		map = module_first();
	for (; map; map = map->l_next) {
		object_read(map, &object);
		if (object_lookup(&object, "gnu_get_libc_version", ""))
			break;
	}
	if (!map)
		return NULL;
	__atomic_store_n(&libc, map, __ATOMIC_RELAXED);
	return object_lookup(&object, symbol, "");
}

/* The row of `hook`, or HOT_COUNT. */
static enum hot hot_row(enum hook hook)
{
	unsigned low = 0, high = HOT_COUNT;

	while (low < high) {
		unsigned middle = (low + high) / 2;

		if (stub_hot_rows[middle].hook < hook)
			low = middle + 1;
		else
			high = middle;
	}
	return low < HOT_COUNT && stub_hot_rows[low].hook == hook ? (enum hot)low : HOT_COUNT;
}

static void *hot_body(enum hot row)
{
	const int32_t *body = &stub_hot_rows[row].body;

	return *body && !bodies_off ? (char *)body + *body : NULL;
}

bool real_has_body(enum hook hook)
{
	enum hot row = hot_row(hook);

	return row < HOT_COUNT && stub_hot_rows[row].body;
}

/* A store of the same would make the kernel copy the page for a forked child. */
static void hot_set(enum hot row, const void *target)
{
	intptr_t distance = (intptr_t)target - (intptr_t)stub_hot_next;

	if (__atomic_load_n(&stub_hot_next[row], __ATOMIC_RELAXED) != distance)
		__atomic_store_n(&stub_hot_next[row], distance, __ATOMIC_RELEASE);
}

void real_hot_begin(void)
{
	unsigned row;

	if (stub_hot_next[0])
		return;
	for (row = 0; row < HOT_COUNT; row++)
		hot_set((enum hot)row, (const char *)stub_hot_slow + stub_hot_slow[row]);
	__atomic_store_n(&stub_hot, stub_hot_next, __ATOMIC_RELEASE);
}

/* Rows of several names for one function share a body, which goes on to the next definition of one of them. */
static void body_prepare(const void *body)
{
	unsigned row;

	for (row = 0; row < HOT_COUNT; row++)
		if (hot_body((enum hot)row) == body)
			real_get((enum hook)stub_hot_rows[row].hook);
}

/*
 * What a call of the row goes to once `function` is known. Before the shim is set up a body is passed by, and the
 * row looked at again at its next call.
 */
static void *hot_publish(enum hot row, void *function)
{
	void *body = hot_body(row);

	if (body && !hook_ready())
		return function;
	if (body)
		body_prepare(body);
	real_hot_begin();
	hot_set(row, body ? body : function);
	return body ? body : function;
}

START_TEXT void *real_find(enum hook hook)
{
	void *function = next_lookup(rows[hook].symbol, rows[hook].version);

	__atomic_store_n(&real_table[hook], function, __ATOMIC_RELAXED);
	if (hook_ready())
		__atomic_or_fetch(&record_header()->wanted[hook / 64], 1ULL << hook % 64,
				  __ATOMIC_RELAXED);
	return function;
}

void *real_target(enum hook hook)
{
	void *function = real_get(hook);
	enum hot row = hot_row(hook);

	return function && row < HOT_COUNT ? hot_publish(row, function) : function;
}

void real_without_bodies(void)
{
	unsigned row;

	for (row = 0; row < HOT_COUNT; row++)
		if (hot_body((enum hot)row) && real_table[stub_hot_rows[row].hook])
			hot_set((enum hot)row, real_table[stub_hot_rows[row].hook]);
	bodies_off = true;
}

START_TEXT void real_find_all(void)
{
	unsigned hook;

	for (hook = 0; hook < HOOK_COUNT; hook++)
		real_target((enum hook)hook);
}

const char *real_name(enum hook hook)
{
	return rows[hook].symbol;
}

void real_find_wanted(void)
{
	static uint64_t found[COUNT(record_header()->wanted)];
	uint64_t wanted;
	unsigned i, hook;

	for (i = 0; i < COUNT(found); i++) {
		wanted = __atomic_load_n(&record_header()->wanted[i], __ATOMIC_RELAXED) & ~found[i];
		if (!wanted)
			continue;
		found[i] |= wanted;
		for (hook = i * 64; wanted; hook++, wanted >>= 1)
			if (wanted & 1 && hook < HOOK_COUNT)
				real_target((enum hook)hook);
	}
}
