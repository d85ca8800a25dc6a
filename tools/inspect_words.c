// SPDX-License-Identifier: MIT
/*
 * What threads and locks are called in text. Names that the process chose come out cleaned.
 */
#include <string.h>

#include "inspect.h"

void words_thread(FILE *file, const struct inspect_thread *thread)
{
	fprintf(file, "thread %d '", (int)thread->tid);
	print_clean(file, thread->status.name);
	fputc('\'', file);
	if (thread->tid != thread->status.inner)
		fprintf(file, " (%d inside)", (int)thread->status.inner);
}

static void words_place(FILE *file, const struct place *place)
{
	if (!place->module)
		return;
	fputs(" (", file);
	if (place->symbol) {
		print_clean(file, place->symbol);
		if (place->into)
			fprintf(file, "+%llu", (unsigned long long)place->into);
		fputc(' ', file);
	}
	fputs("in ", file);
	print_clean(file, path_base(place->module));
	fputc(')', file);
}

static void words_hidden(FILE *file, const char *class)
{
	fprintf(file, "libc's %s lock", class ? class : "own");
}

void words_lock(FILE *file, const struct wait *wait)
{
	if (wait->type == WAIT_HIDDEN)
		words_hidden(file, wait->class);
	else
		fprintf(file, "%s%s%s 0x%llx", wait->trait, *wait->trait ? " " : "",
			wait_name(wait->type), (unsigned long long)wait->lock);
	words_place(file, &wait->place);
}

void words_holding(FILE *file, const struct holding *holding)
{
	if (holding->type == WAIT_HIDDEN) {
		words_hidden(file, holding->class);
		if (holding->inside)
			fprintf(file, " at times, inside %s()", holding->inside->name);
		return;
	}
	fprintf(file, "%s 0x%llx", wait_name(holding->type), (unsigned long long)holding->lock);
	words_place(file, &holding->place);
	if (holding->type == WAIT_RWLOCK)
		fputs(holding->read ? ", for reading" : ", for writing", file);
}

void words_wait(FILE *file, const struct inspect_thread *thread)
{
	words_thread(file, thread);
	if (thread->wait.type == WAIT_VFORK) {
		fputs(" stands still in vfork()", file);
	} else if (thread->wait.type == WAIT_JOIN) {
		fputs(" waits for the end of", file);
	} else {
		fputs(" waits for ", file);
		words_lock(file, &thread->wait);
	}
}

void words_frame(FILE *file, const struct inspect_stack *stack)
{
	unsigned i;

	for (i = 0; i < stack->frames; i++) {
		const char *symbol = stack->frame[i].place.symbol;

		if (symbol) {
			print_clean(file, symbol);
			fputs(strchr(symbol, '(') ? "" : "()", file);
			return;
		}
	}
	fputs("code that has no name", file);
}

void words_left(FILE *file, const struct left *left)
{
	if (left->ended)
		fprintf(file, ", held by a thread %u", left->holder);
	else
		fprintf(file, ", held when the process was forked by a thread %u", left->holder);
	if (*left->name) {
		fputs(" '", file);
		print_clean(file, left->name);
		fputc('\'', file);
	}
	fputs(left->ended ? ", which has ended" : " that this process does not have", file);
}
