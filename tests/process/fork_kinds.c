/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fork_kinds.c -- kinds of memory that parent and child share: whose they are
 * after a fork, and what the other one cannot do to them
 */
#include "testing.h"

#include "base/os_space.h"
#include "memkind.h"
#include "memkind/kinds.h"
#include "memkind/malloc.h"
#include "process.h"

#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB ((size_t)1 << 20)
#define DIRECTORY "/dev/shm"

enum { OBJECTS = 200, ROUNDS = 16, THREADS = 3 };

static memkind_t kind;
static unsigned char *objects[OBJECTS];

static size_t
size_of(size_t i)
{
	return i * i + 8;
}

static void
fill(unsigned char *ptr, size_t size, size_t i)
{
	memset(ptr, (int)(i % 251), size);
}

static bool
is_whole(const unsigned char *ptr, size_t size, size_t i)
{
	for (size_t at = 0; at < size; at++) {
		if (ptr[at] != i % 251)
			return false;
	}
	return true;
}

static void
make_objects(void)
{
	for (size_t i = 0; i < OBJECTS; i++) {
		objects[i] = vmc_memkind_malloc(kind, size_of(i));
		testing_expect(objects[i] != NULL);
		fill(objects[i], size_of(i), i);
	}
}

static void
make_kind(void)
{
	testing_expect(memkind_create_pmem(DIRECTORY, 32 * MIB, &kind) == 0);
	make_objects();
	/* some that are free, in caches and elsewhere */
	for (size_t i = 0; i < OBJECTS; i += 3)
		vmc_memkind_free(kind, objects[i]);
}

static bool
objects_are_whole(void)
{
	for (size_t i = 0; i < OBJECTS; i++) {
		if (i % 3 != 0 && !is_whole(objects[i], size_of(i), i))
			return false;
	}
	return true;
}

/* How many objects of 100,000 bytes fit; they are given back. */
static int
room(void)
{
	static void *all[2000];
	int count = 0, n;

	while ((all[count] = vmc_memkind_malloc(kind, 100000)) != NULL)
		memset(all[count++], 1, 100000);
	for (n = count; n > 0;)
		vmc_memkind_free(kind, all[--n]);
	return count;
}

static bool
has_taken_over(void)
{
	void *ptr;

	while (!(ptr = vmc_memkind_malloc(kind, 100))) {
		if (kind->heritage.lost)
			return false;
		usleep(1000);
	}
	vmc_memkind_free(kind, ptr);
	return true;
}

/* Everything works: what there was, what there is more, what was free. */
static bool
works(int expected_room)
{
	bool good = objects_are_whole();

	for (size_t i = 0; i < OBJECTS; i += 3) {
		objects[i] = vmc_memkind_calloc(kind, 1, size_of(i));
		if (!objects[i] || objects[i][size_of(i) - 1] != 0)
			return false;
		fill(objects[i], size_of(i), i);
	}
	good &= objects_are_whole();
	unsigned char *zeros = vmc_memkind_calloc(kind, 8, MIB);
	good &= zeros && is_whole(zeros, 8 * MIB, 0);
	vmc_memkind_free(kind, zeros);
	for (size_t i = 0; i < OBJECTS; i++) {
		good &= is_whole(objects[i], size_of(i), i);
		vmc_memkind_free(i % 2 ? kind : NULL, objects[i]);
	}
	/* what fits, but for what a fork leaves in depots that were in use */
	int now = room();
	if (now < expected_room - expected_room / 50)
		good = false;
	return good && memkind_update_cached_stats() == 0 &&
	       memkind_destroy_kind(kind) == 0;
}

