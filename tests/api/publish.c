/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * publish.c -- vmemcache_publish(): what another process reads, and until when;
 * over forks, ends of processes, and in the middle of everything
 */
#include "fixture.h"
#include "process.h"

#include "base/os.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char path[VMC_PUBLICATION_PATH_MAX];

/* The objects of that process in /dev/shm; path is that of one of them. */
static int
objects_of(int pid)
{
	DIR *dir = opendir(VMC_PUBLICATION_DIR);
	const struct dirent *entry;
	int owner, count = 0;
	unsigned number;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		if (sscanf(entry->d_name, VMC_PUBLICATION_FILE, &owner,
			    &number) != 2 ||
			owner != pid)
			continue;
		count++;
		snprintf(path, sizeof(path), VMC_PUBLICATION_PATH, owner,
			number);
	}
	closedir(dir);
	return count;
}

static int
open_object(void)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

/* Not by its path: to close the file again would end the lock on it. */
static struct vmc_published
read_object(VMEMcache *cache)
{
	struct vmc_published p;

	assert_int_equal(vmc_publication_read(cache->publisher.fd, &p), 0);
	return p;
}

/* Asked by another process: one's own locks are none to oneself. */
static bool
is_held(void)
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(vmc_os_is_held(open_object()));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Until the thread has sampled so many times more. */
static struct vmc_published
wait_for_samples(VMEMcache *cache, int samples)
{
	struct vmc_published p, last = read_object(cache);

	for (alarm(240); samples > 0; samples--, last = p)
		do {
			usleep(5000);
			p = read_object(cache);
		} while (p.now.clock_ns == last.now.clock_ns);
	alarm(0);
	return p;
}

static void
test_published(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	struct stat st;

	(void)state;
	errno = 77;
	assert_int_equal(vmemcache_publish(cache, "sessions"), 0);
	assert_int_equal(errno, 77);
	assert_int_equal(objects_of(getpid()), 1);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	struct vmc_published p = read_object(cache);
	assert_int_equal(p.pid, getpid());
	assert_string_equal(p.now.name, "sessions");
	assert_memory_equal(&p.now, &p.before, sizeof(p.now));
	assert_true(time(NULL) - (time_t)(p.now.time_ns / 1000000000) < 600);
	assert_true(is_held());

	/* of an idle cache, too: the thread samples it */
	for (uint64_t key = 0; key < 100; key++)
		assert_int_equal(fixture_put(cache, key, 1, 300), 0);
	p = wait_for_samples(cache, 2);
	assert_int_equal(p.now.statistics.items, 100);
	assert_int_equal(p.now.statistics.stores[1][0], 100);
	assert_int_equal(p.before.statistics.items, 100);
	assert_true(p.now.clock_ns > p.before.clock_ns);
	struct vmemcache_statistics s = {.struct_size = sizeof(s)};
	assert_int_equal(vmemcache_statistics(cache, &s), 0);
	assert_memory_equal(&p.now.statistics, &s, sizeof(s));

	/* another name, at once; the cache has it */
	assert_int_equal(vmemcache_publish(cache, "users"), 0);
	assert_int_equal(objects_of(getpid()), 1);
	assert_string_equal(read_object(cache).now.name, "users");
	assert_int_equal(vmemcache_set_name(cache, "tokens"), 0);
	assert_string_equal(read_object(cache).now.name, "tokens");
	char text[64];
	vmemcache_format_statistics(
		cache, VMEMCACHE_FORMAT_JSON, text, sizeof(text));
	assert_non_null(strstr(text, "\"tokens\""));

	assert_int_equal(vmemcache_publish(cache, NULL), 0);
	assert_int_equal(objects_of(getpid()), 0);
	assert_int_equal(vmemcache_publish(cache, NULL), 0);
	assert_int_equal(vmemcache_publish(cache, "again"), 0);
	assert_int_equal(objects_of(getpid()), 1);
	vmemcache_delete(cache);
	assert_int_equal(objects_of(getpid()), 0);
}

/* One thread for all of them, with no signal, until the last has gone. */
static void
test_one_thread(void **state)
{
	enum { CACHES = 5 };
	VMEMcache *caches[CACHES];
	int descriptors = process_descriptors();
	int threads = process_threads();
	int mappings = process_mappings();
	char name[16];

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < CACHES; i++) {
			caches[i] =
				fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
			snprintf(name, sizeof(name), "cache %d", i);
			assert_int_equal(vmemcache_publish(caches[i], name), 0);
		}
		assert_int_equal(objects_of(getpid()), CACHES);
		DIR *dir = opendir("/proc/self/task");
		int count = -2;
		while (readdir(dir))
			count++;
		closedir(dir);
		assert_int_equal(count, threads + 1);
		for (int i = 0; i < CACHES; i++)
			vmemcache_delete(caches[(i * 3 + round) % CACHES]);
		assert_int_equal(objects_of(getpid()), 0);
		assert_int_equal(process_threads(), threads);
		assert_int_equal(process_descriptors(), descriptors);
	}
	/* stacks of threads, and the C library's heaps for them */
	assert_true(process_mappings() <= mappings + 20);
}

