/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * os_file.c -- the interface to the operating system: files and their mappings
 *
 * Unnamed files, space reserved behind them, device DAX as sysfs describes
 * it, shared mappings and the pages under them. No state; may be called from
 * any thread.
 *
 * Space. On tmpfs fallocate(2) fails, and frees what it had reserved, when any
 * signal arrives (Linux 6.1 does so, 6.18 does not): with a profiler's timer a
 * large pool would never be reserved. So the space is reserved in steps, with
 * signals blocked during each step; between steps Ctrl-C takes effect. A
 * request for more than the machine's free memory is refused first: a tmpfs may
 * be larger than the memory, and filling it would call the OOM killer. If a
 * file system cannot reserve, zeros are written; a file system that compresses
 * them gives no guarantee. glibc's posix_fallocate() does both by itself, but
 * not in steps.
 *
 * Addresses. A mapping gets huge pages only if address and file offset agree
 * modulo their size. A larger anonymous mapping finds room and is unmapped, and
 * its first aligned address serves as a hint. If another thread takes the place
 * in between, the kernel picks a different one and only the huge pages are
 * lost. Mapping over the reservation with MAP_FIXED is no alternative: if it
 * fails, the range is unmapped, and another thread's mapping may get it.
 *
 * Huge pages on tmpfs. Most systems mount tmpfs without them, and the library
 * cannot change mount options. Since Linux 6.1 MADV_COLLAPSE makes huge pages
 * on request. It requires that one page of each range of 2 MiB is mapped. If
 * only that page exists, there is almost nothing to copy: this took a quarter
 * of the time of fallocate(2) with small pages, and fills the page tables as
 * well. Two threads at different parts do not wait for each other, as they
 * would in fallocate(2), which holds the file's lock.
 */
#include "os.h"

#include "atomic.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif
#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25 /* Linux 6.1 */
#endif

/* How much is reserved at a time: some 20 ms of zeroing on tmpfs. */
#define RESERVE_STEP ((size_t)64 << 20)

int
vmc_os_open_unnamed(const char *path, int *fd)
{
	char name[PATH_MAX];

	if (!*path) /* not the root directory */
		return -ENOENT;
	/* O_EXCL: nobody can give it a name later */
	*fd = open(path, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	if (*fd >= 0)
		return 0;
	/* whatever else is said to that flag, the other way may be open:
	 * EISDIR, kernels before 3.11; EINVAL, ENOENT, ENOSYS, EPERM, EACCES,
	 * file systems in user space and filters of system calls */
	if (errno == EMFILE || errno == ENFILE || errno == ENOMEM)
		return -errno;
	int n = snprintf(name, sizeof(name), "%s/vmemcache.XXXXXX", path);
	if (n >= (int)sizeof(name))
		return -ENAMETOOLONG;
	*fd = mkostemp(name, O_CLOEXEC);
	if (*fd < 0)
		return -errno;
	if (unlink(name) != 0) {
		int err = errno;
		close(*fd);
		return -err;
	}
	return 0;
}

void
vmc_os_close(int fd)
{
	close(fd);
}

int
vmc_os_duplicate(int fd, int *copy)
{
	*copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return *copy < 0 ? -errno : 0;
}

void
vmc_os_file_id(int fd, uint64_t id[2])
{
	struct stat st;
	int saved = errno;
	bool open = fstat(fd, &st) == 0;

	errno = saved;
	id[0] = open ? st.st_dev : 0;
	id[1] = open ? st.st_ino : 0;
}

bool
vmc_os_may_be_file(int fd, const uint64_t id[2])
{
	struct stat st;
	int saved = errno;
	bool may = fstat(fd, &st) == 0
			   ? id[1] == 0 ||
				     (st.st_dev == id[0] && st.st_ino == id[1])
			   : errno != EBADF;

	errno = saved;
	return may;
}

bool
vmc_os_is_devdax(const char *path)
{
	struct stat st;
	char link[PATH_MAX];
	char target[PATH_MAX];

	if (stat(path, &st) != 0 || !S_ISCHR(st.st_mode))
		return false;
	snprintf(link, sizeof(link), "/sys/dev/char/%u:%u/subsystem",
		major(st.st_rdev), minor(st.st_rdev));
	ssize_t n = readlink(link, target, sizeof(target) - 1);
	if (n < 0)
		return false;
	target[n] = '\0';
	const char *slash = strrchr(target, '/');
	return strcmp(slash ? slash + 1 : target, "dax") == 0;
}

static int
devdax_attribute(dev_t device, const char *name, size_t *value)
{
	char path[PATH_MAX];
	uint64_t number;

	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/%s", major(device),
		minor(device), name);
	int err = vmc_os_read_number(path, &number);
	*value = err ? 0 : (size_t)number;
	return err;
}

