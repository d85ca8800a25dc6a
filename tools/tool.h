/* SPDX-License-Identifier: MIT */
/*
 * What the commands of the tool share: reading and making boxes, symbols, output, checks of
 * programs. Everything runs in the tool's own process; nothing here is for the shim.
 */
#ifndef SPORK_TOOL_H
#define SPORK_TOOL_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "box.h"
#include "name.h"
#include "text.h"

#ifndef SPORK_VERSION
#define SPORK_VERSION "unknown"
#endif

/* Exit statuses of spork's own, as env(1) and timeout(1) have them. */
enum { STATUS_FAILED = 125, STATUS_CANNOT_EXECUTE = 126, STATUS_NOT_FOUND = 127 };

/* ---- output.c ---- */

extern const char *tool_command; /* that runs, for errors; NULL before one does */

/* One line on stderr: "spork: COMMAND: ...". */
void complain(const char *format, ...) __attribute__((format(printf, 1, 2)));

enum output_color { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

/* Where and how a command prints. Zeroed is the default. */
struct output {
	const char *path;
	bool json;
	enum output_color when;
	FILE *file;
	bool color;
	int width; /* columns that a line may have; zero: any number */
};

/* clang-format off */
#define OUTPUT_OPTIONS(default_stream)							\
	OUTPUT_OPTIONS_OF(default_stream, "text|json",					\
			  "print text (the default) or json (one object a line)")
#define OUTPUT_OPTIONS_OF(default_stream, words, formats)				\
	{ 'f', "format", words, formats },						\
	{ 'O', "output", "FILE", "print to FILE instead of " default_stream },		\
	{ OPTION_COLOR, "color", "auto|always|never",					\
	  "use colour; auto, the default: on a terminal without NO_COLOR" }
/* clang-format on */

/* Takes an option of OUTPUT_OPTIONS; 0, or STATUS_FAILED after a line of error. */
int output_option(struct output *output, int id, const char *argument);
int output_open(struct output *output, FILE *fallback);
/* Flushes and closes; 0, or STATUS_FAILED after a line of error where something was not written. */
int output_close(struct output *output);

enum style { STYLE_PLAIN, STYLE_BOLD, STYLE_RED, STYLE_YELLOW };
/* Switches the style, where there is colour. */
void output_style(struct output *output, enum style style);

/* Of a terminal, or what COLUMNS says; zero: neither. */
int output_width(FILE *file);

/*
 * Prints text that begins at `column` and has come from spork or is clean, wrapped at `width` (zero: not at all), with
 * further lines indented.
 */
void output_wrap(FILE *file, const char *text, int indent, int column, int width);

struct duration {
	char text[24];
};
struct duration duration_text(uint64_t ns); /* "850 ns", "1.23 ms" */

/* "s", but for one. */
const char *plural(uint64_t count);

/* The last component of a path; never NULL. */
const char *path_base(const char *path);
/* Do two paths lead to one file? */
bool path_same(const char *one, const char *other);
/* Does the process see the files that this one sees: the same root, in the same mount namespace? */
bool path_root_shared(pid_t pid);

/* Prints a string that others chose: control characters and what is not UTF-8 come out as '?'. */
void print_clean(FILE *file, const char *string);
/* The same, in place. */
void clean(char *string);
/* The same as text of HTML or SVG, without markup; lines may stay. */
void html_text(FILE *file, const char *string);

/* A JSON object or array being written; commas come by themselves. */
struct json {
	FILE *file;
	bool comma;
};

void json_open(struct json *json, char bracket);
void json_close(struct json *json, char bracket);
void json_end_line(struct json *json);
void json_key(struct json *json, const char *key);
void json_string(struct json *json, const char *string); /* NULL: null; invalid UTF-8: U+FFFD */
void json_number(struct json *json, uint64_t value);
void json_real(struct json *json, double value);  /* finite; three decimals, six below one */
void json_hex(struct json *json, uint64_t value); /* "0x..." */
void json_bool(struct json *json, bool value);
void json_null(struct json *json);
void json_key_string(struct json *json, const char *key, const char *string);
void json_key_number(struct json *json, const char *key, uint64_t value);

/* ---- box.c ---- */

/*
 * What was read of a box. Records stay in their slots, so that indexes hold; a slot whose `ready`
 * is zero has nothing. Strings end, counts of inner arrays are in range; enumerations and indexes
 * into other tables may be anything.
 */
struct box {
	struct box_header header;
	struct box_process *process;
	struct box_module *module;
	struct box_site *site;
	struct box_violation *violation;
	struct box_gate *gate;
	struct box_event *event; /* NULL unless with_events */
	bool with_events;	 /* wanted by the caller of box_load() */
	uint32_t slots
		[BOX_TABLE_COUNT]; /* that were read of each table; of events, those that are ready */
	uint32_t room[BOX_TABLE_COUNT]; /* records that its memory is for */
	uint64_t dropped;		/* records that found their table full */
	uint64_t unasked; /* spawns without an event: the box has no table of them, as events=0 says */
	bool partial;	  /* something was missing or damaged */
	char problem[128]; /* what, for a line of error */
};

/*
 * Writes an empty box, with room for so many events, into an empty file; 0 or -errno. `reserve`: takes its blocks on the
 * disk now; on a disk that is full, a store to the mapping would raise SIGBUS later.
 */
int box_create(int fd, uint32_t events, bool reserve);

/*
 * Would the shim use this profile (an absolute path), or make it? 0, or STATUS_FAILED after a line of error.
 */
int profile_check(const char *path);

/* Whether the file starts as a box of any version does. */
bool box_is_one(int fd);

/*
 * Reads what the box has now; may be repeated while it grows. 0, or -1 when nothing can be read of
 * it, the reason in `problem`. The box starts zeroed; box_free() after either.
 */
int box_load(struct box *box, int fd);

/* Opens and loads; 0, or STATUS_FAILED after a line of error. A partial one gets a warning. */
int box_open(struct box *box, const char *path);
void box_free(struct box *box);

/* Record behind an index plus one; NULL: none. */
const struct box_module *box_module(const struct box *box, uint32_t index);
const struct box_site *box_site(const struct box *box, uint32_t index);

/* What the box has counted of spawns, whether there was room for their events or not. */
struct box_totals {
	uint64_t spawns, ns; /* ns: that callers were held */
	uint64_t by_call[BOX_CALL_ROOM], by_tier[BOX_TIER_ROOM];
};

struct box_totals box_totals(const struct box *box);

/* Ready sites, most spawns first; ends with NULL; to be freed. */
const struct box_site **box_sites_sorted(const struct box *box);

/* Quantile of a latency histogram, nanoseconds; false: it is empty. */
bool box_quantile(const uint32_t *latency, double quantile, uint64_t *ns);

/* ---- symbol.c, symbol_module.c: names ---- */

/* clang-format off */
#define SYMBOL_OPTIONS									\
	{ OPTION_DEBUG_DIR, "debug-dir", "DIR",						\
	  "look for debug files in DIR too, by build-id as in DIR/.build-id; may be repeated" },	\
	{ OPTION_NO_DEMANGLE, "no-demangle", NULL,					\
	  "print the names of C++ and Rust as the linker has them" },			\
	{ OPTION_DEBUGINFOD, "debuginfod", NULL,					\
	  "fetch missing debug information from the servers in DEBUGINFOD_URLS" }
/* clang-format on */

/* Takes an option of SYMBOL_OPTIONS; 0, or STATUS_FAILED after a line of error. */
int symbol_option(int id, const char *argument);
/* One of these or of OUTPUT_OPTIONS. */
int display_option(struct output *output, int id, const char *argument);

struct symbols;

/* What is known of an address. Strings, and `outer`, live as long as the symbols. */
struct place {
	const char *module;  /* path; NULL: unknown */
	const char *symbol;  /* NULL: unknown */
	const char *linkage; /* what the linker calls it; NULL: the same */
	const char *file;    /* NULL: unknown */
	int line;
	uint64_t into;	      /* data: bytes from the symbol's start */
	uint64_t size;	      /* data: of the symbol; 0: unknown */
	bool replaced;	      /* the file is gone, or no longer the one that ran */
	struct place *outer;  /* code: the function that it was inlined into; or NULL */
	const char *function; /* of a local variable */
	bool unnamed;	      /* no variable that its function has at that point is kept there */
};

/* The box must outlive it. Closing it says which files there were no names for, so it comes after what is printed. */
struct symbols *symbols_open(const struct box *box);
void symbols_close(struct symbols *symbols);

/* `frame` is a return address: what is looked up is the call before it. The innermost function, if some are inlined. */
struct place symbols_code(struct symbols *symbols, const struct box_frame *frame);
struct place symbols_data(struct symbols *symbols, const struct box_frame *frame);

/*
 * What a vfork() child wrote: a variable, or, if the violation is vfork-wrote-locals, a local one, with its function and
 * where it is declared. No symbol: not known.
 */
struct place symbols_written(struct symbols *symbols, const struct box_violation *violation);

/* The frame that a vfork() child wrote to; NULL: not known. */
const struct box_frame *written_frame(const struct box_violation *violation);

struct Dwfl;
struct Dwfl_Module;

/*
 * For sessions of libdwfl that others open. symbol_begin() comes before the first, and before there are threads; a
 * session for which one of the other two was called ends with symbol_end(). symbol_folders is what its callbacks have
 * for debuginfo_path.
 */
extern char *symbol_folders;
void symbol_begin(void);
void symbol_end(struct Dwfl *session);
/* The functions, file and line of an address of the session, as far as they are known; a variable. */
void symbol_look_up(struct Dwfl_Module *module, uint64_t address, struct place *place);
void symbol_data_look_up(struct Dwfl_Module *module, uint64_t address, struct place *place);

/*
 * Takes the first piece off `rest`, a range that a child wrote: what lies in one variable, or between
 * two. False: nothing is left.
 */
bool symbols_piece(struct symbols *symbols, struct box_write *rest, struct box_write *piece,
		   struct place *place);

/* ---- suppress.c: violations that the user does not want to hear of ---- */

struct suppressions;
struct view;

/* Adds a file's lines to `*suppressions`, NULL at first. 0, or STATUS_FAILED after a line of error. */
int suppressions_read(struct suppressions **suppressions, const char *path);
void suppressions_free(struct suppressions *suppressions);

/* Does a line match that violation? Looked up once for each slot. */
bool suppressions_match(const struct view *view, uint32_t slot);

/* A line that would, to be freed; NULL: there can be none. */
char *suppression_make(const struct view *view, uint32_t slot);

/* ---- summary.c: what a box holds, as text ---- */

struct view {
	struct output *output;
	const struct box *box;
	struct symbols *symbols;
	const bool *printed; /* per violation slot: was printed before; NULL: none was */
	const bool *kinds;   /* which kinds to show; NULL: all */
	uint32_t pid;	     /* whose records to show; zero: all */
	struct suppressions *suppressions; /* NULL: none */
	bool events;			   /* view_show() is to read them */
};

/* Whether the view shows that slot. */
bool view_violation(const struct view *view, uint32_t slot);

/*
 * How often each kind was found, BOX_VIOLATION_COUNT of them; without what is suppressed, and what debug information shows to be none: a
 * vfork() child that wrote variables of its own block, or what the compiler keeps besides.
 */
void view_counts(const struct view *view, uint64_t *counts);

/* Occurrences that are left out of them since they are suppressed, by the shim or by the view. */
uint64_t view_suppressed(const struct view *view);

/* Occurrences of warnings and errors among them. */
uint64_t view_alarms(const struct view *view);

void view_print_code(const struct view *view, FILE *file, const struct box_frame *frame);
/* A line of a stack, for one of the functions at that address: the place or one of its `outer`. */
void view_print_frame(FILE *file, const struct box_frame *frame, const struct place *place);
/* A function and its line, as far as they are known. */
void print_place(FILE *file, const struct place *place);
void view_print_data(const struct view *view, FILE *file, const struct box_frame *frame);
void view_print_violation(const struct view *view, const struct box_violation *violation);
void view_print_violations(const struct view *view);

/*
 * What `report` and `sites` do once their options are read: opens the one box that argv names from optind
 * on, and has it shown by one of the two printers on the view's output. The status to exit with.
 */
int view_show(struct view *view, const char *command, int argc, char **argv,
	      void (*text)(const struct view *), void (*json)(const struct view *));
void view_print_summary(const struct view *view);

/* ---- report_graph.c, report_html.c: more forms of it, for `spork report`, which need `events` ---- */

void view_folded(const struct view *view);
void view_dot(const struct view *view);
void view_html(const struct view *view);

/* ---- timeline.c: spawns and who made them ---- */

struct timeline;

/* The box must outlive it, and have its events. */
struct timeline *timeline_open(const struct view *view);
void timeline_close(struct timeline *timeline);

/* The spawns that the view shows, by the time when they began. */
size_t timeline_events(const struct timeline *timeline, const struct box_event *const **events);

/* A process, from when it was made, or executed a program, on. */
struct process {
	uint32_t pid, ppid;
	uint64_t start_ns;
	const struct box_process *
		program; /* that it runs: its own record, or of who it was forked from; NULL: not known */
};

/*
 * Processes by pid, then by when they started; one that executes several programs is there for each. Those that
 * executed none have no record in the box.
 */
size_t timeline_processes(const struct timeline *timeline, const struct process **processes);

/* The process that was `pid` then; NULL: not known. */
const struct process *timeline_process(const struct timeline *timeline, uint32_t pid,
				       uint64_t time_ns);

/* The last spawn of `pid` that began in (after, until]; NULL: none is known. */
const struct box_event *timeline_spawn(const struct timeline *timeline, uint32_t pid,
				       uint64_t after_ns, uint64_t until_ns);

/* What it is called; never NULL. Not clean. */
const char *process_name(const struct box *box, const struct process *process);

/* Spawns that found no room in the box. */
uint64_t timeline_lost(const struct box *box);

/* ---- records*.c: the same, as JSON Lines ---- */

void view_json(const struct view *view);
/* One of the functions at a frame, the place or one of its `outer`, as an object. */
void view_json_frame(struct json *json, const struct box_frame *frame, const struct place *place);
void view_json_sites(const struct view *view);
void view_json_violations(const struct view *view);
/* text_message(), to be freed. */
char *view_message(const struct view *view, const struct box_violation *violation);

/* ---- advice.c: what would be needed for a site to be promoted ---- */

/* In words, without the site's own; NULL: nothing, or the reason is not known. */
const char *advice_reason(uint32_t reason);
/* For this site, naming the function that refused it, clean and to be freed; NULL: nothing. */
char *advice_site(const struct box_site *site);

/* ---- config.c: options of the shim ---- */

struct config_row {
	const char *key, *preset, *values, *meaning;
};

extern const struct config_row config_rows[]; /* ends with zeros */

/* 0, or -1 after a line of error that names the key and what it accepts. */
int config_check(const char *assignment);

/*
 * What the shim takes that NUMBER for: its value in `inner`, settings as in SPORK_OPTIONS, or in `outer` (NULL: none), or
 * the default. Values out of range are not taken.
 */
uint32_t config_number(const char *key, const char *outer, const char *inner);

/* ---- file.c: files that others than the user name ---- */

/* Is it of a file system whose files the kernel makes as they are read, such as /proc? They may hang or act. */
bool file_kernel_made(int fd);

/*
 * Opens for reading, never to block, what an O_PATH descriptor stands for; closes that one. -errno: -EISDIR for folders,
 * -EINVAL for what is no regular file, -EOPNOTSUPP for what is kernel-made, unless that is wanted.
 */
int file_reopen(int fd, bool kernel_made);

/* ---- elf.c: can a program be traced? ---- */

enum traceable {
	TRACE_YES,
	TRACE_USELESS, /* the shim would not be loaded, and does no harm */
	TRACE_HARMFUL, /* the shim must not be preloaded */
};

/* `why` gets the reason, as in "it is statically linked". Unreadable files are TRACE_YES. */
enum traceable elf_traceable(const char *path, char *why, size_t size);

/* ---- live.c: violations as they happen ---- */

struct live;

/*
 * Starts a thread that prints each violation when it is recorded, and marks its slot in `printed`.
 * Until live_stop() the box, the view and its output belong to that thread. NULL: it cannot be
 * done.
 */
struct live *live_start(const struct view *view, struct box *box, int fd, bool *printed);
/* Prints what is left and ends. */
void live_stop(struct live *live);

/* ---- launch.c: the command that is run ---- */

/*
 * Finds the shim: beside this program, or where it is installed, or what SPORK_SHIM says. `path` gets PATH_MAX
 * bytes; 0, or STATUS_FAILED after a line of error.
 */
int launch_shim(char *path);

/* Finds a command as execvp does. `path` gets PATH_MAX bytes; 0 or -errno. */
int launch_find(const char *name, char *path);

/*
 * Executes the command with the dispositions and the mask that spork was started with, and forwards
 * signals to it from then on. 0 and its pid, or -errno.
 */
int launch_start(const char *path, char *const argv[], char *const environment[], pid_t *pid);

/* Waits for its end and stops forwarding; the status as waitpid() tells it. */
int launch_wait(pid_t pid);

/* Ends spork by that signal, without a core dump. Returns the next best exit status. */
int launch_die(int signal);

#endif
