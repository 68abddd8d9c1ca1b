/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_epoch.c -- who holds back what, and how threads come and go
 *
 * Linked with --wrap for the two calls into the system that may be refused.
 */
#include "testing.h"

#include "base/epoch.h"
#include "base/os.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CROWD = 200 };

static bool refuse_membarrier;
static bool refuse_visits;
static unsigned visits;
static _Atomic bool refuse_memory;

bool __real_vmc_os_membarrier(void);
bool __wrap_vmc_os_membarrier(void);
void *__real_vmc_os_map_anonymous(size_t size);
void *__wrap_vmc_os_map_anonymous(size_t size);

bool
__wrap_vmc_os_membarrier(void)
{
	return !refuse_membarrier && __real_vmc_os_membarrier();
}

bool __real_vmc_os_visit_processors(void);
bool __wrap_vmc_os_visit_processors(void);

bool
__wrap_vmc_os_visit_processors(void)
{
	visits++;
	return !refuse_visits && __real_vmc_os_visit_processors();
}

void *
__wrap_vmc_os_map_anonymous(size_t size)
{
	return refuse_memory ? NULL : __real_vmc_os_map_anonymous(size);
}

/* A thread that does what it is told, and tells when it has done it. */
enum order { ENTER, EXIT, QUIT };

struct actor {
	pthread_t thread;
	sem_t told, done;
	enum order order;
	struct vmc_thread *self;
};

static void *
act(void *arg)
{
	struct actor *a = arg;

	a->self = vmc_thread_self();
	while (a->order != QUIT) {
		sem_post(&a->done);
		sem_wait(&a->told);
		if (a->order == ENTER)
			vmc_epoch_enter(a->self);
		if (a->order == EXIT)
			vmc_epoch_exit(a->self);
	}
	return NULL;
}

static void
tell(struct actor *a, enum order order)
{
	a->order = order;
	sem_post(&a->told);
	sem_wait(&a->done);
}

static void
actor_start(struct actor *a)
{
	pthread_attr_t small;

	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 256 * 1024);
	sem_init(&a->told, 0, 0);
	sem_init(&a->done, 0, 0);
	a->order = EXIT;
	assert_int_equal(pthread_create(&a->thread, &small, act, a), 0);
	pthread_attr_destroy(&small);
	sem_wait(&a->done);
}

static void
actor_end(struct actor *a)
{
	a->order = QUIT;
	sem_post(&a->told);
	pthread_join(a->thread, NULL);
	sem_destroy(&a->told);
	sem_destroy(&a->done);
}

static void
test_self(void **state)
{
	struct vmc_thread *self = vmc_thread_self();

	(void)state;
	assert_non_null(self);
	assert_ptr_equal(vmc_thread_self(), self);
	assert_ptr_equal(vmc_thread_cached, self);
	assert_true(self->slot < vmc_thread_slots());
	assert_int_equal((uintptr_t)self % 64, 0);
}

/* What is safe, as far as it can be had. */
static uint64_t
fence_and_look(void)
{
	testing_expect(vmc_epoch_fence());
	return vmc_epoch_safe();
}

static void
test_nobody_reads(void **state)
{
	(void)state;
	uint64_t first = vmc_epoch_stamp();
	uint64_t second = vmc_epoch_stamp();
	assert_true(second > first);
	assert_true(fence_and_look() > second);
}

/* A stamp is safe only if somebody has fenced since, but then for all. */
static void
test_one_fence_for_all(void **state)
{
	(void)state;
	uint64_t first = vmc_epoch_stamp();
	assert_false(vmc_epoch_is_fenced(first));
	assert_true(vmc_epoch_safe() <= first);
	uint64_t second = vmc_epoch_stamp();
	assert_true(vmc_epoch_fence());
	uint64_t third = vmc_epoch_stamp();
	assert_true(vmc_epoch_is_fenced(first));
	assert_true(vmc_epoch_is_fenced(second));
	assert_false(vmc_epoch_is_fenced(third));
	assert_true(vmc_epoch_safe() > second);
	assert_true(vmc_epoch_safe() <= third);
}

