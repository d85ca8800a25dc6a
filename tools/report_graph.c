// SPDX-License-Identifier: MIT
/*
 * `spork report` for other programs to draw: folded stacks for flame graphs, and DOT for graphviz.
 */
#include <stdlib.h>
#include <string.h>

#include "tool.h"

/* ---- folded stacks: "outermost;...;innermost weight" ---- */

static void fold_string(FILE *file, const char *string)
{
	char copy[256], *at;

	snprintf(copy, sizeof(copy), "%s", string);
	for (at = copy; *at; at++)
		if (*at == ';')
			*at = ':';
	print_clean(file, *copy ? copy : "?");
}

/* Functions that are inlined there come after those that they are inlined in. */
static void fold_frame(FILE *file, const struct box_frame *frame, const struct place *place)
{
	if (place->outer)
		fold_frame(file, frame, place->outer);
	fputc(';', file);
	if (place->symbol)
		fold_string(file, place->symbol);
	else if (place->module)
		fold_string(file, path_base(place->module));
	if (!place->symbol && place->module)
		fprintf(file, "+0x%llx", (unsigned long long)frame->offset);
	else if (!place->symbol)
		fprintf(file, "0x%llx", (unsigned long long)frame->addr);
}

static void fold_frames(const struct view *view, const struct box_frame *frame, uint32_t frames)
{
	while (frames) {
		struct place place = symbols_code(view->symbols, &frame[--frames]);

		fold_frame(view->output->file, &frame[frames], &place);
	}
}

/* Spawns that share a line. */
struct fold {
	const char *program;
	uint32_t site;
	uint16_t call, tier;
	uint64_t ns;
};

static int fold_order(const void *left, const void *right)
{
	const struct fold *a = left, *b = right;
	int order = strcmp(a->program, b->program);

	if (order)
		return order;
	if (a->site != b->site)
		return a->site < b->site ? -1 : 1;
	if (a->call != b->call)
		return a->call < b->call ? -1 : 1;
	return a->tier < b->tier ? -1 : a->tier > b->tier;
}

static void fold_print(const struct view *view, const struct fold *fold)
{
	const struct box_site *site = box_site(view->box, fold->site);
	FILE *file = view->output->file;

	fold_string(file, fold->program);
	if (site)
		fold_frames(view, site->frame, site->frames);
	fprintf(file, ";%s;[%s] %llu\n", box_call_name(fold->call), box_tier_name(fold->tier),
		(unsigned long long)(fold->ns / 1000 + !!(fold->ns % 1000)));
}

static void fold_spawns(const struct view *view)
{
	struct timeline *timeline = timeline_open(view);
	const struct box_event *const *event;
	size_t events = timeline_events(timeline, &event), i;
	struct fold *fold = calloc(events + 1, sizeof(*fold));

	if (!fold)
		abort();
	for (i = 0; i < events; i++)
		fold[i] = (struct fold){
			process_name(view->box,
				     timeline_process(timeline, event[i]->pid, event[i]->time_ns)),
			event[i]->site,
			event[i]->call,
			event[i]->tier,
			event[i]->duration_ns,
		};
	qsort(fold, events, sizeof(*fold), fold_order);
	for (i = 0; i < events; i++) {
		if (i + 1 < events && !fold_order(&fold[i], &fold[i + 1]))
			fold[i + 1].ns += fold[i].ns;
		else
			fold_print(view, &fold[i]);
	}
	free(fold);
	timeline_close(timeline);
	if (view->box->unasked)
		complain("the box was made with events=0: its spawns are left out");
	else if (timeline_lost(view->box))
		complain("%llu spawns found no room in the box and are left out",
			 (unsigned long long)timeline_lost(view->box));
}

