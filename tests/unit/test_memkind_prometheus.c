/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memkind_prometheus.c -- the text that Prometheus reads
 */
#include "testing.h"

#include "memkind/kinds.h"
#include "memkind/malloc.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PAGE_OF_FIGURES 8192
#define MIB ((size_t)1 << 20)

static memkind_t
make_pmem(size_t size)
{
	memkind_t kind;

	assert_int_equal(memkind_create_pmem("/tmp", size, &kind), 0);
	return kind;
}

static void
gather(void *text, const char *piece)
{
	size_t at = strlen(text);

	snprintf((char *)text + at, PAGE_OF_FIGURES - at, "%s", piece);
}

/* Figures of two kinds with the same name, and of none that is gone. */
static void
test_prometheus(void **state)
{
	static const char *const figures[] = {
		"resident", "active", "allocated"};
	static char text[PAGE_OF_FIGURES];
	memkind_t kinds[2] = {make_pmem(32 * MIB), make_pmem(32 * MIB)};
	void *objects[2];
	char line[100];
	size_t value;

	(void)state;
	for (int i = 0; i < 2; i++)
		objects[i] = vmc_memkind_malloc(kinds[i], (size_t)MIB << i);
	text[0] = '\0';
	assert_int_equal(memkind_stats_print_prometheus(gather, text), 0);
	for (int f = 0; f < 3; f++) {
		snprintf(line, sizeof(line),
			"\n# TYPE memkind_%s_bytes gauge\n", figures[f]);
		assert_non_null(strstr(text, line));
		snprintf(line, sizeof(line),
			"\nmemkind_%s_bytes{kind=\"default\",number=\"0\"} ",
			figures[f]);
		assert_non_null(strstr(text, line));
		for (int i = 0; i < 2; i++) {
			assert_int_equal(memkind_get_stat(kinds[i],
						 (memkind_stat_type)f, &value),
				0);
			assert_true(value >= (size_t)MIB << i);
			snprintf(line, sizeof(line),
				"\nmemkind_%s_bytes{kind=\"pmem\","
				"number=\"%u\"} %zu\n",
				figures[f], kinds[i]->number, value);
			assert_non_null(strstr(text, line));
		}
	}
	for (int i = 0; i < 2; i++) {
		vmc_memkind_free(kinds[i], objects[i]);
		memkind_destroy_kind(kinds[i]);
	}
	text[0] = '\0';
	assert_int_equal(memkind_stats_print_prometheus(gather, text), 0);
	assert_null(strstr(text, "pmem"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_prometheus),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
