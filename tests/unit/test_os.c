/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_os.c -- the interface to the operating system
 *
 * Files are tried on tmpfs and on whatever has the temporary directory.
 * Failing calls come from fault.h, a device DAX from a tree of files in the
 * place of sysfs with /dev/zero as the device.
 */
#include "testing.h"

#include "base/os.h"
#include "fault.h"
#include "process.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>

#define MIB ((size_t)1 << 20)

static const char *const directories[] = {"/dev/shm", "/tmp"};

static void
test_numbers(void **state)
{
	size_t page = vmc_os_page_size();
	size_t huge = vmc_os_huge_page_size();
	uint64_t before = vmc_os_clock_ns();

	(void)state;
	assert_true(page >= 4096 && (page & (page - 1)) == 0);
	assert_true(huge > page && (huge & (huge - 1)) == 0);
	fault_arm("open", 0, 1, ENOENT);
	assert_int_equal(vmc_os_huge_page_size(), 2 * MIB);
	assert_int_equal(fault_disarm(), 1);
	assert_true(vmc_os_clock_ns() >= before);
}

static void
test_cpu_count(void **state)
{
	cpu_set_t all, one;
	size_t cpu = 0;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	assert_int_equal(vmc_os_cpu_count(), CPU_COUNT(&all));
	while (!CPU_ISSET(cpu, &all))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(vmc_os_cpu_count(), 1);
	/* one thread's processors are not the process's */
	assert_true(vmc_os_processor_count() >= (unsigned)CPU_COUNT(&all));
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
	fault_arm("sched_getaffinity", 0, 1, EINVAL);
	assert_int_equal(vmc_os_cpu_count(), 1);
	assert_int_equal(fault_disarm(), 1);
}

static void
test_random(void **state)
{
	uint64_t a = vmc_os_random64();

	(void)state;
	assert_int_not_equal(a, vmc_os_random64());
	fault_arm("getrandom", 0, 2, EAGAIN);
	a = vmc_os_random64();
	assert_int_not_equal(a, vmc_os_random64());
	assert_int_equal(fault_disarm(), 2);
}

static void
test_anonymous(void **state)
{
	size_t size = 16 * vmc_os_page_size();
	char *p = vmc_os_map_anonymous(size);

	(void)state;
	assert_non_null(p);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(p[i], 0);
	memset(p, 1, size);
	vmc_os_unmap(p, size);
	assert_null(vmc_os_map_anonymous((size_t)1 << 60));
}

static void
test_membarrier(void **state)
{
	(void)state;
	if (vmc_os_membarrier_register())
		vmc_os_membarrier();
}

/* A directory of the test's own; its name in the test's state. */
static int
make_directory(void **state)
{
	static char name[32];

	strcpy(name, "/tmp/vmc-test-XXXXXX");
	*state = mkdtemp(name);
	return *state == NULL;
}

static int
remove_directory(void **state)
{
	return rmdir(*state);
}

static void
write_file(const char *dir, const char *name, const char *text)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	FILE *f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void
remove_file(const char *dir, const char *name)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	assert_int_equal(unlink(path), 0);
}

static void
test_read_number(void **state)
{
	static const struct {
		const char *text;
		int err;
		uint64_t number;
	} cases[] = {
		{"4096\n", 0, 4096},
		{"0", 0, 0},
		{"0x200000\n", 0, 0x200000},
		{"18446744073709551615\n", 0, UINT64_MAX},
		{"18446744073709551616\n", -EINVAL, 0},
		{"", -EINVAL, 0},
		{"\n", -EINVAL, 0},
		{"many\n", -EINVAL, 0},
		{"12 13\n", -EINVAL, 0},
	};
	char path[300];

	snprintf(path, sizeof(path), "%s/number", (char *)*state);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		uint64_t number = 0;
		write_file(*state, "number", cases[i].text);
		assert_int_equal(
			vmc_os_read_number(path, &number), cases[i].err);
		assert_int_equal(number, cases[i].number);
	}
	uint64_t number;
	fault_arm("read", 0, 1, EIO);
	assert_int_equal(vmc_os_read_number(path, &number), -EIO);
	assert_int_equal(fault_disarm(), 1);
	remove_file(*state, "number");
	assert_int_equal(vmc_os_read_number(path, &number), -ENOENT);
}

static void
remove_only_file(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *entry;

	while ((entry = readdir(d)) != NULL)
		if (entry->d_name[0] != '.')
			remove_file(dir, entry->d_name);
	closedir(d);
}

