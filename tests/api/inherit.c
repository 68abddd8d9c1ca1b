/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * inherit.c -- the child of a process that has gone, and that has changed
 * nothing since the fork, owns the cache: daemon(3) after vmemcache_add()
 *
 * Each case is a process that makes a cache, forks, and ends, or does not. Its
 * descendants ask for the cache until they get an answer that lasts, and write
 * that to a pipe, which the test reads to its end.
 */
#include "loads.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PUTS = 300, SIZE = 1000, OWNS = 0, REFUSED = 1, WRONG = 100 };

static VMEMcache *
filled(enum vmemcache_metadata metadata)
{
	VMEMcache *cache = fixture_new(0, 0, VMEMCACHE_REPLACEMENT_LRU);

	assert_int_equal(vmemcache_set_metadata(cache, metadata), 0);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	for (uint64_t key = 0; key < PUTS; key++)
		assert_int_equal(fixture_put(cache, key, 1, SIZE), 0);
	return cache;
}

static bool may_miss; /* others have put and evicted */

/* Everything works, in a child. */
static int
use_all(VMEMcache *cache)
{
	if (vmc_cache_check(cache) != 0)
		return WRONG;
	for (uint64_t key = 0; key < PUTS; key++)
		if (!fixture_has(cache, key, 1, SIZE) &&
			!(may_miss && errno == ENOENT))
			return WRONG + 1;
	for (uint64_t key = 0; key < 10 * PUTS; key++)
		if (fixture_put(cache, 1000000 + key, 2, SIZE) != 0 ||
			!fixture_has(cache, 1000000 + key, 2, SIZE))
			return WRONG + 2;
	if (fixture_exists(cache, 0) != 0)
		return WRONG + 3;
	if (vmemcache_resize(cache, 8 * VMEMCACHE_MIN_POOL) != 0 ||
		vmemcache_resize(cache, VMEMCACHE_MIN_POOL) != 0 ||
		!fixture_has(cache, 1000000 + 10 * PUTS - 1, 2, SIZE))
		return WRONG + 7;
	if (fixture_stat(cache, VMEMCACHE_STAT_ENTRIES) == 0 ||
		vmc_cache_check(cache) != 0)
		return WRONG + 4;
	while (vmemcache_evict(cache, NULL, 0) == 0)
		;
	fixture_check_empty(cache);
	vmemcache_delete(cache);
	return OWNS;
}

/* Until it is known for good. */
static int
ask(VMEMcache *cache)
{
	while (fixture_exists(cache, 1) < 0) {
		if (errno != EBADF || !strstr(vmemcache_errormsg(), "fork"))
			return WRONG + 5;
		if (!strstr(vmemcache_errormsg(), "still there"))
			return fixture_put(cache, 1, 1, 1) == -1 &&
					       errno == EBADF
				       ? REFUSED
				       : WRONG + 6;
		usleep(1000);
	}
	return OWNS;
}

static void
tell(int to, int answer)
{
	if (write(to, &answer, sizeof(answer)) != sizeof(answer))
		_exit(1);
}

/* In a child: what came of it, and the end. */
static void
tell_and_end(int to, VMEMcache *cache)
{
	alarm(120);
	int answer = ask(cache);

	tell(to, answer == OWNS ? use_all(cache) : answer);
	_exit(0);
}

/* What the descendants of a process that runs of(to) write. */
static int
answers(void (*of)(int to), int *got, int most)
{
	int ends[2], count = 0;

	assert_int_equal(pipe(ends), 0);
	fflush(NULL);
	pid_t parent = fork();
	if (parent == 0) {
		alarm(120);
		close(ends[0]);
		of(ends[1]);
		_exit(0);
	}
	close(ends[1]);
	while (count < most &&
		read(ends[0], &got[count], sizeof(*got)) == sizeof(*got))
		count++;
	close(ends[0]);
	/* it is a zombie until now */
	assert_int_equal(waitpid(parent, NULL, 0), parent);
	return count;
}

static void
daemonize(int to)
{
	VMEMcache *cache = filled(VMEMCACHE_METADATA_DRAM);

	if (fork() == 0)
		tell_and_end(to, cache);
}

