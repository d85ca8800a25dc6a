// SPDX-License-Identifier: MIT
/*
 * The bytes of one ELF file, through bounds: segments, what lies at an address, the dynamic section and its string
 * table, sections. libelf reads, by copies and not by a mapping, so that a file that shrinks meanwhile raises no
 * SIGBUS.
 *
 * What the loader uses is found as the loader finds it, through the program headers: section headers may be missing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "scan.h"

#define MAX_SECTIONS 100000
#define MAX_SIZE ((uint64_t)256 << 20) /* of what is read as a whole */
#define MAX_DYNAMIC ((uint64_t)1 << 20)
#define MAX_SEGMENTS                                                                               \
	1024 /* linkers make a dozen; a file has room for millions, each to be gone through at each look-up */
#define MAX_TEXTS ((uint64_t)1 << 30)
#define MAX_TEXT 63
#define CHUNK 65536

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

static enum scan_result header_check(struct scan_file *file, int fd, uint64_t file_size)
{
	unsigned char header[64] = { 0 };
	ssize_t got = pread(fd, header, sizeof(header), 0);

	if (got < 0) {
		scan_problem(file, "it cannot be read: %s", strerror(errno));
		return SCAN_FAILED;
	}
	if (got < SELFMAG || memcmp(header, ELFMAG, SELFMAG))
		return SCAN_NO_ELF;
	if (got < 52 || (header[EI_CLASS] == ELFCLASS64 && got < 64)) {
		scan_problem(file, "it is cut short");
		return SCAN_FAILED;
	}
	if ((header[EI_CLASS] != ELFCLASS32 && header[EI_CLASS] != ELFCLASS64) ||
	    (header[EI_DATA] != ELFDATA2LSB && header[EI_DATA] != ELFDATA2MSB)) {
		scan_problem(file, "its header is damaged");
		return SCAN_FAILED;
	}
	if (!sections_bounded(fd, header, file_size)) {
		scan_problem(file, "it says to have too many sections");
		return SCAN_FAILED;
	}
	return SCAN_READ;
}

enum scan_result scan_image_open(struct scan_image *image, struct scan_file *file, int fd)
{
	enum scan_result result;

	memset(image, 0, sizeof(*image));
	image->fd = fd;
	if (fstat(fd, &image->status)) {
		scan_problem(file, "it cannot be read: %s", strerror(errno));
		return SCAN_FAILED;
	}
	image->size = (uint64_t)image->status.st_size;
	result = header_check(file, fd, image->size);
	if (result != SCAN_READ)
		return result;
	elf_version(EV_CURRENT);
	image->elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!image->elf) {
		scan_problem(file, "it cannot be read: %s", elf_errmsg(-1));
		return SCAN_FAILED;
	}
	if (elf_kind(image->elf) != ELF_K_ELF || !gelf_getehdr(image->elf, &image->header)) {
		scan_problem(file, "its header is damaged");
		return SCAN_FAILED;
	}
	if (elf_getphdrnum(image->elf, &image->segments))
		image->segments = 0;
	if (image->segments > MAX_SEGMENTS && image->header.e_type != ET_CORE) {
		scan_problem(file, "it has %zu program headers; more than %d are not read",
			     image->segments, MAX_SEGMENTS);
		return SCAN_FAILED;
	}
	return SCAN_READ;
}

void scan_image_close(struct scan_image *image)
{
	if (image->elf)
		elf_end(image->elf);
	image->elf = NULL;
}

Elf_Data *scan_image_at(struct scan_image *image, uint64_t address, uint64_t size, Elf_Type type)
{
	GElf_Phdr segment;
	uint64_t into;
	size_t i;

	if (!size || size > MAX_SIZE)
		return NULL;
	for (i = 0; i < image->segments && gelf_getphdr(image->elf, (int)i, &segment); i++) {
		into = address - segment.p_vaddr;
		if (segment.p_type != PT_LOAD || address < segment.p_vaddr ||
		    into >= segment.p_filesz)
			continue;
		if (size > segment.p_filesz - into || segment.p_offset > image->size ||
		    into > image->size - segment.p_offset ||
		    size > image->size - segment.p_offset - into)
			return NULL;
		return elf_getdata_rawchunk(image->elf, (int64_t)(segment.p_offset + into), size,
					    type);
	}
	return NULL;
}

