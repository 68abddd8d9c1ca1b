/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_os_memory.c -- how much memory there is left, on machines and in control
 * groups made of files; and what else os.h tells of memory and space
 */
#include "testing.h"

#include "base/os.h"
#include "base/os_space.h"
#include "fault.h"
#include "machine.h"

#include <errno.h>
#include <sys/vfs.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)

static char root[] = "/tmp/vmc-memory-XXXXXX";

static int
make_root(void **state)
{
	(void)state;
	machine_root = root;
	return mkdtemp(root) ? 0 : -1;
}

static int
remove_root(void **state)
{
	(void)state;
	return machine_remove(root);
}

/* A file that is not in /sys, or one in the control groups'. */
static void
put(const char *path, const char *text)
{
	char whole[256];

	snprintf(whole, sizeof(whole), "../%s", path);
	assert_true(machine_file(whole, text));
}

static void
put_mib(const char *path, size_t mib)
{
	char text[32];

	snprintf(text, sizeof(text), "%zu", mib << 20);
	put(path, text);
}

static void
expect(size_t mib)
{
	assert_int_equal(vmc_os_memory_left(root) / MIB, mib);
}

/* One after the other: each adds to what is there. */
static void
test_machine(void **state)
{
	(void)state;
	put("proc/meminfo", "nothing of the sort");
	assert_true(vmc_os_memory_left(root) == SIZE_MAX);
	put("proc/meminfo", "MemTotal:       16777216 kB\n"
			    "MemAvailable:    8388608 kB\n"
			    "SwapFree:        1048576 kB");
	expect(9 << 10);
}

/* Version 2: each level counts, from the process's own group up. */
static void
test_version_2(void **state)
{
	(void)state;
	put("proc/self/cgroup", "0::/a/b");
	expect(9 << 10); /* no such group is there */
	put("sys/fs/cgroup/a/b/memory.max", "max");
	put_mib("sys/fs/cgroup/a/b/memory.current", 500);
	expect(9 << 10);
	put_mib("sys/fs/cgroup/a/memory.max", 1000);
	put_mib("sys/fs/cgroup/a/memory.current", 700);
	put("sys/fs/cgroup/a/memory.swap.max", "0");
	expect(300);
	put("sys/fs/cgroup/a/memory.stat", "anon 1\n"
					   "inactive_file 104857600\n"
					   "active_file 52428800\nslab 7");
	expect(450);
	put_mib("sys/fs/cgroup/a/memory.swap.max", 200);
	put_mib("sys/fs/cgroup/a/memory.swap.current", 50);
	expect(600);
	put("sys/fs/cgroup/a/memory.swap.max", "max");
	expect(450 + 1024);                       /* what the machine has */
	put_mib("sys/fs/cgroup/memory.max", 100); /* as a container has it */
	put("sys/fs/cgroup/memory.swap.max", "0");
	expect(100);
	put("proc/self/cgroup", "0::/elsewhere/../of/the/host");
	expect(100);
	put_mib("sys/fs/cgroup/memory.current", 200);
	expect(0);
	put("proc/self/cgroup", "0::/");
	expect(0);
	put("sys/fs/cgroup/memory.max", "max");
	expect(9 << 10);
}

static void
test_version_1(void **state)
{
	(void)state;
	put("proc/self/cgroup", "5:cpu:/x\n4:memory:/a/b\n0::/");
	put("sys/fs/cgroup/memory/memory.limit_in_bytes",
		"9223372036854771712");
	expect(9 << 10);
	put_mib("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", 800);
	put_mib("sys/fs/cgroup/memory/a/b/memory.usage_in_bytes", 300);
	expect(500 + 1024);
	put_mib("sys/fs/cgroup/memory/a/b/memory.memsw.limit_in_bytes", 900);
	put_mib("sys/fs/cgroup/memory/a/b/memory.memsw.usage_in_bytes", 350);
	expect(550);
	put("sys/fs/cgroup/memory/a/b/memory.stat",
		"inactive_file 1\ntotal_inactive_file 10485760");
	expect(560);
	put_mib("sys/fs/cgroup/memory/a/memory.limit_in_bytes", 10);
	put_mib("sys/fs/cgroup/memory/a/memory.memsw.limit_in_bytes", 20);
	expect(20);
	put("proc/self/cgroup", "4:memory:/\n0::/a/b");
	expect(450 + 1024); /* of version 2, above */
}

