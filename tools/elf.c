// SPDX-License-Identifier: MIT
/*
 * Can a program be traced? Looks at the file that execve would load, and says why the shim will not
 * get into it. It only ever explains: whatever cannot be read or understood is taken for traceable.
 */
#include <fcntl.h>
#include <gelf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tool.h"

#define SCRIPT_DEPTH 4 /* the kernel gives up there */

/* What is compared between program and shim. */
struct machine {
	int class, data;
	unsigned machine;
};

struct program {
	struct machine machine;
	bool elf, has_interpreter, is_loader, asan;
	char interpreter[256];
};

static Elf_Data *section_data(Elf *elf, size_t type, GElf_Shdr *header)
{
	Elf_Scn *section = NULL;

	while ((section = elf_nextscn(elf, section)))
		if (gelf_getshdr(section, header) && header->sh_type == type)
			return elf_getdata(section, NULL);
	return NULL;
}

/* AddressSanitizer shows as a needed library, or, linked in, by the symbol that starts it. */
static void dynamic_read(Elf *elf, struct program *program)
{
	GElf_Shdr header;
	Elf_Data *data = section_data(elf, SHT_DYNAMIC, &header);
	GElf_Dyn entry;
	int i;

	for (i = 0; data && gelf_getdyn(data, i, &entry) && entry.d_tag != DT_NULL; i++) {
		const char *name;

		if (entry.d_tag != DT_NEEDED && entry.d_tag != DT_SONAME)
			continue;
		name = elf_strptr(elf, header.sh_link, entry.d_un.d_val);
		if (!name)
			continue;
		if (entry.d_tag == DT_NEEDED && !strncmp(name, "libasan.so", 10))
			program->asan = true;
		if (entry.d_tag == DT_SONAME &&
		    (!strncmp(name, "ld-linux", 8) || !strncmp(name, "ld64.so", 7)))
			program->is_loader = true;
	}
}

static void symbols_read(Elf *elf, struct program *program, size_t table)
{
	GElf_Shdr header;
	Elf_Data *data = section_data(elf, table, &header);
	GElf_Sym symbol;
	int i;

	for (i = 0; data && !program->asan && gelf_getsym(data, i, &symbol); i++) {
		const char *name = elf_strptr(elf, header.sh_link, symbol.st_name);

		program->asan = name && !strcmp(name, "__asan_init");
	}
}

/* False: the file is cut short, and the kernel will have its own word on it. */
static bool segments_read(Elf *elf, const GElf_Ehdr *header, int fd, struct program *program)
{
	size_t count = 0, i;
	GElf_Phdr segment;

	if (elf_getphdrnum(elf, &count) || count < header->e_phnum)
		return false;
	for (i = 0; i < count && gelf_getphdr(elf, (int)i, &segment); i++) {
		size_t size = segment.p_filesz;

		if (segment.p_type != PT_INTERP)
			continue;
		program->has_interpreter = true;
		if (size >= sizeof(program->interpreter))
			size = sizeof(program->interpreter) - 1;
		if (pread(fd, program->interpreter, size, (off_t)segment.p_offset) < 0)
			program->interpreter[0] = '\0';
	}
	return i == count;
}

static void program_read(int fd, struct program *program)
{
	GElf_Ehdr header;
	Elf *elf;

	memset(program, 0, sizeof(*program));
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (elf && elf_kind(elf) == ELF_K_ELF && gelf_getehdr(elf, &header)) {
		program->machine = (struct machine){
			header.e_ident[EI_CLASS],
			header.e_ident[EI_DATA],
			header.e_machine,
		};
		program->elf = segments_read(elf, &header, fd, program);
		dynamic_read(elf, program);
		symbols_read(elf, program, SHT_DYNSYM);
		symbols_read(elf, program, SHT_SYMTAB);
	}
	if (elf)
		elf_end(elf);
}

static bool program_open(const char *path, int *fd)
{
	struct stat status;

	if (stat(path, &status) || !S_ISREG(status.st_mode))
		return false;
	*fd = open(path, O_RDONLY | O_CLOEXEC);
	return *fd >= 0;
}

