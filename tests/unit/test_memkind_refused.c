/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memkind_refused.c -- kinds where the system refuses to place memory
 *
 * As a container does that may not call mbind(2), on this machine as one node,
 * or on one made of files; and where cpusets keep the process from nodes. Nodes
 * are read once, so each is a child process; its own calls fail, and find the
 * files below a directory of the test's.
 */
#include "testing.h"

#include "base/os.h"
#include "fault.h"
#include "hbwmalloc.h"
#include "machine.h"
#include "memkind.h"
#include "memkind/kinds.h"
#include "memkind/malloc.h"
#include "process.h"

#include <errno.h>
#include <limits.h>
#include <sys/wait.h>
#include <unistd.h>

static char root[] = "/tmp/vmc-refused-XXXXXX";
static char files[sizeof(root) + 1]; /* with a slash */

static int
make_root(void **state)
{
	(void)state;
	if (!mkdtemp(root))
		return -1;
	snprintf(files, sizeof(files), "%s/", root);
	return 0;
}

static int
remove_root(void **state)
{
	(void)state;
	return machine_remove(root);
}

/* A failure is a line, and the exit code. */
static int wrong;

#define EXPECT(truth)                                                          \
	((truth) ? (void)0                                                     \
		 : (printf("%s:%d: %s\n", __FILE__, __LINE__, #truth),         \
			   fflush(stdout), (void)wrong++))

static void
in_child(void (*check)(void))
{
	int status;

	/* all of memory is mapped: searched for leaks word by word */
	if (RUNNING_ON_VALGRIND)
		skip();
	pid_t child = fork();
	if (child == 0) {
		fault_arm("mbind", 0, LONG_MAX, EPERM);
		check();
		_exit(wrong != 0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static bool
works(memkind_t kind)
{
	void *ptr = vmc_memkind_malloc(kind, 100);

	if (ptr)
		memset(ptr, 1, 100);
	vmc_memkind_free(kind, ptr);
	return ptr;
}

/* The only node: whoever binds to it binds to nothing. */
static void
one_node(void)
{
	memkind_t kinds[] = {MEMKIND_REGULAR, MEMKIND_INTERLEAVE,
		MEMKIND_HIGHEST_CAPACITY, MEMKIND_HIGHEST_CAPACITY_LOCAL,
		MEMKIND_HIGHEST_CAPACITY_PREFERRED, MEMKIND_HBW,
		MEMKIND_HBW_ALL, MEMKIND_HBW_PREFERRED, MEMKIND_HBW_INTERLEAVE,
		MEMKIND_DAX_KMEM, MEMKIND_DAX_KMEM_PREFERRED};

	setenv("MEMKIND_HBW_NODES", "0", 1);
	setenv("MEMKIND_DAX_KMEM_NODES", "0", 1);
	machine_start(root, "0", "0");
	machine_node(0, "10", 1, 0, 0, 0);
	fault_redirect("/", files);
	EXPECT(hbw_check_available() == 0);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		EXPECT(memkind_check_available(kinds[i]) == 0);
		EXPECT(works(kinds[i]));
	}
}

static void
test_one_node(void **state)
{
	(void)state;
	in_child(one_node);
}

/* What cannot be had is said, and costs no mapping each time it is tried. */
static void
expect_refused(memkind_t kind)
{
	EXPECT(memkind_check_available(kind) == MEMKIND_ERROR_MBIND);
	EXPECT(!works(kind));
	fault_arm("mmap", 0, LONG_MAX, ENOMEM);
	errno = 0;
	EXPECT(!works(kind) && errno == ENOMEM);
	EXPECT(fault_disarm() == 0);
}

static void
several_nodes(void)
{
	memkind_t preferring[] = {MEMKIND_INTERLEAVE, MEMKIND_HBW_PREFERRED,
		MEMKIND_HBW_INTERLEAVE, MEMKIND_HIGHEST_CAPACITY_PREFERRED};
	memkind_t binding[] = {MEMKIND_REGULAR, MEMKIND_HBW, MEMKIND_HBW_ALL,
		MEMKIND_HIGHEST_CAPACITY, MEMKIND_HIGHEST_CAPACITY_LOCAL};
	memkind_t kind;

	machine_two_sockets(root);
	fault_redirect("/", files);
	for (size_t i = 0; i < sizeof(preferring) / sizeof(*preferring); i++) {
		EXPECT(memkind_check_available(preferring[i]) == 0);
		EXPECT(works(preferring[i]));
	}
	for (size_t i = 0; i < sizeof(binding) / sizeof(*binding); i++)
		EXPECT(memkind_check_available(binding[i]) ==
			MEMKIND_ERROR_MBIND);
	EXPECT(hbw_check_available() == ENODEV);
	EXPECT(memkind_create_kind(MEMKIND_MEMTYPE_HIGH_BANDWIDTH,
		       MEMKIND_POLICY_BIND_ALL, (memkind_bits_t)0,
		       &kind) == MEMKIND_ERROR_MEMTYPE_NOT_AVAILABLE);
	EXPECT(memkind_create_kind(MEMKIND_MEMTYPE_HIGH_BANDWIDTH,
		       MEMKIND_POLICY_PREFERRED_LOCAL, (memkind_bits_t)0,
		       &kind) == 0 &&
		kind == MEMKIND_HBW_PREFERRED);
	fault_disarm();
	for (size_t i = 0; i < sizeof(binding) / sizeof(*binding); i++)
		expect_refused(binding[i]);
}

static void
test_several_nodes(void **state)
{
	(void)state;
	in_child(several_nodes);
}

/* Nodes 1 to 5 are not for this process: what prefers has what there is. */
static void
one_allowed(void)
{
	memkind_t kinds[] = {MEMKIND_REGULAR, MEMKIND_INTERLEAVE,
		MEMKIND_HIGHEST_CAPACITY, MEMKIND_HIGHEST_CAPACITY_PREFERRED,
		MEMKIND_HIGHEST_CAPACITY_LOCAL};

	fault_disarm();
	machine_two_sockets(root);
	machine_file("../proc/self/status", "Mems_allowed_list:\t0");
	fault_redirect("/", files);
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		EXPECT(memkind_check_available(kinds[i]) == 0);
		EXPECT(works(kinds[i]));
		EXPECT(memkind_get_capacity(kinds[i]) < (ssize_t)5 << 30);
	}
	EXPECT(memkind_check_available(MEMKIND_HBW) ==
		MEMKIND_ERROR_MEMTYPE_NOT_AVAILABLE);
	EXPECT(hbw_check_available() == ENODEV);
	void *ptr = hbw_malloc(100); /* which prefers */
	EXPECT(ptr && memkind_detect_kind(ptr) == MEMKIND_DEFAULT);
	hbw_free(ptr);
}

static void
test_one_allowed(void **state)
{
	(void)state;
	in_child(one_allowed);
}

/* Nobody says how much the only node has. */
static void
without_capacity(void)
{
	char path[64];

	fault_disarm();
	machine_start(root, "0", "0");
	snprintf(path, sizeof(path), "%s/sys/devices/system/node/node0/meminfo",
		root);
	remove(path);
	fault_redirect("/", files);
	EXPECT(memkind_check_available(MEMKIND_REGULAR) == 0);
	EXPECT(memkind_get_capacity(MEMKIND_REGULAR) > 0);
	EXPECT(works(MEMKIND_REGULAR));
}

static void
test_without_capacity(void **state)
{
	(void)state;
	in_child(without_capacity);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_node),
		cmocka_unit_test(test_several_nodes),
		cmocka_unit_test(test_one_allowed),
		cmocka_unit_test(test_without_capacity),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
