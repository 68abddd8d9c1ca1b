/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_memtier.c -- builders, and the heap calls against a plain model: a list
 * of the objects there are, each with its kind and size
 */
#include "testing.h"

#include "memkind/malloc.h"
#include "memkind_memtier.h"

#include <errno.h>
#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#define OBJECTS 500
#define DYNAMIC "policy.dynamic_threshold."

static struct memtier_memory *
construct(memtier_policy_t policy, const memkind_t *kinds,
	const unsigned *ratios, unsigned count)
{
	struct memtier_builder *builder = memtier_builder_new(policy);
	struct memtier_memory *memory;

	assert_non_null(builder);
	for (unsigned i = 0; i < count; i++)
		assert_int_equal(
			memtier_builder_add_tier(builder, kinds[i], ratios[i]),
			0);
	memory = memtier_builder_construct_memtier_memory(builder);
	memtier_builder_delete(builder);
	assert_non_null(memory);
	return memory;
}

static void
test_builder(void **state)
{
	struct memtier_builder *builder;
	struct memtier_memory *memory;

	(void)state;
	errno = 0;
	assert_null(memtier_builder_new(MEMTIER_POLICY_MAX_VALUE));
	assert_int_equal(errno, EINVAL);
	assert_null(memtier_builder_new((memtier_policy_t)-1));
	memtier_builder_delete(NULL);
	memtier_delete_memtier_memory(NULL);
	assert_int_equal(
		memtier_builder_add_tier(NULL, MEMKIND_DEFAULT, 1), -1);
	assert_null(memtier_builder_construct_memtier_memory(NULL));

	builder = memtier_builder_new(MEMTIER_POLICY_STATIC_RATIO);
	assert_non_null(builder);
	errno = 0;
	assert_null(memtier_builder_construct_memtier_memory(builder));
	assert_int_equal(errno, EINVAL);
	assert_int_equal(memtier_builder_add_tier(builder, NULL, 1), -1);
	assert_int_equal(
		memtier_builder_add_tier(builder, MEMKIND_DEFAULT, 1), 0);
	assert_int_equal(
		memtier_builder_add_tier(builder, MEMKIND_DEFAULT, 1), -1);
	assert_int_equal(
		memtier_builder_add_tier(builder, MEMKIND_REGULAR, 0), 0);
	assert_int_equal(
		memtier_ctl_set(builder, DYNAMIC "check_cnt", "1234"), -1);
	/* the builder serves for more than one */
	for (int i = 0; i < 2; i++) {
		memory = memtier_builder_construct_memtier_memory(builder);
		assert_non_null(memory);
		memtier_delete_memtier_memory(memory);
	}
	memtier_builder_delete(builder);
}

/* SIZE_MAX: as it is. */
static bool
thresholds_hold(const size_t (*bounds)[3], unsigned count)
{
	static const char *const names[] = {"val", "min", "max"};
	const memkind_t kinds[] = {
		MEMKIND_DEFAULT, MEMKIND_REGULAR, MEMKIND_INTERLEAVE};
	struct memtier_builder *builder =
		memtier_builder_new(MEMTIER_POLICY_DYNAMIC_THRESHOLD);
	struct memtier_memory *memory;
	char name[80];

	for (unsigned i = 0; i <= count; i++)
		assert_int_equal(
			memtier_builder_add_tier(builder, kinds[i], 1), 0);
	for (unsigned i = 0; i < count; i++) {
		for (int j = 0; j < 3; j++) {
			if (bounds[i][j] == SIZE_MAX)
				continue;
			snprintf(name, sizeof(name),
				DYNAMIC "thresholds[%u].%s", i, names[j]);
			assert_int_equal(
				memtier_ctl_set(builder, name, &bounds[i][j]),
				0);
		}
	}
	memory = memtier_builder_construct_memtier_memory(builder);
	memtier_builder_delete(builder);
	memtier_delete_memtier_memory(memory);
	return memory != NULL;
}

