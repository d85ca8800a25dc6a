// SPDX-License-Identifier: MIT
/*
 * See vfork_memory.h.
 */
#include "vfork_memory.h"

#include <sys/mman.h>

#include "config.h"
#include "memory.h"
#include "module.h"
#include "proc.h"
#include "real.h"
#include "report.h"
#include "sys.h"
#include "vfork.h"

#include "poison.h"

/* Static data that is more than this is not copied. */
#define COPY_MAX ((size_t)16 << 20)
/* Nor a stretch that is more than this: most of it may never have been touched. */
#define SEGMENT_MAX ((size_t)4 << 20)

/* How much is compared at once: most of it is as it was. */
#define COMPARED ((size_t)1024)

static bool due(uint64_t number)
{
	return number <= config.learn || (config.reaudit && number % config.reaudit == 0);
}

/*
 * Writable data of the program and its libraries; libc's, the loader's and the shim's change by what they are for. The
 * kernel makes one mapping of a library's last data and of what an allocator maps right behind it, which is the heap:
 * `map` then ends where the library does.
 */
static bool is_static(struct proc_map *map)
{
	struct module module, libc;
	uintptr_t end;

	if (!map->private || !map->readable || !map->writable || map->stack ||
	    !module_find(map->start, &module) || module.loader || memory_owns(map->start) ||
	    module_is_shim(map->start) ||
	    (module_find((uintptr_t)REAL(execve), &libc) && libc.start == module.start))
		return false;
	end = (module.end + sys_page() - 1) & ~(sys_page() - 1);
	if (map->end > end)
		map->end = end;
	return true;
}

static void find_segments(struct vfork_window *vfork)
{
	struct proc_maps maps;
	struct proc_map map;

	if (proc_maps_open(&maps, 0))
		return;
	while (vfork->segments < VFORK_SEGMENTS && proc_maps_next(&maps, &map)) {
		if (!is_static(&map) || map.end - map.start > SEGMENT_MAX ||
		    map.end - map.start > COPY_MAX - vfork->copy_size)
			continue;
		vfork->segment[vfork->segments].start = map.start;
		vfork->segment[vfork->segments].end = map.end;
		vfork->segment[vfork->segments].at = vfork->copy_size;
		vfork->copy_size += map.end - map.start;
		vfork->segments++;
	}
	proc_maps_close(&maps);
}

