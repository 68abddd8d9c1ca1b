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
 * of them fail with err, then no more. function NULL: any of them all. May be
 * called again (a few times) for another function.
 */
void fault_arm(const char *function, long skip, long count, int err);

/* Stop all that. Returns how many calls were made to fail. */
long fault_disarm(void);

/*
 * Paths that begin with `from` are looked for below `to` instead, by open and
 * readlink; NULL: no longer. The strings are kept by reference.
 */
void fault_redirect(const char *from, const char *to);

#endif
