// SPDX-License-Identifier: MIT
/*
 * Figures of `spork bench`, and how they are printed: as a table, as JSON Lines, as CSV.
 */
#include <gnu/libc-version.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "bench.h"

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of sorted values; between two of them, in proportion. */
static double quantile(const double *sorted, unsigned count, double part)
{
	double at = part * (count - 1);
	unsigned low = (unsigned)at, high = low + 1 < count ? low + 1 : low;

	return sorted[low] + (sorted[high] - sorted[low]) * (at - low);
}

double bench_median(double *values, unsigned count)
{
	qsort(values, count, sizeof(*values), ascending);
	return quantile(values, count, 0.5);
}

void bench_figure(struct bench_figure *figure, const double *ns, const double *first,
		  unsigned count)
{
	double *sorted = malloc(count * sizeof(*sorted));
	unsigned i;

	if (!sorted)
		abort();
	memcpy(sorted, ns, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), ascending);
	figure->p10_ns = quantile(sorted, count, 0.1);
	figure->p50_ns = quantile(sorted, count, 0.5);
	figure->p90_ns = quantile(sorted, count, 0.9);
	for (i = 0; i < count; i++)
		sorted[i] = first[i] > 0 ? ns[i] / first[i] : 0;
	qsort(sorted, count, sizeof(*sorted), ascending);
	figure->ratio_p10 = quantile(sorted, count, 0.1);
	figure->ratio = quantile(sorted, count, 0.5);
	figure->ratio_p90 = quantile(sorted, count, 0.9);
	figure->scattered = figure->ratio <= 0 ||
			    figure->ratio_p90 - figure->ratio_p10 > BENCH_SCATTER * figure->ratio;
	free(sorted);
}

struct facts {
	struct utsname kernel;
	char cpu[128], thp[128];
	long cores;
};

/* What stands after `start` in the first line that has it; without `start`, the first line. */
static void file_line(const char *path, const char *start, char *value, size_t size)
{
	FILE *file = fopen(path, "re");
	char line[512];
	const char *from;

	snprintf(value, size, "unknown");
	if (!file)
		return;
	while (fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, start, strlen(start)))
			continue;
		from = line + strlen(start);
		from += strspn(from, " \t:");
		snprintf(value, size, "%s", from);
		break;
	}
	fclose(file);
}

static void facts_gather(struct facts *facts)
{
	char all[128], *open, *close;

	memset(facts, 0, sizeof(*facts));
	uname(&facts->kernel);
	facts->cores = sysconf(_SC_NPROCESSORS_ONLN);
	file_line("/proc/cpuinfo", "model name", facts->cpu, sizeof(facts->cpu));
	/* "always [madvise] never": the one in force */
	file_line("/sys/kernel/mm/transparent_hugepage/enabled", "", all, sizeof(all));
	open = strchr(all, '[');
	close = open ? strchr(open, ']') : NULL;
	if (close)
		*close = '\0';
	snprintf(facts->thp, sizeof(facts->thp), "%s", close ? open + 1 : all);
}

static unsigned configs_of(const struct bench *bench)
{
	unsigned count = 0;

	while (bench->configs[count].name)
		count++;
	return count;
}

static bool cell_print(FILE *file, const struct bench_figure *figure)
{
	char text[64];

	if (figure->scattered)
		snprintf(text, sizeof(text), "- (%.2f-%.2f)", figure->ratio_p10, figure->ratio_p90);
	else
		snprintf(text, sizeof(text), "%.2f (%.2f-%.2f)", figure->ratio, figure->ratio_p10,
			 figure->ratio_p90);
	fprintf(file, " %17s", text);
	return figure->scattered;
}

static void bare_print(FILE *file, double ns)
{
	if (ns < 1000)
		fprintf(file, "%7.1f ns", ns);
	else
		fprintf(file, "%10s", duration_text((uint64_t)ns).text);
}

