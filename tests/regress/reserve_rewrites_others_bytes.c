/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * On a file system without fallocate(2), space for a PMEM kind is made by
 * rewriting a byte of each page as it is. That was done for a whole unit of up
 * to 2 MiB, of which another thread may have got a part in between and
 * written to it: what it wrote was undone.
 */
#include "testing.h"

#include "memkind.h"
#include "memkind/heap/arena.h"

#include "base/os_space.h"

#include <errno.h>
#include <sys/types.h>

#define PAGE ((size_t)4096)
#define MINE ((size_t)0)
#define OTHERS (8 * PAGE)

static struct vmc_space space;
static struct vmc_piece *piece;

int __wrap_fallocate(int fd, int mode, off_t offset, off_t size);
ssize_t __real_pwrite(int fd, const void *buffer, size_t size, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *buffer, size_t size, off_t offset);

int
__wrap_fallocate(int fd, int mode, off_t offset, off_t size)
{
	(void)fd;
	(void)mode;
	(void)offset;
	(void)size;
	errno = EOPNOTSUPP;
	return -1;
}

static unsigned written;

/* The other thread may write there at any time. */
ssize_t
__wrap_pwrite(int fd, const void *buffer, size_t size, off_t offset)
{
	if (piece->base[OTHERS] == 42)
		assert_true((size_t)offset < OTHERS ||
			    (size_t)offset >= OTHERS + PAGE);
	written++;
	return __real_pwrite(fd, buffer, size, offset);
}

static void
test_bytes_of_others(void **state)
{
	struct vmc_arena arena = {.space = &space};

	(void)state;
	assert_int_equal(
		vmc_space_file(&space, "/tmp", 256 * VMC_OS_CHUNK, 1), 0);
	assert_int_equal(vmc_space_open(&space, MEMKIND_NUM_BASE_KIND + 1), 0);
	assert_int_equal(vmc_space_grow(&space, &arena, 0, VMC_OS_CHUNK,
				 VMC_OS_CHUNK, &piece),
		0);
	assert_int_equal(
		vmc_space_commit(&space, piece->base + OTHERS, PAGE), 0);
	piece->base[OTHERS] = 42;
	assert_int_equal(
		vmc_space_commit(&space, piece->base + MINE, 2 * PAGE), 0);
	assert_int_equal(written, 3);
	assert_int_equal(piece->base[OTHERS], 42);
	assert_int_equal(vmc_space_check(&space), 0);
	vmc_space_destroy(&space);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes_of_others)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
