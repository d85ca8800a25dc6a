// SPDX-License-Identifier: MIT
/*
 * Makes ELF files that nobody should believe: make_corpus_elf FOLDER writes FOLDER/NAME, a few hundred bytes each but for some of 4 MB. The
 * fuzz target starts from them, and the tests of the tool read each. One library is sound; the others are it with one
 * thing wrong.
 */
#include <elf.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { SECTIONS = 8, SYMBOLS = 4, DYNAMICS = 6, ROOM = 4096 };
enum { NONE, TEXT, DYNSTR, DYNSYM, DYNAMIC, VERSYM, VERNEED, NOTE };

/* push $57; pop %rax; syscall; mov $59,%eax; syscall; ret */
static const unsigned char code[] = { 0x6a, 57, 0x58, 0x0f, 5, 0xb8, 59, 0, 0, 0, 0x0f, 5, 0xc3 };

/* The names' places in it: 1, 6, 21, 31, 43. */
static const char strings[] = "\0fork\0pthread_create\0libc.so.6\0GLIBC_2.2.5\0libx.so";

static struct file {
	Elf64_Ehdr header;
	Elf64_Phdr segment[3];
	Elf64_Shdr section[SECTIONS];
	Elf64_Sym symbol[SYMBOLS];
	Elf64_Dyn dynamic[DYNAMICS];
	Elf64_Verneed need;
	Elf64_Vernaux auxiliary;
	Elf64_Half version[SYMBOLS];
	char string[sizeof(strings)];
	char interpreter[32];
	unsigned char text[sizeof(code)];
	unsigned char note[24];
	char intercepted[32];
	unsigned hash[6];
} f;

static size_t size;

/* What lies behind it in the file: program headers, more than any linker makes. */
static Elf64_Phdr more[65000];
static size_t mores;

static void section(int which, unsigned type, size_t offset, size_t bytes, size_t each, int link)
{
	f.section[which] = (Elf64_Shdr){
		.sh_type = type,
		.sh_flags = which == TEXT ? SHF_ALLOC | SHF_EXECINSTR : SHF_ALLOC,
		.sh_addr = offset,
		.sh_offset = offset,
		.sh_size = bytes,
		.sh_link = (unsigned)link,
		.sh_info = which == VERNEED || which == DYNSYM ? 1 : 0,
		.sh_entsize = each,
		.sh_addralign = 8,
	};
}

#define SECTION(which, type, field, each, link)                                                    \
	section(which, type, offsetof(struct file, field), sizeof(f.field), each, link)