static void
test_bad_arguments(void **state)
{
	VMEMcache *cache = vmemcache_new();
	char name[VMEMCACHE_NAME_MAX + 2] = {0};

	(void)state;
	assert_fails(vmemcache_publish(NULL, "a"), EINVAL);
	assert_fails(vmemcache_publish(NULL, NULL), EINVAL);
	assert_fails(vmemcache_publish(cache, "a"), EINVAL);
	assert_fails(vmemcache_publish(cache, NULL), EINVAL);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	assert_fails(vmemcache_publish(cache, ""), EINVAL);
	assert_fails(vmemcache_publish(cache, "two\nlines"), EINVAL);
	memset(name, 'x', sizeof(name) - 1);
	assert_fails(vmemcache_publish(cache, name), EINVAL);
	assert_int_equal(objects_of(getpid()), 0);
	name[VMEMCACHE_NAME_MAX] = '\0';
	assert_int_equal(vmemcache_publish(cache, name), 0);
	assert_string_equal(read_object(cache).now.name, name);
	assert_fails(vmemcache_publish(cache, ""), EINVAL);
	assert_string_equal(read_object(cache).now.name, name);
	vmemcache_delete(cache);
}

/* The files that it would make are there: others', or of a process that had
 * its number. */
static void
test_numbers_taken(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	unsigned number, next;
	char taken[8][VMC_PUBLICATION_PATH_MAX];

	(void)state;
	assert_int_equal(vmemcache_publish(cache, "first"), 0);
	assert_int_equal(objects_of(getpid()), 1);
	assert_int_equal(
		sscanf(path, VMC_PUBLICATION_PATH, &(int){0}, &number), 2);
	assert_int_equal(vmemcache_publish(cache, NULL), 0);
	for (unsigned i = 0; i < 8; i++) {
		snprintf(taken[i], sizeof(taken[i]), VMC_PUBLICATION_PATH,
			getpid(), number + 1 + i);
		assert_true(process_write(taken[i], "not ours"));
	}
	assert_int_equal(vmemcache_publish(cache, "second"), 0);
	for (unsigned i = 0; i < 8; i++)
		unlink(taken[i]);
	assert_int_equal(objects_of(getpid()), 1);
	assert_int_equal(
		sscanf(path, VMC_PUBLICATION_PATH, &(int){0}, &next), 2);
	assert_int_equal(next, number + 9);
	vmemcache_delete(cache);
}

/* A program that closes all descriptors, as daemons do, and opens others. */
static void
test_descriptor_taken(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	assert_int_equal(vmemcache_publish(cache, "a name"), 0);
	int fd = cache->publisher.fd;
	close(fd);
	assert_int_equal(open("/dev/null", O_RDONLY | O_CLOEXEC), fd);
	assert_int_equal(vmemcache_publish(cache, NULL), 0);
	assert_int_equal(objects_of(getpid()), 0);
	assert_int_equal(close(fd), 0);

	/* and is it not open, nothing is closed */
	assert_int_equal(vmemcache_publish(cache, "a name"), 0);
	close(cache->publisher.fd);
	vmemcache_delete(cache);
	assert_int_equal(objects_of(getpid()), 0);
}

/* --- what is no object, and what is none of ours --- */

static int
read_changed(VMEMcache *cache, size_t offset, const void *bytes, size_t size,
	off_t length)
{
	char copy[] = VMC_PUBLICATION_DIR "/vmc-test.XXXXXX";
	static char object[65536];
	struct vmc_published p;
	int to = mkstemp(copy);
	ssize_t n = pread(cache->publisher.fd, object, sizeof(object), 0);

	assert_true(n > 0 && to >= 0);
	memcpy(object + offset, bytes, size);
	assert_int_equal(write(to, object, (size_t)n), n);
	if (length >= 0)
		assert_int_equal(ftruncate(to, length), 0);
	int rc = vmc_publication_read(to, &p);
	close(to);
	unlink(copy);
	return rc;
}

