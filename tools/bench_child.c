// SPDX-License-Identifier: MIT
/*
 * The program that `spork bench` has executed: a static ELF file of a page, which only exits. What is left of a spawn
 * that executes it is the spawn. It lies in memory, so that no folder must be writable and nothing is left behind.
 */
#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "bench.h"

/* Linux 6.3; where the system wants it to be said, and older kernels refuse it. */
#ifndef MFD_EXEC
#define MFD_EXEC 0x10U
#endif

/* exit_group(0) */
#if defined(__x86_64__)
#define MACHINE EM_X86_64
static const unsigned char code[] = { 0x31, 0xff, 0xb8, 0xe7, 0, 0, 0, 0x0f, 0x05 };
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
static const unsigned char code[] = { 0x00, 0x00, 0x80, 0xd2, 0xc8, 0x0b,
				      0x80, 0xd2, 0x01, 0x00, 0x00, 0xd4 };
#else
#error "no exit_group for this architecture"
#endif

/* As far as the largest pages that Linux has on these machines. */
#define ALIGNMENT 0x10000
#define START 0x400000

struct image {
	Elf64_Ehdr header;
	Elf64_Phdr load, stack;
	unsigned char code[sizeof(code)];
};

static const struct image image = {
	.header = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC,
		.e_machine = MACHINE,
		.e_version = EV_CURRENT,
		.e_entry = START + offsetof(struct image, code),
		.e_phoff = offsetof(struct image, load),
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 2,
	},
	.load = {
		.p_type = PT_LOAD,
		.p_flags = PF_R | PF_X,
		.p_vaddr = START,
		.p_filesz = sizeof(struct image),
		.p_memsz = sizeof(struct image),
		.p_align = ALIGNMENT,
	},
	.stack = { .p_type = PT_GNU_STACK, .p_flags = PF_R | PF_W },
};

const char *bench_child(void)
{
	static char path[64];
	struct image copy = image;
	int fd = memfd_create("spork bench child", MFD_CLOEXEC | MFD_EXEC);

	if (fd < 0 && errno == EINVAL)
		fd = memfd_create("spork bench child", MFD_CLOEXEC);
	memcpy(copy.code, code, sizeof(code));
	if (fd < 0 || write(fd, &copy, sizeof(copy)) != (ssize_t)sizeof(copy)) {
		complain("the program to be executed cannot be made: %s", strerror(errno));
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)getpid(), fd);
	return path;
}
