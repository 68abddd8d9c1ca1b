/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * test_heritage.c -- who owns what, after forks
 *
 * Each case is a parent that makes an object, forks, and ends, or does not;
 * its descendants ask for the object until they get an answer that lasts, and
 * write it to a pipe, which the test reads to its end.
 */
#include "testing.h"

#include "base/heritage.h"
#include "fault.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

static struct vmc_heritage object;

/* fork(), with the handlers' calls; in the child 0. */
static pid_t
fork_with(struct vmc_heritage *heritage)
{
	vmc_heritage_before_fork(heritage);
	pid_t child = fork();
	if (child == 0) {
		alarm(60);
		vmc_heritage_after_fork_in_child(heritage);
	}
	return child;
}

/* The answer in the end, once the owner that there was has gone. */
static int
claim_in_the_end(struct vmc_heritage *heritage)
{
	int result;

	while ((result = vmc_heritage_claim(heritage)) == -EBUSY)
		usleep(1000);
	return result;
}

static void
tell(int to, int answer)
{
	if (write(to, &answer, sizeof(answer)) != sizeof(answer))
		_exit(1);
}

/*
 * What the descendants of a parent that runs `of` write, how many answers; the
 * parent is not waited for before the last of them: it is a zombie meanwhile.
 */
static int
answers(void (*of)(int to), int *got, int most)
{
	int ends[2], count = 0;

	assert_int_equal(pipe(ends), 0);
	fflush(NULL);
	pid_t parent = fork();
	if (parent == 0) {
		alarm(60);
		close(ends[0]);
		of(ends[1]);
		_exit(0);
	}
	close(ends[1]);
	while (count < most &&
		read(ends[0], &got[count], sizeof(*got)) == sizeof(*got))
		count++;
	close(ends[0]);
	assert_int_equal(waitpid(parent, NULL, 0), parent);
	return count;
}

/* Valgrind does not know the call that tells when a process has ended. */
static void
need_pidfd(void)
{
	if (RUNNING_ON_VALGRIND)
		skip();
}

static void
test_one_process(void **state)
{
	struct vmc_heritage none = {0};

	(void)state;
	need_pidfd();
	errno = 77;
	vmc_heritage_create(&object);
	assert_true(vmc_heritage_is_owner(&object));
	assert_false(vmc_heritage_is_quiet(&object));
	vmc_heritage_change(&object);
	assert_int_equal(vmc_heritage_claim(&object), 0);
	vmc_heritage_before_fork(&object);
	assert_true(vmc_heritage_is_quiet(&object));
	vmc_heritage_change(&object);
	assert_false(vmc_heritage_is_quiet(&object));
	vmc_heritage_destroy(&object);
	vmc_heritage_destroy(&none);
	assert_int_equal(errno, 77);
}

/* The parent lives: busy, and lost as soon as it has changed something. */
static void
test_parent_lives(void **state)
{
	int to_child[2], from_child[2], answer = 0;
	char byte = 0;

	(void)state;
	need_pidfd();
	assert_int_equal(pipe(to_child), 0);
	assert_int_equal(pipe(from_child), 0);
	vmc_heritage_create(&object);
	vmc_heritage_change(&object); /* before the fork: does not matter */
	pid_t child = fork_with(&object);
	if (child == 0) {
		tell(from_child[1], vmc_heritage_claim(&object));
		tell(from_child[1], vmc_heritage_claim(&object));
		if (read(to_child[0], &byte, 1) != 1)
			_exit(1);
		tell(from_child[1], vmc_heritage_claim(&object));
		tell(from_child[1], vmc_heritage_claim(&object));
		_exit(0);
	}
	/* a child that dies is the end of what it tells */
	close(from_child[1]);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(read(from_child[0], &answer, sizeof(answer)),
			sizeof(answer));
		assert_int_equal(answer, i < 2 ? -EBUSY : -EBADF);
		if (i != 1)
			continue;
		vmc_heritage_change(&object);
		assert_true(vmc_heritage_is_owner(&object));
		assert_int_equal(write(to_child[1], "x", 1), 1);
	}
	assert_int_equal(waitpid(child, NULL, 0), child);
	close(from_child[0]);
	for (int i = 0; i < 2; i++)
		close(to_child[i]);
	vmc_heritage_destroy(&object);
}

static void
daemonize(int to)
{
	vmc_heritage_create(&object);
	if (fork_with(&object) == 0)
		tell(to, claim_in_the_end(&object));
}

static void
fork_twice(int to)
{
	vmc_heritage_create(&object);
	if (fork_with(&object) == 0 && fork_with(&object) == 0)
		tell(to, claim_in_the_end(&object));
}

