/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * media.h -- a device DAX and a memory control group that are files, for tests
 * with system calls that can be redirected (fault.h)
 */
#ifndef VMC_TESTS_MEDIA_H
#define VMC_TESTS_MEDIA_H

#include "fault.h"
#include "process.h"
#include "testing.h"

#include <sys/stat.h>

/* Where the files are: room for a name, in the caller's memory. */
#define MEDIA_ROOT 64

/* /dev/zero becomes a device DAX of 9 MiB with an alignment of 2 MiB. */
static inline void
make_devdax(char root[MEDIA_ROOT])
{
	char path[100];

	strcpy(root, "/tmp/vmc-test-XXXXXX");
	assert_non_null(mkdtemp(root));
	snprintf(path, sizeof(path), "%s/1:5", root);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/1:5/subsystem", root);
	assert_int_equal(symlink("../bus/dax", path), 0);
	snprintf(path, sizeof(path), "%s/1:5/size", root);
	assert_true(process_write(path, "9437184\n"));
	snprintf(path, sizeof(path), "%s/1:5/align", root);
	assert_true(process_write(path, "2097152\n"));
	strcat(root, "/");
	fault_redirect("/sys/dev/char/", root);
}

static inline void
remove_devdax(const char *root)
{
	static const char *const names[] = {
		"1:5/subsystem", "1:5/size", "1:5/align", "1:5", ""};
	char path[100];

	fault_redirect(NULL, NULL);
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		snprintf(path, sizeof(path), "%s%s", root, names[i]);
		assert_int_equal(remove(path), 0);
	}
}

static const char *const media_limits[] = {"memory/memory.limit_in_bytes",
	"memory/memory.memsw.limit_in_bytes", "memory.max", "memory.swap.max"};

/* No group above this process may have more memory than that, or any swap. */
static inline void
make_memory_limit(char root[MEDIA_ROOT], const char *bytes)
{
	char path[128];

	strcpy(root, "/tmp/vmc-test-XXXXXX");
	assert_non_null(mkdtemp(root));
	snprintf(path, sizeof(path), "%s/memory", root);
	assert_int_equal(mkdir(path, 0700), 0);
	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", root, media_limits[i]);
		assert_true(process_write(path, i < 3 ? bytes : "0\n"));
	}
	fault_redirect("/sys/fs/cgroup", root);
}

static inline void
remove_memory_limit(const char *root)
{
	char path[128];

	fault_redirect(NULL, NULL);
	for (size_t i = 0; i < 4; i++) {
		snprintf(path, sizeof(path), "%s/%s", root, media_limits[i]);
		assert_int_equal(remove(path), 0);
	}
	snprintf(path, sizeof(path), "%s/memory", root);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(root), 0);
}

#endif