/* What a process that runs `test` tells with a pipe, all its descendants'. */
static void
expect_answers(void (*test)(int to), const char *expected)
{
	char got[64] = "";
	int ends[2], length = 0;
	ssize_t n;

	assert_int_equal(pipe(ends), 0);
	fflush(NULL);
	pid_t parent = fork();
	if (parent == 0) {
		alarm(120);
		close(ends[0]);
		test(ends[1]);
		_exit(0);
	}
	close(ends[1]);
	while ((n = read(ends[0], got + length,
			sizeof(got) - 1 - (size_t)length)) > 0)
		length += (int)n;
	close(ends[0]);
	assert_int_equal(waitpid(parent, NULL, 0), parent);
	assert_string_equal(got, expected);
}

static void
tell(int to, bool good)
{
	if (write(to, good && testing_failures == 0 ? "y" : "n", 1) != 1)
		_exit(1);
}

static pid_t
fork_guarded(void)
{
	pid_t child = fork();

	if (child == 0)
		alarm(120);
	return child;
}

static void
daemonize(int to)
{
	make_kind();
	int fits = room();
	if (fork_guarded() == 0)
		tell(to, has_taken_over() && works(fits));
}

/* The child of a child, in another thread than the one that forked. */
static int answer_to, fitted;

static void *
take_over(void *unused)
{
	(void)unused;
	tell(answer_to, has_taken_over() && works(fitted));
	return NULL;
}

static void
fork_twice(int to)
{
	pthread_t thread;

	make_kind();
	fitted = room();
	answer_to = to;
	if (fork_guarded() != 0 || fork_guarded() != 0)
		return;
	pthread_create(&thread, NULL, take_over, NULL);
	pthread_join(thread, NULL);
}

/* The first thing that it does is to free. */
static void
free_first(int to)
{
	make_kind();
	int fits = room();
	pid_t parent = getpid();
	if (fork_guarded() != 0)
		return;
	while (getppid() == parent)
		usleep(1000);
	for (size_t i = 1; i < OBJECTS; i++) {
		if (i % 3 != 0)
			vmc_memkind_free(kind, objects[i]);
	}
	int now = room();
	tell(to, now >= fits);
}

static void
one_of_two(int to)
{
	int ends[2];
	char byte = 0;

	make_kind();
	if (pipe(ends) != 0)
		return;
	for (int i = 0; i < 2; i++) {
		if (fork_guarded() == 0) {
			bool mine = has_taken_over();
			if (write(ends[1], mine ? "1" : "0", 1) != 1)
				return;
			if (mine)
				/* until the other one has its answer, too */
				for (int n = 0; n < 2; n++)
					byte |= (char)(read(ends[0], &byte,
							       1) == 1);
			else
				tell(to, vmc_memkind_malloc(kind, 8) == NULL);
			if (mine)
				tell(to, works(0));
			return;
		}
	}
}

static void
change_then_end(int to)
{
	make_kind();
	if (fork_guarded() != 0) {
		vmc_memkind_free(kind, objects[1]);
		return;
	}
	bool mine = has_taken_over();
	/* reading is possible, freeing is left alone */
	vmc_memkind_free(kind, objects[2]);
	tell(to, !mine && is_whole(objects[2], size_of(2), 2) &&
			 vmc_memkind_realloc(kind, objects[OBJECTS - 1],
				 2 * size_of(OBJECTS)) == NULL &&
			 memkind_destroy_kind(kind) == 0);
}

/* One that makes an object smaller where it is gives memory back. */
static void
shrink_then_end(int to)
{
	testing_expect(memkind_create_pmem(DIRECTORY, 32 * MIB, &kind) == 0);
	void *ptr = vmc_memkind_malloc(kind, 8 * MIB);
	if (fork_guarded() != 0)
		testing_expect(vmc_memkind_realloc(kind, ptr, MIB) == ptr);
	else
		tell(to, !has_taken_over());
}

static void
test_taken_over(void **state)
{
	(void)state;
	expect_answers(daemonize, "y");
	expect_answers(fork_twice, "y");
	expect_answers(free_first, "y");
	expect_answers(one_of_two, "yy");
	expect_answers(change_then_end, "y");
	expect_answers(shrink_then_end, "y");
}

