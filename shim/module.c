// SPDX-License-Identifier: MIT
/*
 * Owns the cache of loaded modules: their mapped range, their load bias, and their record in the box.
 *
 * _dl_find_object (glibc 2.35) finds the link map of an address without a lock; its program headers lead
 * to the build-id. Entries are only added; module_forget() starts over after a dlclose.
 *
 * Between the segments of what the kernel loaded, the program and ld.so, there may be holes (aarch64 aligns
 * segments to 64 KB), and the kernel puts other mappings there, the vDSO and a thread's storage among them.
 * For those two each segment is an entry of its own.
 */
#include "module.h"

#include <dlfcn.h>
#include <elf.h>
#include <link.h>

#include "record.h"
#include "sys.h"

#include "poison.h"

#define CACHE_SIZE 256

extern __typeof__(_dl_find_object) _dl_find_object __attribute__((weak));

/* One generation of the cache. A reader that still uses the old one sees complete entries. */
static struct module cache[CACHE_SIZE];
static uint32_t cache_count;
static int cache_busy CHILD_STATE;
static uint32_t generation;
static uint32_t program;
static uintptr_t shim_start, shim_end;

static START_TEXT bool range_of(uintptr_t address, struct dl_find_object *found)
{
	return _dl_find_object && !_dl_find_object((void *)address, found);
}

bool module_is_shim(uintptr_t address)
{
	if (UNLIKELY(!shim_end)) {
		struct dl_find_object found;

		if (range_of((uintptr_t)module_is_shim, &found)) {
			shim_start = (uintptr_t)found.dlfo_map_start;
			__atomic_store_n(&shim_end, (uintptr_t)found.dlfo_map_end,
					 __ATOMIC_RELEASE);
		}
	}
	return address >= shim_start && address < shim_end;
}

START_TEXT const struct link_map *module_shim(void)
{
	struct dl_find_object found;

	return range_of((uintptr_t)module_is_shim, &found) ? found.dlfo_link_map : NULL;
}

START_TEXT const struct link_map *module_first(void)
{
	const struct link_map *map = module_shim();

	while (map && map->l_prev)
		map = map->l_prev;
	return map;
}

static uint64_t hash_bytes(const void *bytes, size_t size)
{
	const uint8_t *byte = bytes;
	uint64_t hash = size;
	size_t i;

	for (i = 0; i < size; i++)
		hash = hash_mix(hash, byte[i]);
	return hash | 1;
}

/* What holds an address: an object, or one segment of it. */
struct object {
	const struct link_map *map;
	uintptr_t start, end;
	const ElfW(Phdr) * headers;
	unsigned count;
};

/* The program headers of an object that starts with an ELF header. */
static void headers_of(uintptr_t start, struct object *object)
{
	const ElfW(Ehdr) *header = (const void *)start;

	object->count = 0;
	if (memcmp(header->e_ident, ELFMAG, SELFMAG))
		return;
	object->headers = (const void *)(start + header->e_phoff);
	object->count = header->e_phnum;
}

static const struct link_map *loader_map(void)
{
	uintptr_t base = getauxval(AT_BASE);
	struct dl_find_object found;

	return base && range_of(base, &found) ? found.dlfo_link_map : NULL;
}

/* Narrows the object to the segment of it that holds the address, from the start of its first page. */
static bool segment_find(uintptr_t address, struct object *object)
{
	unsigned i;

	for (i = 0; i < object->count; i++) {
		uintptr_t start = object->map->l_addr + object->headers[i].p_vaddr;

		object->start = start & ~(sys_page() - 1);
		object->end = start + object->headers[i].p_memsz;
		if (object->headers[i].p_type == PT_LOAD && address >= object->start &&
		    address < object->end)
			return true;
	}
	return false;
}

static bool object_find(uintptr_t address, struct object *object)
{
	const struct link_map *program_map = module_first(), *loader = loader_map();
	struct dl_find_object found;

	object->map = program_map;
	object->headers = (const void *)getauxval(AT_PHDR);
	object->count = (unsigned)getauxval(AT_PHNUM);
	if (program_map && segment_find(address, object))
		return true;
	object->map = loader;
	if (loader)
		headers_of(getauxval(AT_BASE), object);
	if (loader && segment_find(address, object))
		return true;
	if (!range_of(address, &found) || found.dlfo_link_map == loader ||
	    found.dlfo_link_map == program_map)
		return false;
	object->map = found.dlfo_link_map;
	object->start = (uintptr_t)found.dlfo_map_start;
	object->end = (uintptr_t)found.dlfo_map_end;
	headers_of(object->start, object);
	return true;
}

