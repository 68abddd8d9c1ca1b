/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memkind_nodes.c -- node lists, and the choice of nodes on a machine
 * that is made of files, the numbers of whose nodes have a gap
 */
#include "testing.h"

#include "machine.h"
#include "memkind.h"
#include "memkind/topology/nodes.h"

#include <errno.h>
#include <unistd.h>

static char root[] = "/tmp/vmc-nodes-XXXXXX";

static int
make_machine(void **state)
{
	(void)state;
	assert_non_null(mkdtemp(root));
	machine_two_sockets(root);
	machine_file("kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "3");
	machine_file("kernel/mm/hugepages/hugepages-2048kB/"
		     "nr_overcommit_hugepages",
		"4");
	return 0;
}

static int
remove_machine(void **state)
{
	(void)state;
	return machine_remove(root);
}

static void
check_list(const char *text, int err, const char *expected)
{
	struct vmc_node_set known = {{0}}, set;
	char got[64] = "";

	for (unsigned i = 0; i < 6; i++) {
		if (i != 4)
			vmc_node_add(&known, i);
	}
	assert_int_equal(vmc_node_parse(text, &known, &set), err);
	for (unsigned i = 0; !err && i < 8; i++) {
		if (vmc_node_has(&set, i))
			snprintf(got + strlen(got), 8, "%u ", i);
	}
	if (!err)
		assert_string_equal(got, expected);
}

static void
test_lists(void **state)
{
	static const char *const malformed[] = {"x", "4", "6", "0-6", "1-",
		"-1", "1,", ",1", "1 2", "3-1", "allx", "0x", "0x4", "+5", "08",
		"99999999999999999999999", "1024", "--", "!", "1,,2", "+",
		"all,1", "+-1"};

	(void)state;
	check_list("0", 0, "0 ");
	check_list("1-3,5", 0, "1 2 3 5 ");
	check_list("all", 0, "0 1 2 3 5 ");
	check_list("!1-3", 0, "0 5 ");
	check_list("+4", 0, "5 ");
	check_list("+0-1", 0, "0 1 ");
	check_list("0x1", 0, "1 ");
	check_list("0x0-0X2,05", 0, "0 1 2 5 ");
	check_list(" 1, 2", 0, "1 2 ");
	check_list("+4,0", 0, "0 5 ");
	check_list("!+4", 0, "0 1 2 3 ");
	/* none, which is no mistake */
	check_list("", 0, "");
	check_list("!all", 0, "");
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++)
		check_list(malformed[i], -EINVAL, NULL);
}

static void
expect(const struct vmc_node_rules *rules, enum vmc_nodes nodes, bool closest,
	unsigned from, int code, const char *expected)
{
	struct vmc_node_set set;
	char got[64] = "";

	assert_int_equal(
		vmc_nodes_select(rules, nodes, closest, from, &set), code);
	for (unsigned i = 0; !code && i < 8; i++) {
		if (vmc_node_has(&set, i))
			snprintf(got + strlen(got), 8, "%u ", i);
	}
	if (!code)
		assert_string_equal(got, expected);
}

static void
test_choice(void **state)
{
	struct vmc_node_rules rules;

	(void)state;
	setenv("MEMKIND_DAX_KMEM_NODES", "5", 1);
	assert_int_equal(vmc_nodes_read(&rules, root), 0);
	assert_int_equal(rules.topology.huge_2m, 7);
	assert_int_equal(rules.topology.nodes[5].capacity, UINT64_C(16) << 30);
	expect(&rules, VMC_NODES_PROCESSORS, false, 0, 0, "0 1 ");
	expect(&rules, VMC_NODES_ALL, false, 0, 0, "0 1 2 3 5 ");
	expect(&rules, VMC_NODES_HIGH_BANDWIDTH, false, 0, 0, "2 3 ");
	expect(&rules, VMC_NODES_HIGH_BANDWIDTH, true, 0, 0, "2 ");
	expect(&rules, VMC_NODES_HIGH_BANDWIDTH, true, 1, 0, "3 ");
	expect(&rules, VMC_NODES_KMEM, true, 1, 0, "5 ");
	expect(&rules, VMC_NODES_CAPACITY, false, 1, 0, "5 ");
	expect(&rules, VMC_NODES_LOCAL_CAPACITY, false, 0, 0, "5 ");
	expect(&rules, VMC_NODES_LOCAL_CAPACITY, false, 1, 0, "1 ");
	expect(&rules, VMC_NODES_LOCAL_LATENCY, false, 0, 0, "0 ");
	expect(&rules, VMC_NODES_LOCAL_LATENCY, false, 1, 0, "1 ");
	expect(&rules, VMC_NODES_LOCAL_BANDWIDTH, false, 0, 0, "2 ");
	expect(&rules, VMC_NODES_LOCAL_BANDWIDTH, false, 1, 0, "3 ");
	vmc_topology_free(&rules.topology);
	unsetenv("MEMKIND_DAX_KMEM_NODES");
}

static void
check_environment(
	const char *name, const char *value, int code, const char *expected)
{
	struct vmc_node_rules rules;

	setenv(name, value, 1);
	assert_int_equal(vmc_nodes_read(&rules, root), 0);
	expect(&rules, VMC_NODES_HIGH_BANDWIDTH, false, 0, code, expected);
	vmc_topology_free(&rules.topology);
	unsetenv(name);
}