static void base(void)
{
	static const unsigned char ident[EI_NIDENT] = { 0x7f, 'E', 'L', 'F', 2, 1, 1 };

	memset(&f, 0, sizeof(f));
	size = sizeof(f);
	mores = 0;
	memcpy(f.header.e_ident, ident, sizeof(ident));
	f.header.e_type = ET_DYN;
	f.header.e_machine = EM_X86_64;
	f.header.e_version = 1;
	f.header.e_phoff = offsetof(struct file, segment);
	f.header.e_shoff = offsetof(struct file, section);
	f.header.e_ehsize = sizeof(f.header);
	f.header.e_phentsize = sizeof(*f.segment);
	f.header.e_phnum = 3;
	f.header.e_shentsize = sizeof(*f.section);
	f.header.e_shnum = SECTIONS;
	f.header.e_shstrndx = DYNSTR;
	f.segment[0] = (Elf64_Phdr){ .p_type = PT_LOAD,
				     .p_flags = PF_R | PF_X,
				     .p_filesz = sizeof(f),
				     .p_memsz = sizeof(f) };
	f.segment[1] = (Elf64_Phdr){ .p_type = PT_DYNAMIC,
				     .p_offset = offsetof(struct file, dynamic),
				     .p_vaddr = offsetof(struct file, dynamic),
				     .p_filesz = sizeof(f.dynamic) };
	f.segment[2] = (Elf64_Phdr){ .p_type = PT_INTERP,
				     .p_offset = offsetof(struct file, interpreter),
				     .p_filesz = sizeof(f.interpreter) };
	SECTION(TEXT, SHT_PROGBITS, text, 0, 0);
	SECTION(DYNSTR, SHT_STRTAB, string, 0, 0);
	SECTION(DYNSYM, SHT_DYNSYM, symbol, sizeof(Elf64_Sym), DYNSTR);
	SECTION(DYNAMIC, SHT_DYNAMIC, dynamic, sizeof(Elf64_Dyn), DYNSTR);
	SECTION(VERSYM, SHT_GNU_versym, version, sizeof(Elf64_Half), DYNSYM);
	section(VERNEED, SHT_GNU_verneed, offsetof(struct file, need),
		sizeof(f.need) + sizeof(f.auxiliary), 0, DYNSTR);
	SECTION(NOTE, SHT_NOTE, note, 0, 0);
	f.symbol[1] = (Elf64_Sym){ .st_name = 1, .st_info = ELF64_ST_INFO(1, STT_FUNC) };
	f.symbol[2] = (Elf64_Sym){ .st_name = 6, .st_info = ELF64_ST_INFO(1, STT_FUNC) };
	f.dynamic[0] = (Elf64_Dyn){ DT_NEEDED, { 21 } };
	f.dynamic[1] = (Elf64_Dyn){ DT_SONAME, { 43 } };
	f.dynamic[2] = (Elf64_Dyn){ DT_RUNPATH, { 43 } };
	f.need = (Elf64_Verneed){ 1, 1, 21, sizeof(f.need), 0 };
	f.auxiliary = (Elf64_Vernaux){ 0x09691a75, 0, 2, 31, 0 };
	f.version[1] = f.version[2] = 2;
	memcpy(f.string, strings, sizeof(strings));
	strcpy(f.interpreter, "/lib64/ld-linux-x86-64.so.2");
	memcpy(f.text, code, sizeof(code));
	memcpy(f.note, "\4\0\0\0\4\0\0\0\3\0\0\0GNU\0abcd", 20);
}

/*
 * So many segments, each of nearly the whole file, and what a sanitizer takes the place of, so that its texts are looked
 * for in each.
 */
static void many(unsigned count)
{
	size_t whole = sizeof(f) + count * sizeof(*more), i;

	mores = count;
	f.header.e_phoff = sizeof(f);
	f.header.e_phnum = (unsigned short)count;
	for (i = 0; i < count; i++)
		more[i] = (Elf64_Phdr){ .p_type = PT_LOAD,
					.p_flags = PF_R,
					.p_offset = i,
					.p_vaddr = i << 32,
					.p_filesz = whole - i,
					.p_memsz = whole - i };
	more[1] = f.segment[1];
	f.dynamic[1].d_tag = DT_STRTAB;
	f.dynamic[1].d_un.d_val = offsetof(struct file, intercepted);
	f.dynamic[2] = (Elf64_Dyn){ DT_STRSZ, { sizeof(f.intercepted) } };
	f.dynamic[3] = (Elf64_Dyn){ DT_SYMTAB, { offsetof(struct file, symbol) } };
	f.dynamic[4] = (Elf64_Dyn){ DT_HASH, { offsetof(struct file, hash) } };
	strcpy(f.intercepted + 1, "__isoc99_vsscanf");
	f.hash[0] = 1;
	f.hash[1] = 2;
	f.symbol[1].st_shndx = TEXT;
}