uint64_t scan_image_left(struct scan_image *image, uint64_t address)
{
	GElf_Phdr segment;
	size_t i;

	for (i = 0; i < image->segments && gelf_getphdr(image->elf, (int)i, &segment); i++)
		if (segment.p_type == PT_LOAD && address >= segment.p_vaddr &&
		    address - segment.p_vaddr < segment.p_filesz)
			return segment.p_filesz - (address - segment.p_vaddr);
	return 0;
}

bool scan_image_dynamic(const struct scan_image *image, int64_t tag, uint64_t *value)
{
	GElf_Dyn entry;
	int i;

	for (i = 0;
	     image->dynamic && gelf_getdyn(image->dynamic, i, &entry) && entry.d_tag != DT_NULL;
	     i++) {
		if (entry.d_tag != tag)
			continue;
		*value = entry.d_un.d_val;
		return true;
	}
	return false;
}

/* Up to the last zero, so that every string ends. */
static struct scan_strings strings_of(const Elf_Data *data)
{
	struct scan_strings strings = { NULL, 0 };
	const char *end = data && data->d_size ? memrchr(data->d_buf, '\0', data->d_size) : NULL;

	if (end) {
		strings.base = data->d_buf;
		strings.size = (size_t)(end - strings.base) + 1;
	}
	return strings;
}

void scan_image_link(struct scan_image *image, struct scan_file *file)
{
	uint64_t at, size;
	GElf_Phdr segment;
	size_t i;

	for (i = 0; i < image->segments && gelf_getphdr(image->elf, (int)i, &segment); i++)
		if (segment.p_type == PT_DYNAMIC)
			break;
	if (i == image->segments || segment.p_type != PT_DYNAMIC || !segment.p_filesz)
		return;
	if (segment.p_filesz > MAX_DYNAMIC || segment.p_offset > image->size ||
	    segment.p_filesz > image->size - segment.p_offset) {
		scan_problem(file, "its dynamic section lies outside of the file");
		return;
	}
	image->dynamic = elf_getdata_rawchunk(image->elf, (int64_t)segment.p_offset,
					      segment.p_filesz, ELF_T_DYN);
	if (!scan_image_dynamic(image, DT_STRTAB, &at) ||
	    !scan_image_dynamic(image, DT_STRSZ, &size) || !size)
		return;
	image->strings = strings_of(scan_image_at(image, at, size, ELF_T_BYTE));
	if (!image->strings.base)
		scan_problem(file, "its string table lies outside of the file");
}

uint32_t scan_image_texts(struct scan_image *image, const char *const *texts, unsigned count)
{
	uint64_t budget = image->size < MAX_TEXTS ? image->size : MAX_TEXTS, at, left;
	char chunk[CHUNK];
	GElf_Phdr segment;
	uint32_t found = 0;
	size_t i, kept;
	ssize_t got;
	unsigned text;

	for (i = 0; i < image->segments && gelf_getphdr(image->elf, (int)i, &segment); i++) {
		if (segment.p_type != PT_LOAD || segment.p_flags & PF_X)
			continue;
		at = segment.p_offset;
		left = segment.p_filesz < budget ? segment.p_filesz : budget;
		/* The end of one chunk is kept before the next, for a text that lies across. */
		for (kept = 0; left && at <= INT64_MAX;
		     left -= (uint64_t)got, at += (uint64_t)got) {
			size_t room = sizeof(chunk) - kept;

			got = pread(image->fd, chunk + kept, left < room ? left : room, (off_t)at);
			if (got <= 0)
				break;
			budget -= (uint64_t)got;
			kept += (size_t)got;
			for (text = 0; text < count; text++)
				if (memmem(chunk, kept, texts[text], strlen(texts[text])))
					found |= 1u << text;
			if (kept >= MAX_TEXT) {
				memmove(chunk, chunk + kept - MAX_TEXT, MAX_TEXT);
				kept = MAX_TEXT;
			}
		}
	}
	return found;
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
	if (header->sh_size > MAX_SIZE) {
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
	Elf_Scn *section = index ? elf_getscn(elf, index) : NULL;
	Elf_Data *data = NULL;
	GElf_Shdr header;

	if (section && gelf_getshdr(section, &header) && header.sh_type == SHT_STRTAB)
		data = scan_section_data(file, section, &header);
	return strings_of(data);
}