static void *
use_kind(void *seed)
{
	uint64_t random = (uint64_t)(uintptr_t)seed;
	unsigned char *mine[100] = {0};

	for (int i = 0; i < 4000; i++) {
		size_t at = testing_below(&random, 100);
		size_t size = size_of(at) * (at % 7 == 0 ? 9 : 1);
		testing_expect(!mine[at] || is_whole(mine[at], size, at));
		vmc_memkind_free(kind, mine[at]);
		mine[at] = vmc_memkind_malloc(kind, size);
		testing_expect(mine[at] != NULL);
		if (mine[at])
			fill(mine[at], size, at);
	}
	for (size_t at = 0; at < 100; at++)
		vmc_memkind_free(kind, mine[at]);
	return NULL;
}

/* Children that try everything, while the parent's threads go on. */
static void
test_parent_goes_on(void **state)
{
	pthread_t threads[THREADS];
	int status;

	(void)state;
	make_kind();
	for (uintptr_t i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, use_kind,
					 (void *)(testing_seed() + i)),
			0);
	for (int i = 0; i < ROUNDS; i++) {
		pid_t child = fork_guarded();
		if (child == 0) {
			bool good = !vmc_memkind_malloc(kind, 100) &&
				    !vmc_memkind_calloc(kind, 1, MIB) &&
				    objects_are_whole();
			for (size_t j = 0; j < OBJECTS; j++) {
				if (j % 3 != 0)
					vmc_memkind_free(kind, objects[j]);
			}
			if (i % 2)
				memkind_destroy_kind(kind);
			else
				good &= memkind_update_cached_stats() == 0;
			_exit(!good);
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
		testing_expect(objects_are_whole());
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_true(objects_are_whole());
	assert_int_equal(testing_failures, 0);
	memkind_destroy_kind(kind);
}

/*
 * Memory that was free at the fork, and is the parent's objects now, was
 * punched out of the file by the child's jemalloc.
 */
static void
test_child_gives_nothing_back(void **state)
{
	enum { COUNT = 64, SIZE = 512 << 10 };
	unsigned char *large[COUNT];
	char name[64];
	int go[2], status;
	char byte;

	(void)state;
	assert_int_equal(memkind_create_pmem(DIRECTORY, 64 * MIB, &kind), 0);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < COUNT; i++) {
			large[i] = vmc_memkind_malloc(kind, SIZE);
			fill(large[i], SIZE, 1);
		}
		for (int i = 0; i < COUNT && round == 0; i++)
			vmc_memkind_free(kind, large[i]);
		if (round > 0)
			break;
		assert_int_equal(pipe(go), 0);
		pid_t child = fork_guarded();
		if (child != 0)
			continue;
		if (read(go[0], &byte, 1) != 1)
			_exit(1);
		/* as its threads would do when it is due */
		snprintf(name, sizeof(name), "arena.%u.purge",
			MALLCTL_ARENAS_ALL);
		memkind_set_bg_threads(true);
		je_mallctl(name, NULL, NULL, NULL, 0);
		_exit(0);
	}
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_true(wait(&status) > 0 && status == 0);
	for (int i = 0; i < COUNT; i++)
		assert_true(is_whole(large[i], SIZE, 1));
	close(go[0]);
	close(go[1]);
	memkind_destroy_kind(kind);
}

