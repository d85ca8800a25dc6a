// SPDX-License-Identifier: MIT
/*
 * The facts of one ELF file: what it is, whether the shim can be preloaded into it, what it needs. libelf reads, by
 * copies and not by a mapping, so that a file that shrinks meanwhile raises no SIGBUS.
 */
#include <endian.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "scan.h"

#define MAX_SECTIONS 100000
#define MAX_SECTION_SIZE ((uint64_t)256 << 20) /* of what is read as a whole */
#define MAX_CODE ((uint64_t)1 << 30)
#define CODE_CHUNK ((size_t)256 << 10)

/* Of this build, and so of its shim. */
#define SHIM_CLASS (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32)
#if defined(__x86_64__)
#define SHIM_MACHINE EM_X86_64
#elif defined(__aarch64__)
#define SHIM_MACHINE EM_AARCH64
#endif

char *scan_copy(const char *string)
{
	char *copy = strdup(string);

	if (!copy)
		abort();
	return copy;
}

void scan_problem(struct scan_file *file, const char *format, ...)
{
	va_list arguments;

	if (file->problem[0])
		return;
	va_start(arguments, format);
	vsnprintf(file->problem, sizeof(file->problem), format, arguments);
	va_end(arguments);
}

const char *scan_reason_name(unsigned reason)
{
	static const char *const names[] = {
#define SCAN_REASON(id, name, words) name,
		SCAN_REASONS(SCAN_REASON)
#undef SCAN_REASON
	};

	return names[reason];
}

const char *scan_reason_text(unsigned reason)
{
	static const char *const texts[] = {
#define SCAN_REASON(id, name, words) words,
		SCAN_REASONS(SCAN_REASON)
#undef SCAN_REASON
	};

	return texts[reason];
}

const char *scan_kind_name(enum scan_kind kind)
{
	static const char *const names[] = { "program", "library", "object", "core", "other" };

	return names[kind];
}

const char *scan_machine_name(unsigned machine)
{
	static const struct {
		unsigned machine;
		const char *name;
	} names[] = {
		{ EM_X86_64, "x86-64" }, { EM_AARCH64, "aarch64" },	{ EM_386, "i386" },
		{ EM_ARM, "arm" },	 { EM_RISCV, "riscv" },		{ EM_PPC64, "ppc64" },
		{ EM_S390, "s390" },	 { EM_LOONGARCH, "loongarch" }, { EM_BPF, "bpf" },
	};
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (names[i].machine == machine)
			return names[i].name;
	return NULL;
}

bool scan_file_hazard(const struct scan_file *file)
{
	return file->forks && file->threads && !file->family[FAMILY_ATFORK];
}

bool scan_file_bypasses(const struct scan_file *file)
{
	return file->calls_found && !file->is_libc;
}

Elf_Scn *scan_section_find(Elf *elf, GElf_Word type, GElf_Shdr *header)
{
	Elf_Scn *section = NULL;

	while ((section = elf_nextscn(elf, section)))
		if (gelf_getshdr(section, header) && header->sh_type == type)
			return section;
	return NULL;
}

Elf_Data *scan_section_data(struct scan_file *file, Elf_Scn *section, const GElf_Shdr *header)
{
	Elf_Data *data;

	if (header->sh_type == SHT_NOBITS || !header->sh_size)
		return NULL;
	if (header->sh_size > MAX_SECTION_SIZE) {
		scan_problem(file, "a section is too large, and was not read");
		return NULL;
	}
	data = elf_getdata(section, NULL);
	if (!data || (!data->d_buf && data->d_size)) {
		scan_problem(file, "a section lies outside of the file");
		return NULL;
	}
	return data;
}

struct scan_strings scan_section_strings(struct scan_file *file, Elf *elf, size_t index)
{
	struct scan_strings strings = { NULL, 0 };
	Elf_Scn *section = index ? elf_getscn(elf, index) : NULL;
	Elf_Data *data = NULL;
	GElf_Shdr header;
	const char *end;

