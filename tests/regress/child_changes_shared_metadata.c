/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * child_changes_shared_metadata.c -- a callback that forks returns in the child
 * too. Where metadata is in a file, and so shared, what ended the call there
 * gave back what was the parent's: pins of vmemcache_pin_many(), so that their
 * bytes were overwritten; blocks of a put through a space, which then held more
 * than its quota; and the space's era, which could end while it was in use.
 */
#include "items.h"

#include "space.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
	POOL = 2 * VMEMCACHE_MIN_POOL,
	SIZE = 15000,
	KEYS = POOL / (59 * VMEMCACHE_MIN_EXTENT), /* of them: it is full */
	FILES = 1024,
	STEP = 1 << 16
};

struct forking {
	VMEMcache *space; /* or the cache itself */
	int (*call)(struct forking *f);
	struct vmemcache_item items[3];
	pid_t child; /* 0 in the child; -1: it has not forked */
	bool leaves; /* the callback in the child, and does not return */
	bool armed;
};

/* FNV-1a of all data of a file; what it is the sum of is added to *bytes. */
static uint64_t
sum_of(int fd, size_t *bytes)
{
	static unsigned char buffer[STEP];
	uint64_t sum = UINT64_C(0xcbf29ce484222325);
	off_t at = 0, end;

	while ((at = lseek(fd, at, SEEK_DATA)) >= 0) {
		end = lseek(fd, at, SEEK_HOLE);
		while (at < end) {
			size_t n = end - at < STEP ? (size_t)(end - at) : STEP;
			ssize_t got = pread(fd, buffer, n, at);
			testing_expect(got > 0);
			for (ssize_t i = 0; i < got; i++)
				sum = (sum ^ buffer[i]) *
				      UINT64_C(0x100000001b3);
			at += got;
			*bytes += (size_t)got;
		}
	}
	return sum;
}

/* Of the files without names that are open: the pool, and the metadata. */
static uint64_t
sum_of_files(void)
{
	uint64_t sum = 0;
	unsigned files = 0;

	for (int fd = 3; fd < FILES; fd++) {
		struct stat st;
		size_t bytes = 0;
		if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) ||
			st.st_nlink > 0)
			continue;
		sum = 31 * sum + sum_of(fd, &bytes);
		files += bytes > 0;
	}
	testing_expect(files == 2);
	return sum;
}

static void
fork_now(struct forking *f)
{
	int status;

	if (!f->armed)
		return;
	f->armed = false;
	uint64_t before = sum_of_files();
	fflush(NULL);
	f->child = fork();
	if (f->child == 0) {
		alarm(240);
		if (f->leaves)
			pthread_exit(NULL);
		return;
	}
	testing_expect(waitpid(f->child, &status, 0) == f->child);
	testing_expect(WIFEXITED(status));
	testing_expect(WEXITSTATUS(status) == 0);
	testing_expect(sum_of_files() == before);
}

static void
on_key(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	(void)cache, (void)key, (void)key_size;
	fork_now(arg);
}

static void
on_remove(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, enum vmemcache_reason reason,
	void *arg)
{
	(void)cache, (void)key, (void)key_size, (void)item, (void)reason;
	fork_now(arg);
}

static enum vmemcache_step
on_item(VMEMcache *cache, const void *key, size_t key_size,
	const struct vmemcache_item *item, void *arg)
{
	(void)cache, (void)key, (void)key_size, (void)item;
	fork_now(arg);
	return VMEMCACHE_WALK_REMOVE;
}

static int
loader(VMEMcache *cache, const void *key, size_t key_size,
	struct vmemcache_loading *loading, void *arg)
{
	struct vmemcache_item item;

	(void)cache, (void)key, (void)key_size;
	testing_expect(
		vmemcache_loading_reserve(loading, SIZE, NULL, &item) == 0);
	fork_now(arg);
	return 0;
}

/* --- calls, each of which calls a callback --- */

static int
pin_many(struct forking *f)
{
	uint64_t number[3] = {KEYS - 1, KEYS - 2, KEYS};
	struct vmemcache_key keys[3];

	vmemcache_callback_on_miss(f->space, on_key, f);
	for (int i = 0; i < 3; i++)
		keys[i] = (struct vmemcache_key){&number[i], sizeof(number[i])};
	return (int)vmemcache_pin_many(f->space, keys, 3, 0, f->items);
}

static int
get(struct forking *f)
{
	uint64_t key = KEYS;
	char byte;

	vmemcache_callback_on_miss(f->space, on_key, f);
	return (int)vmemcache_get(
		f->space, &key, sizeof(key), &byte, 1, 0, NULL);
}

static int
put(struct forking *f)
{
	vmemcache_callback_on_evict(f->space, on_key, f);
	return fixture_put(f->space, KEYS, 1, 3 * SIZE);
}

static int
store_over(struct forking *f)
{
	vmemcache_callback_on_remove(f->space, on_remove, f);
	return items_store(f->space, KEYS - 1, 1, SIZE, NULL, NULL);
}

