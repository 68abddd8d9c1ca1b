/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nodes_not_online.c -- /sys names nodes with memory that it does not call
 * online, or calls none online: the tables of nodes were shorter than the sets
 *
 * Found by fuzzing, and with it: a variable that makes no sense left the part
 * of its list that did.
 */
#include "testing.h"

#include "memkind.h"
#include "memkind/nodes.h"

#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[] = "/tmp/vmc-nodes-XXXXXX";

static void
put(const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/sys/devices/system/node/%s", root,
		name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(text, file);
	fclose(file);
}

static int
make_machine(void **state)
{
	static const char *const dirs[] = {"/sys", "/sys/devices",
		"/sys/devices/system", "/sys/devices/system/node"};
	char path[256];

	(void)state;
	assert_non_null(mkdtemp(root));
	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		snprintf(path, sizeof(path), "%s%s", root, dirs[i]);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	put("has_memory", "0-1,700\n");
	put("has_cpu", "0-2\n");
	return 0;
}

static int
remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

static int
remove_machine(void **state)
{
	(void)state;
	return nftw(root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void
only_online_nodes_count(void **state)
{
	struct vmc_topology t;

	(void)state;
	put("online", "0-1\n");
	assert_int_equal(vmc_topology_read(&t, root), 0);
	assert_int_equal(t.end, 2);
	assert_int_equal(vmc_node_count(&t.memory), 2);
	assert_int_equal(vmc_node_count(&t.processors), 2);
	vmc_topology_free(&t);
}

static void
none_online_is_one_node(void **state)
{
	struct vmc_topology t;

	(void)state;
	put("online", "no nodes\n");
	assert_int_equal(vmc_topology_read(&t, root), 0);
	assert_int_equal(t.end, 1);
	assert_true(vmc_node_has(&t.memory, 0));
	assert_int_equal(vmc_node_count(&t.memory), 1);
	assert_int_equal(vmc_node_count(&t.processors), 1);
	assert_true(t.nodes[0].capacity > 0);
	vmc_topology_free(&t);
}

static void
wrong_variable_names_no_node(void **state)
{
	struct vmc_node_rules rules;

	(void)state;
	put("online", "0-1\n");
	setenv("MEMKIND_HBW_NODES", "0,x", 1);
	setenv("MEMKIND_DAX_KMEM_NODES", "1,5", 1);
	assert_int_equal(vmc_nodes_read(&rules, root), 0);
	assert_int_equal(rules.high_bandwidth_error, MEMKIND_ERROR_ENVIRON);
	assert_int_equal(vmc_node_count(&rules.high_bandwidth), 0);
	assert_int_equal(rules.kmem_error, MEMKIND_ERROR_ENVIRON);
	assert_int_equal(vmc_node_count(&rules.kmem), 0);
	vmc_topology_free(&rules.topology);
	unsetenv("MEMKIND_HBW_NODES");
	unsetenv("MEMKIND_DAX_KMEM_NODES");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_online_nodes_count),
		cmocka_unit_test(none_online_is_one_node),
		cmocka_unit_test(wrong_variable_names_no_node),
	};

	return cmocka_run_group_tests(tests, make_machine, remove_machine);
}