/* The loader ignores the shim in a program that gains rights. Who has them gains none. */
static const char *gains_rights(int fd)
{
	struct statvfs mount;
	struct stat status;

	if (fstat(fd, &status) || prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1)
		return NULL;
	if (!fstatvfs(fd, &mount) && (mount.f_flag & ST_NOSUID))
		return NULL;
	if ((status.st_mode & S_ISUID) && status.st_uid != getuid())
		return "it is set-user-ID";
	if ((status.st_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP) &&
	    status.st_gid != getgid())
		return "it is set-group-ID";
	if (getuid() && fgetxattr(fd, "security.capability", NULL, 0) > 0)
		return "it has file capabilities";
	return NULL;
}

static enum traceable judge(int fd, const struct program *program, const struct machine *shim,
			    char *why, size_t size)
{
	const char *interpreter = path_base(program->interpreter), *rights;

	if (program->machine.class != shim->class) {
		snprintf(why, size, "it is a %d-bit program, the shim is not",
			 program->machine.class == ELFCLASS32 ? 32 : 64);
		return TRACE_HARMFUL;
	}
	if (program->machine.machine != shim->machine || program->machine.data != shim->data) {
		snprintf(why, size, "it is built for another machine");
		return TRACE_HARMFUL;
	}
	if (!program->has_interpreter) {
		if (program->is_loader)
			return TRACE_YES;
		snprintf(why, size, "it is statically linked");
		return TRACE_USELESS;
	}
	if (strncmp(interpreter, "ld-linux", 8) && strncmp(interpreter, "ld64.so", 7) &&
	    strncmp(interpreter, "ld.so", 5)) {
		snprintf(why, size, "it uses another libc (its loader is %s)",
			 program->interpreter);
		return TRACE_HARMFUL;
	}
	if (program->asan) {
		snprintf(why, size, "it is built with AddressSanitizer");
		return TRACE_HARMFUL;
	}
	rights = gains_rights(fd);
	if (rights) {
		snprintf(why, size, "%s", rights);
		return TRACE_USELESS;
	}
	return TRACE_YES;
}

/* Whether the file is a script; `interpreter` gets the program that the kernel runs for it. */
static bool script_read(int fd, char *interpreter, size_t size)
{
	char line[256];
	ssize_t got = pread(fd, line, sizeof(line) - 1, 0);
	char *start, *end;

	if (got < 3 || line[0] != '#' || line[1] != '!')
		return false;
	line[got] = '\0';
	line[strcspn(line, "\n")] = '\0';
	start = line + 2 + strspn(line + 2, " \t");
	end = start + strcspn(start, " \t");
	*end = '\0';
	snprintf(interpreter, size, "%s", start);
	return *interpreter;
}

enum traceable elf_traceable(const char *path, const char *shim, char *why, size_t size)
{
	char current[4096], reason[512];
	enum traceable verdict = TRACE_YES;
	struct program program;
	struct machine machine;
	int fd, depth;

	if (!program_open(shim, &fd))
		return TRACE_YES;
	program_read(fd, &program);
	close(fd);
	if (!program.elf)
		return TRACE_YES;
	machine = program.machine;

	snprintf(current, sizeof(current), "%s", path);
	for (depth = 0; depth <= SCRIPT_DEPTH; depth++) {
		if (!program_open(current, &fd))
			return TRACE_YES;
		if (!script_read(fd, current, sizeof(current)))
			break;
		close(fd);
	}
	if (depth > SCRIPT_DEPTH)
		return TRACE_YES;
	program_read(fd, &program);
	if (program.elf)
		verdict = judge(fd, &program, &machine, reason, sizeof(reason));
	close(fd);
	if (verdict != TRACE_YES && depth)
		snprintf(why, size, "its interpreter %.200s: %s", current, reason);
	else if (verdict != TRACE_YES)
		snprintf(why, size, "%s", reason);
	return verdict;
}