/* A destroyed kind leaves nothing in its file, whoever has it mapped. */
static void
test_destroyed_beside_a_child(void **state)
{
	int go[2], status;
	char byte;
	size_t left;

	(void)state;
	make_kind();
	int fd = dup(kind->space.fd);
	assert_int_equal(pipe(go), 0);
	pid_t child = fork_guarded();
	if (child == 0)
		_exit(read(go[0], &byte, 1) != 1);
	assert_int_equal(vmc_os_file_occupied(fd, &left), 0);
	assert_true(left > MIB);
	memkind_destroy_kind(kind);
	assert_int_equal(vmc_os_file_occupied(fd, &left), 0);
	assert_int_equal(left, 0);
	assert_int_equal(write(go[1], "x", 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(fd);
	close(go[0]);
	close(go[1]);
}

/* The caller's memory, shared with children or not, by way of its mapping. */
static void
test_fixed(void **state)
{
	int status;

	(void)state;
	for (int shared = 0; shared < 2; shared++) {
		size_t size = 8 * MIB;
		void *region = mmap(NULL, size, PROT_READ | PROT_WRITE,
			MAP_ANONYMOUS | (shared ? MAP_SHARED : MAP_PRIVATE), -1,
			0);
		assert_true(region != MAP_FAILED);
		assert_int_equal(memkind_create_fixed(region, size, &kind), 0);
		unsigned char *ptr = vmc_memkind_malloc(kind, 1000);
		fill(ptr, 1000, 7);
		pid_t child = fork_guarded();
		if (child == 0) {
			void *other = vmc_memkind_malloc(kind, 1000);
			vmc_memkind_free(kind, ptr);
			_exit((other == NULL) != (shared != 0) ||
				(shared && !is_whole(ptr, 1000, 7)));
		}
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
		assert_true(is_whole(ptr, 1000, 7));
		vmc_memkind_free(kind, ptr);
		memkind_destroy_kind(kind);
		munmap(region, size);
	}
}

/* A thread that forked ends in the child, where it had caches before. */
static void *
allocate_default(void *barrier)
{
	vmc_memkind_free(
		MEMKIND_DEFAULT, vmc_memkind_malloc(MEMKIND_DEFAULT, 100));
	pthread_barrier_wait(barrier);
	pthread_barrier_wait(barrier);
	return NULL;
}

static void *
nothing(void *unused)
{
	return unused;
}

static void *
count_objects(void *forked)
{
	pthread_join(*(pthread_t *)forked, NULL);
	for (int i = 0; i < 1000; i++)
		vmc_memkind_malloc(MEMKIND_DEFAULT, 100);
	_exit(memkind_update_cached_stats() != 0);
}

static void *
fork_and_end(void *result)
{
	static pthread_t self, threads[4];
	void *ptr = vmc_memkind_malloc(MEMKIND_REGULAR, 100);
	pid_t child = fork_guarded();

	if (child != 0) {
		testing_expect(waitpid(child, result, 0) == child);
		vmc_memkind_free(MEMKIND_REGULAR, ptr);
		return NULL;
	}
	self = pthread_self();
	/* they take the stacks of those that are no more */
	for (int i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, nothing, NULL);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	vmc_memkind_free(MEMKIND_REGULAR, ptr);
	pthread_create(&threads[0], NULL, count_objects, &self);
	return NULL;
}

static void
test_thread_that_forked_ends(void **state)
{
	enum { OTHERS = 24 };
	pthread_t others[OTHERS], thread;
	pthread_barrier_t barrier;
	int status = -1;

	(void)state;
	pthread_barrier_init(&barrier, NULL, OTHERS + 1);
	for (int i = 0; i < OTHERS; i++)
		assert_int_equal(pthread_create(&others[i], NULL,
					 allocate_default, &barrier),
			0);
	pthread_barrier_wait(&barrier);
	assert_int_equal(
		pthread_create(&thread, NULL, fork_and_end, &status), 0);
	pthread_join(thread, NULL);
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < OTHERS; i++)
		pthread_join(others[i], NULL);
	pthread_barrier_destroy(&barrier);
	assert_int_equal(status, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_child_gives_nothing_back),
		cmocka_unit_test(test_thread_that_forked_ends),
		cmocka_unit_test(test_taken_over),
		cmocka_unit_test(test_parent_goes_on),
		cmocka_unit_test(test_destroyed_beside_a_child),
		cmocka_unit_test(test_fixed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
