/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * os_space.c -- the interface to the operating system: address space for heaps
 *
 * No state; may be called from any thread, and from the allocator's own
 * hooks, so nothing here allocates.
 *
 * Ranges are aligned to chunks of 2 MiB, so that pages of that size fit and an
 * address's chunk tells whose it is. A larger empty mapping finds room and is
 * given back, and the range is mapped there; if another thread has taken the
 * place meanwhile, the search starts again. Trimming a larger mapping does not
 * work for a file, whose offset would no longer agree with the address; mapping
 * over the empty one (MAP_FIXED) leaves a hole when it fails.
 *
 * On tmpfs fallocate(2) fails when any signal arrives, so signals are blocked
 * while it runs; callers ask for a few megabytes at most.
 */
#include "os_space.h"

#include "cancel.h"
#include "os.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif
#ifndef MADV_DONTNEED_LOCKED
#define MADV_DONTNEED_LOCKED 24 /* since Linux 5.18 */
#endif

/* Enough that only a broken system runs out of them. */
#define TRIES 64
#define MOST_SLACK ((size_t)1 << 30)

/*
 * Threads whose calls alternate find each other's room in their way again and
 * again: each goes to sleep for a time of its own, which its stack tells.
 */
static void
step_aside(int tries)
{
	struct timespec nap;

	VMC_NO_CANCEL;
	nap.tv_sec = 0;
	nap.tv_nsec = (long)((uintptr_t)&nap / 4096 * 40503 % 997) * tries * 50;
	nanosleep(&nap, NULL);
}

/*
 * Threads that do this at once are given the same room, from the top: each
 * try looks for more of it than the one before, and takes its bottom.
 */
static int
map_aligned(size_t size, size_t align, int flags, int fd, size_t offset,
	void **addr)
{
	size_t slack = align;

	for (int i = 0; i < TRIES; i++) {
		char *room = mmap(NULL, size + slack, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (room == MAP_FAILED)
			return -errno;
		munmap(room, size + slack);
		if (slack < MOST_SLACK)
			slack *= 2;
		room += -(uintptr_t)room & (align - 1);
		*addr = mmap(room, size, PROT_NONE, flags | MAP_FIXED_NOREPLACE,
			fd, (off_t)offset);
		if (*addr == room)
			return 0;
		if (*addr != MAP_FAILED) /* a kernel that ignores the flag */
			munmap(*addr, size);
		else if (errno != EEXIST)
			return -errno;
		if (i > 2)
			step_aside(i);
	}
	return -ENOMEM;
}

int
vmc_os_space_map(size_t size, size_t align, void **addr)
{
	int err = map_aligned(size, align,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0, addr);

	if (!err)
		madvise(*addr, size, MADV_DONTDUMP);
	return err;
}

int
vmc_os_space_map_file(
	int fd, size_t offset, size_t size, size_t align, void **addr)
{
	int err = map_aligned(size, align, MAP_SHARED, fd, offset, addr);

	if (!err)
		madvise(*addr, size, MADV_DONTDUMP);
	return err;
}

int
vmc_os_space_map_huge(
	size_t size, size_t align, unsigned page_shift, void **addr)
{
	int err = map_aligned(size, align,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_HUGETLB |
			(int)(page_shift << MAP_HUGE_SHIFT),
		-1, 0, addr);

	if (!err)
		madvise(*addr, size, MADV_DONTDUMP);
	return err;
}

int
vmc_os_space_open(void *addr, size_t size, bool dump)
{
	if (mprotect(addr, size, PROT_READ | PROT_WRITE) != 0)
		return -errno;
	if (dump)
		madvise(addr, size, MADV_DODUMP);
	return 0;
}

void
vmc_os_space_close(void *addr, size_t size)
{
	if (mprotect(addr, size, PROT_NONE) == 0)
		madvise(addr, size, MADV_DONTDUMP);
}

int
vmc_os_file_stretch(int fd, size_t size)
{
	struct rlimit limit;

	if (size > INT64_MAX)
		return -EFBIG;
	if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && size > limit.rlim_cur)
		return -EFBIG;
	return ftruncate(fd, (off_t)size) == 0 ? 0 : -errno;
}

static int
allocate(int fd, int mode, size_t offset, size_t size)
{
	sigset_t all, old;
	int err;

	VMC_NO_CANCEL;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	err = fallocate(fd, mode, (off_t)offset, (off_t)size) ? -errno : 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return err;
}

int
vmc_os_file_reserve(int fd, size_t offset, size_t size)
{
	int err;

	if (vmc_os_in_memory(fd) && !vmc_os_memory_take(size))
		return -ENOMEM;
	err = allocate(fd, 0, offset, size);
	return vmc_os_cannot_allocate(err) ? -EOPNOTSUPP : err;
}

int
vmc_os_file_touch(int fd, size_t offset, size_t size)
{
	char byte;

	VMC_NO_CANCEL;
	for (size_t at = offset; at < offset + size; at += vmc_os_page_size()) {
		errno = EIO; /* for less than a byte */
		if (pread(fd, &byte, 1, (off_t)at) != 1 ||
			pwrite(fd, &byte, 1, (off_t)at) != 1)
			return -errno;
	}
	return 0;
}

int
vmc_os_file_punch(int fd, size_t offset, size_t size)
{
	int err = allocate(
		fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, size);

	/* a file system may want space for what it notes of a hole */
	return vmc_os_cannot_allocate(err) || err == -ENOSPC ? -EOPNOTSUPP
							     : err;
}

int
vmc_os_file_system_size(int fd, size_t *size)
{
	struct statfs fs;

	if (fstatfs(fd, &fs) != 0)
		return -errno;
	*size = vmc_os_blocks_to_bytes(&fs, fs.f_blocks);
	return 0;
}

int
vmc_os_file_occupied(int fd, size_t *size)
{
	struct stat st;

	if (fstat(fd, &st) != 0)
		return -errno;
	*size = (size_t)st.st_blocks * 512;
	return 0;
}

/* Pages that are locked, by mlockall(2) say, need a request of their own. */
int
vmc_os_discard(void *addr, size_t size)
{
	if (madvise(addr, size, MADV_DONTNEED) == 0)
		return 0;
	if (errno == EINVAL && madvise(addr, size, MADV_DONTNEED_LOCKED) == 0)
		return 0;
	return -errno;
}

void
vmc_os_small_pages(void *addr, size_t size)
{
	madvise(addr, size, MADV_NOHUGEPAGE);
}

unsigned
vmc_os_current_node(void)
{
	unsigned cpu, node;

	return getcpu(&cpu, &node) == 0 ? node : 0;
}

int
vmc_os_file_check_dax(int fd)
{
	size_t page = vmc_os_page_size();
	void *at = mmap(NULL, page, PROT_READ | PROT_WRITE,
		MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);

	if (at == MAP_FAILED)
		return -EOPNOTSUPP;
	munmap(at, page);
	return 0;
}

int
vmc_os_check_dax(const char *directory)
{
	int fd, err;

	err = vmc_os_open_unnamed(directory, &fd);
	if (err)
		return err;
	err = vmc_os_file_check_dax(fd);
	vmc_os_close(fd);
	return err;
}