/* Who was found reading is looked for again without another fence. */
static void
test_reader_leaves_after_fence(void **state)
{
	struct actor reader;
	bool normal = vmc_epoch_readers_fence;

	(void)state;
	actor_start(&reader);
	tell(&reader, ENTER);
	uint64_t stamp = vmc_epoch_stamp();
	assert_true(fence_and_look() <= stamp);
	vmc_epoch_readers_fence = false;
	refuse_membarrier = true;
	tell(&reader, EXIT);
	assert_true(vmc_epoch_safe() > stamp);
	refuse_membarrier = false;
	vmc_epoch_readers_fence = normal;
	actor_end(&reader);
}

static void
reader_holds_back(void)
{
	struct actor reader, other;

	actor_start(&reader);
	actor_start(&other);
	uint64_t before = vmc_epoch_stamp();
	tell(&reader, ENTER);
	uint64_t after = vmc_epoch_stamp();
	/* what was unlinked before the reader came, it does not hold */
	assert_true(fence_and_look() > before);
	assert_true(fence_and_look() <= after);
	tell(&other, ENTER);
	uint64_t last = vmc_epoch_stamp();
	assert_true(fence_and_look() <= after);
	tell(&reader, EXIT);
	assert_true(fence_and_look() > after);
	assert_true(fence_and_look() <= last);
	tell(&other, EXIT);
	assert_true(fence_and_look() > last);
	actor_end(&reader);
	actor_end(&other);
}

static void
test_reader_holds_back(void **state)
{
	(void)state;
	reader_holds_back();
}

/* As where the kernel has no membarrier. */
static void
test_reader_with_its_own_fence(void **state)
{
	bool normal = vmc_epoch_readers_fence;

	(void)state;
	vmc_epoch_readers_fence = true;
	reader_holds_back();
	vmc_epoch_readers_fence = normal;
}

/* By a sandbox that was made later: readers come to fence for themselves. */
static void
test_membarrier_refused(void **state)
{
	bool normal = vmc_epoch_readers_fence;
	uint64_t stamp = vmc_epoch_stamp();

	(void)state;
	vmc_epoch_readers_fence = false;
	refuse_membarrier = true;
	visits = 0;
	refuse_visits = true;
	for (unsigned i = 1; i <= 2; i++) {
		assert_false(vmc_epoch_fence());
		assert_int_equal(visits, i);
		assert_true(vmc_epoch_readers_fence);
		assert_true(vmc_epoch_safe() <= stamp);
	}
	refuse_visits = false;
	assert_true(fence_and_look() > stamp);
	assert_int_equal(visits, 3);
	/* once is enough */
	stamp = vmc_epoch_stamp();
	assert_true(fence_and_look() > stamp);
	assert_int_equal(visits, 3);
	reader_holds_back();
	refuse_membarrier = false;
	vmc_epoch_readers_fence = normal;
	assert_true(fence_and_look() > stamp);
}

static void
test_exit_gives_slot_back(void **state)
{
	struct actor a;

	(void)state;
	vmc_thread_self();
	actor_start(&a);
	unsigned slot = a.self->slot;
	unsigned slots = vmc_thread_slots();
	assert_int_not_equal(slot, vmc_thread_self()->slot);
	actor_end(&a);
	for (int i = 0; i < 10; i++) {
		actor_start(&a);
		assert_int_equal(a.self->slot, slot);
		actor_end(&a);
	}
	assert_int_equal(vmc_thread_slots(), slots);
}

/* A destructor of the user's that runs after ours uses the cache once more. */
static void
use_at_exit(void *arg)
{
	*(struct vmc_thread **)arg = vmc_thread_self();
}

static pthread_key_t user_key;

static void *
leave_late(void *arg)
{
	vmc_thread_self();
	pthread_setspecific(user_key, arg);
	return NULL;
}

static void
test_use_in_a_destructor(void **state)
{
	struct vmc_thread *late = NULL;
	pthread_t thread;
	struct actor a;

	(void)state;
	pthread_key_create(&user_key, use_at_exit);
	assert_int_equal(pthread_create(&thread, NULL, leave_late, &late), 0);
	pthread_join(thread, NULL);
	pthread_key_delete(user_key);
	assert_non_null(late);
	actor_start(&a);
	assert_ptr_equal(a.self, late);
	actor_end(&a);
}