	if (section && gelf_getshdr(section, &header) && header.sh_type == SHT_STRTAB)
		data = scan_section_data(file, section, &header);
	if (!data || !data->d_size)
		return strings;
	end = memrchr(data->d_buf, '\0', data->d_size);
	if (end) {
		strings.base = data->d_buf;
		strings.size = (size_t)(end - strings.base) + 1;
	}
	return strings;
}

/* As in a header of the file's byte order. */
static uint64_t field(const unsigned char *bytes, size_t size, bool big)
{
	uint64_t value = 0;
	size_t i;

	for (i = 0; i < size; i++)
		value |= (uint64_t)bytes[big ? size - 1 - i : i] << 8 * i;
	return value;
}

/*
 * libelf makes room for as many sections as the file says to have, and that may be more than memory. True: their
 * number is harmless.
 */
static bool sections_bounded(int fd, const unsigned char *header, uint64_t file_size)
{
	bool wide = header[EI_CLASS] == ELFCLASS64, big = header[EI_DATA] == ELFDATA2MSB;
	uint64_t offset = wide ? field(header + 40, 8, big) : field(header + 32, 4, big);
	unsigned char size[8];

	if (field(header + (wide ? 60 : 48), 2, big) || !offset || offset >= file_size)
		return true;
	if (pread(fd, size, wide ? 8 : 4, (off_t)(offset + (wide ? 32 : 20))) != (wide ? 8 : 4))
		return true;
	return field(size, wide ? 8 : 4, big) <= MAX_SECTIONS;
}

static char *string_take(struct scan_file *file, const struct scan_strings *strings,
			 uint64_t offset)
{
	const char *string = scan_string(strings, offset);

	if (!string)
		scan_problem(file, "a name lies outside of its table");
	else if (strlen(string) < 4096)
		return scan_copy(string);
	else
		scan_problem(file, "a name is too long");
	return NULL;
}

static void string_set(char **to, char *string)
{
	free(*to);
	*to = string;
}

/* Whether DF_1_PIE says that it is a program. */
static bool dynamic_read(struct scan_file *file, Elf *elf)
{
	struct scan_strings strings;
	GElf_Shdr header;
	Elf_Scn *section = scan_section_find(elf, SHT_DYNAMIC, &header);
	Elf_Data *data = section ? scan_section_data(file, section, &header) : NULL;
	bool pie = false;
	GElf_Dyn entry;
	char *name;
	int i;

	if (!data)
		return false;
	strings = scan_section_strings(file, elf, header.sh_link);
	for (i = 0; gelf_getdyn(data, i, &entry) && entry.d_tag != DT_NULL; i++) {
		switch (entry.d_tag) {
		case DT_FLAGS_1:
			pie = entry.d_un.d_val & DF_1_PIE;
			break;
		case DT_NEEDED:
			if (file->needed_count == SCAN_NEEDED) {
				scan_problem(file, "it needs too many libraries");
				break;
			}
			name = string_take(file, &strings, entry.d_un.d_val);
			if (name)
				file->needed[file->needed_count++] = name;
			break;
		case DT_SONAME:
			string_set(&file->soname, string_take(file, &strings, entry.d_un.d_val));
			break;
		case DT_RPATH:
			string_set(&file->rpath, string_take(file, &strings, entry.d_un.d_val));
			break;
		case DT_RUNPATH:
			string_set(&file->runpath, string_take(file, &strings, entry.d_un.d_val));
			break;
		}
	}
	return pie;
}

static void interpreter_read(struct scan_file *file, int fd, const GElf_Phdr *segment)
{
	char name[256];
	size_t size = segment->p_filesz;

	if (!size || size > sizeof(name) || segment->p_offset > INT64_MAX ||
	    pread(fd, name, size, (off_t)segment->p_offset) != (ssize_t)size ||
	    !memchr(name, '\0', size)) {
		scan_problem(file, "the name of its loader cannot be read");
		return;
	}
	string_set(&file->interpreter, scan_copy(name));
}

