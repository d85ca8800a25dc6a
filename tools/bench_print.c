// SPDX-License-Identifier: MIT
/*
 * How `spork bench` prints its figures: as tables, as JSON Lines, as CSV.
 */
#include <stdlib.h>
#include <string.h>

#include "bench.h"

/* Of a table's first column, and of a ratio with its percentiles. */
enum { TITLE = 36, RATIO = 20 };

struct bench_text bench_size(uint64_t bytes)
{
	static const char *const units[] = { "bytes", "KB", "MB", "GB", "TB" };
	double value = (double)bytes;
	struct bench_text size;
	int unit = 0;

	for (; value >= 1023.5 && unit < 4; unit++)
		value /= 1024;
	snprintf(size.text, sizeof(size.text), "%.*f %s", value < 9.95 && value != (int)value,
		 value, units[unit]);
	return size;
}

struct bench_text bench_ratio_text(double ratio)
{
	struct bench_text text;

	if (ratio < 0.0995)
		snprintf(text.text, sizeof(text.text), "%.2g", ratio);
	else
		snprintf(text.text, sizeof(text.text), "%.*f",
			 ratio < 9.995 ? 2 :
			 ratio < 99.95 ? 1 :
					 0,
			 ratio);
	return text;
}

static void number_text(char *text, size_t size, double value, const char *unit)
{
	if (strcmp(unit, "ns"))
		snprintf(text, size, "%.*f%s", value >= 100 || value == (int)value ? 0 : 1, value,
			 strcmp(unit, "per_second") ? "" : "/s");
	else if (value < 1000)
		snprintf(text, size, "%.1f ns", value);
	else
		snprintf(text, size, "%s", duration_text((uint64_t)value).text);
}

static void number_print(FILE *file, int width, double value, const char *unit)
{
	char text[32];

	number_text(text, sizeof(text), value, unit);
	fprintf(file, "%*s", width, text);
}

/* Whether it scatters too much to be quoted. */
static bool ratio_print(FILE *file, int width, const struct bench_ratio *ratio)
{
	char text[128] = "";

	if (ratio->known)
		snprintf(text, sizeof(text), "%s (%s-%s)",
			 ratio->scattered ? "-" : bench_ratio_text(ratio->p50).text,
			 bench_ratio_text(ratio->p10).text, bench_ratio_text(ratio->p90).text);
	fprintf(file, " %*s", width - 1, text);
	return ratio->known && ratio->scattered;
}

/* ---- text ---- */

void bench_point_text(const struct bench_result *result, char *text, size_t size)
{
	const struct bench_point *point = &result->point;
	char mappings[40] = "", threads[40] = "";

	if (point->mappings)
		snprintf(mappings, sizeof(mappings), ", %u mappings more", point->mappings);
	if (point->threads)
		snprintf(threads, sizeof(threads), ", %u idle threads more", point->threads);
	snprintf(text, size, "transparent huge pages %s%s%s", point->thp ? "allowed" : "off",
		 mappings, threads);
}

/* A case of a benchmark that is measured at points: one line a configuration. */
static bool path_print(FILE *file, const struct bench_result *result, unsigned which,
		       unsigned config)
{
	const struct bench_figure *figure = result->figure[which][config];
	const char *tier = result->tier[which][config];
	char name[48];
	bool scattered;

	snprintf(name, sizeof(name), "%s%s%s", result->bench->configs[config].name,
		 tier ? ": " : "", tier ? tier : "");
	fprintf(file, "%-17s %-12s", result->bench->cases[which].title, name);
	number_print(file, 9, figure[0].p50, "ns");
	number_print(file, 9, figure[0].p99, "ns");
	number_print(file, 10, figure[1].p50, "ns");
	number_print(file, 9, figure[1].p99, "ns");
	number_print(file, 7, figure[2].p50, "faults");
	scattered = ratio_print(file, RATIO, &figure[1].floor);
	scattered |= ratio_print(file, RATIO, &figure[1].gain);
	fputc('\n', file);
	return scattered;
}

