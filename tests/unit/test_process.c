/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_process.c -- processes are told apart, however they are forked
 */
#include "testing.h"

#include "base/epoch.h"
#include "base/process.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A thread that is in an epoch until it is told to end. */
struct reader {
	pthread_t thread;
	sem_t entered, end;
	struct vmc_thread *self;
};

static void *
read_until_told(void *arg)
{
	struct reader *r = arg;

	r->self = vmc_thread_self();
	vmc_epoch_enter(r->self);
	sem_post(&r->entered);
	sem_wait(&r->end);
	vmc_epoch_exit(r->self);
	return NULL;
}

static void
reader_start(struct reader *r)
{
	sem_init(&r->entered, 0, 0);
	sem_init(&r->end, 0, 0);
	assert_int_equal(
		pthread_create(&r->thread, NULL, read_until_told, r), 0);
	sem_wait(&r->entered);
}

static void
reader_end(struct reader *r)
{
	sem_post(&r->end);
	pthread_join(r->thread, NULL);
}

struct before {
	unsigned mark;
	uint64_t stamp;
	struct vmc_thread *self;
	const struct reader *reader;
};

static void *
register_thread(void *arg)
{
	*(struct vmc_thread **)arg = vmc_thread_self();
	return NULL;
}

/* The parent's reader holds nothing back, and all threads can be known. */
static int
child_reads(const struct before *b)
{
	struct vmc_thread *other = NULL;
	pthread_t thread;

	if (pthread_create(&thread, NULL, register_thread, &other) != 0)
		return 1;
	pthread_join(thread, NULL);
	if (!other || other == b->self || vmc_thread_self() != b->self)
		return 2;
	if (vmc_process_mark() != b->mark + 1)
		return 3;
	return vmc_epoch_fence() && vmc_epoch_safe() > b->stamp ? 0 : 4;
}

static int
forked(const struct before *b)
{
	struct vmc_thread *other = NULL;
	pthread_t thread;
	int rc = child_reads(b);

	/* the lowest slot that is free is that of the parent's reader */
	if (rc == 0 &&
		pthread_create(&thread, NULL, register_thread, &other) == 0)
		pthread_join(thread, NULL);
	if (rc == 0 && other != b->reader->self)
		return 9;
	return rc == 0 && !vmc_process_was_told(b->mark) ? 5 : rc;
}

/* Noticed by another thread than the one that survived the fork. */
static int
cloned(const struct before *b)
{
	if (vmc_process_mark() != 0)
		return 77; /* a kernel before 4.14, or large pages */
	int rc = child_reads(b);
	return rc == 0 && (vmc_process_was_told(b->mark) ||
				  !vmc_process_was_told(b->mark + 1))
		       ? 6
		       : rc;
}

/* And a child of that one that has not noticed until then. */
static int
cloned_and_forked(const struct before *b)
{
	int status;

	if (vmc_process_mark() != 0)
		return 77;
	pid_t child = fork();
	if (child == 0) {
		struct before of_parent = *b;
		of_parent.mark++;
		int rc = child_reads(&of_parent);
		if (rc == 0 && vmc_process_was_told(b->mark))
			rc = 7;
		_exit(rc);
	}
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 8;
}

static void
in_child(bool by_clone, int (*test)(const struct before *b))
{
	struct reader reader;
	struct before b = {.mark = vmc_process_mark(),
		.self = vmc_thread_self(),
		.reader = &reader};
	int status;

#ifdef VMC_TSAN
	skip(); /* it has no threads in a child of several threads */
#endif
#ifdef VMC_TESTING_SANITIZED
	if (by_clone)
		skip(); /* it needs handlers of its own */
#endif
	if (by_clone && RUNNING_ON_VALGRIND)
		skip(); /* as Valgrind does, which else takes threads for lost
			 */
	assert_true(b.mark > 0);
	reader_start(&reader);
	b.stamp = vmc_epoch_stamp();
	fflush(NULL);
	pid_t child = by_clone ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0)
			       : fork();
	if (child == 0) {
		alarm(240);
		_exit(test(&b));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	reader_end(&reader);
	assert_true(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(vmc_process_mark(), b.mark);
	assert_true(vmc_process_was_told(b.mark));
}

static void
test_fork(void **state)
{
	(void)state;
	in_child(false, forked);
}

static void
test_clone(void **state)
{
	(void)state;
	in_child(true, cloned);
}

static void
test_clone_and_fork(void **state)
{
	(void)state;
	in_child(true, cloned_and_forked);
}

/*
 * A handler that is older than the library's, so it runs after that: it ends a
 * thread that has used the library, and waits for it.
 */
static struct reader *to_end_at_fork;

static void
end_at_fork(void)
{
	if (to_end_at_fork)
		reader_end(to_end_at_fork);
	to_end_at_fork = NULL;
}

__attribute__((constructor(101))) static void
register_older_handler(void)
{
	pthread_atfork(end_at_fork, NULL, NULL);
}

static void
test_fork_ends_a_thread(void **state)
{
	struct reader reader;
	int status;

	(void)state;
	reader_start(&reader);
	to_end_at_fork = &reader;
	fflush(NULL);
	alarm(60); /* rather than for ever */
	pid_t child = fork();
	if (child == 0)
		_exit(vmc_thread_self() && vmc_epoch_fence() ? 0 : 1);
	alarm(0);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_null(to_end_at_fork);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_clone),
		cmocka_unit_test(test_clone_and_fork),
		cmocka_unit_test(test_fork_ends_a_thread),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
