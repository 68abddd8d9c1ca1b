/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * device.c -- fuzz target: what the kernel tells of a device DAX and of huge
 * pages, one number a file
 *
 * /dev/zero is the device: it can be mapped, shared, at any length that the
 * system has memory for. Its files in /sys are lines of the input.
 */
#include "base/error.h"
#include "base/os.h"
#include "fuzz.h"
#include "pool/pool.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

/* More than this and the system may kill us, rather than refuse. */
#define MOST_MAPPED ((size_t)64 << 20)

static const char *const names[] = {
	"/size", "/align", "/device/align", "/hpage_pmd_size"};
#define FILES (sizeof(names) / sizeof(names[0]))

static char *content[FILES]; /* NULL: there is no such file */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
ssize_t __real_readlink(const char *path, char *to, size_t size);
ssize_t __wrap_readlink(const char *path, char *to, size_t size);

static bool
ends_with(const char *path, const char *name)
{
	size_t length = strlen(path), end = strlen(name);

	return length >= end && strcmp(path + length - end, name) == 0;
}

/* The attribute's content in a file of its own. */
static int
open_attribute(const char *path)
{
	size_t i = FILES;
	int fd;

	/* the longest name first: one is the end of another */
	while (i > 0 && !ends_with(path, names[i - 1]))
		i--;
	if (i == 0 || !content[i - 1]) {
		errno = ENOENT;
		return -1;
	}
	fd = memfd_create("attribute", MFD_CLOEXEC);
	size_t size = strlen(content[i - 1]);
	fuzz_expect(pwrite(fd, content[i - 1], size, 0) == (ssize_t)size);
	return fd;
}

int
__wrap_open(const char *path, int flags, ...)
{
	va_list args;

	if (strncmp(path, "/sys/", 5) == 0)
		return open_attribute(path);
	va_start(args, flags);
	mode_t mode = va_arg(args, mode_t);
	va_end(args);
	return __real_open(path, flags, mode);
}

ssize_t
__wrap_readlink(const char *path, char *to, size_t size)
{
	if (strncmp(path, "/sys/dev/char/", 14) != 0)
		return __real_readlink(path, to, size);
	memcpy(to, "/sys/bus/dax", 12);
	return 12;
}

static void
read_numbers(void)
{
	for (size_t i = 0; i < FILES; i++) {
		char path[64];
		uint64_t number = 7;
		snprintf(path, sizeof(path), "/sys%s", names[i]);
		int err = vmc_os_read_number(path, &number);
		fuzz_expect(err == 0 || err == -EINVAL || err == -ENOENT);
		fuzz_expect(err == 0 || number == 7);
		fuzz_expect((err == -ENOENT) == (content[i] == NULL));
	}
	size_t huge = vmc_os_huge_page_size();
	fuzz_expect(huge >= vmc_os_page_size() && (huge & (huge - 1)) == 0);
}

static void
open_device(size_t wanted)
{
	struct vmc_pool pool = {0};
	size_t size, align;
	int fd;

	fuzz_expect(vmc_os_is_devdax("/dev/zero"));
	int err = vmc_os_open_devdax("/dev/zero", &fd, &size, &align);
	if (!err) {
		fuzz_expect(align > 0 && (align & (align - 1)) == 0);
		vmc_os_close(fd);
		if ((wanted ? wanted : size) > MOST_MAPPED ||
			align > MOST_MAPPED)
			return;
	}
	int rc = vmc_pool_open(&pool, "/dev/zero", wanted, 0, NULL);
	fuzz_expect(err ? rc == err : rc <= 0);
	if (rc) {
		fuzz_expect(*vmc_error_message());
		return;
	}
	fuzz_expect(pool.is_devdax && pool.size >= wanted && pool.size <= size);
	fuzz_expect(pool.size > 0 && pool.page_size > 0);
	pool.base[0] = pool.base[pool.size - 1] = 1;
	vmc_pool_close(&pool);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input in = {data, data + size};
	unsigned there = fuzz_byte(&in);
	size_t wanted = (size_t)fuzz_number(&in, 4);

	for (size_t i = 0; i < FILES; i++)
		content[i] = there >> i & 1 ? fuzz_text(&in, '\n') : NULL;
	read_numbers();
	open_device(there & 128 ? wanted : 0);
	for (size_t i = 0; i < FILES; i++)
		free(content[i]);
	return 0;
}