static void text_print(const struct bench_result *result, struct output *output)
{
	const struct bench *bench = result->bench;
	unsigned configs = configs_of(bench), which, config;
	bool scattered = false;
	struct facts facts;
	FILE *file = output->file;

	facts_gather(&facts);
	fprintf(file, "%s %s %s, %ld cores, ", facts.kernel.sysname, facts.kernel.release,
		facts.kernel.machine, facts.cores);
	print_clean(file, facts.cpu);
	fprintf(file, "; glibc %s; transparent huge pages: ", gnu_get_libc_version());
	print_clean(file, facts.thp);
	fprintf(file,
		"\n%s; rounds: %u, medians; in brackets the 10th and 90th percentile of the ratio\n\n",
		bench->unit, result->runs);
	output_style(output, STYLE_BOLD);
	fprintf(file, "%-36s %10s", bench->name, bench->configs[0].name);
	for (config = 1; config < configs; config++)
		fprintf(file, " %17s", bench->configs[config].name);
	output_style(output, STYLE_PLAIN);
	fputc('\n', file);
	for (which = 0; bench->cases[which].name; which++) {
		if (!result->measured[which])
			continue;
		fprintf(file, "%-36s ", bench->cases[which].title);
		bare_print(file, result->figure[which][0].p50_ns);
		for (config = 1; config < configs; config++)
			scattered |= cell_print(file, &result->figure[which][config]);
		fputc('\n', file);
	}
	if (scattered)
		fprintf(file,
			"\n-: these runs scatter by more than %.0f %% of their median; no ratio is quoted\n",
			BENCH_SCATTER * 100);
}

static void real(struct json *json, const char *key, double value, bool known)
{
	json_key(json, key);
	if (known)
		json_real(json, value);
	else
		json_null(json);
}

static void json_facts(struct json *json, const struct bench_result *result)
{
	struct facts facts;

	facts_gather(&facts);
	json_open(json, '{');
	json_key_string(json, "type", "machine");
	json_key_string(json, "bench", result->bench->name);
	json_key_string(json, "spork", SPORK_VERSION);
	json_key_string(json, "kernel", facts.kernel.release);
	json_key_string(json, "machine", facts.kernel.machine);
	json_key_number(json, "cores", (uint64_t)facts.cores);
	json_key_string(json, "cpu", facts.cpu);
	json_key_string(json, "glibc", gnu_get_libc_version());
	json_key_string(json, "thp", facts.thp);
	json_close(json, '}');
	json_end_line(json);
}

static void json_row(struct json *json, const struct bench_result *result, unsigned which,
		     unsigned config)
{
	const struct bench_figure *figure = &result->figure[which][config];

	json_open(json, '{');
	json_key_string(json, "type", "bench");
	json_key_string(json, "bench", result->bench->name);
	json_key_string(json, "case", result->bench->cases[which].name);
	json_key_string(json, "config", result->bench->configs[config].name);
	json_key_number(json, "runs", result->runs);
	real(json, "p10_ns", figure->p10_ns, true);
	real(json, "p50_ns", figure->p50_ns, true);
	real(json, "p90_ns", figure->p90_ns, true);
	real(json, "ratio", figure->ratio, !figure->scattered);
	real(json, "ratio_p10", figure->ratio_p10, true);
	real(json, "ratio_p90", figure->ratio_p90, true);
	json_close(json, '}');
	json_end_line(json);
}

static void csv_row(FILE *file, const struct bench_result *result, unsigned which, unsigned config)
{
	const struct bench_figure *figure = &result->figure[which][config];

	fprintf(file, "%s,%s,%s,%u,%.3f,%.3f,%.3f,", result->bench->name,
		result->bench->cases[which].name, result->bench->configs[config].name, result->runs,
		figure->p10_ns, figure->p50_ns, figure->p90_ns);
	if (!figure->scattered)
		fprintf(file, "%.3f", figure->ratio);
	fprintf(file, ",%.3f,%.3f\n", figure->ratio_p10, figure->ratio_p90);
}

void bench_print(const struct bench_result *result, struct output *output, enum bench_format format)
{
	struct json json = { .file = output->file };
	unsigned configs = configs_of(result->bench), which, config;

	if (format == BENCH_TEXT) {
		text_print(result, output);
		return;
	}
	if (format == BENCH_JSON)
		json_facts(&json, result);
	else
		fputs("bench,case,config,runs,p10_ns,p50_ns,p90_ns,ratio,ratio_p10,ratio_p90\n",
		      output->file);
	for (which = 0; result->bench->cases[which].name; which++)
		for (config = 0; result->measured[which] && config < configs; config++) {
			if (format == BENCH_JSON)
				json_row(&json, result, which, config);
			else
				csv_row(output->file, result, which, config);
		}
}