static void
check_unnamed(int fd)
{
	struct stat st;
	char name[64], link[64];

	assert_int_equal(fstat(fd, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	/* nobody can give it a name afterwards */
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	snprintf(link, sizeof(link), "/tmp/vmc-test-link-%d", getpid());
	assert_int_equal(
		linkat(AT_FDCWD, name, AT_FDCWD, link, AT_SYMLINK_FOLLOW), -1);
}

static void
test_open_unnamed(void **state)
{
	int before = process_descriptors();
	int fd;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(vmc_os_open_unnamed(directories[i], &fd), 0);
		check_unnamed(fd);
		vmc_os_close(fd);
	}
	assert_int_equal(vmc_os_open_unnamed("/etc/passwd", &fd), -ENOTDIR);
	assert_int_equal(vmc_os_open_unnamed("/nowhere/at/all", &fd), -ENOENT);
	assert_int_equal(vmc_os_open_unnamed("", &fd), -ENOENT);
	assert_int_equal(process_descriptors(), before);
}

/* Without O_TMPFILE. The directory is empty afterwards: it can be removed. */
static void
test_open_unnamed_fallback(void **state)
{
	static char longest[PATH_MAX + 100];
	int before = process_descriptors();
	int fd;

	static const int answers[] = {EISDIR, EOPNOTSUPP, EINVAL, ENOSYS,
		ENOENT, EPERM, EACCES, ENOTTY, EROFS, EIO};
	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		fault_arm("open", 0, 1, answers[i]);
		assert_int_equal(vmc_os_open_unnamed(*state, &fd), 0);
		assert_int_equal(fault_disarm(), 1);
		check_unnamed(fd);
		vmc_os_close(fd);
	}
	/* no descriptor is none for the other way, either */
	fault_arm("open", 0, 1, EMFILE);
	assert_int_equal(vmc_os_open_unnamed(*state, &fd), -EMFILE);
	fault_disarm();
	fault_arm("open", 0, 1, EOPNOTSUPP);
	assert_int_equal(vmc_os_open_unnamed("/nowhere/at/all", &fd), -ENOENT);
	fault_arm("open", 0, 1, EOPNOTSUPP);
	fault_arm("mkostemp", 0, 1, EDQUOT);
	assert_int_equal(vmc_os_open_unnamed(*state, &fd), -EDQUOT);
	/* then its name stays, and it is for the user to see */
	fault_disarm();
	fault_arm("open", 0, 1, EOPNOTSUPP);
	fault_arm("unlink", 0, 1, EIO);
	assert_int_equal(vmc_os_open_unnamed(*state, &fd), -EIO);
	fault_disarm();
	remove_only_file(*state);
	fault_arm("open", 0, 1, EOPNOTSUPP);
	memset(longest, 'x', sizeof(longest) - 1);
	fault_arm("open", 0, 1, EOPNOTSUPP);
	assert_int_equal(vmc_os_open_unnamed(longest, &fd), -ENAMETOOLONG);
	fault_disarm();
	assert_int_equal(process_descriptors(), before);
}

static size_t
allocated(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (size_t)st.st_blocks * 512;
}

static void
test_reserve(void **state)
{
	size_t size = 65 * MIB; /* more than one step */
	int fd;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(vmc_os_open_unnamed(directories[i], &fd), 0);
		assert_int_equal(vmc_os_granule(fd), vmc_os_page_size());
		assert_int_equal(vmc_os_set_length(fd, 0, size), 0);
		assert_int_equal(lseek(fd, 0, SEEK_END), size);
		assert_true(allocated(fd) < MIB);
		assert_int_equal(vmc_os_reserve(fd, 0, size), 0);
		assert_true(allocated(fd) >= size);
		vmc_os_close(fd);
	}
}

