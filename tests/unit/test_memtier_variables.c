/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memtier_variables.c -- what MEMKIND_MEM_TIERS and MEMKIND_MEM_THRESHOLDS
 * mean, and what is told of those that mean nothing
 */
#include "testing.h"

#include "memtier/variables.h"

static struct vmc_tiers tiers;
static char message[400];

static bool
parse(const char *text, const char *thresholds)
{
	message[0] = '\0';
	return vmc_tiers_parse(
		&tiers, text, thresholds, message, sizeof(message));
}

static void
test_all_of_it(void **state)
{
	(void)state;
	assert_true(parse("KIND:DRAM,RATIO:1.9;RATIO:0x10,KIND:KMEM_DAX;"
			  "PATH:/a:b,KIND:FS_DAX,PMEM_SIZE_LIMIT:3G,RATIO:7,;"
			  "POLICY:DYNAMIC_THRESHOLD",
		"INIT_VAL:2K,MIN_VAL:1,MAX_VAL:3M;MAX_VAL:4G"));
	assert_int_equal(tiers.policy, MEMTIER_POLICY_DYNAMIC_THRESHOLD);
	assert_int_equal(tiers.count, 3);
	assert_int_equal(tiers.tiers[0].type, VMC_TIER_DRAM);
	assert_int_equal(tiers.tiers[0].ratio, 1);
	assert_int_equal(tiers.tiers[1].type, VMC_TIER_KMEM);
	assert_int_equal(tiers.tiers[1].ratio, 16);
	assert_int_equal(tiers.tiers[2].type, VMC_TIER_FILE);
	assert_int_equal(tiers.tiers[2].ratio, 7);
	assert_int_equal(tiers.tiers[2].limit, (size_t)3 << 30);
	assert_string_equal(tiers.tiers[2].path, "/a:b");
	assert_int_equal(tiers.thresholds, 2);
	assert_int_equal(tiers.between[0].val, 2048);
	assert_int_equal(tiers.between[0].min, 1);
	assert_int_equal(tiers.between[0].max, 3 << 20);
	assert_false(tiers.between[1].has_val);
	assert_false(tiers.between[1].has_min);
	assert_int_equal(tiers.between[1].max, (size_t)4 << 30);
}

/* More of the same is in tests/package/memkind, beside memkind 1.14. */
static void
test_mistakes(void **state)
{
	static const char two[] = "KIND:DRAM,RATIO:1;KIND:KMEM_DAX,RATIO:1;"
				  "POLICY:DYNAMIC_THRESHOLD";
	static const struct {
		const char *text, *thresholds, *message;
	} mistakes[] = {
		{NULL, NULL, "MEMKIND_MEM_TIERS: it is not set"},
		{"KIND:DRAM,RATIO:0;POLICY:STATIC_RATIO", NULL,
			"MEMKIND_MEM_TIERS: RATIO:0 is not a number from 1 to "
			"4294967295"},
		{"KIND:DRAM,RATIO:1,RATIO:1;POLICY:STATIC_RATIO", NULL,
			"MEMKIND_MEM_TIERS: RATIO is given twice in "
			"\"KIND:DRAM,RATIO:1,RATIO:1\""},
		{"KIND:DRAM,RATIO:1;", NULL,
			"MEMKIND_MEM_TIERS: it does not end with POLICY:..."},
		{two, "INIT_VAL:1T",
			"MEMKIND_MEM_THRESHOLDS: 1T is not a size: digits, and "
			"K, M or G if need be"},
		{two, "INIT_VAL:1;INIT_VAL:1",
			"MEMKIND_MEM_THRESHOLDS: more thresholds than between "
			"2 tiers"},
	};
	char text[40 * (VMC_TIERS_MOST + 1)] = "", path[PATH_MAX + 100];

	(void)state;
	for (size_t i = 0; i < sizeof(mistakes) / sizeof(mistakes[0]); i++) {
		assert_false(parse(mistakes[i].text, mistakes[i].thresholds));
		assert_string_equal(message, mistakes[i].message);
	}
	for (unsigned i = 0; i <= VMC_TIERS_MOST; i++)
		strcat(text, "KIND:FS_DAX,PATH:/,RATIO:1;");
	strcat(text, "POLICY:STATIC_RATIO");
	assert_false(parse(text, NULL));
	assert_string_equal(message, "MEMKIND_MEM_TIERS: more than 16 tiers");
	memset(path, 'x', sizeof(path));
	memcpy(path, "KIND:FS_DAX,PATH:", 17);
	strcpy(path + PATH_MAX + 17, ",RATIO:1;POLICY:STATIC_RATIO");
	assert_false(parse(path, NULL));
	assert_non_null(strstr(message, "is too long"));
	/* a message that is too long for its room is cut */
	assert_false(vmc_tiers_parse(&tiers, path, NULL, message, 30));
	assert_int_equal(strlen(message), 29);
	assert_false(vmc_tiers_parse(&tiers, path, NULL, message, 5));
}

static bool
make(const char *text, const char *thresholds)
{
	memkind_t kinds[VMC_TIERS_MOST];
	struct memtier_memory *memory;
	void *ptr;

	assert_true(parse(text, thresholds));
	if (!vmc_tiers_make(&tiers, kinds, &memory, message, sizeof(message))) {
		assert_null(memory);
		return false;
	}
	ptr = memtier_malloc(memory, 100);
	assert_non_null(ptr);
	memtier_free(ptr);
	memtier_delete_memtier_memory(memory);
	for (unsigned i = 0; i < tiers.count; i++)
		memkind_destroy_kind(kinds[i]);
	return true;
}

static void
test_make(void **state)
{
	static const char files[] =
		"KIND:FS_DAX,PATH:/tmp,RATIO:1;KIND:FS_DAX,PATH:/tmp,"
		"PMEM_SIZE_LIMIT:16M,RATIO:1;POLICY:DYNAMIC_THRESHOLD";

	(void)state;
	assert_true(make("KIND:DRAM,RATIO:1;POLICY:STATIC_RATIO", NULL));
	assert_true(make(files, NULL));
	assert_true(make(files, "INIT_VAL:512,MIN_VAL:100,MAX_VAL:600"));
	assert_false(make(files, "INIT_VAL:512,MIN_VAL:600"));
	assert_non_null(strstr(message, "MEMKIND_MEM_THRESHOLDS: "));
	assert_false(make("KIND:DRAM,RATIO:1;KIND:FS_DAX,PATH:/tmp,RATIO:1;"
			  "KIND:FS_DAX,PATH:/nonexistent,RATIO:1;"
			  "POLICY:STATIC_RATIO",
		NULL));
	assert_non_null(strstr(message, "No such file or directory"));
	assert_false(make("KIND:FS_DAX,PATH:/tmp,PMEM_SIZE_LIMIT:15M,RATIO:1;"
			  "POLICY:STATIC_RATIO",
		NULL));
	assert_non_null(strstr(message, "less than 16M"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_of_it),
		cmocka_unit_test(test_mistakes),
		cmocka_unit_test(test_make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