int
vmc_os_open_devdax(const char *path, int *fd, size_t *size, size_t *align)
{
	struct stat st;
	int err;

	*fd = open(path, O_RDWR | O_CLOEXEC);
	if (*fd < 0)
		return -errno;
	if (fstat(*fd, &st) != 0) {
		err = -errno;
		goto error;
	}
	err = devdax_attribute(st.st_rdev, "size", size);
	if (err)
		goto error;
	err = devdax_attribute(st.st_rdev, "align", align);
	if (err == -ENOENT) /* kernels before 5.10 */
		err = devdax_attribute(st.st_rdev, "device/align", align);
	if (!err && (*align == 0 || (*align & (*align - 1)) != 0))
		err = -EINVAL;
	if (!err)
		return 0;
error:
	close(*fd);
	return err;
}

size_t
vmc_os_blocks_to_bytes(const struct statfs *fs, uint64_t blocks)
{
	/* not f_bsize, which is a size that is good for reading */
	uint64_t unit =
		(uint64_t)(fs->f_frsize > 0 ? fs->f_frsize : fs->f_bsize);
	size_t bytes;

	return __builtin_mul_overflow(unit, blocks, &bytes) || unit == 0
		       ? SIZE_MAX
		       : bytes;
}

size_t
vmc_os_granule(int fd)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) == 0 && fs.f_type == HUGETLBFS_MAGIC)
		return (size_t)fs.f_bsize;
	return vmc_os_page_size();
}

int
vmc_os_set_length(int fd, size_t from, size_t size)
{
	struct rlimit limit;
	struct statfs fs;

	if (size > INT64_MAX)
		return -EFBIG;
	if (size > from && getrlimit(RLIMIT_FSIZE, &limit) == 0 &&
		size > limit.rlim_cur)
		return -EFBIG;
	/* f_blocks is 0 where there is no limit */
	if (size > from && fstatfs(fd, &fs) == 0 && fs.f_blocks > 0 &&
		size - from > vmc_os_blocks_to_bytes(&fs, fs.f_bfree))
		return -ENOSPC;
	return ftruncate(fd, (off_t)size) == 0 ? 0 : -errno;
}

/* One step of the reservation, not disturbed by signals. */
static int
reserve_range(int fd, size_t offset, size_t size)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int err = fallocate(fd, 0, (off_t)offset, (off_t)size) ? -errno : 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err;
}

static int
write_zeros(int fd, size_t offset, size_t size)
{
	static const char zeros[4096];

	while (size > 0) {
		size_t part = size < sizeof(zeros) ? size : sizeof(zeros);
		ssize_t n = pwrite(fd, zeros, part, (off_t)offset);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			offset += (size_t)n;
			size -= (size_t)n;
		}
	}
	return 0;
}

int
vmc_os_reserve(int fd, size_t from, size_t size)
{
	for (size_t at = from; at < size; at += RESERVE_STEP) {
		size_t part =
			size - at < RESERVE_STEP ? size - at : RESERVE_STEP;
		int err = reserve_range(fd, at, part);
		if (vmc_os_cannot_allocate(err))
			return write_zeros(fd, at, size - at);
		if (err)
			return err;
	}
	return 0;
}

size_t
vmc_os_address_limit(void)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_AS, &limit) == 0 && limit.rlim_cur < SIZE_MAX
		       ? (size_t)limit.rlim_cur
		       : SIZE_MAX;
}