/* What the segments tell. `bodiless`: the contents were stripped, as in separate debug files. */
static void segments_read(struct scan_file *file, Elf *elf, int fd, uint64_t size, bool bodiless)
{
	size_t count = 0, i;
	GElf_Phdr segment;

	if (elf_getphdrnum(elf, &count)) {
		scan_problem(file, "its program headers lie outside of the file");
		return;
	}
	for (i = 0; i < count; i++) {
		if (!gelf_getphdr(elf, (int)i, &segment)) {
			scan_problem(file, "its program headers lie outside of the file");
			return;
		}
		if (segment.p_type == PT_INTERP && !bodiless)
			interpreter_read(file, fd, &segment);
		if (segment.p_type == PT_LOAD && !bodiless && file->kind != KIND_CORE &&
		    (segment.p_offset > size || segment.p_filesz > size - segment.p_offset))
			scan_problem(file, "it is cut short");
	}
}

/* Which libc it is for: by its loader, or by what it needs. */
static const char *libc_of(const struct scan_file *file)
{
	static const struct {
		const char *start, *libc;
	} known[] = {
		{ "ld-linux", "glibc" },   { "ld64.so", "glibc" },    { "ld.so", "glibc" },
		{ "libc.so.6", "glibc" },  { "ld-musl-", "musl" },    { "libc.musl-", "musl" },
		{ "linker", "bionic" },	   { "ld-uClibc", "uclibc" }, { "libc.so.0", "uclibc" },
		{ "libc.so.1", "uclibc" },
	};
	const char *name;
	unsigned at;
	size_t i;

	if (file->soname && !strncmp(file->soname, "libc.musl-", 10))
		return "musl";
	for (at = 0; at <= file->needed_count; at++) {
		if (!at && !file->interpreter)
			continue;
		name = path_base(at ? file->needed[at - 1] : file->interpreter);
		for (i = 0; i < sizeof(known) / sizeof(*known); i++)
			if (!strncmp(name, known[i].start, strlen(known[i].start)))
				return known[i].libc;
		/* glibc's file of that name is a script for the linker. */
		if (!at || !strcmp(name, "libc.so"))
			return "other";
	}
	return NULL;
}

static bool go_read(Elf *elf, bool *bodiless)
{
	Elf_Scn *section = NULL;
	size_t names = 0;
	GElf_Shdr header;
	bool go = false;

	if (elf_getshdrstrndx(elf, &names))
		names = 0;
	while ((section = elf_nextscn(elf, section))) {
		const char *name;

		if (!gelf_getshdr(section, &header))
			continue;
		if (header.sh_type == SHT_NOBITS && header.sh_flags & SHF_EXECINSTR)
			*bodiless = true;
		if (go || header.sh_type == SHT_NOBITS)
			continue;
		name = names ? elf_strptr(elf, names, header.sh_name) : NULL;
		go = name && (!strcmp(name, ".go.buildinfo") || !strcmp(name, ".note.go.buildid"));
	}
	return go;
}

static void call_found(void *context, uint64_t addr, const char *call)
{
	struct scan_file *file = context;

	file->calls_found++;
	if (file->calls == SCAN_CALLS)
		return;
	if (!file->call)
		file->call = calloc(SCAN_CALLS, sizeof(*file->call));
	if (!file->call)
		abort();
	file->call[file->calls++] = (struct scan_call){ .call = call, .addr = addr };
}

