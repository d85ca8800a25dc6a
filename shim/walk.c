// SPDX-License-Identifier: MIT
/*
 * Call stacks from a place whose registers are known, for every fork(). libgcc's unwinder takes a third of a
 * microsecond a frame, the shim's own among them; here what the tables say of a return address is worked out
 * once. Without locks: may run in ordinary context or in a signal handler of the program.
 */
#include "walk.h"

#include "cfi.h"
#include "module.h"
#include "sys.h"

#include "poison.h"

/*
 * Rules by return address. A slot is claimed once and keeps its address for good, so that no reader can take one
 * address's rule for another's; only the rule is replaced, at once, when it is of an older generation.
 */
#define SLOTS 1024
#define PROBES 8
#define CLAIMED 1

static struct slot {
	uintptr_t pc;
	uint64_t rule;
} slots[SLOTS];

static struct cfi_rule rule_find(uintptr_t pc)
{
	uint64_t hash = hash_mix(0, pc), word;
	uint32_t generation = module_generation();
	struct cfi_rule rule, unknown = { .kind = CFI_UNKNOWN };
	unsigned i;

	if (pc <= CLAIMED)
		return unknown;
	for (i = 0; i < PROBES; i++) {
		struct slot *slot = &slots[(hash + i) % SLOTS];
		uintptr_t key = __atomic_load_n(&slot->pc, __ATOMIC_ACQUIRE);

		if (key == pc) {
			word = __atomic_load_n(&slot->rule, __ATOMIC_ACQUIRE);
			memcpy(&rule, &word, sizeof(rule));
			if (LIKELY(rule.generation == generation))
				return rule;
			break;
		}
		if (!key)
			break;
	}
	/* Addresses without a table may be many: code that is made at run time. */
	if (!cfi_rule(pc, &rule))
		return unknown;
	rule.generation = generation;
	memcpy(&word, &rule, sizeof(word));
	for (; i < PROBES; i++) {
		struct slot *slot = &slots[(hash + i) % SLOTS];
		uintptr_t key = 0;

		if (__atomic_load_n(&slot->pc, __ATOMIC_ACQUIRE) == pc) {
			__atomic_store_n(&slot->rule, word, __ATOMIC_RELEASE);
			break;
		}
		/* Who is killed in between takes the slot with him. */
		if (__atomic_compare_exchange_n(&slot->pc, &key, CLAIMED, false, __ATOMIC_ACQ_REL,
						__ATOMIC_ACQUIRE)) {
			__atomic_store_n(&slot->rule, word, __ATOMIC_RELEASE);
			__atomic_store_n(&slot->pc, pc, __ATOMIC_RELEASE);
			break;
		}
	}
	return rule;
}

/* More of the shim's own frames than this are not between main() and its caller. */
#define STEPS_MAX 64

unsigned walk_stack(const struct walk_start *start, struct unwind_frame *frame, unsigned capacity,
		    bool *complete)
{
	uintptr_t pc = start->pc, stack = start->stack, frame_pointer = start->frame_pointer, end;
	unsigned count = 0, steps;

	*complete = false;
	if (module_is_shim(pc))
		return 0;
	for (steps = 0; pc && steps < STEPS_MAX; steps++) {
		struct cfi_rule rule = rule_find(pc);

		if (rule.kind == CFI_UNKNOWN)
			return count;
		if (!module_is_shim(pc)) {
			frame[count].pc = pc;
			frame[count].stack = stack;
			frame[count].end = 0;
			count++;
		}
		if (count == capacity || rule.kind == CFI_OUTERMOST) {
			*complete = true;
			return count;
		}
		end = rule.kind == CFI_STACK ? stack : frame_pointer;
		if (end < stack || end > start->stack_end || end % sizeof(end))
			return count;
		end += rule.size * sizeof(end);
		/* Both slots lie in this frame. */
		if (end > start->stack_end || end - stack < rule.link * sizeof(end) ||
		    end - stack < rule.frame_pointer * sizeof(end))
			return count;
		if (count && !frame[count - 1].end)
			frame[count - 1].end = end;
		pc = *(const uintptr_t *)(end - rule.link * sizeof(end));
		if (rule.frame_pointer)
			frame_pointer =
				*(const uintptr_t *)(end - rule.frame_pointer * sizeof(end));
		stack = end;
	}
	*complete = !pc;
	return count;
}