static void fold_violations(const struct view *view)
{
	struct timeline *timeline = timeline_open(view);
	FILE *file = view->output->file;
	uint32_t i;

	for (i = 0; i < view->box->slots[BOX_TABLE_VIOLATION]; i++) {
		const struct box_violation *violation = &view->box->violation[i];

		if (!view_violation(view, i))
			continue;
		fold_string(file, process_name(view->box, timeline_process(timeline, violation->pid,
									   violation->time_ns)));
		if (violation->stack_frames)
			fold_frames(view, violation->stack, violation->stack_frames);
		else if (violation->fork_frames)
			fold_frames(view, violation->fork, violation->fork_frames);
		else
			fold_frames(view, violation->acquired, violation->acquired_frames);
		fprintf(file, ";%s %llu\n", box_violation_name(violation->kind),
			(unsigned long long)violation->count);
	}
	timeline_close(timeline);
}

void view_folded(const struct view *view)
{
	if (view->kinds)
		fold_violations(view);
	else
		fold_spawns(view);
}

/* ---- DOT ---- */

/* So many processes are drawn one by one; of more, siblings that are alike, and what they made, share a node. */
#define PROCESSES_DRAWN 200
/* Graphviz takes minutes for more. */
#define NODES_MOST 1000
/* Siblings whose children differ further down than that are taken to be alike. */
#define GENERATIONS 6

static void dot_string(FILE *file, const char *string)
{
	char copy[512], *at, *end;

	/* Cut between characters: what is left of one would not be UTF-8. */
	snprintf(copy, sizeof(copy), "%s", string);
	clean(copy);
	for (at = copy, end = copy + strlen(copy); at < end; at++) {
		if (*at == '"' || *at == '\\')
			fputc('\\', file);
		fputc(*at, file);
	}
}

/* A process, with all the programs that it executed in turn: a run of the timeline's processes. */
struct node {
	const struct process *first;
	uint32_t programs;
	uint32_t parent; /* index plus one; zero: not known */
	uint64_t own;	 /* hash of its program, and of the tier that it was made by */
	uint64_t like;	 /* and of those of its children, and theirs */
	uint64_t below;	 /* sum of its children's */
	uint32_t alike;	 /* siblings that it stands for; zero: another stands for it */
	bool drawn;
};

struct nodes {
	const struct view *view;
	const struct timeline *timeline;
	struct node *node; /* in the order of the timeline's processes */
	uint32_t count;
};

/* The spawn that made it; NULL: not known. */
static const struct box_event *node_spawn(const struct nodes *nodes, const struct node *node)
{
	return timeline_spawn(nodes->timeline, node->first->pid, 0, node->first->start_ns);
}

static bool continues(const struct timeline *timeline, const struct process *before,
		      const struct process *process)
{
	return before->pid == process->pid && before->ppid == process->ppid &&
	       !timeline_spawn(timeline, process->pid, before->start_ns, process->start_ns);
}

