/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * kind_limits.c -- kinds in processes with limits on addresses and on data, and
 * with locked memory: what is not in use is not counted, locked or readable
 *
 * Each case is a child with limits of its own. A kind mapped all that it might
 * ever need, readable and writable, so that under the first two limits all
 * kinds but the default one gave nothing, and the third took all memory.
 */
#include "testing.h"

#include "memkind.h"
#include "memkind/malloc.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

enum { OBJECT = 65536, REFUSED = 77 };

static memkind_t *const kinds[] = {&MEMKIND_DEFAULT, &MEMKIND_REGULAR,
	&MEMKIND_INTERLEAVE, &MEMKIND_HBW, &MEMKIND_HBW_ALL,
	&MEMKIND_HBW_PREFERRED, &MEMKIND_DAX_KMEM, &MEMKIND_DAX_KMEM_ALL,
	&MEMKIND_HIGHEST_CAPACITY, &MEMKIND_HIGHEST_CAPACITY_PREFERRED};

static const char *
directory(void)
{
	return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
}

/* A number of KiB from /proc/self/status; 0: it is not there. */
static size_t
status(const char *name)
{
	FILE *file = fopen("/proc/self/status", "re");
	size_t value = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, name, strlen(name)) == 0)
			value = strtoul(line + strlen(name), NULL, 10) * 1024;
	if (file)
		fclose(file);
	return value;
}

static bool
gives(memkind_t kind, size_t bytes)
{
	for (size_t got = 0; got < bytes; got += OBJECT) {
		char *object = vmc_memkind_malloc(kind, OBJECT);
		if (!object)
			return false;
		*object = 1;
	}
	return true;
}

/* Every kind that this machine has, and files of any limit. */
static bool
all_give(size_t bytes)
{
	static const size_t sizes[] = {0, 8192 * MIB, 32 * MIB};
	memkind_t file;

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (memkind_check_available(*kinds[i]) == 0 &&
			!gives(*kinds[i], bytes)) {
			fprintf(stderr, "kind %zu gives less\n", i);
			return false;
		}
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		if (memkind_create_pmem(directory(), sizes[i], &file) != 0 ||
			!gives(file, OBJECT))
			return false;
	return true;
}

static int
few_addresses(void)
{
	struct rlimit limit = {4000 * MIB, 4000 * MIB};

	if (setrlimit(RLIMIT_AS, &limit) != 0)
		return REFUSED;
	return all_give(100 * MIB) ? 0 : 1;
}

static int
little_data(void)
{
	struct rlimit limit = {1000 * MIB, 1000 * MIB};

	if (setrlimit(RLIMIT_DATA, &limit) != 0)
		return REFUSED;
	return all_give(40 * MIB) ? 0 : 1;
}

/* memkind 1.14 locks 257 MB in this case. */
static int
all_is_locked(void)
{
	if (mlockall(MCL_CURRENT | MCL_FUTURE) != 0)
		return REFUSED;
	if (!all_give(OBJECT))
		return 1;
	return status("VmLck:") < 200 * MIB ? 0 : 2;
}

/* What a kind may need one day is neither mapped, nor can it be read. */
static int
little_is_mapped(void)
{
	size_t before = status("VmSize:");

	if (before == 0)
		return REFUSED;
	if (!all_give(OBJECT))
		return 1;
	return status("VmSize:") - before < 300 * MIB ? 0 : 2;
}

static void
in_a_child(int (*check)(void))
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0)
		_exit(check());
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == REFUSED)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define CASE(name)                                                             \
	static void test_##name(void **state)                                  \
	{                                                                      \
		(void)state;                                                   \
		in_a_child(name);                                              \
	}
CASE(few_addresses)
CASE(little_data)
CASE(all_is_locked)
CASE(little_is_mapped)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_few_addresses),
		cmocka_unit_test(test_little_data),
		cmocka_unit_test(test_all_is_locked),
		cmocka_unit_test(test_little_is_mapped),
	};

	/* node 0 is all that a kind could need */
	setenv("MEMKIND_HBW_NODES", "0", 1);
	setenv("MEMKIND_DAX_KMEM_NODES", "0", 1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
