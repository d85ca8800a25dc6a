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
	if (timeline_lost(view->box))
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

/* So many processes are drawn one by one; of more, those without children that are alike share a node. */
#define PROCESSES_DRAWN 200

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

/* A process, with all the programs that it executed in turn: a run of the timeline's records. */
struct node {
	const struct box_process *const *record;
	size_t records;
	const struct box_event *spawn; /* that made it; NULL: not known */
	struct node *parent;
	size_t children, alike; /* how many a node stands for */
	bool drawn_by_other;
};

static bool continues(const struct timeline *timeline, const struct box_process *before,
		      const struct box_process *process)
{
	return before->pid == process->pid && before->ppid == process->ppid &&
	       !timeline_spawn(timeline, process->pid, before->start_ns, process->start_ns);
}

static size_t nodes_make(const struct timeline *timeline, struct node **made)
{
	const struct box_process *const *process;
	size_t processes = timeline_processes(timeline, &process), count = 0, i;
	struct node *node = calloc(processes + 1, sizeof(*node));

	if (!node)
		abort();
	for (i = 0; i < processes; i++) {
		if (i && continues(timeline, process[i - 1], process[i])) {
			node[count - 1].records++;
			continue;
		}
		node[count++] = (struct node){
			.record = &process[i],
			.records = 1,
			.alike = 1,
			.spawn = timeline_spawn(timeline, process[i]->pid, 0, process[i]->start_ns),
		};
	}
	*made = node;
	return count;
}

/* The node that has this record: they are in the order of the records. */
static struct node *node_of(struct node *node, size_t nodes, const struct timeline *timeline,
			    uint32_t pid, uint64_t time_ns)
{
	const struct box_process *process = timeline_process(timeline, pid, time_ns);
	size_t low = 0, high = nodes;

	if (!process)
		return NULL;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct box_process *first = node[middle].record[0];

		if (first->pid < process->pid ||
		    (first->pid == process->pid && first->start_ns <= process->start_ns))
			low = middle + 1;
		else
			high = middle;
	}
	return low ? &node[low - 1] : NULL;
}

static const struct box *order_box; /* for qsort() */

static int alike_order(const void *left, const void *right)
{
	const struct node *a = *(const struct node *const *)left;
	const struct node *b = *(const struct node *const *)right;
	uint32_t tier_a = a->spawn ? a->spawn->tier : BOX_TIER_COUNT;
	uint32_t tier_b = b->spawn ? b->spawn->tier : BOX_TIER_COUNT;

	if (a->parent != b->parent)
		return a->parent < b->parent ? -1 : 1;
	if (tier_a != tier_b)
		return tier_a < tier_b ? -1 : 1;
	return strcmp(process_name(order_box, a->record[a->records - 1]),
		      process_name(order_box, b->record[b->records - 1]));
}

static void nodes_merge(const struct box *box, struct node *node, size_t nodes)
{
	struct node **leaf = calloc(nodes + 1, sizeof(*leaf));
	size_t leaves = 0, i;

	if (!leaf)
		abort();
	for (i = 0; i < nodes; i++)
		if (!node[i].children && node[i].parent)
			leaf[leaves++] = &node[i];
	order_box = box;
	qsort(leaf, leaves, sizeof(*leaf), alike_order);
	for (i = 0; i + 1 < leaves; i++) {
		if (alike_order(&leaf[i], &leaf[i + 1]))
			continue;
		leaf[i + 1]->alike += leaf[i]->alike;
		leaf[i]->drawn_by_other = true;
	}
	free(leaf);
}

static void node_print(const struct view *view, const struct node *first, const struct node *node)
{
	FILE *file = view->output->file;
	size_t i;

	fprintf(file, "\tp%zu [label=\"", (size_t)(node - first));
	/* The programs it executed, but not a hundred of them. */
	for (i = 0; i < node->records; i++) {
		if (node->records > 6 && i == 3) {
			i = node->records - 2;
			fputs(" > ...", file);
		}
		fputs(i ? " > " : "", file);
		dot_string(file, process_name(view->box, node->record[i]));
	}
	if (node->alike > 1)
		fprintf(file, "\\n%zu processes\"];\n", node->alike);
	else
		fprintf(file, "\\npid %u\"];\n", node->record[0]->pid);
	if (!node->parent)
		return;
	fprintf(file, "\tp%zu -> p%zu", (size_t)(node->parent - first), (size_t)(node - first));
	if (node->spawn)
		fprintf(file, " [label=\"%s\", tooltip=\"%s, %s tier\", class=\"%s\"]",
			box_tier_name(node->spawn->tier), box_call_name(node->spawn->call),
			box_tier_name(node->spawn->tier), box_tier_name(node->spawn->tier));
	fputs(";\n", file);
}

static void dot_processes(const struct view *view)
{
	struct timeline *timeline = timeline_open(view);
	struct node *node;
	size_t nodes = nodes_make(timeline, &node), i;

	for (i = 0; i < nodes; i++) {
		const struct box_process *process = node[i].record[0];

		node[i].parent = node_of(node, nodes, timeline, process->ppid, process->start_ns);
		if (node[i].parent == &node[i])
			node[i].parent = NULL;
		if (node[i].parent)
			node[i].parent->children++;
	}
	if (nodes > PROCESSES_DRAWN)
		nodes_merge(view->box, node, nodes);
	for (i = 0; i < nodes; i++) {
		bool own = !view->pid || node[i].record[0]->pid == view->pid;

		if (!own && !(node[i].parent && node[i].parent->record[0]->pid == view->pid))
			continue;
		if (own && view->pid)
			node[i].parent = NULL;
		if (!node[i].drawn_by_other)
			node_print(view, node, &node[i]);
	}
	free(node);
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