/* The node that `pid` was then, plus one; zero: not known. */
static uint32_t node_of(const struct nodes *nodes, uint32_t pid, uint64_t time_ns)
{
	const struct process *process = timeline_process(nodes->timeline, pid, time_ns);
	uint32_t low = 0, high = nodes->count;

	while (process && low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (nodes->node[middle].first <= process)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void nodes_make(struct nodes *nodes)
{
	const struct process *process;
	size_t processes = timeline_processes(nodes->timeline, &process), i;
	struct node *node = calloc(processes + 1, sizeof(*node));

	if (!node)
		abort();
	nodes->node = node;
	for (i = 0; i < processes; i++) {
		if (i && continues(nodes->timeline, &process[i - 1], &process[i])) {
			node[nodes->count - 1].programs++;
			continue;
		}
		node[nodes->count++] = (struct node){
			.first = &process[i],
			.programs = 1,
			.alike = 1,
		};
	}
	for (i = 0; i < nodes->count; i++) {
		node[i].parent = node_of(nodes, node[i].first->ppid, node[i].first->start_ns);
		if (node[i].parent == i + 1)
			node[i].parent = 0;
	}
}

static uint64_t hash(uint64_t before, uint64_t value)
{
	before = (before ^ value) * 0x9e3779b97f4a7c15ULL;
	return before ^ before >> 29;
}

static uint64_t node_hash(const struct nodes *nodes, const struct node *node)
{
	const struct box_event *spawn = node_spawn(nodes, node);
	uint64_t value = hash(1, spawn ? spawn->tier : BOX_TIER_COUNT);
	const char *name = process_name(nodes->view->box, &node->first[node->programs - 1]);

	while (*name)
		value = hash(value, (unsigned char)*name++);
	return value;
}

static int alike_order(const void *left, const void *right)
{
	const struct node *a = *(const struct node *const *)left;
	const struct node *b = *(const struct node *const *)right;

	if (a->parent != b->parent)
		return a->parent < b->parent ? -1 : 1;
	if (a->like != b->like)
		return a->like < b->like ? -1 : 1;
	return a < b ? -1 : a > b;
}

/* Of siblings that are alike the first stands for all. */
static void nodes_merge(const struct nodes *nodes)
{
	struct node **order = calloc(nodes->count + 1, sizeof(*order)), *first = NULL;
	uint32_t round, i;

	if (!order)
		abort();
	for (i = 0; i < nodes->count; i++) {
		order[i] = &nodes->node[i];
		order[i]->own = order[i]->like = node_hash(nodes, order[i]);
	}
	for (round = 0; round < GENERATIONS; round++) {
		for (i = 0; i < nodes->count; i++)
			nodes->node[i].below = 0;
		/* A sum: the order of children does not matter. */
		for (i = 0; i < nodes->count; i++)
			if (nodes->node[i].parent)
				nodes->node[nodes->node[i].parent - 1].below +=
					hash(2, nodes->node[i].like);
		for (i = 0; i < nodes->count; i++)
			nodes->node[i].like = hash(nodes->node[i].own, nodes->node[i].below);
	}
	qsort(order, nodes->count, sizeof(*order), alike_order);
	for (i = 0; i < nodes->count; i++) {
		/* What --pid asks for is drawn by itself. */
		if (order[i]->first->pid == nodes->view->pid)
			continue;
		if (!first || first->parent != order[i]->parent || first->like != order[i]->like) {
			first = order[i];
			continue;
		}
		first->alike++;
		order[i]->alike = 0;
	}
	free(order);
}

/*
 * Chooses the nodes that are drawn: each after its parent, as many generations as it takes, and so none of a circle,
 * which only a damaged box has. With --pid: that process and its children. Returns how many were too many.
 */
static uint32_t nodes_choose(const struct nodes *nodes)
{
	uint32_t pid = nodes->view->pid, drawn = 0, left_out = 0, before, i;

	do {
		before = drawn;
		left_out = 0;
		for (i = 0; i < nodes->count; i++) {
			struct node *node = &nodes->node[i];
			const struct node *parent = node->parent ? &nodes->node[node->parent - 1] :
								   NULL;

			if (node->drawn || !node->alike)
				continue;
			if (pid && node->first->pid != pid &&
			    !(parent && parent->first->pid == pid))
				continue;
			if (parent && !parent->drawn && !(pid && node->first->pid == pid))
				continue;
			if (drawn == NODES_MOST) {
				left_out++;
				continue;
			}
			node->drawn = true;
			drawn++;
		}
	} while (drawn != before);
	return left_out;
}

/* The programs that a process executed, but not a hundred of them. */
static void programs_print(const struct nodes *nodes, const struct node *node)
{
	FILE *file = nodes->view->output->file;
	uint32_t i;

	for (i = 0; i < node->programs; i++) {
		if (node->programs > 6 && i == 3) {
			i = node->programs - 2;
			fputs(" > ...", file);
		}
		fputs(i ? " > " : "", file);
		dot_string(file, process_name(nodes->view->box, &node->first[i]));
	}
}

static void node_print(const struct nodes *nodes, const struct node *node)
{
	const struct box_event *spawn = node_spawn(nodes, node);
	FILE *file = nodes->view->output->file;
	uint32_t index = (uint32_t)(node - nodes->node);

	fprintf(file, "\tp%u [label=\"", index);
	programs_print(nodes, node);
	if (node->alike > 1)
		fprintf(file, "\\n%u processes\"];\n", node->alike);
	else
		fprintf(file, "\\npid %u\"];\n", node->first->pid);
	if (!node->parent || !nodes->node[node->parent - 1].drawn)
		return;
	fprintf(file, "\tp%u -> p%u", node->parent - 1, index);
	if (spawn)
		fprintf(file, " [label=\"%s\", tooltip=\"%s, %s tier\", class=\"%s\"]",
			box_tier_name(spawn->tier), box_call_name(spawn->call),
			box_tier_name(spawn->tier), box_tier_name(spawn->tier));
	fputs(";\n", file);
}

static void dot_processes(const struct view *view)
{
	struct timeline *timeline = timeline_open(view);
	struct nodes nodes = { .view = view, .timeline = timeline };
	uint32_t left_out, i;

	nodes_make(&nodes);
	if (nodes.count > PROCESSES_DRAWN)
		nodes_merge(&nodes);
	left_out = nodes_choose(&nodes);
	for (i = 0; i < nodes.count; i++)
		if (nodes.node[i].drawn)
			node_print(&nodes, &nodes.node[i]);
	if (left_out)
		complain("%u processes are too many to be drawn, and are left out", left_out);
	free(nodes.node);
	timeline_close(timeline);
}

/* Locks are the same where module and offset are, or without a module the address. */
static void dot_lock_id(FILE *file, const struct box_frame *lock)
{
	fprintf(file, "\"lock %u 0x%llx\"", lock->module,
		(unsigned long long)(lock->module ? lock->offset : lock->addr));
}

static void dot_lock(const struct view *view, uint32_t type, const struct box_frame *lock)
{
	struct place place = symbols_data(view->symbols, lock);
	FILE *file = view->output->file;

	fputs("\t", file);
	dot_lock_id(file, lock);
	fprintf(file, " [shape=box, label=\"%s ", box_lock_type_name(type));
	if (place.symbol)
		dot_string(file, place.symbol);
	else
		fprintf(file, "0x%llx", (unsigned long long)lock->addr);
	fputs("\"];\n", file);
}

static void dot_order(const struct view *view, const struct box_frame *held,
		      const struct box_frame *taken, const struct box_frame *at, uint32_t frames)
{
	FILE *file = view->output->file;
	struct place place = { 0 };

	if (frames)
		place = symbols_code(view->symbols, at);
	fputs("\t", file);
	dot_lock_id(file, held);
	fputs(" -> ", file);
	dot_lock_id(file, taken);
	fputs(" [label=\"", file);
	if (place.symbol)
		dot_string(file, place.symbol);
	else if (frames)
		fprintf(file, "0x%llx", (unsigned long long)at->addr);
	fputs("\"];\n", file);
}

static void dot_locks(const struct view *view)
{
	FILE *file = view->output->file;
	uint32_t i;

	for (i = 0; i < view->box->slots[BOX_TABLE_VIOLATION]; i++) {
		const struct box_violation *violation = &view->box->violation[i];
		const struct box_order *order = &violation->order;

		if (violation->kind != BOX_VIOLATION_LOCK_ORDER || !order->locks ||
		    !view_violation(view, i))
			continue;
		dot_lock(view, violation->lock_type, &violation->lock);
		dot_lock(view, order->held.type, &order->held.lock);
		dot_order(view, &order->held.lock, &violation->lock, violation->stack,
			  violation->stack_frames);
		if (order->locks > 2) {
			dot_lock(view, order->outer.type, &order->outer.lock);
			fputs("\t", file);
			dot_lock_id(file, &violation->lock);
			fputs(" -> ", file);
			dot_lock_id(file, &order->outer.lock);
			fprintf(file, " [style=dashed, label=\"cycle of %u\"];\n", order->locks);
		}
		dot_order(view, &order->outer.lock, &order->held.lock, order->stack,
			  order->stack_frames);
	}
}

void view_dot(const struct view *view)
{
	FILE *file = view->output->file;

	fputs("digraph spork {\n\trankdir=LR;\n\tnode [shape=ellipse];\n", file);
	dot_processes(view);
	dot_locks(view);
	fputs("}\n", file);
}