/* File systems that cannot reserve get zeros, from wherever that shows. */
static void
test_reserve_by_writing(void **state)
{
	size_t size = 65 * MIB + 1;
	int fd;

	(void)state;
	for (long skip = 0; skip < 2; skip++) {
		assert_int_equal(vmc_os_open_unnamed("/dev/shm", &fd), 0);
		assert_int_equal(vmc_os_set_length(fd, 0, size), 0);
		fault_arm("fallocate", skip, 1, EOPNOTSUPP);
		fault_arm("pwrite", 3, 1, EINTR);
		assert_int_equal(vmc_os_reserve(fd, 0, size), 0);
		assert_int_equal(fault_disarm(), 2);
		assert_true(allocated(fd) >= size);
		assert_int_equal(lseek(fd, 0, SEEK_END), size);
		vmc_os_close(fd);
	}
	static const int answers[] = {ENOSYS, EINVAL, ENODEV, EPERM};
	assert_int_equal(vmc_os_open_unnamed("/dev/shm", &fd), 0);
	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		fault_arm("fallocate", 0, 1, answers[i]);
		assert_int_equal(vmc_os_reserve(fd, 0, 1), 0);
		assert_int_equal(fault_disarm(), 1);
	}
	fault_arm("fallocate", 0, 1, EIO);
	assert_int_equal(vmc_os_reserve(fd, 0, MIB), -EIO);
	fault_disarm();
	/* nowhere to write to: the descriptor is read-only */
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	fault_arm("fallocate", 0, 1, EOPNOTSUPP);
	assert_int_equal(vmc_os_reserve(null, 0, MIB), -EBADF);
	fault_disarm();
	close(null);
	vmc_os_close(fd);
}

static volatile sig_atomic_t alarms;

static void
on_alarm(int signal)
{
	(void)signal;
	alarms++;
}

/* A profiler's timer keeps firing; a plain fallocate is EINTR on tmpfs. */
static void
test_reserve_under_signals(void **state)
{
	struct sigaction action = {.sa_handler = on_alarm};
	struct itimerval timer = {
		.it_interval.tv_usec = 1000, .it_value.tv_usec = 1000};
	int fd;

	(void)state;
	assert_int_equal(vmc_os_open_unnamed("/dev/shm", &fd), 0);
	assert_int_equal(vmc_os_set_length(fd, 0, 256 * MIB), 0);
	/* for good: Valgrind may deliver the last one late */
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &timer, NULL);
	int err = vmc_os_reserve(fd, 0, 256 * MIB);
	timer = (struct itimerval){0};
	setitimer(ITIMER_REAL, &timer, NULL);
	assert_int_equal(err, 0);
	printf("%d signals\n", (int)alarms);
	vmc_os_close(fd);
}

static void
test_set_length_limits(void **state)
{
	struct rlimit old, limit;
	int fd;

	(void)state;
	assert_int_equal(vmc_os_open_unnamed("/dev/shm", &fd), 0);
	assert_int_equal(vmc_os_set_length(fd, 0, SIZE_MAX), -EFBIG);
	assert_int_equal(vmc_os_set_length(fd, 0, (size_t)1 << 56), -ENOSPC);
	getrlimit(RLIMIT_FSIZE, &old);
	limit = old;
	limit.rlim_cur = MIB;
	setrlimit(RLIMIT_FSIZE, &limit);
	int over = vmc_os_set_length(fd, 0, MIB + 1); /* else SIGXFSZ ends us */
	int just = vmc_os_set_length(fd, 0, MIB);
	setrlimit(RLIMIT_FSIZE, &old);
	assert_int_equal(over, -EFBIG);
	assert_int_equal(just, 0);
	vmc_os_close(fd);
}

static void
test_map_file(void **state)
{
	size_t huge = vmc_os_huge_page_size();
	int before = process_unnamed_mappings();
	void *addr;
	bool sync;
	int fd;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(vmc_os_open_unnamed(directories[i], &fd), 0);
		assert_int_equal(vmc_os_set_length(fd, 0, 4 * huge), 0);
		assert_int_equal(
			vmc_os_map_file(fd, 4 * huge, huge, &addr, &sync), 0);
		assert_int_equal((uintptr_t)addr % huge, 0);
		assert_false(sync);
		assert_int_equal(vmc_os_reserve(fd, 0, 4 * huge), 0);
		vmc_os_close(fd);
		assert_int_equal(vmc_os_populate(addr, 4 * huge), 0);
		assert_int_equal(process_smaps_size(addr, "Rss"), 4 * huge);
		vmc_os_unmap(addr, 4 * huge);
	}
	assert_int_equal(vmc_os_open_unnamed("/dev/shm", &fd), 0);
	/* no room to align in: it is mapped all the same */
	assert_int_equal(vmc_os_set_length(fd, 0, 2 * huge), 0);
	fault_arm("mmap", 0, 1, ENOMEM);
	assert_int_equal(vmc_os_map_file(fd, huge, huge, &addr, &sync), 0);
	assert_int_equal(fault_disarm(), 1);
	vmc_os_unmap(addr, huge);
	fault_arm("mmap", 0, 3, ENOMEM);
	assert_int_equal(
		vmc_os_map_file(fd, huge, huge, &addr, &sync), -ENOMEM);
	assert_int_equal(fault_disarm(), 3);
	vmc_os_close(fd);
	assert_int_equal(process_unnamed_mappings(), before);
}