static void
test_thresholds(void **state)
{
	static const size_t as_is = SIZE_MAX;

	(void)state;
#define HOLDS(...) thresholds_hold((const size_t[][3]){{__VA_ARGS__}}, 1)
#define HOLD(...) thresholds_hold((const size_t[][3]){__VA_ARGS__}, 2)
	assert_true(HOLDS(as_is, as_is, as_is));
	assert_true(HOLDS(512, as_is, as_is));
	assert_false(HOLDS(511, as_is, as_is));
	assert_true(HOLDS(1535, as_is, as_is));
	assert_false(HOLDS(1536, as_is, as_is));
	assert_true(HOLDS(100, 100, 100));
	assert_false(HOLDS(99, 100, 200));
	assert_false(HOLDS(201, 100, 200));
	assert_true(HOLDS(0, 0, 0));
	assert_true(HOLD({as_is, as_is, as_is}, {as_is, as_is, as_is}));
	assert_true(HOLD({as_is, as_is, as_is}, {1536, 1535, 2559}));
	assert_false(HOLD({as_is, as_is, as_is}, {1536, 1534, 2559}));
	assert_false(HOLD({as_is, as_is, as_is}, {2560, as_is, as_is}));
}

static void
test_properties(void **state)
{
	static const char *const wrong[] = {"", "policy", DYNAMIC,
		DYNAMIC "check_cnt.x", DYNAMIC "thresholds",
		DYNAMIC "thresholds[].val", DYNAMIC "thresholds[x].val",
		DYNAMIC "thresholds[-1].val", DYNAMIC "thresholds[0]val",
		DYNAMIC "thresholds[0].value", DYNAMIC "thresholds[1].val",
		DYNAMIC "thresholds[99999999999999999999].val",
		"policy.static_ratio.check_cnt"};
	static const float floats[] = {-1, (float)NAN};
	struct memtier_builder *builder =
		memtier_builder_new(MEMTIER_POLICY_DYNAMIC_THRESHOLD);
	const size_t value = 600;
	const unsigned count = 7;
	const float degree = 0.5f;

	(void)state;
	assert_int_equal(
		memtier_builder_add_tier(builder, MEMKIND_DEFAULT, 1), 0);
	assert_null(memtier_builder_construct_memtier_memory(builder));
	assert_int_equal(
		memtier_ctl_set(builder, DYNAMIC "thresholds[0].val", &value),
		-1);
	assert_int_equal(
		memtier_builder_add_tier(builder, MEMKIND_REGULAR, 1), 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		assert_int_equal(
			memtier_ctl_set(builder, wrong[i], &value), -1);
	assert_int_equal(memtier_ctl_set(NULL, DYNAMIC "degree", &degree), -1);
	assert_int_equal(memtier_ctl_set(builder, NULL, &degree), -1);
	assert_int_equal(memtier_ctl_set(builder, DYNAMIC "degree", NULL), -1);
	assert_int_equal(
		memtier_ctl_set(builder, DYNAMIC "check_cnt", &count), 0);
	for (int i = 0; i < 4; i++) {
		const char *name = i % 2 ? DYNAMIC "degree" : DYNAMIC "trigger";
		assert_int_equal(
			memtier_ctl_set(builder, name, &floats[i / 2]), 0);
		assert_null(memtier_builder_construct_memtier_memory(builder));
		assert_int_equal(memtier_ctl_set(builder, name, &degree), 0);
	}
	struct memtier_memory *memory =
		memtier_builder_construct_memtier_memory(builder);
	assert_non_null(memory);
	memtier_delete_memtier_memory(memory);
	memtier_builder_delete(builder);
}

static void
test_nothing(void **state)
{
	struct memtier_memory *memory = construct(MEMTIER_POLICY_STATIC_RATIO,
		(memkind_t[]){MEMKIND_REGULAR}, (unsigned[]){1}, 1);
	size_t before = memtier_kind_allocated_size(MEMKIND_REGULAR);
	void *ptr;

	(void)state;
	errno = 0;
	assert_null(memtier_malloc(memory, 0));
	assert_null(memtier_calloc(memory, 0, 8));
	assert_null(memtier_calloc(memory, 8, 0));
	assert_null(memtier_realloc(memory, NULL, 0));
	assert_int_equal(memtier_posix_memalign(memory, &ptr, 64, 0), 0);
	assert_null(ptr);
	assert_int_equal(memtier_usable_size(NULL), 0);
	memtier_free(NULL);
	memtier_kind_free(MEMKIND_REGULAR, NULL);
	assert_int_equal(errno, 0);

	assert_null(memtier_malloc(memory, SIZE_MAX / 2));
	assert_int_equal(errno, ENOMEM);
	errno = 0;
	assert_null(memtier_calloc(memory, SIZE_MAX / 4, 8));
	assert_int_equal(errno, ENOMEM);
	assert_int_equal(memtier_posix_memalign(memory, &ptr, 24, 8), EINVAL);
	assert_int_equal(memtier_posix_memalign(memory, &ptr, 4, 8), EINVAL);
	assert_int_equal(
		memtier_posix_memalign(memory, &ptr, 64, SIZE_MAX / 2), ENOMEM);
	ptr = memtier_malloc(memory, 1000);
	assert_null(memtier_realloc(memory, ptr, SIZE_MAX / 2));
	assert_int_equal(memtier_kind_allocated_size(MEMKIND_REGULAR) - before,
		memtier_usable_size(ptr));
	assert_null(memtier_realloc(memory, ptr, 0));
	assert_int_equal(memtier_kind_allocated_size(MEMKIND_REGULAR), before);
	memtier_delete_memtier_memory(memory);
}

static void
test_null(void **state)
{
	void *ptr;

	(void)state;
	errno = 0;
	assert_null(memtier_malloc(NULL, 1));
	assert_int_equal(errno, EINVAL);
	errno = 0;
	assert_null(memtier_calloc(NULL, 1, 1));
	assert_int_equal(errno, EINVAL);
	errno = 0;
	assert_null(memtier_realloc(NULL, NULL, 1));
	assert_int_equal(errno, EINVAL);
	assert_int_equal(memtier_posix_memalign(NULL, &ptr, 64, 1), EINVAL);
	errno = 0;
	assert_null(memtier_kind_malloc(NULL, 1));
	assert_int_equal(errno, EINVAL);
	assert_null(memtier_kind_calloc(NULL, 1, 1));
	assert_null(memtier_kind_realloc(NULL, NULL, 1));
	assert_int_equal(
		memtier_kind_posix_memalign(NULL, &ptr, 64, 1), EINVAL);
	assert_int_equal(memtier_kind_allocated_size(NULL), 0);
}

/* What the C library has given goes back there. */
static void
test_foreign(void **state)
{
	struct memtier_memory *memory = construct(MEMTIER_POLICY_STATIC_RATIO,
		(memkind_t[]){MEMKIND_REGULAR}, (unsigned[]){1}, 1);
	char *text = malloc(10);

	(void)state;
	assert_non_null(text);
	if (memkind_detect_kind(text)) { /* where it is the default kind's */
		free(text);
		memtier_delete_memtier_memory(memory);
		skip();
	}
	memcpy(text, "something", 10);
	assert_true(memtier_usable_size(text) >= 10);
	text = memtier_realloc(memory, text, 10000);
	assert_string_equal(text, "something");
	text = memtier_kind_realloc(NULL, text, 20);
	assert_string_equal(text, "something");
	memtier_free(text);
	memtier_delete_memtier_memory(memory);
}

struct object {
	char *ptr;
	unsigned kind;
	size_t size;
};

struct model {
	memkind_t kinds[4];
	struct memtier_memory *memory;
	struct object objects[OBJECTS];
	size_t allocated[4];
	uint64_t random;
};

static void
forget(struct model *model, struct object *object)
{
	model->allocated[object->kind] -= object->size;
	object->ptr = NULL;
}

/* kind: which it must be of, 4: one of them. */
static void
learn(struct model *model, struct object *object, void *ptr, unsigned kind)
{
	unsigned i = 0;

	assert_non_null(ptr);
	while (i < 4 && memkind_detect_kind(ptr) != model->kinds[i])
		i++;
	assert_true(i < 4);
	assert_true(kind == 4 || i == kind);
	*object = (struct object){.ptr = ptr,
		.kind = i,
		.size = vmc_memkind_usable_size(model->kinds[i], ptr)};
	model->allocated[i] += object->size;
}

static size_t
any_size(uint64_t *random)
{
	return 1 +
	       testing_below(random, (uint64_t)1 << testing_below(random, 18));
}

static void
allocate(struct model *model, struct object *object)
{
	size_t size = any_size(&model->random);
	unsigned kind = (unsigned)testing_below(&model->random, 4);
	size_t alignment = (size_t)8 << testing_below(&model->random, 8);
	void *ptr = NULL;

	switch (testing_below(&model->random, 8)) {
	case 0:
		ptr = memtier_kind_malloc(model->kinds[kind], size);
		break;
	case 1:
		ptr = memtier_kind_calloc(model->kinds[kind], 1, size);
		break;
	case 2:
		ptr = memtier_kind_realloc(model->kinds[kind], NULL, size);
		break;
	case 3:
		assert_int_equal(memtier_kind_posix_memalign(model->kinds[kind],
					 &ptr, alignment, size),
			0);
		assert_int_equal((uintptr_t)ptr % alignment, 0);
		break;
	case 4:
		ptr = memtier_calloc(model->memory, size, 1);
		kind = 4;
		break;
	case 5:
		assert_int_equal(memtier_posix_memalign(
					 model->memory, &ptr, alignment, size),
			0);
		kind = 4;
		break;
	case 6:
		ptr = memtier_realloc(model->memory, NULL, size);
		kind = 4;
		break;
	default:
		ptr = memtier_malloc(model->memory, size);
		kind = 4;
	}
	learn(model, object, ptr, kind);
}

static void
change(struct model *model, struct object *object)
{
	memkind_t kind = model->kinds[object->kind];
	size_t size = any_size(&model->random);
	struct object old = *object;
	void *ptr;

	forget(model, object);
	switch (testing_below(&model->random, 6)) {
	case 0:
		memtier_kind_free(kind, old.ptr);
		break;
	case 1:
		assert_null(memtier_realloc(model->memory, old.ptr, 0));
		break;
	case 2:
		assert_null(memtier_kind_realloc(kind, old.ptr, 0));
		break;
	case 3:
		ptr = memtier_realloc(model->memory, old.ptr, size);
		learn(model, object, ptr, old.kind);
		break;
	case 4:
		ptr = memtier_kind_realloc(kind, old.ptr, size);
		learn(model, object, ptr, old.kind);
		break;
	default:
		memtier_free(old.ptr);
	}
}

static void
run_model(memtier_policy_t policy, unsigned count)
{
	struct model model = {.random = testing_seed()};
	const unsigned ratios[] = {1, 0, 3, 7};

	model.kinds[0] = MEMKIND_DEFAULT;
	model.kinds[1] = MEMKIND_REGULAR;
	model.kinds[2] = MEMKIND_INTERLEAVE;
	assert_int_equal(memkind_create_pmem("/tmp", 0, &model.kinds[3]), 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(
			memtier_kind_allocated_size(model.kinds[i]), 0);
	model.memory = construct(policy, model.kinds, ratios, count);
	for (uint64_t i = testing_operations(200000); i > 0; i--) {
		struct object *object =
			&model.objects[testing_below(&model.random, OBJECTS)];
		unsigned kind = (unsigned)testing_below(&model.random, 4);
		if (object->ptr)
			change(&model, object);
		else
			allocate(&model, object);
		assert_int_equal(memtier_kind_allocated_size(model.kinds[kind]),
			model.allocated[kind]);
	}
	for (unsigned i = 0; i < OBJECTS; i++)
		memtier_free(model.objects[i].ptr);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(
			memtier_kind_allocated_size(model.kinds[i]), 0);
	memtier_delete_memtier_memory(model.memory);
	assert_int_equal(memkind_destroy_kind(model.kinds[3]), 0);
}

static void
test_model(void **state)
{
	(void)state;
	run_model(MEMTIER_POLICY_STATIC_RATIO, 4);
	run_model(MEMTIER_POLICY_STATIC_RATIO, 1);
	run_model(MEMTIER_POLICY_DYNAMIC_THRESHOLD, 4);
}

/* A kind begins with nothing, whatever another had of the same number. */
static void
test_destroyed(void **state)
{
	memkind_t kind, again;

	(void)state;
	assert_int_equal(memkind_create_pmem("/tmp", 0, &kind), 0);
	assert_non_null(memtier_kind_malloc(kind, 100000));
	assert_true(memtier_kind_allocated_size(kind) >= 100000);
	assert_int_equal(memkind_destroy_kind(kind), 0);
	assert_int_equal(memkind_create_pmem("/tmp", 0, &again), 0);
	assert_ptr_equal(kind, again);
	assert_int_equal(memtier_kind_allocated_size(again), 0);
	assert_int_equal(memkind_destroy_kind(again), 0);
}

/* What was freed here and allocated elsewhere makes no size below zero. */
static void
test_past_the_counters(void **state)
{
	void *ptr = vmc_memkind_malloc(MEMKIND_REGULAR, 1000);

	(void)state;
	assert_int_equal(memtier_kind_allocated_size(MEMKIND_REGULAR), 0);
	memtier_free(ptr);
	assert_int_equal(memtier_kind_allocated_size(MEMKIND_REGULAR), 0);
	ptr = memtier_kind_malloc(MEMKIND_REGULAR, 1000);
	vmc_memkind_free(MEMKIND_REGULAR, ptr);
	assert_int_equal(memtier_kind_allocated_size(MEMKIND_REGULAR), 0);
}

static pthread_key_t late;

/* The thread has given its counters up by now. */
static void
count_late(void *ptr)
{
	memtier_free(ptr);
	ptr = memtier_kind_malloc(MEMKIND_REGULAR, 5000);
	testing_expect(ptr != NULL);
	memtier_free(ptr);
}

static void *
end_with_an_object(void *unused)
{
	void *ptr = memtier_kind_malloc(MEMKIND_REGULAR, 1000);

	testing_expect(pthread_setspecific(late, ptr) == 0);
	return unused;
}

static void
test_thread_ends(void **state)
{
	pthread_t thread;

	(void)state;
	/* destructors are called in the order in which keys were made */
	memtier_free(memtier_kind_malloc(MEMKIND_REGULAR, 1));
	assert_int_equal(pthread_key_create(&late, count_late), 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(
			pthread_create(&thread, NULL, end_with_an_object, NULL),
			0);
		assert_int_equal(pthread_join(thread, NULL), 0);
		assert_int_equal(
			memtier_kind_allocated_size(MEMKIND_REGULAR), 0);
	}
	assert_int_equal(vmc_load_relaxed(&testing_failures), 0);
	assert_int_equal(pthread_key_delete(late), 0);
}

/* A child has a copy of what there is, and goes on counting. */
static void
test_fork(void **state)
{
	void *ptr = memtier_kind_malloc(MEMKIND_REGULAR, 1000);
	size_t size = memtier_usable_size(ptr);
	pid_t child = fork();
	int status;

	(void)state;
	if (child == 0) {
		bool right =
			memtier_kind_allocated_size(MEMKIND_REGULAR) == size;
		memtier_free(ptr);
		right = right &&
			memtier_kind_allocated_size(MEMKIND_REGULAR) == 0;
		_exit(!right);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_int_equal(memtier_kind_allocated_size(MEMKIND_REGULAR), size);
	memtier_free(ptr);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_builder),
		cmocka_unit_test(test_thresholds),
		cmocka_unit_test(test_properties),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_null),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_destroyed),
		cmocka_unit_test(test_past_the_counters),
		cmocka_unit_test(test_thread_ends),
		cmocka_unit_test(test_fork),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