/* An address at a multiple of align with size bytes free behind it, or NULL. */
static void *
find_room(size_t size, size_t align)
{
	char *at = mmap(NULL, size + align, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (at == MAP_FAILED)
		return NULL;
	munmap(at, size + align);
	return at + (-(uintptr_t)at & (align - 1));
}

int
vmc_os_map_file(int fd, size_t size, size_t align, void **addr, bool *sync)
{
	void *hint = align > vmc_os_page_size() ? find_room(size, align) : NULL;
	const int readable = PROT_READ | PROT_WRITE;

	*sync = true;
	*addr = mmap(hint, size, readable,
		MAP_SHARED_VALIDATE | MAP_SYNC | MAP_NORESERVE, fd, 0);
	if (*addr == MAP_FAILED) {
		*sync = false;
		*addr = mmap(hint, size, readable, MAP_SHARED | MAP_NORESERVE,
			fd, 0);
	}
	if (*addr == MAP_FAILED)
		return -errno;
	/* else a core dump would hold the pool: an unnamed file counts as
	 * memory there */
	madvise(*addr, size, MADV_DONTDUMP);
	return 0;
}

bool
vmc_os_in_memory(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 &&
	       (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

void
vmc_os_prefer_huge(void *addr, size_t size)
{
	madvise(addr, size, MADV_HUGEPAGE);
}

bool
vmc_os_make_huge(void *addr, size_t size)
{
	size_t huge = vmc_os_huge_page_size();

	if ((uintptr_t)addr % huge != 0)
		return false;
	for (size_t at = 0; at < size; at += huge)
		if (madvise((char *)addr + at, vmc_os_page_size(),
			    MADV_POPULATE_WRITE) != 0)
			return false;
	return madvise(addr, size, MADV_COLLAPSE) == 0;
}

/* A write that changes nothing, safe beside other writers. */
static void
touch(void *addr)
{
	_Atomic char *byte = addr;
	char now = vmc_load_relaxed(byte);

	/* not fetch_or(0): compilers turn that into a load */
	vmc_cas_acq_rel(byte, &now, now);
}

static long
minor_faults(void)
{
	struct rusage usage;

	getrusage(RUSAGE_THREAD, &usage);
	return usage.ru_minflt;
}

struct range {
	uintptr_t start;
	uintptr_t end;
};

static bool
is_in_range(uintptr_t start, uintptr_t end, const void *arg)
{
	const struct range *range = arg;

	return start < range->end && end > range->start;
}

/*
 * Of a mapping whose entries cannot be dropped, as it is locked (mlockall(2)):
 * all its pages are there, and the kernel tells of them.
 */
static size_t
locked_page_size(void *addr, size_t size)
{
	struct range range = {(uintptr_t)addr, (uintptr_t)addr + size};
	size_t huge = vmc_os_huge_page_size();

	/* there, but a huge one may have taken the place of what was mapped */
	(void)vmc_os_populate(addr, size);
	return vmc_os_huge_bytes(is_in_range, &range) >= size / huge * huge
		       ? huge
		       : vmc_os_page_size();
}

size_t
vmc_os_mapped_page_size(void *addr, size_t size)
{
	size_t base = vmc_os_page_size();
	size_t huge = vmc_os_huge_page_size();
	size_t blocks = size / huge;
	size_t stride = blocks / 8 > 0 ? blocks / 8 : 1;

	if (blocks == 0 || (uintptr_t)addr % huge != 0)
		return base;
	for (size_t i = 0; i < blocks; i += stride) {
		char *block = (char *)addr + i * huge;
		char *last = block + huge - base;
		/* so that no other fault gets into the count, such as one on
		 * a sanitizer's shadow */
		touch(block);
		touch(last);
		/* drops the page table entries; a shared file keeps its data */
		if (madvise(block, huge, MADV_DONTNEED) != 0)
			return locked_page_size(addr, size);
		long before = minor_faults();
		touch(block);
		long first = minor_faults();
		touch(last);
		if (first == before || minor_faults() != first) {
			(void)vmc_os_populate(block, huge);
			return base;
		}
	}
	return huge;
}

size_t
vmc_os_huge_bytes(
	bool (*is_meant)(uintptr_t start, uintptr_t end, const void *arg),
	const void *arg)
{
	FILE *maps = fopen("/proc/self/smaps", "re");
	char line[256];
	size_t kilobytes = 0;
	bool meant = false;

	if (!maps)
		return 0;
	/* a mapping's line, then lines of what is known of it */
	while (fgets(line, sizeof(line), maps)) {
		uintptr_t start, end;
		size_t some;

		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &start, &end) ==
			2)
			meant = is_meant(start, end, arg);
		else if (meant &&
			 (sscanf(line, "AnonHugePages: %zu", &some) == 1 ||
				 sscanf(line, "ShmemPmdMapped: %zu", &some) ==
					 1 ||
				 sscanf(line, "FilePmdMapped: %zu", &some) ==
					 1))
			kilobytes += some;
	}
	fclose(maps);
	return kilobytes << 10;
}

int
vmc_os_populate(void *addr, size_t size)
{
	if (madvise(addr, size, MADV_POPULATE_WRITE) == 0)
		return 0;
	if (errno != EINVAL)
		return -errno;
	for (size_t at = 0; at < size; at += vmc_os_page_size())
		touch((char *)addr + at);
	return 0;
}