/* What is said of the page size is what the kernel shows. */
static void
test_huge_pages(void **state)
{
	size_t huge = vmc_os_huge_page_size();
	size_t size = 4 * huge + vmc_os_page_size();
	void *addr;
	bool sync;
	int fd;

	(void)state;
	for (int how = 0; how < 4; how++) {
		bool wanted = how % 2, locked = how / 2;
		assert_int_equal(vmc_os_open_unnamed("/dev/shm", &fd), 0);
		assert_int_equal(vmc_os_set_length(fd, 0, size), 0);
		assert_int_equal(
			vmc_os_map_file(fd, size, huge, &addr, &sync), 0);
		if (wanted) {
			vmc_os_prefer_huge(addr, size);
			assert_true(vmc_os_in_memory(fd));
			vmc_os_make_huge(addr, size);
		}
		assert_int_equal(vmc_os_reserve(fd, 0, size), 0);
		assert_true(allocated(fd) >= size);
		/* as mlockall(2) makes new mappings; of the first huge page is
		 * enough, and all of it may not be allowed */
		if (locked && mlock(addr, huge) != 0)
			printf("mlock: %s\n", strerror(errno));
		size_t got = vmc_os_mapped_page_size(addr, size);
		assert_int_equal(vmc_os_populate(addr, size), 0);
		size_t shown = process_smaps_size(addr, "ShmemPmdMapped");
		printf("wanted %d, locked %d, page size %zu, %zu bytes by huge "
		       "pages\n",
			wanted, locked, got, shown);
		if (locked)
			assert_int_equal(got == huge, shown >= huge);
		else if (got == huge)
			assert_int_equal(shown, 4 * huge);
		else
			assert_true(
				got == vmc_os_page_size() && shown < 4 * huge);
		for (size_t i = 0; i < size; i += 512)
			assert_int_equal(((char *)addr)[i], 0);
		vmc_os_unmap(addr, size);
		vmc_os_close(fd);
	}
}

static void
test_page_size_unknown(void **state)
{
	size_t huge = vmc_os_huge_page_size();
	size_t page = vmc_os_page_size();
	void *addr;
	bool sync;
	int fd;

	(void)state;
	assert_int_equal(vmc_os_open_unnamed("/dev/shm", &fd), 0);
	assert_int_equal(vmc_os_set_length(fd, 0, 3 * huge), 0);
	assert_int_equal(vmc_os_map_file(fd, 3 * huge, huge, &addr, &sync), 0);
	fault_arm("madvise", 0, 1, EINVAL);
	assert_int_equal(vmc_os_mapped_page_size(addr, 3 * huge), page);
	assert_int_equal(fault_disarm(), 1);
	char *odd = (char *)addr + page;
	assert_int_equal(vmc_os_mapped_page_size(odd, 2 * huge), page);
	assert_int_equal(vmc_os_mapped_page_size(addr, huge - page), page);
	vmc_os_unmap(addr, 3 * huge);
	vmc_os_close(fd);
}

/* Kernels before 5.14: the same by touching, and no byte changes. */
static void
test_populate_by_touching(void **state)
{
	size_t size = 64 * vmc_os_page_size();
	void *addr;
	bool sync;
	int fd;

	(void)state;
	assert_int_equal(vmc_os_open_unnamed("/tmp", &fd), 0);
	assert_int_equal(vmc_os_set_length(fd, 0, size), 0);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(pwrite(fd, &(char){(char)i}, 1, (off_t)i), 1);
	assert_int_equal(vmc_os_map_file(fd, size, 1, &addr, &sync), 0);
	fault_arm("madvise", 0, 1, EINVAL);
	assert_int_equal(vmc_os_populate(addr, size), 0);
	assert_int_equal(fault_disarm(), 1);
	assert_int_equal(process_smaps_size(addr, "Rss"), size);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(((char *)addr)[i], (char)i);
	fault_arm("madvise", 0, 1, EFAULT);
	assert_int_equal(vmc_os_populate(addr, size), -EFAULT);
	fault_disarm();
	vmc_os_unmap(addr, size);
	vmc_os_close(fd);
}