static void
test_environment(void **state)
{
	(void)state;
	check_environment("MEMKIND_HBW_NODES", "1", 0, "1 ");
	check_environment("MEMKIND_HBW_NODES", "4", MEMKIND_ERROR_ENVIRON, "");
	check_environment("MEMKIND_HBW_NODES", "0x0", 0, "0 ");
	check_environment(
		"MEMKIND_HBW_NODES", "!1-5", MEMKIND_ERROR_ENVIRON, "");
	check_environment("MEMKIND_HBW_NODES", "!0", 0, "1 2 3 5 ");
	check_environment("MEMKIND_HBW_NODES", "",
		MEMKIND_ERROR_MEMTYPE_NOT_AVAILABLE, "");
	check_environment("MEMKIND_HBW_THRESHOLD", "", 0, "2 3 ");
	check_environment("MEMKIND_HBW_THRESHOLD", "100000", 0, "0 1 2 3 ");
	check_environment("MEMKIND_HBW_THRESHOLD", "1000000",
		MEMKIND_ERROR_MEMTYPE_NOT_AVAILABLE, "");
	check_environment(
		"MEMKIND_HBW_THRESHOLD", "fast", MEMKIND_ERROR_ENVIRON, "");
}

/* Only some nodes are for this process, and one has none. */
static void
test_nodes_without_memory(void **state)
{
	struct vmc_node_rules rules;
	char path[64];

	(void)state;
	machine_file("../proc/self/status",
		"Name:\tx\nMems_allowed_list:\t0,2-3,5-63");
	assert_int_equal(vmc_nodes_read(&rules, root), 0);
	expect(&rules, VMC_NODES_ALL, false, 0, 0, "0 2 3 5 ");
	expect(&rules, VMC_NODES_PROCESSORS, false, 1, 0, "0 ");
	expect(&rules, VMC_NODES_CAPACITY, false, 0, 0, "5 ");
	/* node 1 has not even memory of its own: node 3 is what is local */
	expect(&rules, VMC_NODES_LOCAL_CAPACITY, false, 1, 0, "3 ");
	vmc_topology_free(&rules.topology);
	machine_file("../proc/self/status", "Mems_allowed_list:\t0,5");
	assert_int_equal(vmc_nodes_read(&rules, root), 0);
	/* and here nothing is: the closest */
	expect(&rules, VMC_NODES_LOCAL_CAPACITY, false, 1, 0, "0 ");
	vmc_topology_free(&rules.topology);
	machine_file("../proc/self/status", "Mems_allowed_list:\t0,2-3,5");
	check_environment("MEMKIND_HBW_NODES", "1", MEMKIND_ERROR_ENVIRON, "");
	machine_file("devices/system/node/node5/meminfo",
		"Node 5 MemTotal:       0 kB");
	assert_int_equal(vmc_nodes_read(&rules, root), 0);
	expect(&rules, VMC_NODES_ALL, false, 0, 0, "0 2 3 ");
	expect(&rules, VMC_NODES_CAPACITY, false, 0, 0, "0 ");
	vmc_topology_free(&rules.topology);
	/* none of those with processors */
	machine_file("../proc/self/status", "Mems_allowed_list:\t2-3");
	assert_int_equal(vmc_nodes_read(&rules, root), 0);
	expect(&rules, VMC_NODES_PROCESSORS, false, 0,
		MEMKIND_ERROR_UNAVAILABLE, "");
	expect(&rules, VMC_NODES_LOCAL_CAPACITY, false, 0, 0, "2 ");
	vmc_topology_free(&rules.topology);
	/* what cannot be understood changes nothing */
	machine_file("../proc/self/status", "Mems_allowed_list:\tx");
	assert_int_equal(vmc_nodes_read(&rules, root), 0);
	expect(&rules, VMC_NODES_ALL, false, 0, 0, "0 1 2 3 ");
	vmc_topology_free(&rules.topology);
	snprintf(path, sizeof(path), "%s/proc/self/status", root);
	remove(path);
}

/* No attributes, no distances, no NUMA. */
static void
test_poor_machines(void **state)
{
	struct vmc_node_rules rules;

	(void)state;
	assert_int_equal(vmc_nodes_read(&rules, "/nonexistent"), 0);
	assert_int_equal(rules.topology.end, 1);
	expect(&rules, VMC_NODES_ALL, false, 0, 0, "0 ");
	expect(&rules, VMC_NODES_PROCESSORS, true, 0, 0, "0 ");
	expect(&rules, VMC_NODES_LOCAL_CAPACITY, false, 0, 0, "0 ");
	expect(&rules, VMC_NODES_LOCAL_LATENCY, false, 0,
		MEMKIND_ERROR_MEMTYPE_NOT_AVAILABLE, "");
	expect(&rules, VMC_NODES_HIGH_BANDWIDTH, false, 0,
		MEMKIND_ERROR_MEMTYPE_NOT_AVAILABLE, "");
	vmc_topology_free(&rules.topology);
}

static void
test_placement(void **state)
{
	const struct vmc_node_rules *rules = vmc_nodes_here();
	struct vmc_node_set none = {{0}};
	char *region = aligned_alloc(4096, 1 << 20);

	(void)state;
	assert_non_null(rules);
	memset(region, 1, 1 << 20);
	assert_int_equal(
		vmc_nodes_verify(region, 1 << 20, &rules->topology.memory), 0);
	assert_int_equal(vmc_nodes_verify(region, 1 << 20, &none), -ENOENT);
	free(region);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_nodes_without_memory),
		cmocka_unit_test(test_poor_machines),
		cmocka_unit_test(test_placement),
	};

	return cmocka_run_group_tests(tests, make_machine, remove_machine);
}