static void
test_strange_objects(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	const size_t slot = offsetof(struct vmc_publication, slots);
	const size_t first = slot + sizeof(struct vmc_sample);
	const size_t name = offsetof(struct vmc_sample, name);
	uint64_t zero = 0, many = UINT64_MAX;
	char escape = 27, full[VMEMCACHE_NAME_MAX + 1];

	(void)state;
	memset(full, 'x', sizeof(full));
	assert_int_equal(vmemcache_publish(cache, "a name"), 0);
	assert_int_equal(objects_of(getpid()), 1);
	assert_int_equal(read_changed(cache, 0, "", 0, -1), 0);
	assert_int_equal(read_changed(cache, 0, "", 0, 0), -EINVAL);
	assert_int_equal(read_changed(cache, 0, "", 0, 8), -EINVAL);
	assert_int_equal(read_changed(cache, 0, "", 0, 100), -EINVAL);
	assert_int_equal(read_changed(cache, 0, &zero, 8, -1), -EINVAL);
	assert_int_equal(
		read_changed(cache, offsetof(struct vmc_publication, version),
			&many, 4, -1),
		-ENOTSUP);
	assert_int_equal(
		read_changed(cache,
			offsetof(struct vmc_publication, statistics_size),
			&zero, 4, -1),
		-ENOTSUP);
	assert_int_equal(
		read_changed(cache, offsetof(struct vmc_publication, pid),
			&many, 4, -1),
		-EINVAL);
	assert_int_equal(
		read_changed(cache, offsetof(struct vmc_publication, latest),
			&zero, 8, -1),
		-EINVAL);
	assert_int_equal(
		read_changed(cache, first + name, &escape, 1, -1), -EINVAL);
	assert_int_equal(
		read_changed(cache, first + name, &zero, 1, -1), -EINVAL);
	assert_int_equal(
		read_changed(cache, first + name, full, sizeof(full), -1),
		-EINVAL);
	vmemcache_delete(cache);
}

/* --- processes --- */

/* What test(cache) returns in a child; 200 and more: it was killed. */
static int
in_child(int (*test)(VMEMcache *), VMEMcache *cache)
{
	int status;

	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		alarm(240);
		_exit(test(cache));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 200 + WTERMSIG(status);
}

static int
be_a_child(VMEMcache *cache)
{
	int parent = getppid(), fd = cache->publisher.fd;

	if (vmemcache_publish(cache, "child") != -1 || errno != EBADF)
		return 1;
	if (vmemcache_publish(cache, NULL) != -1 || errno != EBADF)
		return 2;
	if (vmemcache_set_name(cache, "child") != 0)
		return 3;
	vmemcache_delete(cache);
	if (fcntl(fd, F_GETFD) != -1)
		return 4;
	if (objects_of(parent) != 1 || !vmc_os_is_held(open_object()))
		return 5;
	/* and has a publication of its own */
	cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	if (vmemcache_publish(cache, "child") != 0)
		return 6;
	if (objects_of(getpid()) != 1)
		return 7;
	wait_for_samples(cache, 1);
	vmemcache_delete(cache);
	return objects_of(getpid()) == 0 ? 0 : 8;
}

static void
test_child(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);

	(void)state;
	assert_int_equal(vmemcache_publish(cache, "parent"), 0);
	assert_int_equal(in_child(be_a_child, cache), 0);
	assert_int_equal(objects_of(getpid()), 1);
	assert_string_equal(read_object(cache).now.name, "parent");
	wait_for_samples(cache, 1);
	vmemcache_delete(cache);
}

static int
delete_copy(VMEMcache *cache)
{
	vmemcache_delete(cache);
	return 0;
}

static void *
publish_on(void *arg)
{
	_Atomic bool *stop = arg;
	VMEMcache *cache = vmemcache_new();

	testing_expect(vmemcache_add(cache, FIXTURE_DIR) == 0);
	while (!vmc_load_relaxed(stop)) {
		testing_expect(vmemcache_publish(cache, "one") == 0);
		testing_expect(vmemcache_publish(cache, "two") == 0);
		testing_expect(vmemcache_publish(cache, NULL) == 0);
	}
	vmemcache_delete(cache);
	return NULL;
}

/* Whatever others hold at the fork, the child deletes, and publishes. */
static int
publish_own(VMEMcache *cache)
{
	vmemcache_delete(cache);
	cache = vmemcache_new();
	if (vmemcache_add(cache, FIXTURE_DIR) != 0 ||
		vmemcache_publish(cache, "own") != 0)
		return 1;
	vmemcache_delete(cache);
	return objects_of(getpid());
}

