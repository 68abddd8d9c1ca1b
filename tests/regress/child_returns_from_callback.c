/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * child_returns_from_callback.c -- a callback that forks returns twice. The
 * child's return went on with the call: it wrote the value of the put into the
 * pool, which is the parent's, and took locks that other threads had held. One
 * that put the key before, in on_miss, was a hit in the child, and the next get
 * of vmemcache_get_many() read what the parent had put there meanwhile.
 */
#include "fixture.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KEYS = 64, SIZE = 15000, FORKS = 8 };

struct forking {
	pid_t child; /* 0 in the child */
	unsigned left;
	bool puts; /* what was missed, before it forks */
	/* the parent goes on only once the child has ended */
	int status;
};

static void
fork_now(VMEMcache *cache, const void *key, size_t key_size, void *arg)
{
	struct forking *f = arg;

	if (f->left == 0)
		return;
	f->left--;
	if (f->puts)
		assert_int_equal(
			vmemcache_put(cache, key, key_size, "value", 6), 0);
	fflush(NULL);
	f->child = fork();
	if (f->child == 0)
		alarm(240);
	else
		assert_int_equal(waitpid(f->child, &f->status, 0), f->child);
}

/* In the child, after the call: how it ended, and delete as the last thing. */
static void
child_ends(VMEMcache *cache, long long result)
{
	int code = result == -1 && errno == EBADF ? 0 : 1;

	if (fixture_exists(cache, 1) != -1 || errno != EBADF)
		code = 2;
	vmemcache_delete(cache);
	_exit(code);
}

static void
parent_checks(VMEMcache *cache, struct forking *f)
{
	assert_true(WIFEXITED(f->status));
	assert_int_equal(WEXITSTATUS(f->status), 0);
	fixture_check(cache);
	for (uint64_t key = 0; key < KEYS; key++)
		if (fixture_exists(cache, key))
			assert_true(fixture_has(cache, key, 1, SIZE));
}

static VMEMcache *
full_cache(enum vmemcache_metadata metadata, struct forking *f)
{
	VMEMcache *cache = fixture_new(0, 0, VMEMCACHE_REPLACEMENT_LRU);

	*f = (struct forking){.child = 1};
	assert_int_equal(vmemcache_set_metadata(cache, metadata), 0);
	assert_int_equal(vmemcache_add(cache, FIXTURE_DIR), 0);
	for (uint64_t key = 0; key < KEYS; key++)
		assert_int_equal(fixture_put(cache, key, 1, SIZE), 0);
	vmemcache_callback_on_evict(cache, fork_now, f);
	vmemcache_callback_on_miss(cache, fork_now, f);
	f->left = 1;
	return cache;
}

static void
fork_in_put(enum vmemcache_metadata metadata)
{
	struct forking f;
	VMEMcache *cache = full_cache(metadata, &f);

	/* several victims, the fork at each of them in turn */
	for (unsigned i = 0; i < FORKS; i++) {
		f.left = 1;
		int rc = fixture_put(cache, KEYS + i, 1, 3 * SIZE);
		if (f.child == 0)
			child_ends(cache, rc);
		assert_int_equal(rc, 0);
		parent_checks(cache, &f);
		assert_true(fixture_has(cache, KEYS + i, 1, 3 * SIZE));
	}
	vmemcache_delete(cache);
}

static void
fork_in_evict(enum vmemcache_metadata metadata)
{
	struct forking f;
	VMEMcache *cache = full_cache(metadata, &f);

	int rc = fixture_evict(cache, KEYS - 1);
	if (f.child == 0)
		child_ends(cache, rc);
	assert_int_equal(rc, 0);
	parent_checks(cache, &f);
	f.left = 1;
	rc = vmemcache_evict(cache, NULL, 0);
	if (f.child == 0)
		child_ends(cache, rc);
	assert_int_equal(rc, 0);
	parent_checks(cache, &f);
	vmemcache_delete(cache);
}

static void
fork_in_get(enum vmemcache_metadata metadata, bool puts)
{
	struct forking f;
	VMEMcache *cache = full_cache(metadata, &f);
	uint64_t key = 2 * KEYS;
	char buffers[3][8];

	f.puts = puts;
	ssize_t n =
		vmemcache_get(cache, &key, sizeof(key), buffers[0], 8, 0, NULL);
	if (f.child == 0)
		child_ends(cache, n);
	assert_int_equal(n, puts ? 6 : -1);
	parent_checks(cache, &f);

	struct vmemcache_request requests[3] = {0};
	uint64_t keys[3] = {KEYS - 1, 3 * KEYS, KEYS - 1};
	for (int i = 0; i < 3; i++) {
		requests[i].key = &keys[i];
		requests[i].key_size = sizeof(keys[i]);
		requests[i].vbuf = buffers[i];
		requests[i].vbufsize = sizeof(buffers[i]);
	}
	f.left = 1;
	n = vmemcache_get_many(cache, requests, 3);
	if (f.child == 0)
		child_ends(cache, n);
	assert_int_equal(n, puts ? 3 : 2);
	parent_checks(cache, &f);
	vmemcache_delete(cache);
}

static void
test_metadata_in_dram(void **state)
{
	(void)state;
	fork_in_put(VMEMCACHE_METADATA_DRAM);
	fork_in_evict(VMEMCACHE_METADATA_DRAM);
	fork_in_get(VMEMCACHE_METADATA_DRAM, false);
	fork_in_get(VMEMCACHE_METADATA_DRAM, true);
}

static void
test_metadata_in_a_file(void **state)
{
	(void)state;
	fork_in_put(VMEMCACHE_METADATA_PMEM);
	fork_in_evict(VMEMCACHE_METADATA_PMEM);
	fork_in_get(VMEMCACHE_METADATA_PMEM, false);
	fork_in_get(VMEMCACHE_METADATA_PMEM, true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_metadata_in_dram),
		cmocka_unit_test(test_metadata_in_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
