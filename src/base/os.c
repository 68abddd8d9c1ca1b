/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * os.c -- the interface to the operating system: the process
 *
 * Pages, processors, the clock, randomness, anonymous memory, barriers.
 * Everything may be called from any thread; nothing here keeps state.
 *
 * System calls are made by their plain C names and nowhere in the layers
 * above, so a test can put its own in their place with the linker's --wrap
 * (tests/fault.h). A table of function pointers would do the same at the cost
 * of an indirection, and of tests that run another library than the user.
 */
#include "os.h"

#include "cancel.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <linux/membarrier.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434 /* Linux 5.3 */
#endif

size_t
vmc_os_page_size(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

long
vmc_os_read_text(const char *path, char *text, size_t size)
{
	size_t length = 0;
	ssize_t n = 0;

	VMC_NO_CANCEL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	do {
		n = read(fd, text + length, size - 1 - length);
		length += n > 0 ? (size_t)n : 0;
	} while (n > 0 || (n < 0 && errno == EINTR));
	int err = n < 0 ? errno : 0;
	close(fd);
	text[length] = '\0';
	return err ? -err : (long)length;
}

/* What getdents64(2) fills its buffer with. */
struct directory_entry {
	uint64_t inode;
	int64_t offset;
	uint16_t size;
	uint8_t type;
	char name[];
};

/* Without opendir(3), which allocates. */
int
vmc_os_list(
	const char *path, void (*each)(const char *name, void *arg), void *arg)
{
	alignas(struct directory_entry) char buffer[2048];
	long size;

	VMC_NO_CANCEL;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	while ((size = syscall(SYS_getdents64, fd, buffer, sizeof(buffer))) >
		0) {
		for (long at = 0; at < size;) {
			const struct directory_entry *entry =
				(const void *)(buffer + at);
			if (strcmp(entry->name, ".") != 0 &&
				strcmp(entry->name, "..") != 0)
				each(entry->name, arg);
			at += entry->size;
		}
	}
	int err = size < 0 ? errno : 0;
	close(fd);
	return -err;
}

void
vmc_os_print(const char *text, size_t length)
{
	int saved = errno;

	VMC_NO_CANCEL;
	while (length > 0) {
		ssize_t n = write(STDERR_FILENO, text, length);
		if (n < 0 && errno != EINTR)
			break;
		text += n > 0 ? n : 0;
		length -= n > 0 ? (size_t)n : 0;
	}
	errno = saved;
}

int
vmc_os_read_number(const char *path, uint64_t *number)
{
	char text[32];
	char *end;
	long length = vmc_os_read_text(path, text, sizeof(text));

	if (length < 0)
		return (int)length;
	errno = 0;
	unsigned long long told = strtoull(text, &end, 0);
	if (end == text || errno != 0 || (*end != '\0' && *end != '\n'))
		return -EINVAL;
	*number = told;
	return 0;
}

size_t
vmc_os_huge_page_size(void)
{
	uint64_t size = 0;

	(void)vmc_os_read_number(
		"/sys/kernel/mm/transparent_hugepage/hpage_pmd_size", &size);
	if (size < vmc_os_page_size() || (size & (size - 1)) != 0)
		return (size_t)2 << 20; /* the system does not say */
	return (size_t)size;
}

unsigned
vmc_os_cpu_count(void)
{
	cpu_set_t set[8]; /* 8192 processors, the most a kernel is built for */

	if (sched_getaffinity(0, sizeof(set), set) != 0)
		return 1;
	return (unsigned)CPU_COUNT_S(sizeof(set), set);
}

unsigned
vmc_os_processor_count(void)
{
	unsigned mine = vmc_os_cpu_count();
	long online = sysconf(_SC_NPROCESSORS_ONLN);

	return online > (long)mine ? (unsigned)online : mine;
}

bool
vmc_os_is_mapped(const void *addr, size_t size)
{
	uintptr_t mask = vmc_os_page_size() - 1,
		  first = (uintptr_t)addr & ~mask;
	uintptr_t end = ((uintptr_t)addr + size + mask) & ~mask;
	int saved = errno;

	/* a wrapped one included; not msync(), a cancellation point */
	bool is = end > first &&
		  syscall(SYS_msync, first, end - first, MS_ASYNC) == 0;
	errno = saved;
	return is;
}

uint64_t
vmc_os_clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t
vmc_os_time_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t
vmc_os_boot_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_BOOTTIME, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000 +
	       1;
}