/* Code a piece at a time; `budget` keeps sections that overlap from being read without end. */
static void code_range(struct scan_file *file, int fd, uint64_t offset, uint64_t size,
		       uint64_t addr, uint64_t *budget)
{
	static uint8_t buffer[SCAN_CODE_BEFORE + CODE_CHUNK];
	size_t before = 0;

	while (size) {
		size_t wanted = size < CODE_CHUNK ? (size_t)size : CODE_CHUNK;
		ssize_t got;

		if (wanted > *budget) {
			scan_problem(file, "not all of its code was looked at: too much");
			return;
		}
		got = offset > INT64_MAX ? -1 : pread(fd, buffer + before, wanted, (off_t)offset);
		if (got != (ssize_t)wanted) {
			scan_problem(file, "its code lies outside of the file");
			return;
		}
		*budget -= wanted;
		scan_code(file->machine, buffer, before + wanted, before, addr - before, call_found,
			  file);
		offset += wanted;
		addr += wanted;
		size -= wanted;
		wanted += before;
		before = wanted < SCAN_CODE_BEFORE ? wanted : SCAN_CODE_BEFORE;
		memmove(buffer, buffer + wanted - before, before);
	}
}

static void code_read(struct scan_file *file, Elf *elf, int fd, uint64_t file_size)
{
	uint64_t budget = file_size < MAX_CODE ? file_size : MAX_CODE;
	Elf_Scn *section = NULL;
	bool sections = false;
	GElf_Phdr segment;
	GElf_Shdr header;
	size_t count = 0, i;

	while ((section = elf_nextscn(elf, section))) {
		if (!gelf_getshdr(section, &header))
			continue;
		sections = true;
		if (header.sh_type == SHT_PROGBITS && header.sh_flags & SHF_EXECINSTR &&
		    header.sh_flags & SHF_ALLOC)
			code_range(file, fd, header.sh_offset, header.sh_size, header.sh_addr,
				   &budget);
	}
	if (sections || elf_getphdrnum(elf, &count))
		return;
	for (i = 0; i < count && gelf_getphdr(elf, (int)i, &segment); i++)
		if (segment.p_type == PT_LOAD && segment.p_flags & PF_X)
			code_range(file, fd, segment.p_offset, segment.p_filesz, segment.p_vaddr,
				   &budget);
}

static void rights_read(struct scan_file *file, int fd, const struct stat *status)
{
	if (!(status->st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)) || file->kind != KIND_PROGRAM)
		return;
	if (status->st_mode & S_ISUID)
		file->reasons |= 1u << REASON_SET_USER_ID;
	if ((status->st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
		file->reasons |= 1u << REASON_SET_GROUP_ID;
	if (fgetxattr(fd, "security.capability", NULL, 0) > 0)
		file->reasons |= 1u << REASON_CAPABILITIES;
}

static void judge(struct scan_file *file, const GElf_Ehdr *header, bool pie, bool bodiless)
{
	if (file->kind == KIND_LIBRARY && (pie || (file->interpreter && !file->soname)))
		file->kind = KIND_PROGRAM;
	if (bodiless)
		file->kind = KIND_OTHER;
	if (file->kind != KIND_PROGRAM && file->kind != KIND_LIBRARY) {
		file->reasons |= 1u << REASON_NOT_LOADABLE;
		return;
	}
	file->is_libc = file->soname && (!strcmp(file->soname, "libc.so.6") ||
					 !strncmp(file->soname, "ld-linux", 8) ||
					 !strncmp(file->soname, "ld64.so", 7));
	file->libc = file->is_libc ? "glibc" : libc_of(file);
	if (file->class != SHIM_CLASS)
		file->reasons |= 1u << REASON_OTHER_CLASS;
	if (file->machine != SHIM_MACHINE ||
	    header->e_ident[EI_DATA] != (BYTE_ORDER == LITTLE_ENDIAN ? ELFDATA2LSB : ELFDATA2MSB))
		file->reasons |= 1u << REASON_OTHER_MACHINE;
	if (file->kind == KIND_PROGRAM && !file->interpreter)
		file->reasons |= 1u
				 << (header->e_type == ET_EXEC ? REASON_STATIC : REASON_STATIC_PIE);
	if (file->libc && strcmp(file->libc, "glibc"))
		file->reasons |= 1u << REASON_OTHER_LIBC;
	if (file->asan)
		file->reasons |= 1u << REASON_ASAN;
}

static enum scan_kind kind_of(const GElf_Ehdr *header)
{
	switch (header->e_type) {
	case ET_EXEC:
		return KIND_PROGRAM;
	case ET_DYN:
		return KIND_LIBRARY; /* or a program: what it holds will tell */
	case ET_REL:
		return KIND_OBJECT;
	case ET_CORE:
		return KIND_CORE;
	default:
		return KIND_OTHER;
	}
}

static void elf_read(struct scan_file *file, Elf *elf, int fd, const struct stat *status)
{
	bool bodiless = false, pie;
	size_t sections = 0;
	GElf_Ehdr header;
	unsigned i;

	if (elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &header)) {
		scan_problem(file, "its header is damaged");
		return;
	}
	file->class = header.e_ident[EI_CLASS];
	file->machine = header.e_machine;
	file->kind = kind_of(&header);
	if (elf_getshdrnum(elf, &sections) ||
	    (header.e_shoff && (header.e_shoff >= (uint64_t)status->st_size || !sections)))
		scan_problem(file, "its section headers lie outside of the file");
	file->go = go_read(elf, &bodiless);
	segments_read(file, elf, fd, (uint64_t)status->st_size, bodiless);
	if (file->kind == KIND_PROGRAM || file->kind == KIND_LIBRARY) {
		pie = dynamic_read(file, elf);
		for (i = 0; i < file->needed_count; i++)
			file->asan |= !strncmp(path_base(file->needed[i]), "libasan.so", 10) ||
				      !strncmp(path_base(file->needed[i]), "libclang_rt.asan", 16);
		scan_imports_read(file, elf);
		if (scan_code_known(file->machine) && !bodiless)
			code_read(file, elf, fd, (uint64_t)status->st_size);
		if (file->calls)
			scan_calls_name(file, elf);
		judge(file, &header, pie, bodiless);
		rights_read(file, fd, status);
	} else {
		judge(file, &header, false, bodiless);
	}
}

