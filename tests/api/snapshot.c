/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * snapshot.c -- all statistics at once, and as text
 *
 * With an argument, the program prints the text for Prometheus of a cache that
 * was used: for snapshot-promtool.
 */
#include "fixture.h"

#include <ctype.h>
#include <pthread.h>

static struct vmemcache_statistics
snapshot(VMEMcache *cache)
{
	struct vmemcache_statistics s;

	memset(&s, 0xff, sizeof(s));
	s.struct_size = sizeof(s);
	assert_int_equal(vmemcache_statistics(cache, &s), 0);
	return s;
}

/* Puts of each outcome, gets of either, and evictions of either kind. */
static VMEMcache *
used_cache(void)
{
	VMEMcache *cache =
		fixture_open(VMEMCACHE_MIN_POOL, 0, VMEMCACHE_REPLACEMENT_LRU);

	for (uint64_t key = 0; key < 8; key++)
		assert_int_equal(fixture_put(cache, key, 1, 200 << 10), 0);
	assert_fails(fixture_put(cache, 7, 1, 300), EEXIST);
	assert_fails(fixture_put(cache, 9, 1, 2 << 20), ENOSPC);
	assert_true(fixture_has(cache, 7, 1, 200 << 10));
	assert_false(fixture_has(cache, 0, 1, 200 << 10));
	assert_int_equal(fixture_evict(cache, 7), 0);
	assert_int_equal(vmemcache_evict(cache, NULL, 0), 0);
	return cache;
}

static void
test_figures(void **state)
{
	VMEMcache *cache = used_cache();
	struct vmemcache_statistics s = snapshot(cache);
	uint64_t stores = 0, removals = 0;

	(void)state;
	assert_int_equal(s.gets, 2);
	assert_int_equal(s.hits, 1);
	assert_int_equal(s.misses, 1);
	assert_int_equal(s.stores[1][VMEMCACHE_OUTCOME_INSERTED], 8);
	assert_int_equal(s.stores[1][VMEMCACHE_OUTCOME_EXISTS], 1);
	assert_int_equal(s.stores[1][VMEMCACHE_OUTCOME_NO_SPACE], 1);
	for (unsigned i = 0; i < VMEMCACHE_MODES * VMEMCACHE_OUTCOMES; i++)
		stores += s.stores[i / VMEMCACHE_OUTCOMES]
				  [i % VMEMCACHE_OUTCOMES];
	assert_int_equal(stores, 10);
	assert_int_equal(s.removals[VMEMCACHE_REASON_EVICTED], 2);
	for (unsigned i = 0; i < VMEMCACHE_REASONS; i++)
		removals += s.removals[i];
	assert_int_equal(s.removals[VMEMCACHE_REASON_CAPACITY], removals - 2);
	assert_int_equal(s.items, 8 - removals);
	assert_int_equal(s.value_bytes, s.items * (200 << 10));
	assert_int_equal(s.block_bytes, s.value_bytes);
	assert_int_equal(s.touches_lost, 0);
	assert_int_equal(s.metadata_bytes,
		fixture_stat(cache, VMEMCACHE_STAT_DRAM_SIZE_USED));
	assert_int_equal(
		s.pool_bytes, fixture_stat(cache, VMEMCACHE_STAT_POOL_SIZE));
	assert_int_equal(
		s.page_bytes, fixture_stat(cache, VMEMCACHE_STAT_PAGE_SIZE));
	assert_int_equal(
		s.free_runs, fixture_stat(cache, VMEMCACHE_STAT_HEAP_ENTRIES));
	assert_int_equal(s.pieces, fixture_stat(cache, VMEMCACHE_STAT_EXTENTS));
	vmemcache_delete(cache);
}

static void
test_empty(void **state)
{
	VMEMcache *cache = vmemcache_new();
	struct vmemcache_statistics s = snapshot(cache);
	const struct vmemcache_statistics zero = {.struct_size = sizeof(zero)};

	(void)state;
	assert_memory_equal(&s, &zero, sizeof(s));
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	s = snapshot(cache);
	assert_int_equal(s.items, 0);
	assert_int_equal(s.metadata_bytes, 0);
	assert_int_equal(s.free_runs, 1);
	assert_int_equal(s.pool_bytes, VMEMCACHE_MIN_POOL);
	vmemcache_delete(cache);
}