static void
test_forks_beside_publications(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	_Atomic bool stop = false;
	pthread_t threads[2];

	(void)state;
#ifdef VMC_TESTING_SANITIZED
	skip(); /* its allocator is locked for ever where a thread was in it */
#endif
	if (RUNNING_ON_VALGRIND)
		skip(); /* the child leaks what its lost threads had */
	assert_int_equal(vmemcache_publish(cache, "parent"), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, publish_on, &stop),
			0);
	for (uint64_t i = testing_operations(64); i > 0; i--) {
		assert_int_equal(in_child(delete_copy, cache), 0);
		assert_int_equal(in_child(publish_own, cache), 0);
	}
	vmc_store_relaxed(&stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(objects_of(getpid()), 1);
	vmemcache_delete(cache);
	assert_int_equal(testing_failures, 0);
}

/* A process that ends without a delete, in that way. */
static pid_t
start_owner(void (*end)(int), int how)
{
	int ready[2];
	char c;

	assert_int_equal(pipe(ready), 0);
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		VMEMcache *cache = vmemcache_new();
		bool ok = vmemcache_add(cache, FIXTURE_DIR) == 0 &&
			  vmemcache_publish(cache, "owner") == 0;
		if (write(ready[1], ok ? "y" : "n", 1) == 1)
			end(how);
		_exit(1);
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(c, 'y');
	close(ready[0]);
	close(ready[1]);
	return child;
}

static void
wait_for_end(int how)
{
	(void)how;
	for (;;)
		pause();
}

static void
test_killed(void **state)
{
	pid_t child = start_owner(wait_for_end, 0);
	struct vmc_published p;
	int status;

	(void)state;
	assert_int_equal(objects_of(child), 1);
	int fd = open_object();
	assert_int_equal(vmc_publication_read(fd, &p), 0);
	assert_true(vmc_os_is_held(fd));
	assert_false(vmc_publication_is_gone(fd, &p));
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(objects_of(child), 1);
	assert_int_equal(vmc_publication_read(fd, &p), 0);
	assert_string_equal(p.now.name, "owner");
	assert_true(vmc_publication_is_gone(fd, &p));
	/* another has its number: the latest sample is old some time */
	p.pid = getpid();
	assert_false(vmc_publication_is_late(&p));
	assert_false(vmc_publication_is_gone(fd, &p));
	p.now.clock_ns -= 10 * UINT64_C(1000000000);
	assert_true(vmc_publication_is_gone(fd, &p));
	close(fd);
	unlink(path);
}

/* exit(3) leaves none behind. */
static void
test_exits(void **state)
{
	pid_t child;
	int status;

	(void)state;
	if (RUNNING_ON_VALGRIND)
		skip(); /* it reports what the child has not freed */
#ifdef VMC_TESTING_SANITIZED
	skip();
#endif
	child = start_owner(exit, 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(objects_of(child), 0);
}

/* As daemon(3) does it: the parent ends, the child publishes again. */
static int
publish_again(VMEMcache *cache, int parent)
{
	if (objects_of(parent) != 1 || vmc_os_is_held(open_object()))
		return 1;
	if (vmemcache_publish(cache, "after") != 0)
		return 2;
	if (objects_of(parent) != 0 || objects_of(getpid()) != 1)
		return 3;
	struct vmc_published p = wait_for_samples(cache, 1);
	if (strcmp(p.now.name, "after") != 0 || p.now.statistics.items != 1)
		return 4;
	vmemcache_delete(cache);
	return objects_of(getpid()) == 0 ? 0 : 5;
}

static int
become_daemon(int to)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	int parent = getpid();

	if (fixture_put(cache, 1, 1, 100) != 0 ||
		vmemcache_publish(cache, "before") != 0)
		return 1;
	if (fork() > 0)
		return 0;
	alarm(240);
	while (!vmc_os_process_is_gone(parent))
		usleep(1000);
	char answer = (char)publish_again(cache, parent);
	return write(to, &answer, 1) == 1 ? 0 : 1;
}

static void
test_daemon(void **state)
{
	int ends[2], status;
	char answer = 99;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	fflush(NULL);
	pid_t child = fork();
	if (child == 0)
		_exit(become_daemon(ends[1]));
	close(ends[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(read(ends[0], &answer, 1), 1);
	assert_int_equal(answer, 0);
	close(ends[0]);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_published),
		cmocka_unit_test(test_one_thread),
		cmocka_unit_test(test_bad_arguments),
		cmocka_unit_test(test_numbers_taken),
		cmocka_unit_test(test_descriptor_taken),
		cmocka_unit_test(test_strange_objects),
		cmocka_unit_test(test_child),
		cmocka_unit_test(test_forks_beside_publications),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_exits),
		cmocka_unit_test(test_daemon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
