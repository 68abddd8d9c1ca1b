/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * servers.c -- kinds on large servers: the addresses that they take, and leave
 *
 * Each server is a child process with a /sys of its own (machine.h), and more
 * processors than there are, each thread on one of another node. Memory is not
 * placed, as its node is not there. A kind took as many addresses as the server
 * has memory, for each processor: some kinds got none, and then the program.
 */
#include "testing.h"

#include "base/os.h"
#include "machine.h"
#include "memkind.h"
#include "memkind/malloc.h"
#include "memkind/space/space.h"
#include "process.h"

#include <numaif.h>
#include <pthread.h>
#include <sys/mman.h>

#define TIB ((size_t)1 << 40)

enum { FILES = 8, THREADS = 24, STATIC_KINDS = 26 };

static memkind_t kinds[STATIC_KINDS + FILES];
static unsigned kind_count;
static unsigned processors, nodes_with_processors;
static _Thread_local unsigned node;

/* What the test program calls in the place of the library's. */
long __wrap_mbind(void *addr, unsigned long length, int mode,
	const unsigned long *nodes, unsigned long most, unsigned flags);
unsigned __wrap_vmc_os_processor_count(void);
unsigned __wrap_vmc_os_current_node(void);

long
__wrap_mbind(void *addr, unsigned long length, int mode,
	const unsigned long *nodes, unsigned long most, unsigned flags)
{
	(void)addr, (void)length, (void)mode;
	(void)nodes, (void)most, (void)flags;
	return 0;
}

unsigned
__wrap_vmc_os_processor_count(void)
{
	return processors;
}

unsigned
__wrap_vmc_os_current_node(void)
{
	return node;
}

static pthread_barrier_t barrier;

/* An object of each kind, small or large, and all at once. */
static void *
use_all(void *arg)
{
	unsigned number = *(unsigned *)arg;
	void *objects[STATIC_KINDS + FILES];

	node = number % nodes_with_processors;
	for (unsigned i = 0; i < kind_count; i++) {
		objects[i] =
			vmc_memkind_malloc(kinds[i], number % 2 ? 100 : 100000);
		testing_expect(objects[i] != NULL);
		if (!objects[i])
			printf("thread %u has nothing of kind %u\n", number, i);
	}
	pthread_barrier_wait(&barrier);
	for (unsigned i = 0; i < kind_count; i++)
		vmc_memkind_free(kinds[i], objects[i]);
	return NULL;
}

static int
fill_server(void)
{
	memkind_t all[STATIC_KINDS] = {MEMKIND_DEFAULT, MEMKIND_REGULAR,
		MEMKIND_HUGETLB, MEMKIND_GBTLB, MEMKIND_INTERLEAVE, MEMKIND_HBW,
		MEMKIND_HBW_ALL, MEMKIND_HBW_PREFERRED, MEMKIND_HBW_INTERLEAVE,
		MEMKIND_HBW_HUGETLB, MEMKIND_HBW_ALL_HUGETLB,
		MEMKIND_HBW_PREFERRED_HUGETLB, MEMKIND_HBW_GBTLB,
		MEMKIND_HBW_PREFERRED_GBTLB, MEMKIND_DAX_KMEM,
		MEMKIND_DAX_KMEM_ALL, MEMKIND_DAX_KMEM_PREFERRED,
		MEMKIND_DAX_KMEM_INTERLEAVE, MEMKIND_HIGHEST_CAPACITY,
		MEMKIND_HIGHEST_CAPACITY_PREFERRED,
		MEMKIND_HIGHEST_CAPACITY_LOCAL,
		MEMKIND_HIGHEST_CAPACITY_LOCAL_PREFERRED,
		MEMKIND_LOWEST_LATENCY_LOCAL,
		MEMKIND_LOWEST_LATENCY_LOCAL_PREFERRED,
		MEMKIND_HIGHEST_BANDWIDTH_LOCAL,
		MEMKIND_HIGHEST_BANDWIDTH_LOCAL_PREFERRED};
	const size_t before = process_status_size("VmSize");
	unsigned numbers[THREADS];
	pthread_t threads[THREADS];

	for (int i = 0; i < STATIC_KINDS; i++)
		if (memkind_check_available(all[i]) == 0)
			kinds[kind_count++] = all[i];
	/* all but those of huge pages, of which there are none */
	testing_expect(kind_count == STATIC_KINDS - 7);
	for (int i = 0; i < FILES; i++)
		testing_expect(memkind_create_pmem("/tmp", TIB / 4,
				       &kinds[kind_count++]) == 0);
	pthread_barrier_init(&barrier, NULL, THREADS);
	for (unsigned i = 0; i < THREADS; i++) {
		numbers[i] = i;
		testing_expect(pthread_create(&threads[i], NULL, use_all,
				       &numbers[i]) == 0);
	}
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	size_t taken = process_status_size("VmPeak") - before;
	printf("%u kinds took %zu MiB of addresses\n", kind_count, taken >> 20);
	testing_expect(taken <= VMC_SPACE_BUDGET + TIB / 4);
	testing_expect(mmap(NULL, 16 * TIB, PROT_NONE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			       0) != MAP_FAILED);
	return testing_failures > 0;
}

/* Nodes of which the last but three have processors; two are fast, one slow. */
static int
server(unsigned nodes, unsigned gib)
{
	char list[32], with_processors[32], distances[128];
	size_t at;

	snprintf(list, sizeof(list), "0-%u", nodes - 1);
	snprintf(with_processors, sizeof(with_processors), "0-%u",
		nodes_with_processors - 1);
	if (!machine_start("", list, with_processors))
		return PROCESS_REFUSED;
	for (unsigned i = 0; i < nodes; i++) {
		at = 0;
		for (unsigned j = 0; j < nodes; j++)
			at += (size_t)snprintf(distances + at,
				sizeof(distances) - at, "%u ",
				i == j ? 10 : 20 + (i > j ? i - j : j - i));
		if (!machine_node(i, distances, gib + (i == nodes - 1),
			    i % nodes_with_processors,
			    i < nodes_with_processors ? 100000 : 400000 + i,
			    100 + i))
			return PROCESS_REFUSED;
	}
	return fill_server();
}

static int
eight_nodes(const char *sys)
{
	(void)sys;
	processors = 128;
	nodes_with_processors = 4;
	setenv("MEMKIND_DAX_KMEM_NODES", "7", 1);
	return server(8, 2048);
}

static int
two_nodes(const char *sys)
{
	(void)sys;
	processors = 64;
	nodes_with_processors = 2;
	setenv("MEMKIND_DAX_KMEM_NODES", "1", 1);
	setenv("MEMKIND_HBW_NODES", "1", 1);
	return server(2, 512);
}

static void
on_server(int (*fill)(const char *sys))
{
	int result;

	if (RUNNING_ON_VALGRIND)
		skip();
	result = process_on_file_system("/sys", "tmpfs", "", fill);
	if (result == PROCESS_REFUSED) {
		puts("no file system of one's own may be mounted here");
		skip();
	}
	assert_int_equal(result, 0);
}

static void
test_eight_nodes(void **state)
{
	(void)state;
	on_server(eight_nodes);
}

static void
test_two_nodes(void **state)
{
	(void)state;
	on_server(two_nodes);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_eight_nodes),
		cmocka_unit_test(test_two_nodes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