static void
fork_twice(int to)
{
	VMEMcache *cache = filled(VMEMCACHE_METADATA_DRAM);

	if (fork() == 0 && fork() == 0)
		tell_and_end(to, cache);
}

/* Each goes on with what the one before it had. */
static void
fork_again_and_again(int to)
{
	VMEMcache *cache = filled(VMEMCACHE_METADATA_DRAM);

	for (int i = 0; i < 4; i++) {
		if (fork() != 0)
			_exit(0);
		if (ask(cache) != OWNS ||
			fixture_put(cache, 500 + (uint64_t)i, 1, SIZE) != 0)
			_exit(1);
	}
	tell_and_end(to, cache);
}

static void
get_then_end(int to)
{
	VMEMcache *cache = filled(VMEMCACHE_METADATA_DRAM);

	if (fork() == 0)
		tell_and_end(to, cache);
	for (uint64_t key = 0; key < PUTS; key++)
		fixture_has(cache, key, 1, SIZE);
}

static void
put_then_end(int to)
{
	VMEMcache *cache = filled(VMEMCACHE_METADATA_DRAM);

	if (fork() == 0)
		tell_and_end(to, cache);
	fixture_put(cache, 1000000, 1, 1);
}

static void
evict_then_end(int to)
{
	VMEMcache *cache = filled(VMEMCACHE_METADATA_DRAM);

	if (fork() == 0)
		tell_and_end(to, cache);
	vmemcache_evict(cache, NULL, 0);
}

static void
delete_then_end(int to)
{
	VMEMcache *cache = filled(VMEMCACHE_METADATA_DRAM);

	if (fork() == 0)
		tell_and_end(to, cache);
	vmemcache_delete(cache);
}

static void
metadata_in_a_file(int to)
{
	VMEMcache *cache = filled(VMEMCACHE_METADATA_PMEM);

	if (fork() == 0)
		tell_and_end(to, cache);
}

/* The child that deletes its copy leaves the cache to its brother. */
static void
brother_deletes(int to)
{
	VMEMcache *cache = filled(VMEMCACHE_METADATA_DRAM);
	pid_t brother = fork();

	if (brother == 0) {
		vmemcache_delete(cache);
		_exit(0);
	}
	waitpid(brother, NULL, 0);
	if (fork() == 0)
		tell_and_end(to, cache);
}

static pthread_barrier_t within;

static void
stay_or_fork(VMEMcache *cache, const void *key, size_t key_size, void *thread)
{
	(void)key, (void)key_size;
	if (!thread) {
		if (fork() == 0)
			alarm(120);
		return;
	}
	(void)cache;
	pthread_barrier_wait(&within);
	sleep(60);
}

static void *
evict_one(void *cache)
{
	vmemcache_evict(cache, NULL, 0);
	return NULL;
}

/* A thread that the child has not is amid an eviction. */
static void
another_thread_evicts(int to)
{
	VMEMcache *cache = filled(VMEMCACHE_METADATA_DRAM);
	pthread_t thread;

	vmemcache_callback_on_evict(cache, stay_or_fork, &within);
	pthread_barrier_init(&within, NULL, 2);
	if (pthread_create(&thread, NULL, evict_one, cache) != 0)
		_exit(1);
	pthread_barrier_wait(&within);
	if (fork() == 0)
		tell_and_end(to, cache);
}

/* It is itself amid one. */
static void
fork_within_on_evict(int to)
{
	VMEMcache *cache = filled(VMEMCACHE_METADATA_DRAM);
	pid_t self = getpid();

	vmemcache_callback_on_evict(cache, stay_or_fork, NULL);
	int rc = vmemcache_evict(cache, NULL, 0);
	if (getpid() == self)
		return;
	if (rc != -1 || errno != EBADF)
		tell(to, WRONG + 7);
	tell_and_end(to, cache);
}

static void *
wait_for_ever(void *cache)
{
	vmemcache_wait(cache, "k", 1, VMEMCACHE_FOREVER);
	return NULL;
}

/*
 * A thread waits for a reservation, and is not there in the child, which may
 * end it.
 */