uint64_t
vmc_os_random64(void)
{
	uint64_t bits;

	VMC_NO_CANCEL;
	/* without waiting for entropy: a machine may start us at its boot */
	if (getrandom(&bits, sizeof(bits), GRND_NONBLOCK) == sizeof(bits))
		return bits;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	bits = (uint64_t)now.tv_nsec << 32 ^ (uint64_t)now.tv_sec ^
	       (uintptr_t)&now ^ (uint64_t)getpid() << 48;
	return bits * UINT64_C(0x9e3779b97f4a7c15);
}

void *
vmc_os_map_anonymous(size_t size)
{
	void *addr = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return addr == MAP_FAILED ? NULL : addr;
}

void *
vmc_os_map_shared(size_t size)
{
	void *addr = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	return addr == MAP_FAILED ? NULL : addr;
}

int
vmc_os_process(void)
{
	return getpid();
}

bool
vmc_os_process_is_gone(int pid)
{
	struct pollfd process = {.events = POLLIN};
	int saved = errno;
	bool gone;

	VMC_NO_CANCEL;
	process.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (process.fd >= 0) {
		/* readable once the last thread has ended */
		gone = poll(&process, 1, 0) == 1;
		close(process.fd);
	} else {
		/* a kernel before 5.3, no descriptors: zombies count */
		gone = errno == ESRCH || (kill(pid, 0) != 0 && errno == ESRCH);
	}
	errno = saved;
	return gone;
}

void
vmc_os_unmap(void *addr, size_t size)
{
	munmap(addr, size);
}

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18 /* Linux 4.14 */
#endif

void
vmc_os_wipe_on_fork(void *addr, size_t size)
{
	(void)madvise(addr, size, MADV_WIPEONFORK);
}

int
vmc_os_thread(void)
{
	return (int)syscall(SYS_gettid);
}

bool
vmc_os_thread_is_gone(int thread)
{
	int saved = errno;
	bool gone =
		syscall(SYS_tgkill, getpid(), thread, 0) != 0 && errno == ESRCH;

	errno = saved;
	return gone;
}

bool
vmc_os_visit_processors(void)
{
	cpu_set_t before[8], one[8]; /* as vmc_os_cpu_count() */
	int saved = errno;
	bool all = sched_getaffinity(0, sizeof(before), before) == 0;
	long end = sysconf(_SC_NPROCESSORS_CONF);

	for (long i = 0; all && i < end; i++) {
		CPU_ZERO_S(sizeof(one), one);
		CPU_SET_S((size_t)i, sizeof(one), one);
		/* EINVAL: one that is off, or kept from the process */
		all = sched_setaffinity(0, sizeof(one), one) == 0 ||
		      errno == EINVAL;
	}
	(void)sched_setaffinity(0, sizeof(before), before);
	errno = saved;
	return all;
}

/* A line of /proc/self/maps: "first-end rwxs ..."; false: not of the range. */
static bool
tells_shared(const char *line, uintptr_t first, uintptr_t end)
{
	char *at;
	uintptr_t from = strtoul(line, &at, 16);
	uintptr_t to = *at == '-' ? strtoul(at + 1, &at, 16) : 0;

	return from < end && to > first && strlen(at) >= 5 && at[4] == 's';
}

bool
vmc_os_is_shared(const void *addr, size_t size)
{
	uintptr_t first = (uintptr_t)addr, end = first + size;
	char buffer[4096], line[64];
	size_t length = 0;
	bool shared = false;
	ssize_t n;

	VMC_NO_CANCEL;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return true;
	while (!shared && (n = read(fd, buffer, sizeof(buffer))) > 0) {
		for (ssize_t i = 0; i < n; i++) {
			if (length < sizeof(line) - 1)
				line[length++] = buffer[i];
			if (buffer[i] != '\n')
				continue;
			line[length] = '\0';
			shared |= tells_shared(line, first, end);
			length = 0;
		}
	}
	close(fd);
	return shared || n < 0;
}

bool
vmc_os_membarrier_register(void)
{
	return syscall(SYS_membarrier,
		       MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}

bool
vmc_os_membarrier(void)
{
	return syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0,
		       0) == 0;
}

bool
vmc_os_sleep_while(_Atomic uint32_t *word, uint32_t value, uint64_t until_ns)
{
	const struct timespec until = {
		.tv_sec = (time_t)(until_ns / 1000000000),
		.tv_nsec = (long)(until_ns % 1000000000)};
	int saved = errno;
	bool in_time =
		syscall(SYS_futex, word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG,
			value, until_ns == UINT64_MAX ? NULL : &until, NULL,
			FUTEX_BITSET_MATCH_ANY) == 0 ||
		errno != ETIMEDOUT;

	errno = saved;
	return in_time;
}

void
vmc_os_wake_all(_Atomic uint32_t *word)
{
	int saved = errno;

	(void)syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, INT_MAX,
		NULL, NULL, 0);
	errno = saved;
}