/* ELF(name, what is wrong) */
#define ELFS(ELF)                                                                                  \
	ELF(good, (void)0)                                                                         \
	ELF(cut_ident, size = 20)                                                                  \
	ELF(cut_header, size = 60)                                                                 \
	ELF(cut_sections, size = offsetof(struct file, section) + 100)                             \
	ELF(class_none, f.header.e_ident[EI_CLASS] = 9)                                            \
	ELF(class_32, f.header.e_ident[EI_CLASS] = ELFCLASS32)                                     \
	ELF(big_endian, f.header.e_ident[EI_DATA] = ELFDATA2MSB)                                   \
	ELF(segments_most, f.header.e_phnum = PN_XNUM)                                             \
	ELF(segments_xnum, (f.header.e_phnum = PN_XNUM, f.section[0].sh_info = UINT32_MAX))        \
	ELF(segments_far, f.header.e_phoff = UINT64_MAX - 8)                                       \
	ELF(segment_size_zero, f.header.e_phentsize = 0)                                           \
	ELF(sections_many, (f.header.e_shnum = 0, f.section[0].sh_size = UINT64_MAX))              \
	ELF(sections_some, (f.header.e_shnum = 0, f.section[0].sh_size = 90000))                   \
	ELF(sections_far, f.header.e_shoff = UINT64_MAX - 8)                                       \
	ELF(section_size_zero, f.header.e_shentsize = 0)                                           \
	ELF(section_names_far, f.header.e_shstrndx = SHN_XINDEX)                                   \
	ELF(text_huge, f.section[TEXT].sh_size = UINT64_MAX - 16)                                  \
	ELF(text_far, f.section[TEXT].sh_offset = UINT64_MAX - 4)                                  \
	ELF(text_at_end, f.section[TEXT].sh_addr = UINT64_MAX - 4)                                 \
	ELF(strings_huge, f.section[DYNSTR].sh_size = UINT64_MAX)                                  \
	ELF(strings_endless, memset(f.string, 'x', sizeof(f.string)))                              \
	ELF(strings_itself, f.section[DYNAMIC].sh_link = DYNAMIC)                                  \
	ELF(link_far, f.section[DYNSYM].sh_link = f.section[DYNAMIC].sh_link = 5000)               \
	ELF(symbol_name_far, f.symbol[1].st_name = UINT32_MAX)                                     \
	ELF(symbol_size_one, f.section[DYNSYM].sh_entsize = 1)                                     \
	ELF(symbol_size_zero, f.section[DYNSYM].sh_entsize = 0)                                    \
	ELF(symbols_huge, f.section[DYNSYM].sh_size = (uint64_t)1 << 40)                           \
	ELF(versions_short, f.section[VERSYM].sh_size = 1)                                         \
	ELF(version_loop, f.need.vn_aux = 0)                                                       \
	ELF(version_itself, (f.need.vn_cnt = 65535, f.auxiliary.vna_next = 0))                     \
	ELF(version_back, f.need.vn_next = UINT32_MAX - 15)                                        \
	ELF(needed_far, f.dynamic[0].d_un.d_val = UINT64_MAX)                                      \
	ELF(needed_again, memset(f.dynamic, 1, sizeof(f.dynamic)))                                 \
	ELF(runpath_far, f.dynamic[2].d_un.d_val = 5000)                                           \
	ELF(interpreter_far, f.segment[2].p_offset = INT64_MAX)                                    \
	ELF(interpreter_huge, f.segment[2].p_filesz = UINT64_MAX)                                  \
	ELF(interpreter_endless, memset(f.interpreter, '/', sizeof(f.interpreter)))                \
	ELF(note_huge, memset(f.note, 0xff, 12))                                                   \
	ELF(machine_other, f.header.e_machine = 0xffff)                                            \
	ELF(segments_overlap, many(65000))                                                         \
	ELF(segments_read_once, many(1024))                                                        \
	ELF(core_segments, (many(65000), f.header.e_type = ET_CORE))                               \
	ELF(core, f.header.e_type = ET_CORE)                                                       \
	ELF(ones, memset((char *)&f + EI_NIDENT, 0xff, sizeof(f) - EI_NIDENT))                     \
	ELF(zeros, memset((char *)&f + EI_NIDENT, 0, sizeof(f) - EI_NIDENT))

static void file_write(const char *folder, const char *name)
{
	char path[ROOM];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	if (!file || fwrite(&f, 1, size, file) != size ||
	    fwrite(more, sizeof(*more), mores, file) != mores || fclose(file)) {
		perror(path);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: make_corpus_elf FOLDER\n");
		return 1;
	}
	mkdir(argv[1], 0700);
#define ELF(name, change)                                                                          \
	base();                                                                                    \
	change;                                                                                    \
	file_write(argv[1], #name);
	ELFS(ELF)
	return 0;
}