/* Each hands over to the next. */
static void
fork_again_and_again(int to)
{
	vmc_heritage_create(&object);
	for (int i = 0; i < 5; i++) {
		if (fork_with(&object) != 0)
			return;
		tell(to, claim_in_the_end(&object));
		vmc_heritage_change(&object);
	}
}

static void
change_then_end(int to)
{
	vmc_heritage_create(&object);
	if (fork_with(&object) == 0)
		tell(to, claim_in_the_end(&object));
	else
		vmc_heritage_change(&object);
}

/* The change is an answer to the first fork alone. */
static void
change_between_forks(int to)
{
	vmc_heritage_create(&object);
	if (fork_with(&object) == 0) {
		tell(to, claim_in_the_end(&object) == -EBADF ? 1000 : 1);
		return;
	}
	vmc_heritage_change(&object);
	if (fork_with(&object) == 0)
		tell(to, claim_in_the_end(&object));
}

static void
destroy_then_end(int to)
{
	vmc_heritage_create(&object);
	if (fork_with(&object) == 0)
		tell(to, claim_in_the_end(&object));
	else
		vmc_heritage_destroy(&object);
}

/* A child that has no use for it takes nothing from the others. */
static void
brother_destroys(int to)
{
	vmc_heritage_create(&object);
	pid_t brother = fork_with(&object);
	if (brother == 0) {
		vmc_heritage_destroy(&object);
		return;
	}
	waitpid(brother, NULL, 0);
	if (fork_with(&object) == 0)
		tell(to, claim_in_the_end(&object));
}

static void
test_handed_over(void **state)
{
	static const struct {
		void (*of)(int to);
		int count, answers[5];
	} cases[] = {
		{daemonize, 1, {0}},
		{fork_twice, 1, {0}},
		{fork_again_and_again, 5, {0}},
		{brother_destroys, 1, {0}},
		{change_then_end, 1, {-EBADF}},
		{destroy_then_end, 1, {-EBADF}},
	};
	int got[6];

	(void)state;
	need_pidfd();
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(answers(cases[i].of, got, 6), cases[i].count);
		for (int j = 0; j < cases[i].count; j++)
			assert_int_equal(got[j], cases[i].answers[j]);
	}
	assert_int_equal(answers(change_between_forks, got, 6), 2);
	assert_int_equal(got[0] + got[1], 1000);
}

/* All at once, of two generations: one gets it. */
enum { RIVALS = 6 };

static void
rivals(int to)
{
	vmc_heritage_create(&object);
	for (int i = 0; i < RIVALS; i++) {
		if (fork_with(&object) != 0)
			continue;
		pid_t own = i % 2 ? fork_with(&object) : -1;
		tell(to, claim_in_the_end(&object));
		if (own > 0)
			waitpid(own, NULL, 0);
		return;
	}
}

static void
test_rivals(void **state)
{
	int got[2 * RIVALS];

	(void)state;
	need_pidfd();
	for (int round = 0; round < 5; round++) {
		int count = answers(rivals, got, 2 * RIVALS), owners = 0;
		assert_int_equal(count, RIVALS + RIVALS / 2);
		for (int i = 0; i < count; i++) {
			assert_true(got[i] == 0 || got[i] == -EBADF);
			owners += got[i] == 0;
		}
		assert_int_equal(owners, 1);
	}
}

/* Without the page: as ever, but nobody inherits. */
static void
without_memory(int to)
{
	fault_arm("mmap", 0, 1, ENOMEM);
	vmc_heritage_create(&object);
	if (fault_disarm() != 1 || !vmc_heritage_is_owner(&object))
		_exit(1);
	vmc_heritage_change(&object);
	if (fork_with(&object) == 0)
		tell(to, claim_in_the_end(&object));
	vmc_heritage_change(&object);
	vmc_heritage_destroy(&object);
}

/* Without pidfd_open(2), when only a process that was waited for has gone. */
static void
without_descriptors(int to)
{
	pid_t owner = fork();

	if (owner != 0) {
		waitpid(owner, NULL, 0);
		return;
	}
	vmc_heritage_create(&object);
	if (fork_with(&object) == 0) {
		fault_arm("pidfd_open", 0, 1000000, EMFILE);
		tell(to, claim_in_the_end(&object));
	}
}

static void
test_without(void **state)
{
	int got[2];

	(void)state;
	need_pidfd();
	assert_int_equal(answers(without_memory, got, 2), 1);
	assert_int_equal(got[0], -EBADF);
	assert_int_equal(answers(without_descriptors, got, 2), 1);
	assert_int_equal(got[0], 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_process),
		cmocka_unit_test(test_parent_lives),
		cmocka_unit_test(test_handed_over),
		cmocka_unit_test(test_rivals),
		cmocka_unit_test(test_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
