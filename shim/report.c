// SPDX-License-Identifier: MIT
/*
 * The text of violations and of the shim's own messages, built on the stack and written in one call.
 */
#include "report.h"

#include <sys/stat.h>

#include "config.h"
#include "module.h"
#include "record.h"
#include "sys.h"

#include "poison.h"

#define REPORT_SIZE 8192

struct report {
	struct text text;
	size_t size;
	char bytes[REPORT_SIZE];
};

static void report_put(struct text *text, const char *bytes, size_t size)
{
	struct report *report = (struct report *)text;

	if (size > sizeof(report->bytes) - report->size)
		size = sizeof(report->bytes) - report->size;
	memcpy(report->bytes + report->size, bytes, size);
	report->size += size;
}

/* Base name of the module that has this box index, from the box. */
static void put_module(struct text *text, uint32_t index)
{
	const struct box_header *box = record_header();
	const struct box_module *module =
		(const void *)((const char *)box + box->table[BOX_TABLE_MODULE].offset);
	const char *base;

	if (!index || index > box->table[BOX_TABLE_MODULE].capacity) {
		text_string(text, "?");
		return;
	}
	base = strrchr(module[index - 1].path, '/');
	text_string(text, base ? base + 1 : module[index - 1].path);
}

static void put_code(struct text *text, const struct box_frame *frame)
{
	if (!frame->module) {
		text_hex(text, frame->addr);
		return;
	}
	put_module(text, frame->module);
	text_string(text, "+");
	text_hex(text, frame->offset);
}

static void put_data(struct text *text, const struct box_frame *frame)
{
	text_hex(text, frame->addr);
	if (frame->module) {
		text_string(text, " (");
		put_code(text, frame);
		text_string(text, ")");
	}
}

static const struct text report_text = { report_put, put_code, put_data, put_code };

static void line_put(struct text *text, const char *bytes, size_t size)
{
	struct report_line *line = (struct report_line *)text;

	if (size > sizeof(line->bytes) - 1 - line->size)
		size = sizeof(line->bytes) - 1 - line->size;
	memcpy(line->bytes + line->size, bytes, size);
	line->size += size;
}

void report_line_begin(struct report_line *line)
{
	line->text = report_text;
	line->text.put = line_put;
	line->size = 0;
	text_string(&line->text, "spork: ");
}

void report_line_end(struct report_line *line)
{
	line->bytes[line->size++] = '\n';
	SYS(write, 2, line->bytes, line->size);
}

void report_problem(const char *what, const char *where, const char *problem,
		    const char *consequence)
{
	struct report_line line;

	report_line_begin(&line);
	text_string(&line.text, what);
	text_string(&line.text, ": ");
	text_string(&line.text, where);
	text_string(&line.text, " ");
	text_string(&line.text, problem);
	text_string(&line.text, "; ");
	text_string(&line.text, consequence);
	report_line_end(&line);
}

/* `log` as a path, %p replaced by the process id. */
static long open_log(void)
{
	char path[CONFIG_PATH_SIZE + 32];
	struct report expanded = { .text = report_text };
	const char *from;

	for (from = config.log; *from; from++) {
		if (from[0] == '%' && from[1] == 'p') {
			text_decimal(&expanded.text, (uint64_t)SYS(getpid));
			from++;
		} else {
			expanded.text.put(&expanded.text, from, 1);
		}
	}
	if (expanded.size >= sizeof(path))
		return -ENAMETOOLONG;
	memcpy(path, expanded.bytes, expanded.size);
	path[expanded.size] = 0;
	return SYS(openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
		   0600);
}

static void report_write(const struct report *report)
{
	long fd;

	if (!strcmp(config.log, "none"))
		return;
	if (!strcmp(config.log, "stderr")) {
		SYS(write, 2, report->bytes, report->size);
		return;
	}
	fd = open_log();
	if (fd < 0) {
		report_problem("log", config.log, "cannot be opened", "writing to stderr instead");
		SYS(write, 2, report->bytes, report->size);
		return;
	}
	SYS(write, fd, report->bytes, report->size);
	SYS(close, fd);
}

static uint64_t hash_frames(uint64_t hash, const struct box_frame *frame, uint32_t frames)
{
	uint32_t i;

	for (i = 0; i < frames; i++)
		hash = hash_mix(hash_mix(hash, frame[i].module),
				frame[i].module ? frame[i].offset : frame[i].addr);
	return hash;
}

void report_violation(struct box_violation *violation)
{
	uint64_t hash = hash_mix(0, violation->kind);

	hash = hash_frames(hash, &violation->lock, violation->lock.module ? 1 : 0);
	hash = hash_frames(hash, &violation->acquired, 1);
	hash = hash_frames(hash, violation->stack, violation->stack_frames);
	hash = hash_frames(hash, violation->fork, violation->fork_frames);
	violation->hash = hash;
	violation->count = 1;
	violation->time_ns = sys_now();
	violation->pid = (uint32_t)SYS(getpid);
	violation->ppid = (uint32_t)SYS(getppid);
	violation->tid = (uint32_t)SYS(gettid);
	violation->exe = module_program();
	if (record_violation(violation)) {
		struct report report = { .text = report_text };

		text_violation(&report.text, violation);
		report_write(&report);
	}
}