/* What cannot be read sets no limit. */
static void
test_unreadable(void **state)
{
	(void)state;
	fault_arm("open", 0, 1000, EMFILE);
	assert_true(vmc_os_memory_left("") == SIZE_MAX);
	fault_disarm();
	fault_arm("read", 0, 1000, EIO);
	assert_true(vmc_os_memory_left("") == SIZE_MAX);
	fault_disarm();
}

/* Piece by piece, and never more than there is. */
static void
test_take(void **state)
{
	size_t taken = 0, left = 400 * MIB;
	char text[64], proc[64];

	(void)state;
	snprintf(proc, sizeof(proc), "%s/proc", root);
	fault_redirect("/proc", proc);
	do {
		snprintf(text, sizeof(text), "MemAvailable: %zu kB",
			(left - taken) >> 10);
		put("proc/meminfo", text);
		taken += 2 * MIB;
	} while (taken <= left && vmc_os_memory_take(2 * MIB));
	assert_false(vmc_os_memory_take(2 * MIB));
	assert_in_range(taken, 380 * MIB, 400 * MIB);
	/* when there is some again */
	put("proc/meminfo", "MemAvailable: 100000 kB");
	assert_true(vmc_os_memory_take(2 * MIB));
	fault_redirect(NULL, NULL);
}

/* Of a heap: the caller writes, or keeps what it has. */
static void
test_what_a_heap_is_told(void **state)
{
	static const int answers[] = {
		EOPNOTSUPP, ENOSYS, EINVAL, ENODEV, EPERM, ENOSPC};
	int fd;

	(void)state;
	assert_int_equal(vmc_os_open_unnamed("/dev/shm", &fd), 0);
	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		fault_arm("fallocate", 0, 1, answers[i]);
		assert_int_equal(vmc_os_file_reserve(fd, 0, 4096),
			answers[i] == ENOSPC ? -ENOSPC : -EOPNOTSUPP);
		assert_int_equal(fault_disarm(), 1);
		fault_arm("fallocate", 0, 1, answers[i]);
		assert_int_equal(vmc_os_file_punch(fd, 0, 4096), -EOPNOTSUPP);
		assert_int_equal(fault_disarm(), 1);
	}
	vmc_os_close(fd);
}

/* Blocks are of f_frsize, and there may be more bytes than can be counted. */
static void
test_blocks(void **state)
{
	static const struct {
		long fragment, block;
		uint64_t blocks;
		size_t bytes;
	} cases[] = {{4096, 1 << 20, 1000, 4096000}, {0, 512, 8, 4096},
		{0, 0, 1000, SIZE_MAX}, {4096, 4096, 0, 0},
		{4096, 4096, UINT64_MAX / 4096, SIZE_MAX & ~(size_t)4095},
		{4096, 4096, UINT64_MAX / 4096 + 1, SIZE_MAX},
		{65536, 4096, UINT64_MAX, SIZE_MAX}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct statfs fs = {.f_frsize = cases[i].fragment,
			.f_bsize = cases[i].block};
		assert_int_equal(vmc_os_blocks_to_bytes(&fs, cases[i].blocks),
			cases[i].bytes);
	}
}

static void
test_is_mapped(void **state)
{
	size_t page = vmc_os_page_size();
	char *at = vmc_os_map_anonymous(3 * page);

	(void)state;
	assert_true(vmc_os_is_mapped(at, 1));
	assert_true(vmc_os_is_mapped(at + 1, 3 * page - 1));
	vmc_os_unmap(at + page, page);
	assert_false(vmc_os_is_mapped(at, 3 * page));
	assert_false(vmc_os_is_mapped(at + page - 1, 2));
	assert_true(vmc_os_is_mapped(at + 2 * page, page));
	assert_false(vmc_os_is_mapped((void *)UINTPTR_MAX, 1));
	assert_false(vmc_os_is_mapped((void *)4096, (size_t)1 << 46));
	assert_false(vmc_os_is_mapped(at, SIZE_MAX));
	vmc_os_unmap(at, page);
	vmc_os_unmap(at + 2 * page, page);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_take),
		cmocka_unit_test(test_machine),
		cmocka_unit_test(test_version_2),
		cmocka_unit_test(test_version_1),
		cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_what_a_heap_is_told),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_is_mapped),
		cmocka_unit_test(test_take),
	};

	return cmocka_run_group_tests(tests, make_root, remove_root);
}
