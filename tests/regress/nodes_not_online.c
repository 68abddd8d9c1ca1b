/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * nodes_not_online.c -- /sys names nodes with memory that it does not call
 * online, or calls none online: the tables of nodes were shorter than the sets
 *
 * Found by fuzzing, and with it: a variable that makes no sense left the part
 * of its list that did.
 */
#include "testing.h"

#include "machine.h"
#include "memkind.h"
#include "memkind/topology/nodes.h"

#include <unistd.h>

static char root[] = "/tmp/vmc-nodes-XXXXXX";

/* Which nodes are online is up to each test. */
static int
make_machine(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(root));
	machine_start(root, "0-1,700", "0-2");
	return machine_node(0, "10 20", 1, 0, 0, 0) &&
			       machine_node(1, "20 10", 1, 0, 0, 0)
		       ? 0
		       : -1;
}

static int
remove_machine(void **state)
{
	(void)state;
	return machine_remove(root);
}

static void
put_online(const char *nodes)
{
	assert_true(machine_file("devices/system/node/online", nodes));
}

static void
only_online_nodes_count(void **state)
{
	struct vmc_topology t;

	(void)state;
	put_online("0-1");
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
	put_online("no nodes");
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
	put_online("0-1");
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
