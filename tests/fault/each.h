/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * each.h -- a scenario, with each call that can fail made to fail in turn
 *
 * each_call() runs a scenario again and again, each time in a new process,
 * where the first, then the second, ... of all calls that fault.c knows fails;
 * then once more with all calls from there on. It ends when there was no such
 * call any more. In each process the scenario follows once without a failure:
 * that must succeed, and leave what the same left where nothing ever failed.
 *
 * The first 60 calls of a scenario all have their turn. Later ones are much the
 * same: after call n comes one about n / 10 later; $VMC_FAULT_ALL=1: all.
 */
#ifndef VMC_TESTS_EACH_H
#define VMC_TESTS_EACH_H

#include "testing.h"

#include "base/error.h"
#include "fault.h"
#include "memkind/heap/engine.h"
#include "process.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef VMC_COVERAGE /* to execute what is there is enough; it is slow */
#define EACH_COMPARE 0
#else
#define EACH_COMPARE 1
#endif
/* A watchdog's patience in seconds; hanging is a failure. */
#define EACH_PATIENCE 240

#define EACH_FIRST 60
#define EACH_RARELY 10

struct each {
	const char *name;
	void (*run)(void);
	const void *arg; /* for run */
};

/* What is left after a few runs. */
struct each_left {
	struct fault_ledger ledger;
	int descriptors;
	int mappings; /* of files */
	int threads;
	size_t arenas;
};

static const struct each *each_now;
static bool each_may_fail; /* a call is to fail, or has */
static const char *each_when = "with nothing failing";

#define each_expect(truth)                                                     \
	((truth) ? (void)0 : each_wrong(__FILE__, __LINE__, #truth))

static inline void
each_wrong(const char *file, int line, const char *what)
{
	int saved = errno, err;
	const char *function = fault_last(&err);

	fprintf(stderr, "%s:%d: %s, %s (%s: %s): failed: %s (errno: %s)\n",
		file, line, each_now->name, each_when,
		function ? function : "none", strerror(err), what,
		strerror(saved));
	_exit(1);
}

/* May a call that has failed with this have done so? */
static inline bool
each_excuse(int err)
{
	return each_may_fail && (err == ENOMEM || fault_was(err));
}

/* If something has failed by now, nothing more does. */
static inline void
each_recover(void)
{
	int err;

	if (!each_may_fail || !fault_last(&err))
		return;
	fault_disarm();
	each_may_fail = false;
}

static inline struct each_left
each_left(void)
{
	unsigned arenas = 0;
	size_t size = sizeof(arenas);
	int threads = process_threads(); /* and what they leave */

	je_mallctl("arenas.narenas", &arenas, &size, NULL, 0);
	return (struct each_left){.ledger = fault_ledger(),
		.descriptors = process_descriptors(),
		.mappings = process_unnamed_mappings(),
		.threads = threads,
		.arenas = arenas};
}

static inline void
each_compare(const struct each_left *left, const struct each_left *clean)
{
	each_expect(left->descriptors <= clean->descriptors);
	each_expect(left->mappings <= clean->mappings);
	each_expect(left->threads <= clean->threads);
	each_expect(left->arenas <= clean->arenas);
	if (left->ledger.mapped > clean->ledger.mapped ||
		left->ledger.allocated > clean->ledger.allocated)
		fprintf(stderr, "%ld bytes and %ld objects more\n",
			left->ledger.mapped - clean->ledger.mapped,
			left->ledger.allocated - clean->ledger.allocated);
	each_expect(left->ledger.mapped <= clean->ledger.mapped);
	each_expect(left->ledger.allocated <= clean->ledger.allocated);
}

enum { EACH_FINE = 0, EACH_WRONG = 1, EACH_NOT_REACHED = 2 };

/* In a process of its own; n 0: nothing fails, and *clean is set. */
static inline int
each_child(long n, long count, struct each_left *clean)
{
	struct each_left left;
	char when[64];
	int err;

	alarm(EACH_PATIENCE);
	for (int i = 1; i < NSIG; i++) /* cmocka would go on with its tests */
		signal(i, SIG_DFL);
	snprintf(when, sizeof(when), "call %ld %s", n,
		count == 1 ? "failing" : "and all later ones failing");
	each_when = n ? when : each_when;
	each_may_fail = n > 0;
	/* without that and memory, what is retired is lost: limbo.c */
	fault_spare(count == 1 ? NULL : "membarrier");
	if (n)
		fault_arm(NULL, n - 1, count, 0);
	each_now->run();
	fault_disarm();
	if (n && !fault_last(&err))
		return EACH_NOT_REACHED;
	each_may_fail = false;
	if (!EACH_COMPARE)
		return EACH_FINE;
	each_now->run();
	left = each_left();
	if (n)
		each_compare(&left, clean);
	else
		*clean = left;
	return EACH_FINE;
}

static inline int
each_process(long n, long count, struct each_left *clean)
{
	int status;

	fflush(NULL);
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0)
		_exit(each_child(n, count, clean));
	assert_int_equal(waitpid(child, &status, 0), child);
	if (!WIFEXITED(status))
		fail_msg("%s, call %ld%s: signal %d", each_now->name, n,
			count == 1 ? "" : " and all later ones",
			WTERMSIG(status));
	return WEXITSTATUS(status);
}

static inline void
each_call(const struct each *scenario)
{
	const char *all = getenv("VMC_FAULT_ALL");
	struct each_left *clean = mmap(NULL, sizeof(*clean),
		PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int wrong = 0;

	assert_ptr_not_equal(clean, MAP_FAILED);
	each_now = scenario;
	assert_int_equal(each_process(0, 0, clean), EACH_FINE);
	for (int mode = 0; mode < 2; mode++) {
		long n = 1, runs = 0;
		int result = EACH_FINE;
		for (; result != EACH_NOT_REACHED && wrong < 10; runs++) {
			result = each_process(n, mode ? LONG_MAX : 1, clean);
			wrong += result == EACH_WRONG;
			n += 1 + (n > EACH_FIRST && !all ? n / EACH_RARELY : 0);
		}
		printf("%s: %ld calls, %ld runs\n", scenario->name, n, runs);
	}
	munmap(clean, sizeof(*clean));
	assert_int_equal(wrong, 0);
}

#endif