static void
reserve_then_end(int to)
{
	static const struct vmemcache_store how = {
		.struct_size = sizeof(how), .flags = VMEMCACHE_EXCLUSIVE};
	VMEMcache *cache = filled(VMEMCACHE_METADATA_DRAM);
	struct vmemcache_item item, other;
	pthread_t thread;

	if (vmemcache_reserve(cache, "k", 1, SIZE, &how, &item) != 0 ||
		pthread_create(&thread, NULL, wait_for_ever, cache) != 0)
		_exit(1);
	while (vmc_load_relaxed(&sleeps) == 0)
		usleep(10);
	if (fork() != 0)
		return;
	if (ask(cache) == OWNS &&
		(vmemcache_reserve(cache, "k", 1, SIZE, &how, &other) == 0 ||
			errno != EINPROGRESS ||
			vmemcache_wait(cache, "k", 1, 0) == 0 ||
			errno != ETIMEDOUT))
		tell(to, WRONG + 7);
	vmemcache_abort(cache, &item);
	tell_and_end(to, cache);
}

static int
fork_and_stay(VMEMcache *cache, const void *key, size_t key_size,
	struct vmemcache_loading *loading, void *arg)
{
	(void)key, (void)key_size, (void)loading;
	if (fork() == 0)
		tell_and_end(*(int *)arg, cache);
	_exit(0);
}

/* Nobody could end that load. */
static void
fork_within_loader(int to)
{
	VMEMcache *cache = filled(VMEMCACHE_METADATA_DRAM);
	struct vmemcache_item item;

	vmemcache_load(cache, "k", 1, fork_and_stay, &to, NULL, 0, &item);
}

#ifndef VMC_TESTING_SANITIZED
/* No handler can see to it that the heap is whole. */
static void
clone_without_handlers(int to)
{
	VMEMcache *cache = filled(VMEMCACHE_METADATA_DRAM);

	if (syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == 0)
		tell_and_end(to, cache);
}

static _Atomic bool has_put, may_end;
static unsigned slot_of_other;

static void *
put_one(void *cache)
{
	testing_expect(fixture_put(cache, 1000000, 1, SIZE) == 0);
	slot_of_other = vmc_thread_self()->slot;
	vmc_store_release(&has_put, true);
	while (!vmc_load_acquire(&may_end))
		usleep(10);
	return NULL;
}

/* As before, while a thread ends that has the list of caches. */
static void
clone_while_thread_ends(int to)
{
	VMEMcache *cache = filled(VMEMCACHE_METADATA_DRAM);
	pthread_t thread;

	pthread_create(&thread, NULL, put_one, cache);
	while (!vmc_load_acquire(&has_put))
		usleep(10);
	pthread_mutex_lock(&cache->policy_lock.mutex);
	vmc_store_release(&may_end, true);
	while (vmc_thread_has(slot_of_other))
		usleep(10);
	usleep(100000); /* it waits for the policy now, with what it holds */
	if (syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) == 0) {
		alarm(20);
		pthread_mutex_unlock(&cache->policy_lock.mutex);
		vmemcache_delete(cache);
		tell(to, REFUSED);
		_exit(0);
	}
	pthread_mutex_unlock(&cache->policy_lock.mutex);
	pthread_join(thread, NULL);
}
#endif

static void
test_who_owns_it(void **state)
{
	static const struct {
		void (*of)(int to);
		int answer;
	} cases[] = {
		{daemonize, OWNS},
		{fork_twice, OWNS},
		{fork_again_and_again, OWNS},
		{get_then_end, OWNS},
		{brother_deletes, OWNS},
		{put_then_end, REFUSED},
		{evict_then_end, REFUSED},
		{delete_then_end, REFUSED},
		{metadata_in_a_file, REFUSED},
		{another_thread_evicts, REFUSED},
		{fork_within_on_evict, REFUSED},
		{reserve_then_end, OWNS},
		{fork_within_loader, REFUSED},
#ifndef VMC_TESTING_SANITIZED
		{clone_without_handlers, REFUSED},
		{clone_while_thread_ends, REFUSED},
#endif
	};
	int got[2] = {-1, -1};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int count = answers(cases[i].of, got, 2);
		if (count != 1 || got[0] != cases[i].answer)
			fail_msg("case %zu: %d answers, the first %d", i, count,
				got[0]);
	}
}

enum { RIVALS = 5 };

static void
rivals(int to)
{
	VMEMcache *cache = filled(VMEMCACHE_METADATA_DRAM);

	for (int i = 0; i < RIVALS; i++)
		if (fork() == 0)
			tell_and_end(to, cache);
}