void vfork_memory_copy(struct window *window, uint64_t number)
{
	struct vfork_window *vfork = &window->vfork;
	long copy;
	uint32_t i;

	if (!window->undo.alone || !due(number))
		return;
	find_segments(vfork);
	if (!vfork->segments)
		return;
	copy = SYS(mmap, NULL, vfork->copy_size, PROT_READ | PROT_WRITE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (copy < 0 && copy > -4096)
		return;
	vfork->copy = (uintptr_t)copy;
	for (i = 0; i < vfork->segments; i++)
		memcpy((void *)(vfork->copy + vfork->segment[i].at),
		       (void *)vfork->segment[i].start,
		       vfork->segment[i].end - vfork->segment[i].start);
}

void vfork_memory_drop(struct window *window)
{
	if (window->vfork.copy)
		SYS(munmap, window->vfork.copy, window->vfork.copy_size);
	window->vfork.copy = 0;
}

/* The child's zero in a variable that receives the pid. */
static bool is_pid(const struct vfork_window *vfork, uintptr_t address)
{
	unsigned i;

	for (i = 0; i < vfork->pid.count; i++)
		if (address - vfork->pid.variable[i].address < vfork->pid.variable[i].size)
			return !*(const uint8_t *)address;
	return false;
}

/* One that is stored through a register may be any zero. */
static bool may_be_pid(struct vfork_window *vfork, uintptr_t start, uintptr_t end)
{
	uintptr_t low = start & ~(uintptr_t)3;
	const pid_t *word = (const pid_t *)low;

	if (!vfork->pid.anywhere || end - low > sizeof(uint64_t) || *word ||
	    (end - low > sizeof(*word) && word[1]))
		return false;
	vfork->pid.anywhere--;
	return true;
}

/* Calls `each` for every stretch in which memory differs from `then`. */
static void differences(struct window *window, uintptr_t start, const uint8_t *then, size_t size,
			void (*each)(struct window *window, uintptr_t start, uintptr_t end))
{
	const uint8_t *now = (const uint8_t *)start;
	uintptr_t low = 0, high = 0;
	size_t at, i, end;

	for (at = 0; at < size; at = end) {
		end = size - at < COMPARED ? size : at + COMPARED;
		if (!memcmp(now + at, then + at, end - at))
			continue;
		for (i = at; i < end; i++) {
			if (now[i] == then[i] || is_pid(&window->vfork, start + i))
				continue;
			if (low && start + i > high &&
			    (start + i) / WRITE_UNIT != (high - 1) / WRITE_UNIT) {
				each(window, low, high);
				low = 0;
			}
			if (!low)
				low = start + i;
			high = start + i + 1;
		}
	}
	if (low)
		each(window, low, high);
}

/* Whose frame it is: its place among those of the vfork, and the end of it. False: it is not known. */
static bool find_frame(const struct window *window, uintptr_t address, uint32_t *at,
		       struct unwind_frame *found)
{
	struct walk_start from = window_from(&window->registers);
	struct unwind_frame frame[BOX_STACK_FRAMES];
	unsigned frames = unwind_from(&from, frame, COUNT(frame)), i;

	for (i = 0; i + 1 < frames && address >= frame[i + 1].stack; i++)
		;
	*at = i;
	if (i >= frames)
		return false;
	*found = frame[i];
	return true;
}

static void tell(const struct window *window, enum spork_violation kind, uintptr_t start,
		 uintptr_t end)
{
	struct box_violation violation;
	struct unwind_frame frame;

	memset(&violation, 0, sizeof(violation));
	violation.kind = kind;
	violation.leak.size = (uint32_t)(end - start);
	violation.lock.addr = start;
	if (kind == BOX_VIOLATION_VFORK_WROTE_MEMORY)
		module_frame(start, &violation.lock);
	else if (find_frame(window, start, &violation.local.frame, &frame) && start < frame.end) {
		violation.local.known = 1;
		violation.local.offset = (int64_t)(start - frame.end);
	}
	vfork_describe(window, &violation);
	report_violation(&violation);
}

static void wrote_static(struct window *window, uintptr_t start, uintptr_t end)
{
	struct vfork_window *vfork = &window->vfork;
	struct module module;

	if (may_be_pid(vfork, start, end) || vfork->writes == VFORK_WRITES)
		return;
	/* told by itself, wherever it lies */
	if (start >= (uintptr_t)&environ && end <= (uintptr_t)(&environ + 1))
		return;
	if (module_find(start, &module) && start >= module.got_low && end <= module.got_high)
		return;
	/* strict=1: it is for the parent all the same */
	if (!vfork->exec_failed) {
		vfork->write[vfork->writes].address = start;
		vfork->write[vfork->writes].size = (uint32_t)(end - start);
		vfork->writes++;
		site_add_write(window->site, start, end);
	}
	tell(window, BOX_VIOLATION_VFORK_WROTE_MEMORY, start, end);
}

/*
 * Compilers keep values in frames, too, which their callers know nothing of. Whoever has stripped a program cannot be
 * told one from the other, and is not asked to.
 */
static void wrote_stack(struct window *window, uintptr_t start, uintptr_t end)
{
	struct unwind_frame found;
	struct box_frame frame;
	uint32_t at;

	/* What has returned is the child's to write over. */
	if (may_be_pid(&window->vfork, start, end) || vfork_returned(window))
		return;
	if (!config.strict) {
		if (!find_frame(window, start, &at, &found))
			found.pc = window->registers.pc;
		module_frame(found.pc, &frame);
		if (!module_has_symbols(frame.module))
			return;
	}
	tell(window, BOX_VIOLATION_VFORK_WROTE_LOCALS, start, end);
}

/* What it is known to write, other than thread-local storage, which is the first range. */
static void check_known(struct window *window)
{
	const struct undo *undo = &window->undo;
	uint32_t i;

	for (i = 1; i < undo->ranges; i++)
		differences(window, undo->range[i].address, undo->bytes + undo->range[i].at,
			    undo->range[i].size, wrote_static);
}

/* Room for arguments that do not fit into registers, at the low end of a frame: what is there is nobody's. */
static size_t arguments_size(const struct window *window)
{
	uintptr_t record = window->registers.frame_pointer;
	size_t size = ARCH_RETURN_PUSHED ? 0 : record - window->undo.stack;

	return size < window->undo.stack_size ? size : 0;
}

void vfork_memory_check(struct window *window)
{
	struct vfork_window *vfork = &window->vfork;
	const struct undo *undo = &window->undo;
	size_t skip = arguments_size(window);
	uint32_t i;

	if (!undo->alone || (vfork->compared && !(config.strict && vfork->exec_failed)))
		return;
	vfork->compared = true;
	/* Frames that have returned are the child's to write over. */
	if (!vfork->returned)
		differences(window, undo->stack + skip, (const uint8_t *)undo->stack_words + skip,
			    undo->stack_size - skip, wrote_stack);
	if (vfork->unmapped)
		return;
	for (i = 0; vfork->copy && i < vfork->segments; i++)
		differences(window, vfork->segment[i].start,
			    (const uint8_t *)(vfork->copy + vfork->segment[i].at),
			    vfork->segment[i].end - vfork->segment[i].start, wrote_static);
	if (!vfork->copy)
		check_known(window);
	vfork->environment = environ != undo->environment;
	if (vfork->environment)
		tell(window, BOX_VIOLATION_VFORK_WROTE_MEMORY, (uintptr_t)&environ,
		     (uintptr_t)(&environ + 1));
}

static bool unit_differs(const struct undo *undo, size_t unit)
{
	return memcmp((const uint8_t *)undo->stack + unit * WRITE_UNIT,
		      (const uint8_t *)undo->stack_words + unit * WRITE_UNIT, WRITE_UNIT) != 0;
}

void vfork_memory_keep(struct window *window)
{
	uint8_t *written = window->vfork_stack.written;
	const struct undo *undo = &window->undo;
	size_t unit, units = undo->stack_size / WRITE_UNIT;

	if (!undo->alone || window->vfork.exec_failed)
		return;
	memset(written, 0, (units + 7) / 8);
	for (unit = 0; unit < units; unit++)
		if (unit_differs(undo, unit))
			written[unit / 8] |= (uint8_t)(1U << unit % 8);
}

static void restore_stack(const struct window *window)
{
	const uint8_t *written = window->vfork_stack.written;
	const struct undo *undo = &window->undo;
	size_t unit, units = undo->stack_size / WRITE_UNIT;

	if (!window->vfork.exec_failed) {
		undo_restore_stack(undo, undo->stack + undo->stack_size);
		return;
	}
	for (unit = 0; unit < units; unit++)
		if (written[unit / 8] >> unit % 8 & 1 && unit_differs(undo, unit))
			memcpy((uint8_t *)undo->stack + unit * WRITE_UNIT,
			       (const uint8_t *)undo->stack_words + unit * WRITE_UNIT, WRITE_UNIT);
}

static const uint8_t *bytes_then(const struct window *window, const struct vfork_write *write)
{
	const struct vfork_window *vfork = &window->vfork;
	uint32_t i;

	for (i = 0; vfork->copy && i < vfork->segments; i++)
		if (write->address >= vfork->segment[i].start &&
		    write->address < vfork->segment[i].end)
			return (const uint8_t *)(vfork->copy + vfork->segment[i].at +
						 write->address - vfork->segment[i].start);
	return undo_bytes(&window->undo, write->address, write->size);
}

static void restore_static(const struct window *window)
{
	const struct vfork_window *vfork = &window->vfork;
	uint32_t i;

	for (i = 0; i < vfork->writes; i++) {
		const uint8_t *then = bytes_then(window, &vfork->write[i]);

		if (then)
			memcpy((void *)vfork->write[i].address, then, vfork->write[i].size);
	}
}

void vfork_memory_restore(struct window *window)
{
	if (!window->undo.alone)
		return;
	if (!window->vfork.returned)
		restore_stack(window);
	restore_static(window);
	if (window->vfork.environment)
		environ = window->undo.environment;
	/* A child whose exec has failed leaves errno, too, as it likes. */
	if (!window->vfork.exec_failed)
		undo_restore_storage(&window->undo);
}