static void
test_bad_arguments(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	struct vmemcache_statistics s = {.struct_size = sizeof(s)};
	char c, name[VMEMCACHE_NAME_MAX + 2] = {0};

	(void)state;
	assert_fails(vmemcache_statistics(NULL, &s), EINVAL);
	assert_fails(vmemcache_statistics(cache, NULL), EINVAL);
	s.struct_size = 0;
	assert_fails(vmemcache_statistics(cache, &s), EINVAL);
	s.struct_size = sizeof(s) + 8;
	assert_fails(vmemcache_statistics(cache, &s), EINVAL);
	assert_fails(vmemcache_format_statistics(
			     NULL, VMEMCACHE_FORMAT_TEXT, NULL, 0),
		EINVAL);
	assert_fails(vmemcache_format_statistics(cache, 3, NULL, 0), EINVAL);
	assert_fails(vmemcache_format_statistics(
			     cache, VMEMCACHE_FORMAT_TEXT, NULL, 1),
		EINVAL);
	assert_fails(vmemcache_set_name(NULL, "a"), EINVAL);
	assert_fails(vmemcache_set_name(cache, NULL), EINVAL);
	assert_fails(vmemcache_set_name(cache, ""), EINVAL);
	assert_fails(vmemcache_set_name(cache, "two\nlines"), EINVAL);
	assert_fails(vmemcache_set_name(cache, "caf\303\251"), EINVAL);
	memset(name, 'x', sizeof(name) - 1);
	assert_fails(vmemcache_set_name(cache, name), EINVAL);
	name[VMEMCACHE_NAME_MAX] = '\0';
	assert_int_equal(vmemcache_set_name(cache, name), 0);
	errno = 77;
	assert_true(vmemcache_format_statistics(
			    cache, VMEMCACHE_FORMAT_TEXT, &c, 1) > 1);
	assert_int_equal(errno, 77);
	assert_int_equal(c, '\0');
	vmemcache_delete(cache);
}

static char *
text_of(VMEMcache *cache, enum vmemcache_format format)
{
	ssize_t length = vmemcache_format_statistics(cache, format, NULL, 0);
	assert_true(length > 0);
	char *text = malloc((size_t)length + 1);

	assert_int_equal(vmemcache_format_statistics(
				 cache, format, text, (size_t)length + 1),
		length);
	assert_int_equal(strlen(text), length);
	return text;
}

/* Whatever the size, it is the beginning of the text, and nothing behind. */
static void
test_sizes(void **state)
{
	VMEMcache *cache = used_cache();

	(void)state;
	for (int format = 0; format < 3; format++) {
		char *text = text_of(cache, (enum vmemcache_format)format);
		size_t length = strlen(text);
		char *part = malloc(length + 1);
		for (size_t size = 1; size <= length; size += 1 + size / 2) {
			memset(part, 'z', length + 1);
			assert_int_equal(vmemcache_format_statistics(cache,
						 (enum vmemcache_format)format,
						 part, size),
				length);
			assert_memory_equal(part, text, size - 1);
			assert_int_equal(part[size - 1], '\0');
			assert_int_equal(part[size], 'z');
		}
		free(part);
		free(text);
	}
	vmemcache_delete(cache);
}

/* The numbers of all lines end in one column, except for those in percent. */
static void
check_columns(const char *text)
{
	size_t column = 0;

	for (const char *line = strchr(text, '\n') + 1; *line;
		line = strchr(line, '\n') + 1) {
		size_t length = strcspn(line, "\n");

		if (line[length - 1] == '%')
			length -= 2;
		if (column == 0)
			column = length;
		assert_int_equal(length, column);
	}
	assert_true(column > 0);
}

/* What is divided by nothing is left out. */
static void
test_text_of_unused(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	char *text = text_of(cache, VMEMCACHE_FORMAT_TEXT);
	assert_null(strstr(text, "hits of gets"));
	assert_non_null(strstr(text, "blocks of pool"));
	check_columns(text);
	free(text);
	vmemcache_delete(cache);
}

static void
test_text(void **state)
{
	VMEMcache *cache = used_cache();

	(void)state;
	assert_int_equal(vmemcache_set_name(cache, "sessions"), 0);
	char *text = text_of(cache, VMEMCACHE_FORMAT_TEXT);
	assert_non_null(strstr(text, "sessions\n"));
	assert_non_null(strstr(text, " 50.00 %\n"));
	assert_non_null(strstr(text, "exists"));
	assert_null(strstr(text, "if_version")); /* never happened */
	for (char *line = text; *line; line = strchr(line, '\n') + 1)
		assert_true(strcspn(line, "\n") < 80);
	check_columns(text);
	free(text);
	vmemcache_delete(cache);
}

/* --- JSON, RFC 8259: of strings and numbers what the cache may write --- */

static bool json_value(const char **at);

static bool
json_string(const char **at)
{
	if (*(*at)++ != '"')
		return false;
	for (; **at != '"'; (*at)++) {
		if (**at == '\\' && *++*at != '"' && **at != '\\')
			return false;
		if (**at < ' ')
			return false;
	}
	(*at)++;
	return true;
}

static bool
json_object(const char **at)
{
	do {
		(*at)++;
		if (!json_string(at) || *(*at)++ != ':' || !json_value(at))
			return false;
	} while (**at == ',');
	return *(*at)++ == '}';
}

static bool
json_value(const char **at)
{
	if (**at == '{')
		return json_object(at);
	if (**at == '"')
		return json_string(at);
	const char *digits = *at;
	while (isdigit((unsigned char)**at))
		(*at)++;
	return *at > digits && (*digits != '0' || *at == digits + 1);
}

