// SPDX-License-Identifier: MIT
/*
 * All processes that `spork bench` measures at one point, and what the recorder says of those that are under the shim.
 */
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "bench.h"

/* A box that we can read tells what became of the sites. `options` gets PATH_MAX bytes; 0 or STATUS_FAILED. */
static int box_make(struct bench_worker *worker, const char *preset, char *options)
{
	worker->box = memfd_create("spork bench box", MFD_CLOEXEC);
	if (worker->box >= 0 && !box_create(worker->box, 0, false)) {
		snprintf(options, PATH_MAX, "%s:box=/proc/%d/fd/%d", preset, (int)getpid(),
			 worker->box);
		return 0;
	}
	complain("no memory for the box: %s", strerror(errno));
	if (worker->box >= 0)
		close(worker->box);
	return STATUS_FAILED;
}

static int worker_start(struct bench_crew *crew, const struct bench_request *request,
			const struct bench_result *result, const struct bench_peer *peer,
			unsigned config)
{
	struct bench_worker *worker = &crew->worker[crew->count];
	struct bench_setup setup = {
		.point = result->point,
		.child = request->child,
		.shim = request->shim,
		.options = result->bench->configs[config].options,
	};
	char options[PATH_MAX], path[PATH_MAX];
	int failed;

	if (peer && launch_find(peer->program, path))
		return 0;
	*worker = (struct bench_worker){ .peer = peer, .config = config, .box = -1 };
	if (setup.options && result->bench->of_points) {
		if (box_make(worker, setup.options, options))
			return STATUS_FAILED;
		setup.options = options;
	}
	failed = bench_process_start(&worker->process, result->bench, peer, &setup);
	crew->count += !failed;
	if (failed && worker->box >= 0)
		close(worker->box);
	return failed;
}

int bench_crew_start(struct bench_crew *crew, const struct bench_request *request,
		     struct bench_result *result)
{
	const struct bench *bench = result->bench;
	unsigned measures = bench_count_measures(bench), config, which, i;
	double resident;
	int failed = 0;

	crew->count = 0;
	/* What a process may have of huge pages, those that it executes inherit. */
	if (prctl(PR_SET_THP_DISABLE, !result->point.thp, 0, 0, 0) && result->point.thp)
		complain("transparent huge pages cannot be allowed: %s", strerror(errno));
	for (config = 0; !failed && bench->configs[config].name; config++) {
		failed = worker_start(crew, request, result, NULL, config);
		for (which = 0; !failed && bench->cases[which].name; which++)
			if (bench->cases[which].peer &&
			    bench_wanted(request, &bench->cases[which], config))
				failed = worker_start(crew, request, result,
						      bench->cases[which].peer, config);
	}
	for (i = 0; !failed && i < crew->count; i++) {
		resident = bench_process_ready(&crew->worker[i].process, measures);
		failed = resident < 0 ? STATUS_FAILED : 0;
		if (!i && !failed)
			result->resident = (uint64_t)resident;
	}
	return failed;
}

const struct bench_worker *bench_crew_find(const struct bench_crew *crew,
					   const struct bench_peer *peer, unsigned config)
{
	unsigned i;

	for (i = 0; i < crew->count; i++)
		if (crew->worker[i].peer == peer && crew->worker[i].config == config)
			return &crew->worker[i];
	return NULL;
}

void bench_crew_end(struct bench_crew *crew)
{
	struct bench_worker *worker;

	while (crew->count) {
		worker = &crew->worker[--crew->count];
		bench_process_end(&worker->process);
		if (worker->box >= 0)
			close(worker->box);
	}
}

/* ---- what the recorder says ---- */

/* Of this program. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));

/* How far behind the start of that function does it lie? */
static uint64_t distance(const struct box_site *site, void (*from)(void))
{
	return site->frame[0].offset - ((uintptr_t)from - (uintptr_t)__ehdr_start);
}

static bool is_better(const struct box_site *site, const struct box_site *found,
		      const struct bench_case *row)
{
	return row->from ? distance(site, row->from) < distance(found, row->from) :
			   site->spawns > found->spawns;
}

static const struct box_site *site_find(const struct box *box, const struct bench_case *row)
{
	const struct box_site *found = NULL, *site;
	uint32_t i;

	for (i = 0; i < box->slots[BOX_TABLE_SITE]; i++) {
		site = &box->site[i];
		if (site->ready && site->call == row->call &&
		    (!found || is_better(site, found, row)))
			found = site;
	}
	return found;
}

static void tier_read(const struct bench_worker *worker, const struct box_site *site,
		      unsigned which, struct bench_result *result)
{
	uint32_t tier, most = 0;

	for (tier = 0; tier < BOX_TIER_COUNT; tier++)
		if (site->by_tier[tier] > site->by_tier[most])
			most = tier;
	result->tier[which][worker->config] = box_tier_name(most);
	if (site->reason)
		result->reason[which][worker->config] = box_reason_name(site->reason);
}

static bool was_loaded(const struct box *box)
{
	uint32_t i;

	for (i = 0; i < box->slots[BOX_TABLE_PROCESS]; i++)
		if (box->process[i].ready)
			return true;
	return false;
}

/* The rows of a process; without the shim, which was to be in it, they are none. */
static void rows_read(const struct bench_worker *worker, const struct box *box,
		      struct bench_result *result)
{
	const struct bench_case *row = result->bench->cases;
	const struct box_site *site;
	unsigned which;

	for (which = 0; row->name; row++, which++) {
		if (row->peer != worker->peer || !result->figure[which][worker->config][0].count)
			continue;
		if (!was_loaded(box)) {
			memset(result->figure[which][worker->config], 0,
			       sizeof(result->figure[which][0]));
			bench_left_out(result, row, "the shim was not loaded");
			continue;
		}
		site = row->against ? NULL : site_find(box, row);
		if (site)
			tier_read(worker, site, which, result);
	}
}

void bench_crew_tiers(const struct bench_crew *crew, struct bench_result *result)
{
	unsigned i;

	for (i = 0; i < crew->count; i++) {
		struct box box = { 0 };

		if (crew->worker[i].box < 0)
			continue;
		if (!box_load(&box, crew->worker[i].box))
			rows_read(&crew->worker[i], &box, result);
		box_free(&box);
	}
}