static bool paths_print(const struct bench_result *result, struct output *output)
{
	unsigned configs = bench_count_configs(result->bench), which, config;
	FILE *file = output->file;
	bool scattered = false;
	char point[160];

	bench_point_text(result, point, sizeof(point));
	fprintf(file, "%s more, %s resident in all, %s\n\n", bench_size(result->point.rss).text,
		bench_size(result->resident).text, point);
	output_style(output, STYLE_BOLD);
	fprintf(file, "%-17s %-12s%9s%9s%10s%9s%7s%*s%*s", result->bench->name, "", "call p50",
		"p99", "total p50", "p99", "faults", RATIO, "to the floor", RATIO, "gain");
	output_style(output, STYLE_PLAIN);
	fputc('\n', file);
	for (which = 0; result->bench->cases[which].name; which++)
		for (config = 0; config < configs; config++)
			if (result->figure[which][config][0].count)
				scattered |= path_print(file, result, which, config);
	for (which = 0; result->bench->cases[which].name; which++)
		for (config = 0; config < configs; config++)
			if (result->reason[which][config] && result->figure[which][config][0].count)
				fprintf(file, "%s (%s): a site that is not promoted: %s\n",
					result->bench->cases[which].name,
					result->bench->configs[config].name,
					result->reason[which][config]);
	return scattered;
}

static bool measure_has(const struct bench_result *result, unsigned which, unsigned measure)
{
	unsigned config;

	for (config = 0; config < BENCH_CONFIGS; config++)
		if (result->figure[which][config][measure].count)
			return true;
	return false;
}

/* One measure of all cases: bare, and the ratio of each other configuration to that. */
static bool measure_print(const struct bench_result *result, struct output *output,
			  unsigned measure)
{
	const struct bench *bench = result->bench;
	unsigned configs = bench_count_configs(bench), which, config;
	const struct bench_figure *figure;
	FILE *file = output->file;
	bool scattered = false;
	char name[64];

	snprintf(name, sizeof(name), "%s%s%s", bench->name, bench->measures[1].name ? ", " : "",
		 bench->measures[1].name ? bench->measures[measure].name : "");
	output_style(output, STYLE_BOLD);
	fprintf(file, "%-*s %10s", TITLE, name, bench->configs[0].name);
	for (config = 1; config < configs; config++)
		fprintf(file, "%*s", RATIO, bench->configs[config].name);
	output_style(output, STYLE_PLAIN);
	fputc('\n', file);
	for (which = 0; bench->cases[which].name; which++) {
		if (!measure_has(result, which, measure))
			continue;
		fprintf(file, "%-*s ", TITLE, bench->cases[which].title);
		figure = &result->figure[which][0][measure];
		if (figure->count)
			number_print(file, 10, figure->p50, bench->measures[measure].unit);
		else
			fprintf(file, "%10s", "");
		for (config = 1; config < configs; config++) {
			figure = &result->figure[which][config][measure];
			scattered |= ratio_print(file, RATIO, &figure->ratio);
		}
		fputc('\n', file);
	}
	return scattered;
}

static bool measures_print(const struct bench_result *result, struct output *output)
{
	bool scattered = false, first = true;
	unsigned measure, which;

	fputc('\n', output->file);
	for (measure = 0; result->bench->measures[measure].name; measure++)
		for (which = 0; result->bench->cases[which].name; which++) {
			if (!measure_has(result, which, measure))
				continue;
			if (!first)
				fputc('\n', output->file);
			first = false;
			scattered |= measure_print(result, output, measure);
			break;
		}
	return scattered;
}

void bench_print_text(const struct bench_result *result, struct output *output)
{
	FILE *file = output->file;
	bool scattered;

	fprintf(file,
		"%s\nrounds: %u, medians; in brackets the 10th and 90th percentile of the ratio\n",
		result->bench->unit, result->runs);
	scattered = result->bench->of_points ? paths_print(result, output) :
					       measures_print(result, output);
	fputs(result->left_out, file);
	if (scattered)
		fprintf(file,
			"\n-: these runs scatter by more than %.0f %% of their median; no ratio is quoted\n",
			BENCH_SCATTER * 100);
}

