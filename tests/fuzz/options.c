/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * options.c -- fuzz target: what vmemcache-bench is told: numbers, lists of
 * them, distributions, files of sizes
 *
 * The first byte says which, the rest is the text. What is taken must keep to
 * what was said; what is refused leaves a sentence.
 */
#include "distribution.h"
#include "fuzz.h"
#include "options.h"

#include <sys/mman.h>
#include <unistd.h>

static void
numbers(const char *text)
{
	uint64_t kilo = 0, kibi = 0;
	const char *wrong = bench_parse_number(text, 1000, &kilo);

	fuzz_expect(!wrong || *wrong);
	if (!wrong && bench_parse_number(text, 1024, &kibi) == NULL)
		fuzz_expect(kibi >= kilo);
	bench_parse_size(text, &kibi);
	bench_parse_count(text, &kilo);
}

static void
lists(const char *text)
{
	struct bench_list list;

	if (bench_parse_sizes(text, &list) == NULL) {
		fuzz_expect(list.n > 0 && list.n <= BENCH_LIST_MAX);
		for (size_t i = 0; i < list.n; i++)
			fuzz_expect(list.at[i] > 0);
	}
	if (bench_parse_threads(text, &list) == NULL) {
		fuzz_expect(list.n > 0 && list.n <= BENCH_LIST_MAX);
		for (size_t i = 0; i < list.n; i++)
			fuzz_expect(list.at[i] >= 1 && list.at[i] <= 64);
	}
}

static void
distribution(const char *text)
{
	struct bench_distribution d;
	const char *wrong = bench_distribution_parse(&d, text, 1024);
	uint64_t random = 1;

	if (wrong) {
		fuzz_expect(*wrong && !d.listed);
		return;
	}
	fuzz_expect(d.low <= d.high);
	for (int i = 0; i < 16; i++) {
		uint64_t n = d.draw(&d, &random);
		fuzz_expect(d.low <= n && n <= d.high);
	}
	bench_distribution_free(&d);
}

static void
size_file(const char *text)
{
	static int fd = -1;
	static char spec[40];
	size_t size = strlen(text);

	if (fd < 0) {
		fd = memfd_create("sizes", MFD_CLOEXEC);
		snprintf(spec, sizeof(spec), "file:/proc/self/fd/%d", fd);
	}
	fuzz_expect(ftruncate(fd, 0) == 0);
	fuzz_expect(pwrite(fd, text, size, 0) == (ssize_t)size);
	distribution(spec);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static void (*const parse[])(const char *) = {
		numbers, lists, distribution, size_file};
	struct fuzz_input in = {data, data + size};
	unsigned which = fuzz_byte(&in) % 4;
	char *text = fuzz_text(&in, '\0');

	/* a file of the machine's is another input than this one */
	if (which != 2 || strncmp(text, "file:", 5) != 0)
		parse[which](text);
	free(text);
	return 0;
}