enum scan_result scan_file_read(struct scan_file *file, int fd)
{
	unsigned char header[64] = { 0 };
	struct stat status;
	ssize_t got;
	Elf *elf;

	if (fstat(fd, &status) || (got = pread(fd, header, sizeof(header), 0)) < 0) {
		scan_problem(file, "cannot be read: %s", strerror(errno));
		return SCAN_FAILED;
	}
	if (got < SELFMAG || memcmp(header, ELFMAG, SELFMAG)) {
		file->reasons = 1u << REASON_NO_ELF;
		return SCAN_NO_ELF;
	}
	if (got < 52 || (header[EI_CLASS] == ELFCLASS64 && got < 64)) {
		scan_problem(file, "it is cut short");
		return SCAN_FAILED;
	}
	if ((header[EI_CLASS] != ELFCLASS32 && header[EI_CLASS] != ELFCLASS64) ||
	    (header[EI_DATA] != ELFDATA2LSB && header[EI_DATA] != ELFDATA2MSB)) {
		scan_problem(file, "its header is damaged");
		return SCAN_FAILED;
	}
	if (!sections_bounded(fd, header, (uint64_t)status.st_size)) {
		scan_problem(file, "it says to have too many sections");
		return SCAN_FAILED;
	}
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!elf) {
		scan_problem(file, "it cannot be read: %s", elf_errmsg(-1));
		return SCAN_FAILED;
	}
	elf_read(file, elf, fd, &status);
	elf_end(elf);
	return file->problem[0] ? SCAN_FAILED : SCAN_READ;
}

void scan_file_free(struct scan_file *file)
{
	unsigned i;

	for (i = 0; i < file->needed_count; i++)
		free(file->needed[i]);
	for (i = 0; i < file->imports; i++) {
		free(file->import[i].version);
		free(file->import[i].library);
	}
	for (i = 0; i < file->calls; i++)
		free(file->call[i].function);
	free(file->import);
	free(file->call);
	free(file->interpreter);
	free(file->soname);
	free(file->runpath);
	free(file->rpath);
	free(file->path);
	memset(file, 0, sizeof(*file));
}