static void build_id_of(const struct object *object, struct box_module *record)
{
	unsigned i;

	for (i = 0; i < object->count; i++) {
		uintptr_t at = object->map->l_addr + object->headers[i].p_vaddr;
		uintptr_t end = at + object->headers[i].p_memsz;

		if (object->headers[i].p_type != PT_NOTE)
			continue;
		while (at + sizeof(ElfW(Nhdr)) <= end) {
			const ElfW(Nhdr) *note = (const void *)at;
			uintptr_t name = at + sizeof(*note);
			uintptr_t body = name + ((note->n_namesz + 3U) & ~3U);

			if (note->n_type == NT_GNU_BUILD_ID && note->n_namesz == 4 &&
			    !memcmp((void *)name, "GNU", 4)) {
				record->build_id_size = note->n_descsz < sizeof(record->build_id) ?
								note->n_descsz :
								sizeof(record->build_id);
				memcpy(record->build_id, (void *)body, record->build_id_size);
				return;
			}
			at = body + ((note->n_descsz + 3U) & ~3U);
		}
	}
}

/* Lazy binding writes the slots of DT_JMPREL relocations: harmless wherever it happens. */
static void got_of(const struct link_map *map, struct module *module)
{
	const ElfW(Dyn) * dynamic;
	const ElfW(Rela) *rela = NULL;
	size_t size = 0;

	for (dynamic = map->l_ld; dynamic->d_tag != DT_NULL; dynamic++) {
		if (dynamic->d_tag == DT_JMPREL)
			rela = (const void *)dynamic->d_un.d_ptr; /* relocated by ld.so */
		if (dynamic->d_tag == DT_PLTRELSZ)
			size = dynamic->d_un.d_val;
	}
	module->got_low = UINTPTR_MAX;
	for (; rela && size >= sizeof(*rela); rela++, size -= sizeof(*rela)) {
		uintptr_t slot = map->l_addr + rela->r_offset;

		if (slot < module->got_low)
			module->got_low = slot;
		if (slot + sizeof(void *) > module->got_high)
			module->got_high = slot + sizeof(void *);
	}
}

static void module_describe(const struct object *object, struct module *module)
{
	const struct link_map *map = object->map;
	struct box_module record;

	memset(&record, 0, sizeof(record));
	memset(module, 0, sizeof(*module));
	module->start = object->start;
	module->end = object->end;
	module->bias = map->l_addr;
	build_id_of(object, &record);
	got_of(map, module);
	if (map->l_name && map->l_name[0])
		strncpy(record.path, map->l_name, sizeof(record.path) - 1);
	else
		SYS(readlinkat, AT_FDCWD, "/proc/self/exe", record.path, sizeof(record.path) - 1);
	record.key = record.build_id_size ? hash_bytes(record.build_id, record.build_id_size) :
					    hash_bytes(record.path, strlen(record.path));
	module->loader = map->l_addr && map->l_addr == getauxval(AT_BASE);
	module->key = record.key;
	module->index = record_module(&record);
}

bool module_find(uintptr_t address, struct module *module)
{
	uint32_t before = __atomic_load_n(&generation, __ATOMIC_ACQUIRE);
	uint32_t count = __atomic_load_n(&cache_count, __ATOMIC_ACQUIRE);
	struct object object;
	uint32_t i;

	for (i = 0; i < count; i++)
		if (address >= cache[i].start && address < cache[i].end) {
			*module = cache[i];
			__atomic_thread_fence(__ATOMIC_ACQUIRE);
			if (__atomic_load_n(&generation, __ATOMIC_ACQUIRE) == before)
				return true;
			break;
		}
	if (!object_find(address, &object))
		return false;
	module_describe(&object, module);
	if (!__atomic_exchange_n(&cache_busy, 1, __ATOMIC_ACQUIRE)) {
		count = cache_count;
		if (count < CACHE_SIZE && generation == before) {
			cache[count] = *module;
			__atomic_store_n(&cache_count, count + 1, __ATOMIC_RELEASE);
		}
		__atomic_store_n(&cache_busy, 0, __ATOMIC_RELEASE);
	}
	return true;
}