static void head_text(FILE *file)
{
	const struct bench_machine *machine = bench_machine();

	fprintf(file, "%s %s, %ld cores, %s; governor: %s\n", machine->kernel, machine->machine,
		machine->cores, machine->cpu, machine->governor);
	fprintf(file, "glibc %s; transparent huge pages: %s; overcommit: %d; load: %.2f\n",
		machine->glibc, machine->thp, machine->overcommit, machine->load);
}

/* ---- JSON ---- */

static void real(struct json *json, const char *key, double value, bool known)
{
	json_key(json, key);
	if (known)
		json_real(json, value);
	else
		json_null(json);
}

static void head_json(struct json *json)
{
	const struct bench_machine *machine = bench_machine();

	json_open(json, '{');
	json_key_string(json, "type", "machine");
	json_key_string(json, "spork", SPORK_VERSION);
	json_key_string(json, "kernel", machine->kernel);
	json_key_string(json, "machine", machine->machine);
	json_key_number(json, "cores", (uint64_t)machine->cores);
	json_key_string(json, "cpu", machine->cpu);
	json_key_string(json, "governor", machine->governor);
	json_key_string(json, "glibc", machine->glibc);
	json_key_string(json, "thp", machine->thp);
	json_key(json, "overcommit");
	if (machine->overcommit >= 0)
		json_number(json, (uint64_t)machine->overcommit);
	else
		json_null(json);
	real(json, "load", machine->load, true);
	json_close(json, '}');
	json_end_line(json);
}

static void json_ratio(struct json *json, const char *name, const struct bench_ratio *ratio)
{
	char key[32];

	real(json, name, ratio->p50, ratio->known && !ratio->scattered);
	snprintf(key, sizeof(key), "%s_p10", name);
	real(json, key, ratio->p10, ratio->known);
	snprintf(key, sizeof(key), "%s_p90", name);
	real(json, key, ratio->p90, ratio->known);
}

static void json_row(struct json *json, const struct bench_result *result, unsigned which,
		     unsigned config, unsigned measure)
{
	const struct bench_figure *figure = &result->figure[which][config][measure];
	const struct bench *bench = result->bench;

	json_open(json, '{');
	json_key_string(json, "type", "bench");
	json_key_string(json, "bench", bench->name);
	json_key_string(json, "case", bench->cases[which].name);
	json_key_string(json, "config", bench->configs[config].name);
	if (bench->of_points) {
		json_key_number(json, "rss", result->point.rss);
		json_key_number(json, "resident", result->resident);
		json_key_number(json, "mappings", result->point.mappings);
		json_key_number(json, "threads", result->point.threads);
		json_key(json, "huge_pages");
		json_bool(json, result->point.thp);
		json_key_string(json, "tier", result->tier[which][config]);
		json_key_string(json, "reason", result->reason[which][config]);
	}
	json_key_string(json, "measure", bench->measures[measure].name);
	json_key_string(json, "unit", bench->measures[measure].unit);
	json_key_number(json, "runs", result->runs);
	json_key_number(json, "count", figure->count);
	real(json, "p10", figure->p10, true);
	real(json, "p50", figure->p50, true);
	real(json, "p90", figure->p90, true);
	real(json, "p99", figure->p99, true);
	json_ratio(json, "ratio", &figure->ratio);
	if (bench->of_points) {
		json_ratio(json, "floor", &figure->floor);
		json_ratio(json, "gain", &figure->gain);
	}
	json_close(json, '}');
	json_end_line(json);
}