/* One that sets itself anew in each round that the C library makes. */
static void
use_at_the_very_end(void *arg)
{
	vmc_thread_self();
	pthread_setspecific(user_key, arg);
}

/* The slots of threads that come back as they end are not lost. */
static void
test_use_in_the_last_destructor(void **state)
{
	enum { THREADS = 20 };
	struct vmc_thread *late = NULL;
	struct actor a;

	(void)state;
#ifdef VMC_TSAN
	skip(); /* it crashes where a thread goes on after its own destructor */
#endif
	actor_start(&a);
	actor_end(&a);
	unsigned slots = vmc_thread_slots();
	unsigned alive = vmc_load_relaxed(&vmc_threads_alive);
	pthread_key_create(&user_key, use_at_the_very_end);
	for (int i = 0; i < THREADS; i++) {
		pthread_t thread;
		assert_int_equal(
			pthread_create(&thread, NULL, leave_late, &late), 0);
		pthread_join(thread, NULL);
	}
	pthread_key_delete(user_key);
	assert_true(vmc_thread_slots() <= slots + 1);
	/* the last one is found gone when somebody else comes */
	actor_start(&a);
	assert_true(vmc_load_relaxed(&vmc_threads_alive) <= alive + 2);
	actor_end(&a);
	assert_true(vmc_thread_slots() <= slots + 1);
}

static void
test_crowd(void **state)
{
	static struct actor crowd[CROWD];
	bool seen[2 * CROWD] = {false};

	(void)state;
	seen[vmc_thread_self()->slot] = true;
	for (int i = 0; i < CROWD; i++) {
		actor_start(&crowd[i]);
		unsigned slot = crowd[i].self->slot;
		assert_true(slot < vmc_thread_slots());
		assert_true(slot < 2 * CROWD);
		assert_false(seen[slot]);
		assert_int_equal((uintptr_t)crowd[i].self % 64, 0);
		seen[slot] = true;
	}
	assert_true(vmc_thread_slots() > 64);
	for (int i = 0; i < CROWD; i++) {
		tell(&crowd[i], ENTER);
		uint64_t stamp = vmc_epoch_stamp();
		assert_true(fence_and_look() <= stamp);
		tell(&crowd[i], EXIT);
		assert_true(vmc_epoch_safe() > stamp);
	}
	unsigned slots = vmc_thread_slots();
	for (int i = 0; i < CROWD; i++)
		actor_end(&crowd[i]);
	for (int i = 0; i < CROWD; i++)
		actor_start(&crowd[i]);
	assert_int_equal(vmc_thread_slots(), slots);
	for (int i = 0; i < CROWD; i++)
		actor_end(&crowd[i]);
}

/* Slots 64 to 447 are there by now; the next ones need a new chunk. */
static void
test_no_memory_for_a_thread(void **state)
{
	static struct actor crowd[1024];
	int count = 0;

	(void)state;
	refuse_memory = true;
	do
		actor_start(&crowd[count]);
	while (crowd[count++].self && count < 1024);
	assert_true(count > CROWD && count < 1024);
	assert_null(crowd[count - 1].self);
	refuse_memory = false;
	actor_start(&crowd[count]);
	assert_non_null(crowd[count].self);
	actor_end(&crowd[count]);
	while (count-- > 0)
		actor_end(&crowd[count]);
}

static void
skip_without_fork(void)
{
#ifdef VMC_TSAN
	skip(); /* it has no threads in a child of several threads */
#endif
}