static int
store_many(struct forking *f)
{
	static char value[3 * SIZE];
	uint64_t key = KEYS;
	struct vmemcache_store_request request = {.key = &key,
		.key_size = sizeof(key),
		.value = value,
		.value_size = sizeof(value)};

	vmemcache_callback_on_remove(f->space, on_remove, f);
	return (int)vmemcache_store_many(f->space, &request, 1);
}

static int
reserve(struct forking *f)
{
	struct vmemcache_store how = {
		.struct_size = sizeof(how), .flags = VMEMCACHE_EXCLUSIVE};
	uint64_t key = KEYS;

	vmemcache_callback_on_evict(f->space, on_key, f);
	return vmemcache_reserve(
		f->space, &key, sizeof(key), 3 * SIZE, &how, f->items);
}

static int
commit(struct forking *f)
{
	uint64_t key = KEYS - 1;
	int rc = vmemcache_reserve(
		f->space, &key, sizeof(key), SIZE, NULL, f->items);

	vmemcache_callback_on_remove(f->space, on_remove, f);
	return rc ? rc : vmemcache_commit(f->space, f->items, SIZE, NULL);
}

static int
evict(struct forking *f)
{
	vmemcache_callback_on_evict(f->space, on_key, f);
	return fixture_evict(f->space, KEYS - 1);
}

static int
evict_next(struct forking *f)
{
	vmemcache_callback_on_evict(f->space, on_key, f);
	return vmemcache_evict(f->space, NULL, 0);
}

static int
walk(struct forking *f)
{
	uint64_t cursor = 0;

	return (int)vmemcache_walk(f->space, &cursor, KEYS, on_item, f);
}

static int
remove_prefix(struct forking *f)
{
	vmemcache_callback_on_remove(f->space, on_remove, f);
	return (int)vmemcache_remove_prefix(f->space, NULL, 0);
}

static int
clear(struct forking *f)
{
	vmemcache_callback_on_remove(f->space, on_remove, f);
	return vmemcache_clear(f->space);
}

static int
load(struct forking *f)
{
	uint64_t key = KEYS;

	return vmemcache_load(
		f->space, &key, sizeof(key), loader, f, NULL, 1000, f->items);
}

static int
shrink(struct forking *f)
{
	vmemcache_callback_on_evict(f->space, on_key, f);
	return vmemcache_resize(f->space->root, VMEMCACHE_MIN_POOL);
}

/* --- */

static void *
call_it(void *arg)
{
	struct forking *f = arg;
	int rc = f->call(f);

	if (f->child == 0) {
		bool refused = rc == -1 && errno == EBADF;
		vmemcache_delete(f->space->root);
		_exit(refused ? 0 : 1);
	}
	testing_expect(rc >= 0 || errno == ENOENT);
	return NULL;
}

static void
fork_in(int (*call)(struct forking *), bool of_space, bool leaves)
{
	VMEMcache *cache = fixture_new(POOL, 0, VMEMCACHE_REPLACEMENT_LRU);
	struct forking f = {.space = cache,
		.call = call,
		.child = -1,
		.leaves = leaves,
		.armed = true};
	pthread_t thread;

	assert_int_equal(
		vmemcache_set_metadata(cache, VMEMCACHE_METADATA_PMEM), 0);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	if (of_space)
		f.space = vmemcache_new_space(cache, NULL);
	assert_non_null(f.space);
	for (int i = 0; i < 3; i++)
		f.items[i].iov_count = -1;
	for (uint64_t key = 0; key < KEYS; key++)
		assert_int_equal(fixture_put(f.space, key, 1, SIZE), 0);
	assert_int_equal(pthread_create(&thread, NULL, call_it, &f), 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(vmc_load_relaxed(&testing_failures), 0);
	assert_true(f.child > 0);
	vmemcache_callback_on_miss(f.space, NULL, NULL);
	vmemcache_callback_on_evict(f.space, NULL, NULL);
	vmemcache_callback_on_remove(f.space, NULL, NULL);
	fixture_check(cache);
	for (int i = 0; i < 3; i++) {
		vmemcache_abort(f.space, &f.items[i]);
		vmemcache_unpin(f.space, &f.items[i]);
	}
	assert_int_equal(vmemcache_clear(f.space), 0);
	fixture_check(cache);
	vmemcache_delete(cache);
}

static int (*const calls[])(struct forking *) = {pin_many, get, put, store_over,
	store_many, reserve, commit, evict, evict_next, walk, remove_prefix,
	clear, load, shrink};

static void
test_callback_returns(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		fork_in(calls[i], false, false);
		fork_in(calls[i], true, false);
	}
}

static void
test_callback_is_left(void **state)
{
	(void)state;
#ifdef VMC_TESTING_SANITIZED
	skip(); /* the child leaks what its lost threads had */
#endif
	if (RUNNING_ON_VALGRIND)
		skip();
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		fork_in(calls[i], false, true);
		fork_in(calls[i], true, true);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_callback_returns),
		cmocka_unit_test(test_callback_is_left),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
