// SPDX-License-Identifier: MIT
/*
 * The facts of one ELF file: what it is, what it needs, and whether the shim can be preloaded into it; `spork run`
 * asks for the same before it starts a program.
 */
#include <endian.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "scan.h"

#define MAX_NOTES ((uint64_t)64 << 10)

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

static char *string_take(struct scan_file *file, const struct scan_image *image, uint64_t offset)
{
	const char *string = scan_string(&image->strings, offset);

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
static bool dynamic_read(struct scan_file *file, const struct scan_image *image)
{
	bool pie = false;
	GElf_Dyn entry;
	char *name;
	int i;

	for (i = 0;
	     image->dynamic && gelf_getdyn(image->dynamic, i, &entry) && entry.d_tag != DT_NULL;
	     i++) {
		switch (entry.d_tag) {
		case DT_FLAGS_1:
			pie = entry.d_un.d_val & DF_1_PIE;
			break;
		case DT_NEEDED:
			if (file->needed_count == SCAN_NEEDED) {
				scan_problem(file, "it needs too many libraries");
				break;
			}
			name = string_take(file, image, entry.d_un.d_val);
			if (name)
				file->needed[file->needed_count++] = name;
			break;
		case DT_SONAME:
			string_set(&file->soname, string_take(file, image, entry.d_un.d_val));
			break;
		case DT_RPATH:
			string_set(&file->rpath, string_take(file, image, entry.d_un.d_val));
			break;
		case DT_RUNPATH:
			string_set(&file->runpath, string_take(file, image, entry.d_un.d_val));
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

/* A note that Go's linker leaves; a damaged one tells nothing. */
static bool is_go_note(const struct scan_image *image, const GElf_Phdr *segment)
{
	uint64_t size = segment->p_filesz < MAX_NOTES ? segment->p_filesz : MAX_NOTES;
	size_t at = 0, name, description;
	Elf_Data *data = NULL;
	GElf_Nhdr note;

	if (size && segment->p_offset < image->size && size <= image->size - segment->p_offset)
		data = elf_getdata_rawchunk(image->elf, (int64_t)segment->p_offset, size,
					    segment->p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
	while (data && (at = gelf_getnote(data, at, &note, &name, &description)))
		if (note.n_namesz == 4 && !memcmp((const char *)data->d_buf + name, "Go", 3))
			return true;
	return false;
}

static void segments_read(struct scan_file *file, struct scan_image *image, bool bodiless)
{
	GElf_Phdr segment;
	size_t i;

	if (image->segments < image->header.e_phnum) {
		scan_problem(file, "its program headers lie outside of the file");
		return;
	}
	for (i = 0; i < image->segments; i++) {
		if (!gelf_getphdr(image->elf, (int)i, &segment)) {
			scan_problem(file, "its program headers lie outside of the file");
			return;
		}
		if (bodiless)
			continue;
		if (segment.p_type == PT_INTERP)
			interpreter_read(file, image->fd, &segment);
		if (segment.p_type == PT_NOTE && !file->go && file->kind != KIND_CORE)
			file->go = is_go_note(image, &segment);
		if (segment.p_type == PT_LOAD && file->kind != KIND_CORE &&
		    (segment.p_offset > image->size ||
		     segment.p_filesz > image->size - segment.p_offset))
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
		if (!at || !strcmp(name, "libc.so"))
			return "other";
	}
	return NULL;
}

/*
 * What only section headers tell: `bodiless` that the contents were stripped, as in separate debug files.
 */
static void sections_read(struct scan_file *file, struct scan_image *image, bool *bodiless)
{
	Elf_Scn *section = NULL;
	size_t names = 0, count = 0;
	GElf_Shdr header;
	const char *name;

	if (elf_getshdrnum(image->elf, &count) ||
	    (image->header.e_shoff && (image->header.e_shoff >= image->size || !count)))
		scan_problem(file, "its section headers lie outside of the file");
	if (elf_getshdrstrndx(image->elf, &names))
		names = 0;
	while ((section = elf_nextscn(image->elf, section))) {
		if (!gelf_getshdr(section, &header))
			continue;
		if (header.sh_type == SHT_NOBITS && header.sh_flags & SHF_EXECINSTR)
			*bodiless = true;
		if (file->go || header.sh_type == SHT_NOBITS)
			continue;
		name = names ? elf_strptr(image->elf, names, header.sh_name) : NULL;
		file->go = name && !strcmp(name, ".go.buildinfo");
	}
}

static void rights_read(struct scan_file *file, const struct scan_image *image)
{
	mode_t mode = image->status.st_mode;

	if (!(mode & (S_IXUSR | S_IXGRP | S_IXOTH)) || file->kind != KIND_PROGRAM)
		return;
	if (mode & S_ISUID)
		file->reasons |= 1u << REASON_SET_USER_ID;
	if ((mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
		file->reasons |= 1u << REASON_SET_GROUP_ID;
	if (fgetxattr(image->fd, "security.capability", NULL, 0) > 0)
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
	file->is_loader = file->soname && (!strncmp(file->soname, "ld-linux", 8) ||
					   !strncmp(file->soname, "ld64.so", 7));
	file->is_libc = file->is_loader || (file->soname && !strcmp(file->soname, "libc.so.6"));
	file->libc = file->is_libc ? "glibc" : libc_of(file);
	/* What starts programs and needs no libc is one: musl's may be without a name. */
	if (!file->libc && file->starts)
		file->libc = "other";
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
	file->reasons |= file->sanitizer;
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

static const struct sanitizer {
	const char *library, *start, *text;
	unsigned reason;
} sanitizers[] = {
	{ "libasan.so", "__asan_init", "AddressSanitizer: ", REASON_ASAN },
	{ "libclang_rt.asan", "__asan_init", "AddressSanitizer: ", REASON_ASAN },
	{ "libtsan.so", "__tsan_init", "ThreadSanitizer: ", REASON_TSAN },
	{ "libclang_rt.tsan", "__tsan_init", "ThreadSanitizer: ", REASON_TSAN },
	{ "libclang_rt.msan", "__msan_init", "MemorySanitizer: ", REASON_MSAN },
};

#define SANITIZERS (sizeof(sanitizers) / sizeof(*sanitizers))

/* A function that programs call and never define, and that the sanitizers take the place of. */
#define INTERCEPTED "__isoc99_vsscanf"

/*
 * A sanitizer shows as a needed library, or by the symbol that starts it; linked in by gcc it has none for the
 * loader, and shows by what it takes the place of, and by its messages.
 */
static bool sanitizer_is(const struct sanitizer *sanitizer, struct scan_file *file,
			 struct scan_image *image)
{
	unsigned i;
	GElf_Sym symbol;

	for (i = 0; i < file->needed_count; i++)
		if (!strncmp(path_base(file->needed[i]), sanitizer->library,
			     strlen(sanitizer->library)))
			return true;
	return scan_symbol_find(file, image, sanitizer->start, &symbol);
}

static void sanitizer_read(struct scan_file *file, struct scan_image *image)
{
	const char *texts[SANITIZERS];
	uint32_t found = 0;
	GElf_Sym symbol;
	size_t i;

	for (i = 0; i < SANITIZERS; i++)
		texts[i] = sanitizers[i].text;
	if (scan_symbol_find(file, image, INTERCEPTED, &symbol) && symbol.st_shndx != SHN_UNDEF &&
	    !file->soname)
		found = scan_image_texts(image, texts, SANITIZERS);
	for (i = 0; i < SANITIZERS && !file->sanitizer; i++)
		if (found & 1u << i || sanitizer_is(&sanitizers[i], file, image))
			file->sanitizer = 1u << sanitizers[i].reason;
}

static void facts_read(struct scan_file *file, struct scan_image *image)
{
	bool bodiless = false, pie;
	GElf_Sym symbol;

	file->class = image->header.e_ident[EI_CLASS];
	file->machine = image->header.e_machine;
	file->kind = kind_of(&image->header);
	sections_read(file, image, &bodiless);
	segments_read(file, image, bodiless);
	if ((file->kind != KIND_PROGRAM && file->kind != KIND_LIBRARY) || bodiless) {
		judge(file, &image->header, false, bodiless);
		return;
	}
	scan_image_link(image, file);
	pie = dynamic_read(file, image);
	file->starts = scan_symbol_find(file, image, "__libc_start_main", &symbol) &&
		       symbol.st_shndx != SHN_UNDEF;
	scan_imports_read(file, image);
	sanitizer_read(file, image);
	judge(file, &image->header, pie, false);
	rights_read(file, image);
}

enum scan_result scan_file_read(struct scan_file *file, int fd)
{
	struct scan_image image;
	enum scan_result result = scan_image_open(&image, file, fd);

	if (result == SCAN_NO_ELF)
		file->reasons = 1u << REASON_NO_ELF;
	if (result == SCAN_READ) {
		facts_read(file, &image);
		if (file->kind == KIND_PROGRAM || file->kind == KIND_LIBRARY)
			scan_calls_read(file, &image);
		if (file->problem[0])
			result = SCAN_FAILED;
	}
	scan_image_close(&image);
	return result;
}

enum scan_result scan_program_read(struct scan_file *file, int fd)
{
	struct scan_image image;
	enum scan_result result = scan_image_open(&image, file, fd);

	if (result == SCAN_READ) {
		facts_read(file, &image);
		if (image.segments < image.header.e_phnum)
			result = SCAN_FAILED;
	}
	scan_image_close(&image);
	return result;
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