static int
in_child(int (*test)(void *), void *arg)
{
	int status;

	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		alarm(240);
		_exit(test(arg));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void *
slot_of_thread(void *arg)
{
	*(struct vmc_thread **)arg = vmc_thread_self();
	return NULL;
}

static void *
register_once(void *arg)
{
	testing_expect(vmc_thread_self() != NULL);
	return arg;
}

static void *
start_threads(void *stop)
{
	pthread_t thread;

	while (!vmc_load_acquire((_Atomic bool *)stop))
		if (pthread_create(&thread, NULL, register_once, NULL) == 0)
			pthread_join(thread, NULL);
	return NULL;
}

static int
child_registers(void *arg)
{
	struct vmc_thread *other = NULL;
	pthread_t thread;

	(void)arg;
	if (pthread_create(&thread, NULL, slot_of_thread, &other) != 0)
		return 1;
	pthread_join(thread, NULL);
	return other && vmc_epoch_fence() ? 0 : 2;
}

/* The registry's lock is never held by a thread that the child has not. */
static void
test_fork_while_threads_come_and_go(void **state)
{
	_Atomic bool stop = false;
	pthread_t starter;

	(void)state;
	skip_without_fork();
#ifdef VMC_TESTING_SANITIZED
	skip(); /* a fork amid pthread_create may stop its child for good */
#endif
	assert_int_equal(
		pthread_create(&starter, NULL, start_threads, (void *)&stop),
		0);
	for (int i = 0; i < 30; i++)
		assert_int_equal(in_child(child_registers, NULL), 0);
	vmc_store_release(&stop, true);
	pthread_join(starter, NULL);
	assert_int_equal(testing_failures, 0);
}

/* Objects that are replaced and freed while readers look at them. */
struct object {
	uint64_t number;
	uint64_t check;
};

struct shared {
	struct object *_Atomic current;
	_Atomic bool stop;
};

static void *
read_objects(void *arg)
{
	struct shared *s = arg;
	struct vmc_thread *self = vmc_thread_self();
	uint64_t last = 0;

	while (!vmc_load_relaxed(&s->stop)) {
		vmc_epoch_enter(self);
		struct object *o = vmc_load_acquire(&s->current);
		uint64_t number = o->number;
		testing_expect(o->check == ~number);
		vmc_epoch_exit(self);
		testing_expect(number >= last);
		last = number;
	}
	return NULL;
}

static struct object *
object_new(uint64_t number)
{
	struct object *o = malloc(sizeof(*o));

	assert_non_null(o);
	*o = (struct object){number, ~number};
	return o;
}

static void
replace_objects(bool readers_fence)
{
	enum { READERS = 2, WAITING = 16 };
	struct {
		struct object *object;
		uint64_t stamp;
	} waiting[WAITING] = {{NULL, 0}};
	struct shared s = {.current = object_new(0)};
	pthread_t readers[READERS];
	bool normal = vmc_epoch_readers_fence;

	vmc_epoch_readers_fence = normal || readers_fence;
	for (int i = 0; i < READERS; i++)
		pthread_create(&readers[i], NULL, read_objects, &s);
	uint64_t count = testing_operations(4000);
	for (uint64_t n = 1; n <= count; n++) {
		unsigned i = n % WAITING;
		struct object *old =
			vmc_exchange_acq_rel(&s.current, object_new(n));
		while (waiting[i].object &&
			fence_and_look() <= waiting[i].stamp)
			sched_yield();
		if (waiting[i].object) {
			memset(waiting[i].object, 0xdd, sizeof(*old));
			free(waiting[i].object);
		}
		waiting[i].object = old;
		waiting[i].stamp = vmc_epoch_stamp();
	}
	vmc_store_release(&s.stop, true);
	for (int i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	for (unsigned i = 0; i < WAITING; i++)
		free(waiting[i].object);
	free(s.current);
	vmc_epoch_readers_fence = normal;
	assert_int_equal(testing_failures, 0);
}

static void
test_replace_objects(void **state)
{
	(void)state;
	replace_objects(false);
	replace_objects(true);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_self),
		cmocka_unit_test(test_nobody_reads),
		cmocka_unit_test(test_one_fence_for_all),
		cmocka_unit_test(test_reader_leaves_after_fence),
		cmocka_unit_test(test_reader_holds_back),
		cmocka_unit_test(test_reader_with_its_own_fence),
		cmocka_unit_test(test_membarrier_refused),
		cmocka_unit_test(test_exit_gives_slot_back),
		cmocka_unit_test(test_use_in_a_destructor),
		cmocka_unit_test(test_use_in_the_last_destructor),
		cmocka_unit_test(test_crowd),
		cmocka_unit_test(test_no_memory_for_a_thread),
		cmocka_unit_test(test_fork_while_threads_come_and_go),
		cmocka_unit_test(test_replace_objects),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
