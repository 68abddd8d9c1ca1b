/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * fault.h -- system calls that fail on demand
 *
 * A test that links vmc_fault has its calls, and those of the library's
 * objects, to the functions named in fault.c go through the linker's --wrap.
 * The library itself knows nothing of it and is the one that users get.
 */
#ifndef VMC_TESTS_FAULT_H
#define VMC_TESTS_FAULT_H

#include <stdbool.h>

/*
 * From now on let `skip` calls of the function through, make the next `count`
 * of them fail with err, then no more. function NULL: any of them all. err 0:
 * what each function most likely fails with. May be called again (a few times)
 * for another function.
 */
void fault_arm(const char *function, long skip, long count, int err);

/* A function that a rule for all does not mean; NULL: there is none. */
void fault_spare(const char *function);

/* Stop all that. Returns how many calls were made to fail. */
long fault_disarm(void);

/* The last call that was made to fail, and how; NULL and 0: none ever was. */
const char *fault_last(int *err);
/* Has any call failed with that? */
bool fault_was(int err);

/*
 * Calls of this thread between the two are the test's own: not counted, never
 * failing.
 */
void fault_exempt(void);
void fault_exempt_end(void);

/* What the calls have left since the process began. */
struct fault_ledger {
	/* bytes, but for the default kind's heap and the address map */
	long mapped;
	long allocated; /* objects from malloc and relatives, of either heap */
};
struct fault_ledger fault_ledger(void);

/*
 * Paths that begin with `from` are looked for below `to` instead, by open,
 * fopen, access and readlink; NULL: no longer. The strings are kept by
 * reference.
 */
void fault_redirect(const char *from, const char *to);

#endif
