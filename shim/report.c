// SPDX-License-Identifier: MIT
/*
 * The text of violations and of the shim's own messages, built on the stack and written in one call.
 */
#include "report.h"

#include <sys/stat.h>

#include "config.h"
#include "file.h"
#include "module.h"
#include "record.h"
#include "suppress.h"
#include "sys.h"
#include "vfork.h"

#include "poison.h"

#define REPORT_SIZE 6144

/* Base name of the module that has this box index, from the box. */
static void put_module(struct text *text, uint32_t index)
{
	const struct box_module *module = record_at(BOX_TABLE_MODULE, index);
	const char *base;

	if (!module) {
		text_string(text, "?");
		return;
	}
	base = memrchr(module->path, '/', sizeof(module->path));
	base = base ? base + 1 : module->path;
	text_bounded(text, base, (size_t)(module->path + sizeof(module->path) - base));
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

static void put_local(struct text *text, const struct box_violation *violation)
{
	uint32_t frame = violation->local.frame;

	text_hex(text, violation->lock.addr);
	if (frame >= violation->fork_frames || frame >= BOX_STACK_FRAMES)
		return;
	text_string(text, " in the frame of ");
	put_code(text, &violation->fork[frame]);
}

static struct text *buffer_begin(struct text_buffer *buffer, char *bytes, size_t capacity)
{
	buffer->text = (struct text){ .put = text_buffer_put,
				      .code = put_code,
				      .data = put_data,
				      .local = put_local,
				      .summary = put_code };
	buffer->bytes = bytes;
	buffer->size = 0;
	buffer->capacity = capacity;
	return &buffer->text;
}

/* What becomes of it is no affair of the program's. True: all of it was written. */
static bool put(long fd, const char *bytes, size_t size)
{
	struct file_signals signals;
	long written;

	file_signals_hold(&signals);
	written = SYS(write, fd, bytes, size);
	file_signals_release(&signals);
	return written == (long)size;
}

struct text *report_line_begin(struct report_line *line)
{
	struct text *text = buffer_begin(&line->buffer, line->bytes, sizeof(line->bytes) - 1);

	text_string(text, "spork: ");
	return text;
}

void report_line_end(struct report_line *line)
{
	line->bytes[line->buffer.size++] = '\n';
	put(2, line->bytes, line->buffer.size);
}

void report_problem(const char *what, const char *where, const char *problem,
		    const char *consequence)
{
	struct report_line line;
	struct text *text = report_line_begin(&line);

	text_string(text, what);
	text_string(text, ": ");
	text_string(text, where);
	text_string(text, " ");
	text_string(text, problem);
	text_string(text, "; ");
	text_string(text, consequence);
	report_line_end(&line);
}

/* NULL, or why nothing is written there. A FIFO must have a reader, who is not waited for. */
static const char *log_problem(long fd)
{
	struct stat status;

	if (fd < 0 || !sys_stat((int)fd, "", AT_EMPTY_PATH, &status))
		return "cannot be opened";
	if (S_ISCHR(status.st_mode))
		return NULL;
	if (S_ISREG(status.st_mode) && status.st_nlink > 1)
		return "has more than one name";
	return file_problem(&status, false);
}

/* `log` as a path, %p replaced by the process id. */
static long open_log(void)
{
	char path[CONFIG_PATH_SIZE + 32];
	struct text_buffer buffer;
	struct text *text = buffer_begin(&buffer, path, sizeof(path));
	const char *from;
	bool created;

	for (from = config.log; *from; from++) {
		if (from[0] == '%' && from[1] == 'p') {
			text_decimal(text, (uint64_t)sys_pid());
			from++;
		} else {
			text_bounded(text, from, 1);
		}
	}
	if (buffer.size == sizeof(path))
		return -ENAMETOOLONG;
	path[buffer.size] = 0;
	return file_open(path, O_WRONLY | O_APPEND | O_NOCTTY | O_NONBLOCK, &created);
}

static void report_write(const struct text_buffer *report)
{
	static bool told;
	const char *problem;
	long fd;

	if (!strcmp(config.log, "none"))
		return;
	if (!strcmp(config.log, "stderr")) {
		put(2, report->bytes, report->size);
		return;
	}
	fd = open_log();
	problem = log_problem(fd);
	if (!problem && !put(fd, report->bytes, report->size))
		problem = "cannot be written";
	if (fd >= 0)
		SYS(close, fd);
	if (!problem)
		return;
	if (!told)
		report_problem("log", config.log, problem, "writing to stderr instead");
	told = true;
	put(2, report->bytes, report->size);
}

static uint64_t hash_frames(uint64_t hash, const struct box_frame *frame, uint32_t frames)
{
	uint32_t i;

	for (i = 0; i < frames; i++)
		hash = hash_mix(hash_mix(hash, frame[i].module),
				frame[i].module ? frame[i].offset : frame[i].addr);
	return hash;
}

static void report_text(const struct box_violation *violation)
{
	char bytes[REPORT_SIZE];
	struct text_buffer report;

	text_violation(buffer_begin(&report, bytes, sizeof(bytes)), violation);
	report_write(&report);
}

void report_violation(struct box_violation *violation)
{
	uint64_t hash = hash_mix(0, violation->kind);

	hash = hash_frames(hash, &violation->lock, violation->lock.module ? 1 : 0);
	hash = hash_frames(hash, violation->acquired, violation->acquired_frames ? 1 : 0);
	hash = hash_frames(hash, &violation->handler, violation->handler.addr ? 1 : 0);
	hash = hash_frames(hash, violation->stack, violation->stack_frames);
	hash = hash_frames(hash, violation->fork, violation->fork_frames);
	hash = hash_frames(hash, violation->order.stack, violation->order.stack_frames);
	hash = hash_mix(hash, (uint64_t)violation->local.offset);
	violation->hash = hash;
	violation->count = 1;
	violation->time_ns = sys_now();
	violation->pid = (uint32_t)SYS(getpid);
	violation->ppid = (uint32_t)SYS(getppid);
	violation->tid = (uint32_t)SYS(gettid);
	violation->exe = module_program();
	violation->suppressed = !record_violation_of(hash) && suppress_wants(violation);
	if (record_violation(violation) && !violation->suppressed && !vfork_defer(hash))
		report_text(violation);
}

void report_of_child(uint64_t hash)
{
	const struct box_violation *violation = record_violation_of(hash);

	if (violation)
		report_text(violation);
}
