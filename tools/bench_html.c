// SPDX-License-Identifier: MIT
/*
 * `spork bench --format html`: the drawing and the tables in one file for a browser, without the network.
 */
#include <stdlib.h>

#include "bench.h"

/* clang-format off */
static const char head[] =
"<!DOCTYPE html>\n"
"<html lang=\"en\">\n"
"<head>\n"
"<meta charset=\"utf-8\">\n"
"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
"<title>spork bench</title>\n"
"<style>\n"
":root { color-scheme: light dark; --page: #fff; --ink: #1b1f24; --rule: #d5d9de; }\n"
"@media (prefers-color-scheme: dark) { :root { --page: #15181c; --ink: #e4e7eb; --rule: #363c44; } }\n"
"body { background: var(--page); color: var(--ink); font: 15px/1.45 system-ui, sans-serif; margin: 0 auto;\n"
"  max-width: 60rem; padding: 1rem 1.5rem 4rem; }\n"
"svg { display: block; height: auto; max-width: 100%; }\n"
"h2 { border-top: 1px solid var(--rule); font-size: 1.1rem; margin: 2rem 0 .3rem; padding-top: 1rem; }\n"
"pre { font-size: .8rem; line-height: 1.4; overflow-x: auto; }\n"
"</style>\n"
"</head>\n"
"<body>\n";
/* clang-format on */

/* The table as it is printed to a terminal. */
static void table_print(const struct bench_result *result, FILE *file)
{
	struct output output = { 0 };
	char *text = NULL;
	size_t size;

	output.file = open_memstream(&text, &size);
	if (!output.file)
		abort();
	bench_print_text(result, &output);
	if (fclose(output.file))
		abort();
	fputs("<pre>", file);
	html_text(file, text);
	fputs("</pre>\n", file);
	free(text);
}

void bench_print_html(struct bench_result *const *results, unsigned count, struct output *output)
{
	FILE *file = output->file;
	unsigned i;

	fputs(head, file);
	bench_print_svg(results, count, file);
	for (i = 0; i < count; i++) {
		if (!i || results[i]->bench != results[i - 1]->bench)
			fprintf(file, "<h2>%s</h2>\n", results[i]->bench->name);
		table_print(results[i], file);
	}
	fprintf(file, "<p>spork %s</p>\n</body>\n</html>\n", SPORK_VERSION);
}