/* A device that the files in the directory describe. */
static void
check_devdax(const char *dir, const char *size, const char *align, int want)
{
	int before = process_descriptors();
	size_t got_size, got_align;
	int fd;

	write_file(dir, "1:5/size", size);
	write_file(dir, "1:5/align", align);
	int err = vmc_os_open_devdax("/dev/zero", &fd, &got_size, &got_align);
	assert_int_equal(err, want);
	if (!err) {
		assert_int_equal(got_size, strtoull(size, NULL, 0));
		assert_int_equal(got_align, strtoull(align, NULL, 0));
		assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
		vmc_os_close(fd);
	}
	remove_file(dir, "1:5/size");
	remove_file(dir, "1:5/align");
	assert_int_equal(process_descriptors(), before);
}

static void
test_devdax(void **state)
{
	const char *dir = *state;
	char root[64], path[64], link[128];
	size_t size, align;
	int fd;

	assert_false(vmc_os_is_devdax("/dev/zero"));
	assert_false(vmc_os_is_devdax("/dev/shm"));
	assert_false(vmc_os_is_devdax("/nowhere/at/all"));

	snprintf(root, sizeof(root), "%s/", dir);
	snprintf(path, sizeof(path), "%s/1:5", dir);
	snprintf(link, sizeof(link), "%s/subsystem", path);
	assert_int_equal(mkdir(path, 0700), 0);
	fault_redirect("/sys/dev/char/", root);
	assert_false(vmc_os_is_devdax("/dev/zero"));
	assert_int_equal(symlink("../../../bus/daxes", link), 0);
	assert_false(vmc_os_is_devdax("/dev/zero"));
	assert_int_equal(unlink(link), 0);
	assert_int_equal(symlink("../../../bus/dax", link), 0);
	assert_true(vmc_os_is_devdax("/dev/zero"));

	check_devdax(dir, "134217728\n", "2097152\n", 0);
	check_devdax(dir, "134217728\n", "0x1000\n", 0);
	check_devdax(dir, "134217728\n", "0\n", -EINVAL);
	check_devdax(dir, "134217728\n", "3\n", -EINVAL);
	check_devdax(dir, "134217728\n", "\n", -EINVAL);
	check_devdax(dir, "large\n", "4096\n", -EINVAL);
	assert_int_equal(
		vmc_os_open_devdax("/dev/zero", &fd, &size, &align), -ENOENT);
	assert_int_equal(
		vmc_os_open_devdax("/nowhere", &fd, &size, &align), -ENOENT);

	/* older kernels have the alignment one level down */
	char device[80];
	snprintf(device, sizeof(device), "%s/device", path);
	assert_int_equal(mkdir(device, 0700), 0);
	write_file(dir, "1:5/size", "8192\n");
	write_file(dir, "1:5/device/align", "4096\n");
	assert_int_equal(
		vmc_os_open_devdax("/dev/zero", &fd, &size, &align), 0);
	assert_int_equal(align, 4096);
	vmc_os_close(fd);

	fault_redirect(NULL, NULL);
	remove_file(dir, "1:5/device/align");
	remove_file(dir, "1:5/size");
	rmdir(device);
	unlink(link);
	rmdir(path);
}

static bool
is_any(uintptr_t start, uintptr_t end, const void *arg)
{
	(void)start, (void)end, (void)arg;
	return true;
}

/* The kernel cannot be asked: no huge page is known of. */
static void
test_huge_bytes_unknown(void **state)
{
	(void)state;
	fault_arm("fopen", 0, 1, EMFILE);
	assert_int_equal(vmc_os_huge_bytes(is_any, NULL), 0);
	assert_int_equal(fault_disarm(), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_cpu_count),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_anonymous),
		cmocka_unit_test(test_membarrier),
		cmocka_unit_test_setup_teardown(
			test_read_number, make_directory, remove_directory),
		cmocka_unit_test(test_open_unnamed),
		cmocka_unit_test_setup_teardown(test_open_unnamed_fallback,
			make_directory, remove_directory),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_reserve_by_writing),
		cmocka_unit_test(test_reserve_under_signals),
		cmocka_unit_test(test_set_length_limits),
		cmocka_unit_test(test_map_file),
		cmocka_unit_test(test_huge_pages),
		cmocka_unit_test(test_page_size_unknown),
		cmocka_unit_test(test_populate_by_touching),
		cmocka_unit_test_setup_teardown(
			test_devdax, make_directory, remove_directory),
		cmocka_unit_test(test_huge_bytes_unknown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