static void json_left_out(struct json *json, const struct bench_result *result)
{
	const char *line = result->left_out, *end;

	for (; (end = strchr(line, '\n')); line = end + 1) {
		char text[sizeof(result->left_out)];

		snprintf(text, sizeof(text), "%.*s", (int)(end - line), line);
		json_open(json, '{');
		json_key_string(json, "type", "left_out");
		json_key_string(json, "bench", result->bench->name);
		json_key_string(json, "message", text);
		json_close(json, '}');
		json_end_line(json);
	}
}

/* ---- CSV ---- */

static void csv_string(FILE *file, const char *string)
{
	fputc('"', file);
	for (; *string; string++)
		fprintf(file, *string == '"' ? "\"\"" : "%c", *string);
	fputc('"', file);
}

static void csv_ratio(FILE *file, const struct bench_ratio *ratio)
{
	fputc(',', file);
	if (ratio->known && !ratio->scattered)
		fprintf(file, "%.6f", ratio->p50);
	if (ratio->known)
		fprintf(file, ",%.6f,%.6f", ratio->p10, ratio->p90);
	else
		fputs(",,", file);
}

static void csv_row(FILE *file, const struct bench_result *result, unsigned which, unsigned config,
		    unsigned measure)
{
	const struct bench_figure *figure = &result->figure[which][config][measure];
	const struct bench_machine *machine = bench_machine();
	const struct bench *bench = result->bench;
	const struct bench_point *point = &result->point;

	fprintf(file, "%s,%s,%s,", bench->name, bench->cases[which].name,
		bench->configs[config].name);
	if (bench->of_points)
		fprintf(file, "%llu,%llu,%u,%u,%d,%s,", (unsigned long long)point->rss,
			(unsigned long long)result->resident, point->mappings, point->threads,
			point->thp, result->tier[which][config] ? result->tier[which][config] : "");
	else
		fputs(",,,,,,", file);
	fprintf(file, "%s,%s,%u,%llu,%.3f,%.3f,%.3f,%.3f", bench->measures[measure].name,
		bench->measures[measure].unit, result->runs, (unsigned long long)figure->count,
		figure->p10, figure->p50, figure->p90, figure->p99);
	csv_ratio(file, &figure->ratio);
	csv_ratio(file, &figure->floor);
	csv_ratio(file, &figure->gain);
	fputc(',', file);
	csv_string(file, machine->kernel);
	fputc(',', file);
	csv_string(file, machine->cpu);
	fprintf(file, ",%ld,%s,%s,%d,%.2f\n", machine->cores, machine->glibc, machine->thp,
		machine->overcommit, machine->load);
}

static void head_csv(FILE *file)
{
	fputs("bench,case,config,rss,resident,mappings,threads,huge_pages,tier,measure,unit,runs,count,"
	      "p10,p50,p90,p99,ratio,ratio_p10,ratio_p90,floor,floor_p10,floor_p90,gain,gain_p10,"
	      "gain_p90,kernel,cpu,cores,glibc,thp,overcommit,load\n",
	      file);
}

void bench_print_head(struct output *output, enum bench_format format)
{
	struct json json = { .file = output->file };

	if (format == BENCH_JSON)
		head_json(&json);
	else if (format == BENCH_CSV)
		head_csv(output->file);
	else
		head_text(output->file);
}

void bench_print(const struct bench_result *result, struct output *output, enum bench_format format)
{
	unsigned configs = bench_count_configs(result->bench), which, config, measure;
	struct json json = { .file = output->file };

	if (format == BENCH_TEXT) {
		fputc('\n', output->file);
		bench_print_text(result, output);
		fflush(output->file);
		return;
	}
	for (which = 0; result->bench->cases[which].name; which++)
		for (config = 0; config < configs; config++)
			for (measure = 0; result->bench->measures[measure].name; measure++) {
				if (!result->figure[which][config][measure].count)
					continue;
				if (format == BENCH_JSON)
					json_row(&json, result, which, config, measure);
				else
					csv_row(output->file, result, which, config, measure);
			}
	if (format == BENCH_JSON)
		json_left_out(&json, result);
}
