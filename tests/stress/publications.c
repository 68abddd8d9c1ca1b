/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * publications.c -- samples that are read while they are written, and caches
 * that several threads publish and withdraw
 */
#include "fixture.h"

#include "base/os.h"

#include <pthread.h>
#include <unistd.h>

static char path[VMC_PUBLICATION_PATH_MAX];
static struct vmc_publication *object;
static int object_fd;
static _Atomic bool stop;

static void
make_object(void)
{
	void *at;

	snprintf(path, sizeof(path), VMC_PUBLICATION_PATH ".stress",
		vmc_os_process(), 0);
	int rc = vmc_os_create_shared(path, sizeof(*object), &object_fd, &at);
	assert_int_equal(rc, 0);
	vmc_os_remove(path);
	object = at;
	object->version = VMC_PUBLICATION_VERSION;
	object->statistics_size = sizeof(struct vmemcache_statistics);
	object->pid = vmc_os_process();
	vmc_store_release(&object->magic, VMC_PUBLICATION_MAGIC);
}

/* Each number and the name are those of sample n. */
static void
write_sample(uint64_t n)
{
	struct vmc_sample s = {.time_ns = n, .clock_ns = n};
	uint64_t *numbers = (uint64_t *)(void *)&s.statistics;

	for (size_t i = 0; i < sizeof(s.statistics) / 8; i++)
		numbers[i] = n;
	snprintf(s.name, sizeof(s.name), "%050llu", (unsigned long long)n);
	vmc_publication_write(object, &s);
}

static bool
is_sample(const struct vmc_sample *s, uint64_t n)
{
	const uint64_t *numbers =
		(const uint64_t *)(const void *)&s->statistics;
	bool is = s->time_ns == n && s->clock_ns == n &&
		  strtoull(s->name, NULL, 10) == n && strlen(s->name) == 50;

	for (size_t i = 0; i < sizeof(s->statistics) / 8; i++)
		is &= numbers[i] == n;
	return is;
}

static void *
read_on(void *arg)
{
	struct vmc_published p;
	uint64_t *read = arg, last = 0;

	while (!vmc_load_relaxed(&stop)) {
		int rc = vmc_publication_read(object_fd, &p);

		testing_expect(rc == 0 || rc == -EAGAIN);
		if (rc)
			continue;
		uint64_t n = p.now.time_ns;
		testing_expect(n >= last);
		testing_expect(is_sample(&p.now, n));
		testing_expect(is_sample(&p.before, n == 1 ? 1 : n - 1));
		last = n;
		++*read;
	}
	return NULL;
}

/* Two whole samples, one after the other, whenever they are read. */
static void
test_readers(void **state)
{
	uint64_t random = testing_seed(), read[2] = {0}, n = 0;
	pthread_t threads[2];

	(void)state;
	make_object();
	write_sample(++n);
	for (int i = 0; i < 2; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, read_on, &read[i]),
			0);
	for (uint64_t i = testing_operations(200000); i > 0; i--) {
		write_sample(++n);
		/* now and then so slowly that a reader gets through */
		for (uint64_t j = testing_below(&random, 4000); j > 3000; j--)
			vmc_pause();
	}
	vmc_store_relaxed(&stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	printf("%llu samples, %llu and %llu reads\n", (unsigned long long)n,
		(unsigned long long)read[0], (unsigned long long)read[1]);
	vmc_os_unmap(object, vmc_os_shared_size(sizeof(*object)));
	vmc_os_close(object_fd);
	assert_int_equal(testing_failures, 0);
}

/* One cache and several threads: each call sees what the others left. */
static void *
publish_same(void *arg)
{
	for (uint64_t i = testing_operations(2000) / 4; i > 0; i--)
		testing_expect(vmemcache_publish(arg, i % 3   ? NULL
						      : i % 2 ? "odd"
							      : "even") == 0);
	return NULL;
}

static void
test_threads(void **state)
{
	VMEMcache *cache = fixture_open(0, 0, VMEMCACHE_REPLACEMENT_LRU);
	pthread_t threads[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, publish_same, cache),
			0);
	for (uint64_t key = testing_operations(2000); key > 0; key--)
		fixture_put(cache, key, 1, 100);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(vmemcache_publish(cache, "last"), 0);
	strcpy(path, cache->publisher.path);
	assert_int_equal(access(path, F_OK), 0);
	vmemcache_delete(cache);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(testing_failures, 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readers),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