void module_forget(void)
{
	int tries;

	/* Who adds an entry of before must not do so after; who was killed over it never ends. */
	for (tries = 0; tries < 1000 && __atomic_exchange_n(&cache_busy, 1, __ATOMIC_ACQUIRE);
	     tries++)
		SYS(sched_yield);
	__atomic_add_fetch(&generation, 1, __ATOMIC_ACQ_REL);
	__atomic_thread_fence(__ATOMIC_SEQ_CST); /* before entries are written over */
	__atomic_store_n(&cache_count, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&cache_busy, 0, __ATOMIC_RELEASE);
}

uint32_t module_generation(void)
{
	return __atomic_load_n(&generation, __ATOMIC_ACQUIRE);
}

void module_after_fork(void)
{
	RESET(cache_busy, 0);
}

void module_frame(uintptr_t address, struct box_frame *frame)
{
	struct module module;

	memset(frame, 0, sizeof(*frame));
	frame->addr = address;
	if (address && module_find(address, &module)) {
		frame->offset = address - module.bias;
		frame->module = module.index;
	}
}

static uintptr_t cached_address(uint32_t index, uint64_t offset, uint64_t size)
{
	uint32_t count = __atomic_load_n(&cache_count, __ATOMIC_ACQUIRE);
	uint32_t i;

	for (i = 0; i < count; i++)
		if (cache[i].index == index) {
			uintptr_t address = cache[i].bias + offset;

			if (address >= cache[i].start && address < cache[i].end &&
			    size <= cache[i].end - address)
				return address;
		}
	return 0;
}

uintptr_t module_address(uint32_t index, uint64_t offset, uint64_t size)
{
	uintptr_t address = cached_address(index, offset, size);
	const struct link_map *map;
	struct module module;

	if (address)
		return address;
	for (map = module_first(); map; map = map->l_next)
		if (module_find((uintptr_t)map->l_ld, &module) && module.index == index)
			break;
	if (map)
		module_find(map->l_addr + offset, &module);
	return cached_address(index, offset, size);
}

bool module_loaded(const char *part)
{
	const struct link_map *map;

	for (map = module_first(); map; map = map->l_next)
		if (map->l_name && strstr(map->l_name, part))
			return true;
	return false;
}

uint32_t module_program(void)
{
	const struct link_map *map = program ? NULL : module_first();
	struct module module;

	/* Its dynamic section is an address in it. */
	if (map && module_find((uintptr_t)map->l_ld, &module))
		program = module.index;
	return program;
}

bool module_is_named(uint32_t index, const char *name)
{
	const struct box_module *module = record_at(BOX_TABLE_MODULE, index);
	const char *base;

	if (!module || !memchr(module->path, 0, sizeof(module->path)))
		return false;
	base = strrchr(module->path, '/');
	return !strcmp(base ? base + 1 : module->path, name);
}

static bool has_symbols(long fd)
{
	ElfW(Ehdr) header;
	ElfW(Shdr) section;
	unsigned i;

	if (SYS(pread64, fd, &header, sizeof(header), 0) != sizeof(header) ||
	    header.e_shentsize != sizeof(section))
		return false;
	for (i = 0; i < header.e_shnum; i++)
		if (SYS(pread64, fd, &section, sizeof(section),
			header.e_shoff + i * sizeof(section)) == sizeof(section) &&
		    section.sh_type == SHT_SYMTAB)
			return true;
	return false;
}

bool module_has_symbols(uint32_t index)
{
	const struct box_module *module = record_at(BOX_TABLE_MODULE, index);
	struct stat status;
	bool found;
	long fd;

	if (!module || !memchr(module->path, 0, sizeof(module->path)))
		return false;
	if (!sys_stat(AT_FDCWD, module->path, 0, &status) || !S_ISREG(status.st_mode))
		return false;
	fd = SYS(openat, AT_FDCWD, module->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return false;
	found = has_symbols(fd);
	SYS(close, fd);
	return found;
}