static void
test_one_of_several(void **state)
{
	int got[RIVALS + 1], owners = 0;

	(void)state;
	assert_int_equal(answers(rivals, got, RIVALS + 1), RIVALS);
	for (int i = 0; i < RIVALS; i++) {
		assert_true(got[i] == OWNS || got[i] == REFUSED);
		owners += got[i] == OWNS;
	}
	assert_int_equal(owners, 1);
}

/* A parent that lives goes on, and the child is told what to do. */
static void
test_both_live(void **state)
{
	VMEMcache *cache = filled(VMEMCACHE_METADATA_DRAM);
	int status;

	(void)state;
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		alarm(120);
		bool told = fixture_exists(cache, 1) == -1 && errno == EBADF &&
			    strstr(vmemcache_errormsg(), "still there");
		_exit(told ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	for (uint64_t key = 0; key < PUTS; key++)
		assert_true(fixture_has(cache, key, 1, SIZE));
	assert_int_equal(fixture_put(cache, PUTS, 1, SIZE), 0);
	fixture_check(cache);
	vmemcache_delete(cache);
}

static _Atomic unsigned long long work;

static void *
work_now_and_then(void *cache)
{
	uint64_t random = testing_seed() ^ (uint64_t)pthread_self();

	for (;;) {
		uint64_t key = PUTS + testing_below(&random, 2000);
		if (!fixture_has(cache, key, 1, key % 900))
			fixture_put(cache, key, 1, key % 900);
		if (key % 3 == 0)
			fixture_evict(cache, key + 1);
		vmc_fetch_add_relaxed(&work, 1);
		for (uint64_t i = testing_below(&random, 3000); i > 0; i--)
			vmc_pause();
		if (key % 16 == 0)
			usleep(10000);
	}
	return NULL;
}

static void *
work_a_little(void *cache)
{
	for (uint64_t key = 0; key < 3; key++) {
		fixture_put(cache, PUTS + key, 1, key);
		fixture_evict(cache, PUTS + key);
	}
	return NULL;
}

/* Threads whose stripes others take over. */
static void *
come_and_go(void *cache)
{
	pthread_t threads[3];

	for (;;) {
		for (int i = 0; i < 3; i++)
			if (pthread_create(&threads[i], NULL, work_a_little,
				    cache) != 0)
				_exit(1);
		for (int i = 0; i < 3; i++)
			pthread_join(threads[i], NULL);
		vmc_fetch_add_relaxed(&work, 1);
		usleep(10000);
	}
	return NULL;
}

/* It forks at any moment of other threads' work, and ends at once. */
static void
fork_amid_work(int to)
{
	enum { THREADS = 2 };
	VMEMcache *cache = filled(VMEMCACHE_METADATA_DRAM);
	uint64_t random = testing_seed() + (uint64_t)getpid();
	pthread_t thread;

	for (int i = 0; i < THREADS; i++)
		if (pthread_create(&thread, NULL, work_now_and_then, cache) !=
			0)
			_exit(1);
	if (pthread_create(&thread, NULL, come_and_go, cache) != 0)
		_exit(1);
	while (vmc_load_relaxed(&work) < 100)
		usleep(10);
	usleep((useconds_t)testing_below(&random, 20000));
	if (fork() == 0)
		tell_and_end(to, cache);
}

/* The child owns a whole cache, or none. */
static void
test_amid_the_work_of_threads(void **state)
{
	unsigned owned = 0;
	uint64_t forks = testing_operations(16);

	(void)state;
#ifdef VMC_TESTING_SANITIZED
	skip(); /* its allocator is locked where a thread was in it */
#endif
	testing_seed();
	may_miss = true;
	for (uint64_t i = 0; i < forks; i++) {
		int got;
		assert_int_equal(answers(fork_amid_work, &got, 1), 1);
		if (got != OWNS && got != REFUSED)
			fail_msg("answer %d", got);
		owned += got == OWNS;
	}
	printf("%u of %" PRIu64 " children went on with it\n", owned, forks);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_owns_it),
		cmocka_unit_test(test_one_of_several),
		cmocka_unit_test(test_both_live),
		cmocka_unit_test(test_amid_the_work_of_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