static void
test_json(void **state)
{
	VMEMcache *cache = used_cache();

	(void)state;
	assert_int_equal(vmemcache_set_name(cache, "\\a \"b\""), 0);
	char *text = text_of(cache, VMEMCACHE_FORMAT_JSON);
	const char *at = text;
	assert_true(json_value(&at));
	assert_string_equal(at, "\n");
	assert_non_null(strstr(text, "\"name\":\"\\\\a \\\"b\\\"\""));
	assert_non_null(strstr(text, "\"hits\":1,"));
	assert_non_null(strstr(text, "\"add\":{\"inserted\":8,"));
	assert_non_null(strstr(text, "\"evicted\":2,"));
	free(text);
	vmemcache_delete(cache);
}

/* --- the text format of Prometheus: comments, and samples with labels --- */

static bool
prometheus_word(const char **at)
{
	const char *start = *at;

	if (!isalpha((unsigned char)**at) && **at != '_')
		return false;
	while (isalnum((unsigned char)**at) || **at == '_')
		(*at)++;
	return *at > start;
}

static bool
prometheus_labels(const char **at)
{
	do {
		(*at)++;
		if (!prometheus_word(at) || *(*at)++ != '=' ||
			!json_string(at)) /* quoted in the same way */
			return false;
	} while (**at == ',');
	return *(*at)++ == '}';
}

/* A line after the type of a metric tells of that metric. */
static void
test_prometheus(void **state)
{
	VMEMcache *cache = used_cache();
	char metric[64] = "", word[64];
	unsigned samples = 0;

	(void)state;
	assert_int_equal(vmemcache_set_name(cache, "\\a \"b\""), 0);
	char *text = text_of(cache, VMEMCACHE_FORMAT_PROMETHEUS);
	for (const char *at = text; *at; at++) {
		int end = 0;
		if (sscanf(at, "# HELP %63s %*[^\n]%n", word, &end) == 1 &&
			end > 0) {
			assert_string_not_equal(word, metric);
			strcpy(metric, word);
			at += end;
			assert_int_equal(*at++, '\n');
			char type[16];
			assert_int_equal(sscanf(at, "# TYPE %63s %15s%n", word,
						 type, &end),
				2);
			assert_string_equal(word, metric);
			bool total = strstr(word, "_total") != NULL;
			assert_string_equal(type, total ? "counter" : "gauge");
			at += end;
		} else {
			const char *start = at;
			assert_true(prometheus_word(&at));
			assert_int_equal(at - start, strlen(metric));
			assert_memory_equal(start, metric, strlen(metric));
			assert_true(prometheus_labels(&at));
			assert_int_equal(*at++, ' ');
			assert_true(isdigit((unsigned char)*at));
			at += strspn(at, "0123456789");
			samples++;
		}
		assert_int_equal(*at, '\n');
	}
	assert_true(samples > VMEMCACHE_MODES * VMEMCACHE_OUTCOMES);
	assert_non_null(strstr(text, "\nvmemcache_stores_total{cache=\"\\\\a "
				     "\\\"b\\\"\",mode=\"add\",outcome="
				     "\"inserted\"} 8\n"));
	free(text);
	vmemcache_delete(cache);
}

/* --- beside other calls --- */

struct churn {
	VMEMcache *cache;
	_Atomic bool stop;
};

static void *
churn(void *arg)
{
	struct churn *c = arg;

	for (uint64_t n = 0; !vmc_load_relaxed(&c->stop); n++) {
		fixture_put(c->cache, n % 64, 1, 100 * (n % 64));
		fixture_evict(c->cache, n * 7 % 64);
		fixture_has(c->cache, n % 64, 1, 100);
	}
	return NULL;
}

/* No part is more than its whole, nothing below 0, counters only grow. */
static void
test_beside_other_calls(void **state)
{
	const uint64_t many = 1u << 30;
	struct churn c = {
		.cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU)};
	struct vmemcache_statistics s, last = {0};
	pthread_t threads[2];

	(void)state;
	for (unsigned i = 0; i < 2; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, churn, &c), 0);
	for (uint64_t n = testing_operations(200); n > 0; n--) {
		s = snapshot(c.cache);
		/* of what came while the figures were read none may have gone
		 */
		assert_in_range(s.items, 0, many);
		assert_in_range(s.value_bytes, 0, many);
		assert_in_range(s.pieces, 0, many);
		assert_in_range(s.metadata_bytes, 0, many);
		assert_in_range(s.block_bytes, 0, s.pool_bytes);
		assert_true(s.gets >= last.gets && s.hits >= last.hits);
		for (unsigned i = 0; i < VMEMCACHE_REASONS; i++)
			assert_true(s.removals[i] >= last.removals[i] &&
				    s.removals[i] < UINT64_MAX / 2);
		assert_true(s.stores[1][0] >= last.stores[1][0]);
		last = s;
	}
	vmc_store_relaxed(&c.stop, true);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	vmemcache_delete(c.cache);
}

int
main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_figures),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_bad_arguments),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_text_of_unused),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_prometheus),
		cmocka_unit_test(test_beside_other_calls),
	};

	(void)argv;
	if (argc > 1) {
		VMEMcache *cache = used_cache();
		char *text = text_of(cache, VMEMCACHE_FORMAT_PROMETHEUS);
		fputs(text, stdout);
		free(text);
		vmemcache_delete(cache);
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
